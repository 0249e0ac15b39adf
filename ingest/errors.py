"""Errors of ingestion.

IngestError
├── UnsupportedTypeError     no parser reads this kind of file
├── UploadTooLargeError      the file is over the size limit
├── EmptyUploadError         the file has no bytes
├── UnreadableFileError      the file is damaged, locked or holds no text; `code` says which
├── DocumentNotFoundError    no document has this id
├── CollectionNotFoundError  nothing was ever ingested under this name
├── LanguageMismatchError    the collection is in another language
├── QueueFullError           too many documents are waiting
├── DiskFullError            there is next to no room left on the disk
├── HomeUnusableError        the folder of all state cannot be made or written
├── CatalogUnavailableError  the database of the catalog does not answer
└── InvalidRequestError      a name or field is malformed
"""


class IngestError(Exception):
    """Base class of what ingestion raises; the message says what to do.

    Attributes:
        public: the message, for callers who are not to know addresses and folders inside.
        details: what else the message says, such as an address; None: nothing.
    """

    def __init__(self, public: str, details: str | None = None) -> None:
        super().__init__(f"{public} {details}" if details else public)
        self.public = public
        self.details = details


class UnsupportedTypeError(IngestError):
    """No parser reads this kind of file."""


class UploadTooLargeError(IngestError):
    """The file is over the size limit."""


class EmptyUploadError(IngestError):
    """The file has no bytes."""


class UnreadableFileError(IngestError):
    """The file is damaged, locked or holds no text.

    Attributes:
        code: `damaged`, `encrypted`, `no_text`, `too_large`, `too_many_pages`, `timeout`,
            `crashed`, or `missing` when it was deleted meanwhile.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type["UnreadableFileError"], tuple[str, str]]:
        """Keep the code when the error crosses a process border."""
        return type(self), (self.code, str(self))


class DocumentNotFoundError(IngestError):
    """No document has this id."""

    @classmethod
    def of(cls, document_id: str) -> "DocumentNotFoundError":
        """Return the one error of whatever cannot be shown under this id."""
        return cls(f"There is no document {document_id!r}.")


class CollectionNotFoundError(IngestError):
    """Nothing was ever ingested under this name."""


class LanguageMismatchError(IngestError):
    """The collection is in another language than a request names."""

    param = "language"


class QueueFullError(IngestError):
    """Too many documents are waiting."""


class DiskFullError(IngestError):
    """There is next to no room left on the disk."""


class HomeUnusableError(IngestError):
    """The folder of all state cannot be made or written."""


class CatalogUnavailableError(IngestError):
    """The database of the catalog does not answer, or is locked or full."""


class InvalidRequestError(IngestError):
    """A name or field is malformed."""
