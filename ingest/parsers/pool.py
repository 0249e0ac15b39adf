"""Parsing in processes of their own: a file that hangs or crashes its parser harms nothing else.

Each worker serves one file at a time, so killing it never touches another file. They are started
with `subprocess`: the spawn context of multiprocessing imports the main module of the parent into
each child, and with it torch and the web framework.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from queue import Empty, LifoQueue

from ingest.errors import UnreadableFileError
from ingest.parsers.ocr_settings import OcrSettings
from ingest.parsers.replies import Reply, result
from ingest.texts import CanonicalText

# A worker imports in 0.2 s; a minute means that the machine is beyond use.
_STARTUP_TIMEOUT_SECONDS = 60.0
# OCR stops before the file runs out of time, so that the pages read until then are not lost.
_OCR_SHARE = 0.75
DEFAULT_MAX_MEMORY_BYTES = 2 * 1024**3


class ParserPool:
    """Runs `parse` in at most `max_workers` processes, started when first needed. Thread-safe."""

    def __init__(self, max_workers: int, max_memory_bytes: int = DEFAULT_MAX_MEMORY_BYTES) -> None:
        self._max_memory_bytes = max_memory_bytes
        self._closed = threading.Event()
        # Last in, first out: with little to do, one warm worker does it all.
        self._idle: LifoQueue[_Worker | None] = LifoQueue()
        for _ in range(max_workers):
            self._idle.put(None)

    def parse(
        self,
        path: Path,
        media_type: str,
        *,
        max_pages: int,
        timeout_seconds: float,
        password: str | None = None,
        ocr_languages: str = "eng",
    ) -> CanonicalText:
        """Return the canonical text of a file; waits while all workers are busy.

        Args:
            path: the file; it must stay in place until this returns.
            media_type: as `detect_media_type` returns it.
            max_pages: a PDF or scan with more pages is refused.
            timeout_seconds: time for this file alone, waiting not included.
            password: opens an encrypted PDF.
            ocr_languages: codes of Tesseract joined by `+`, for pages without text.

        Raises:
            UnsupportedTypeError: there is no parser for the media type.
            UnreadableFileError: what `parse` raises, `timeout`, or `crashed` when the parser died
                twice on this file.
            OSError: the file is missing or may not be read.
            RuntimeError: the pool is closed.
        """
        # A missing file is a fault of the caller and must not look like a crash of the parser.
        path.open("rb").close()
        ocr = OcrSettings(ocr_languages, _OCR_SHARE * timeout_seconds)
        request = json.dumps(
            {
                "path": str(path.absolute()),
                "media_type": media_type,
                "max_pages": max_pages,
                "password": password,
                "ocr": asdict(ocr),
            }
        )
        # The worker may have been killed from outside, for want of memory: such a file gets
        # another chance.
        reply = self._ask(request, timeout_seconds) or self._ask(request, timeout_seconds)
        if reply is None:
            raise UnreadableFileError(
                "crashed", "The parser broke down on this file; save it anew and upload it again."
            )
        return result(reply)

    def close(self) -> None:
        """End the workers; one that is parsing ends when it is done."""
        self._closed.set()
        for worker in list(self._take_idle()):
            if worker:
                worker.stop()
            # Whoever waits for a worker is woken, and told that the pool is closed.
            self._idle.put(None)

    def _take_idle(self) -> Iterator["_Worker | None"]:
        while True:
            try:
                yield self._idle.get_nowait()
            except Empty:
                return

    def _ask(self, request: str, timeout_seconds: float) -> Reply | None:
        worker = self._idle.get()
        try:
            if self._closed.is_set():
                raise RuntimeError("The parser pool is closed.")
            worker = worker or _Worker(self._max_memory_bytes)
            return worker.ask(request, timeout_seconds)
        finally:
            if worker and (self._closed.is_set() or not worker.is_alive()):
                worker.stop()
                worker = None
            self._idle.put(worker)


class _Worker:
    """One process and the pipes to it."""

    def __init__(self, max_memory_bytes: int) -> None:
        # -P: modules come from where they are installed, never from the current directory.
        command = [sys.executable, "-P", "-m", "ingest.parsers.worker", str(max_memory_bytes)]
        self._process = subprocess.Popen(  # noqa: S603 - fixed command, no text of users
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="ascii",
            start_new_session=True,  # Ctrl-C is for the parent, which decides when workers end
        )
        self._receive(_STARTUP_TIMEOUT_SECONDS)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: str, timeout_seconds: float) -> Reply | None:
        """Return the reply, or None when the process died.

        Raises:
            UnreadableFileError: code `timeout`; the process was killed.
        """
        try:
            print(request, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            return None
        return self._receive(timeout_seconds)

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _receive(self, timeout_seconds: float) -> Reply | None:
        expired = threading.Event()
        timer = threading.Timer(timeout_seconds, self._expire, args=(expired,))
        timer.start()
        line = self._process.stdout.readline() if self._process.stdout else ""
        timer.cancel()
        timer.join()
        # Only a dead process tells `is_alive` the truth; one whose output ended is of no use.
        if expired.is_set() or not line.endswith("\n"):
            self._process.kill()
            self._process.wait()
        if line.endswith("\n"):
            reply: Reply = json.loads(line)
            return reply
        if expired.is_set():
            raise UnreadableFileError(
                "timeout", "Reading the file took too long; split it and upload the parts."
            )
        return None

    def _expire(self, expired: threading.Event) -> None:
        expired.set()
        self._process.kill()
