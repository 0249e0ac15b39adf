"""Errors of retrieval.

RetrievalError
├── EmbedderUnavailableError   the embedding model could not be loaded
├── CollectionMismatchError    the collection was built with another embedder or analyzer
├── IndexUnavailableError      the vector store did not answer
└── StoreLockedError           another process holds the store
"""


class RetrievalError(Exception):
    """Base class of what retrieval raises; the message says what to do."""


class EmbedderUnavailableError(RetrievalError):
    """The embedding model could not be loaded."""


class CollectionMismatchError(RetrievalError):
    """The collection was built with another embedder or analyzer."""


class IndexUnavailableError(RetrievalError):
    """The vector store did not answer."""


class StoreLockedError(RetrievalError):
    """Another process holds the store."""
