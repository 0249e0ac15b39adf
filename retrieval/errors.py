"""Errors of retrieval.

RetrievalError
├── EmbedderUnavailableError   the embedding model could not be loaded
├── EmbedderFailedError        the embedding model failed, or gave numbers that are no vector
├── RerankerUnavailableError   the reranking model could not be loaded
├── RerankerFailedError        the reranker gave no scores; never leaves retrieval
├── CalibrationError           the calibration of a reranker cannot be used
├── CollectionMismatchError    the collection was built with an embedder that is not to be had
├── InvalidFilterError         a filter is malformed, or asks for what no document has
├── CollectionTooLargeError    the collection outgrew RETRIEVAL_LEXICAL=rank_bm25
├── IndexUnavailableError      the vector store did not answer
├── ForeignIndexError          another service keeps its index under this name
├── ProfileError               a retrieval profile is malformed
├── ProfileInUseError          a collection is served with a profile that is to be deleted
├── ProfileNotFoundError       no retrieval profile has this name
└── StoreLockedError           another process holds the store
"""


class RetrievalError(Exception):
    """Base class of what retrieval raises; the message says what to do.

    Attributes:
        public: the message, for callers who are not to know addresses and folders inside.
        details: what else the message says, such as an address or a folder; None: nothing.
    """

    def __init__(self, public: str, details: str | None = None) -> None:
        super().__init__(f"{public} {details}" if details else public)
        self.public = public
        self.details = details


class EmbedderUnavailableError(RetrievalError):
    """The embedding model could not be loaded."""


class EmbedderFailedError(RetrievalError):
    """The embedding model failed, or gave numbers that are no vector."""


class RerankerUnavailableError(RetrievalError):
    """The reranking model could not be loaded."""


class RerankerFailedError(RetrievalError):
    """The reranker gave no scores that can be used."""


class CalibrationError(RetrievalError):
    """The calibration of a reranker cannot be fitted or used."""


class CollectionMismatchError(RetrievalError):
    """The collection was built with an embedder that is not to be had."""


class InvalidFilterError(RetrievalError, ValueError):
    """A filter is malformed, or asks for what no document has.

    Attributes:
        param: the field of a request that holds filters.
    """

    param = "filter"


class CollectionTooLargeError(RetrievalError):
    """The collection outgrew `RETRIEVAL_LEXICAL=rank_bm25`."""


class IndexUnavailableError(RetrievalError):
    """The vector store did not answer."""


class ForeignIndexError(RetrievalError):
    """Another service keeps its index under this name on the same server."""


class ProfileError(RetrievalError):
    """A retrieval profile is malformed."""


class ProfileInUseError(RetrievalError):
    """A collection is served with a profile that is to be deleted."""


class ProfileNotFoundError(RetrievalError):
    """No retrieval profile has this name."""


class StoreLockedError(RetrievalError):
    """Another process holds the store."""
