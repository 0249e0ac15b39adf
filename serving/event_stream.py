"""Server-sent events as they come from a server: bytes in, what events say out.

Lines end and fields join as the HTML standard has it (9.2.6). Names and ids of events, times to try
again and comments are passed over.
"""

import re

_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")  # what follows the last one may be its second half
_DATA = b"data:"


class EventReader:
    """Puts events together from pieces that end anywhere."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> list[bytes]:
        """Take the next piece; return the data of the events that are whole now."""
        begin = max(0, len(self._rest) - 1)  # no line end is before it
        self._rest += piece
        if not _LINE_END.search(self._rest, begin):
            return []
        *lines, rest = _LINE_END.split(bytes(self._rest))
        self._rest = bytearray(rest)
        events = []
        for line in lines:
            if line.startswith(_DATA):
                self._data.append(line[len(_DATA) :].removeprefix(b" "))
            elif not line and self._data:
                events.append(b"\n".join(self._data))
                self._data.clear()
        return events
