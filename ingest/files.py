"""Files kept by content: uploaded originals and the canonical texts made from them."""

import hashlib
import json
import logging
import os
import tempfile
from collections import OrderedDict
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from ingest.errors import EmptyUploadError, UploadTooLargeError
from ingest.texts import CanonicalText, json_fields

# Raise when parsers give another text for the same bytes: documents are then ingested anew at the
# next start.
PARSER_VERSION = 12
CACHED_TEXTS = 64
# Of all texts in memory together, but for a single one that is longer.
CACHED_CHARACTERS = 16_000_000
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """An upload on disk that is not yet kept: its path, SHA-256 and size in bytes."""

    path: Path
    revision: str
    num_bytes: int


class Receiving:
    """An upload on its way to disk, hashed as it comes; what is beyond the limit is not written."""

    def __init__(self, work: Path, max_bytes: int) -> None:
        handle, name = tempfile.mkstemp(dir=work, prefix="upload-")
        self._path = Path(name)
        self._file = os.fdopen(handle, "wb")
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        self._size = 0

    @property
    def is_too_large(self) -> bool:
        """Whether there are more bytes than the limit."""
        return self._size > self._max_bytes

    def write(self, piece: bytes) -> None:
        """Add bytes at the end."""
        self._size += len(piece)
        if self.is_too_large:
            self.close()
        else:
            self._digest.update(piece)
            self._file.write(piece)

    def finish(self) -> Received:
        """Return the upload, which is on disk now.

        Raises:
            EmptyUploadError: it has no bytes.
            UploadTooLargeError: it has more than the limit.
        """
        if self.is_too_large:
            raise UploadTooLargeError(
                f"The file is larger than the limit of {self._max_bytes:,} bytes. Split it, or "
                "raise INGEST_MAX_UPLOAD_BYTES."
            )
        if self._size == 0:
            raise EmptyUploadError("The file is empty. Upload a file with content.")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return Received(self._path, self._digest.hexdigest(), self._size)

    def close(self) -> None:
        """Remove the file, unless it was kept; may be called again."""
        self._file.close()
        if self._path.exists():  # asked first: unlinking waits for other threads' syncs
            self._path.unlink()


class FileStore:
    """Originals by SHA-256. The same bytes are stored once, whatever they are called."""

    def __init__(self, root: Path, work: Path) -> None:
        self._root = root
        self._work = work

    def begin(self, max_bytes: int) -> Receiving:
        """Make room for an upload of at most so many bytes."""
        return Receiving(self._work, max_bytes)

    def keep(self, received: Received) -> None:
        """Move an upload to its place."""
        target = self.path(received.revision)
        target.parent.mkdir(parents=True, exist_ok=True)
        received.path.replace(target)

    def path(self, revision: str) -> Path:
        """Return where the bytes of a revision are."""
        return self._root / revision[:2] / revision

    def is_intact(self, revision: str) -> bool:
        """Whether the bytes of a revision are there, and are those that were uploaded."""
        try:
            with self.path(revision).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == revision
        except OSError:
            return False

    def revisions(self) -> Iterator[str]:
        """Yield the revisions whose bytes are kept."""
        for folder in self._root.iterdir():
            yield from (path.name for path in folder.iterdir())

    def delete(self, revision: str) -> None:
        """Remove the bytes of a revision."""
        self.path(revision).unlink(missing_ok=True)


class TextStore:
    """Canonical texts by revision and media type, with the last used ones in memory.

    The same bytes give another text as Markdown than as plain text. A file has two lines: the text
    as JSON, and the SHA-256 of that line, which those of earlier versions lack.
    """

    def __init__(self, root: Path, work: Path) -> None:
        self._root = root
        self._work = work
        self._cache: OrderedDict[Path, CanonicalText] = OrderedDict()
        self._lock = Lock()

    def save(self, revision: str, media_type: str, text: CanonicalText) -> None:
        """Store a text; a crash leaves the old state or the new one, nothing between."""
        content = json.dumps(text, default=json_fields, ensure_ascii=False).encode()
        path = self._path(revision, media_type, PARSER_VERSION)
        self._write(path, content + b"\n" + _checksum(content))
        self._aside(revision, media_type).unlink(missing_ok=True)

    def set_aside(self, revision: str, media_type: str) -> None:
        """Let there be no text until another one is made of the same bytes, or this comes back."""
        path = self._path(revision, media_type, PARSER_VERSION)
        with self._lock:
            self._cache.pop(path, None)
            if path.exists():
                path.replace(self._aside(revision, media_type))

    def bring_back(self, revision: str, media_type: str, parser: int) -> CanonicalText | None:
        """Return the text that was set aside, in its place again, or else that of another parser.

        Args:
            revision: of which bytes.
            media_type: that they were read as.
            parser: version of the parser that made the text that answers.

        Returns:
            None: there is none of these, or this parser has made one.
        """
        path = self._path(revision, media_type, PARSER_VERSION)
        kept = self._aside(revision, media_type)
        if not kept.exists() and not path.exists():
            kept = self._path(revision, media_type, parser)
        if not kept.exists():
            return None
        # A copy: other documents that share the text may ask as well.
        self._write(path, kept.read_bytes())
        return self.load(revision, media_type)

    def load(
        self, revision: str, media_type: str | None = None, parser: int | None = None
    ) -> CanonicalText | None:
        """Return a text, or None when there is none.

        One that is damaged is removed, so that it is made again.

        Args:
            revision: of which bytes.
            media_type: that they were read as; None: any, which is mostly the only one.
            parser: version of the parser that made it; None: this one.
        """
        version = PARSER_VERSION if parser is None else parser
        if media_type:
            path: Path | None = self._path(revision, media_type, version)
        else:
            path = self._any_path(revision, version)
        with self._lock:
            if path is None:
                return None
            if path in self._cache:
                self._cache.move_to_end(path)
                return self._cache[path]
            # Read under the lock: otherwise a text deleted meanwhile would stay in memory.
            if not path.exists():
                return None
            text = _read_text(path)
            if text is None:
                logger.warning("a text is damaged", extra={"path": str(path)})
                path.unlink()
                return None
            self._cache[path] = text
            while self._is_crowded():
                self._cache.popitem(last=False)
        return text

    def revisions(self) -> Iterator[str]:
        """Yield the revisions that have a text."""
        for path in self._root.iterdir():
            yield path.name.partition("-")[0]

    def has(self, revision: str, media_type: str) -> bool:
        """Whether this parser version has made a text, and it is not damaged."""
        path = self._path(revision, media_type, PARSER_VERSION)
        return path.exists() and _read_text(path) is not None

    def has_checksum(self, revision: str, media_type: str) -> bool:
        """Whether damage of the text of this parser version would be noticed."""
        with self._path(revision, media_type, PARSER_VERSION).open("rb") as file:
            file.seek(-len(_checksum(b"")) - 1, os.SEEK_END)
            return file.read(1) == b"\n"

    def sweep(self, wanted: Container[tuple[str, int]]) -> None:
        """Remove what other versions of the parser made, but for some (revision, version)."""
        for path in self._root.iterdir():
            revision, _, made = path.stem.partition("-")
            version = made.partition("-")[0]
            if (
                version.isdecimal()
                and int(version) != PARSER_VERSION
                and (revision, int(version)) not in wanted
            ):
                path.unlink(missing_ok=True)

    def delete(self, revision: str) -> None:
        """Remove all texts of a revision."""
        for path in self._root.glob(f"{revision}-*"):
            with self._lock:
                self._cache.pop(path, None)
                path.unlink(missing_ok=True)

    def _is_crowded(self) -> bool:
        num_characters = sum(len(text.text) for text in self._cache.values())
        return len(self._cache) > CACHED_TEXTS or (
            len(self._cache) > 1 and num_characters > CACHED_CHARACTERS
        )

    def _write(self, path: Path, content: bytes) -> None:
        handle, name = tempfile.mkstemp(dir=self._work, prefix="text-")
        new = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise

    def _aside(self, revision: str, media_type: str) -> Path:
        return self._path(revision, media_type, PARSER_VERSION).with_suffix(".aside")

    def _path(self, revision: str, media_type: str, version: int) -> Path:
        kind = media_type.replace("/", "_")
        return self._root / f"{revision}-{version}-{kind}.json"

    def _any_path(self, revision: str, version: int) -> Path | None:
        return min(self._root.glob(f"{revision}-{version}-*.json"), default=None)


def _read_text(path: Path) -> CanonicalText | None:
    content, _, checksum = path.read_bytes().partition(b"\n")
    if checksum and checksum != _checksum(content):
        return None
    try:
        return CanonicalText.from_json(json.loads(content))
    except (ValueError, KeyError, TypeError):
        return None


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
