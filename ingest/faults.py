"""Which errors of a job may pass by themselves, and how an error reads in a document's state."""

import errno
from dataclasses import dataclass

from ingest.errors import CatalogUnavailableError, DiskFullError, IngestError, UnreadableFileError
from retrieval.errors import EmbedderFailedError, IndexUnavailableError, RetrievalError


class IncompleteIndexError(Exception):
    """Chunks are missing that should be there; the step is worth repeating."""


# code, and words for the error; the first class that matches counts.
_PASSING: dict[type[Exception], tuple[str, str]] = {
    IndexUnavailableError: ("index_unavailable", "{}"),
    CatalogUnavailableError: ("catalog_unavailable", "{}"),
    IncompleteIndexError: ("incomplete_index", "{}"),
    DiskFullError: ("disk_full", "{}"),
    MemoryError: ("out_of_memory", "The service ran out of memory."),
}
_LOG = "The log of the service has the details."
_FULL = {errno.ENOSPC, errno.EDQUOT}
# What nobody foresaw may pass, too, and so may a lack of memory on the device of a model; but users
# are not kept waiting for long.
_FEW_RETRIES = 2


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a job failed.

    Attributes:
        code: for programs.
        reason: in words, as one or more sentences.
        max_retries: how often it is worth another try; None as often as the schedule has it.
    """

    code: str
    reason: str
    max_retries: int | None = None


def describe(error: Exception) -> Fault:
    """Put an error of a job into words."""
    if isinstance(error, UnreadableFileError):
        return Fault(error.code, str(error), max_retries=0)
    if isinstance(error, OSError):
        return _describe_file_error(error)
    for kind, (code, words) in _PASSING.items():
        if isinstance(error, kind):
            return Fault(code, words.format(_said(error)))
    if isinstance(error, EmbedderFailedError):
        return Fault("embedder_failed", _said(error), _FEW_RETRIES)
    if isinstance(error, IngestError | RetrievalError):
        return Fault("internal", _said(error), max_retries=0)
    return Fault("internal", f"{type(error).__name__}. {_LOG}", _FEW_RETRIES)


def _describe_file_error(error: OSError) -> Fault:
    if error.errno in _FULL:
        return Fault("disk_full", "The disk of the service is full. Make room on it.")
    cause = error.strerror or type(error).__name__  # its own words name the file
    return Fault("file_error", f"A file could not be read or written: {cause}. {_LOG}")


def _said(error: Exception) -> str:
    """Return the message of an error for everybody who may see the document."""
    return error.public if isinstance(error, IngestError | RetrievalError) else str(error)
