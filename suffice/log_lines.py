"""What a service logs, as lines: when, how bad, which part, what, about what."""

import logging
import time
from typing import TextIO

# What every record has; anything else was given with it.
_KNOWN = {*vars(logging.makeLogRecord({})), "message", "asctime"}
OURS = ("eval", "ingest", "retrieval", "serving", "suffice")


class LineFormatter(logging.Formatter):
    """Shows the fields of a record behind its message, such as `document_id='...'`."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - of logging
        """Return the line, without the traceback."""
        fields = {name: one for name, one in vars(record).items() if name not in _KNOWN}
        shown = (f"{name}={one!r}" for name, one in fields.items())
        return " ".join([super().formatMessage(record), *shown])


def write_log(stream: TextIO, level: int = logging.NOTSET) -> None:
    """Write what our packages log to a stream; other libraries see to theirs.

    Args:
        stream: takes the place of the one of an earlier call.
        level: what is less bad is left out.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter())
    handler.setLevel(level)
    for name in OURS:
        logging.getLogger(name).handlers[:] = [handler]
