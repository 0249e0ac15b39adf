"""The process that parses hostile files; it speaks JSON lines with `ParserPool` and may be killed.

One request per line on standard input, one reply per line on standard output, a line `{}` first
when it is ready. It ends when its input ends, even in the middle of a file.
"""

import json
import os
import resource
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import TextIO

from ingest.errors import UnreadableFileError, UnsupportedTypeError
from ingest.parsers.ocr_settings import OcrSettings
from ingest.parsers.parse import parse
from ingest.parsers.replies import Reply, failure, success
from ingest.texts import json_fields


def main() -> None:
    """Answer requests until the parent process closes the pipe or dies."""
    max_memory_bytes = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (max_memory_bytes, max_memory_bytes))
    requests: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_receive, args=(requests,), daemon=True).start()
    replies = _private_output()
    _send(replies, {})
    while True:
        _send(replies, answer(requests.get()))


def answer(request: str) -> Reply:
    """Return the reply to one request."""
    arguments = json.loads(request)
    try:
        return success(
            parse(
                Path(arguments["path"]),
                arguments["media_type"],
                arguments["max_pages"],
                arguments["password"],
                OcrSettings(**arguments["ocr"]),
            )
        )
    except (UnreadableFileError, UnsupportedTypeError) as error:
        return failure(error)
    except FileNotFoundError:
        return failure(UnreadableFileError("missing", "The file was deleted before it was read."))
    except MemoryError:
        return failure(
            UnreadableFileError(
                "crashed", "Reading the file needs too much memory; split it and upload the parts."
            )
        )


def _receive(requests: SimpleQueue[str]) -> None:
    for line in sys.stdin:
        requests.put(line)
    # Not sys.exit: that would end this thread only, while the parser may run for hours.
    os._exit(0)


def _private_output() -> TextIO:
    # A library that prints must not break the protocol, so standard output becomes the error
    # output and the replies get a descriptor of their own.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return replies


def _send(replies: TextIO, reply: Reply) -> None:
    try:
        replies.write(json.dumps(reply, default=json_fields) + "\n")
        replies.flush()
    except BrokenPipeError:  # the parent died
        os._exit(0)


if __name__ == "__main__":
    main()
