"""Errors of serving, and the one table that maps every error to an HTTP status.

ServingError
├── InvalidRequestError        the request cannot be served as it is      -> 400
│   └── PromptTooLongError     it does not fit the model's window
├── RequestTooLargeError       its body has too many bytes                -> 413
├── UnauthorizedError          the key is missing, wrong, revoked or over -> 401
├── BudgetTooSmallError        nothing fits the budget of the request     -> 402
├── PermissionDeniedError      the key is not for this                    -> 403
├── KeyNotFoundError           no key has this id                         -> 404
├── ModelNotFoundError         no model has this name                     -> 404
├── TraceNotFoundError         no trace has this id, or not any more      -> 404
├── NotReplayableError         a trace lacks what was asked for           -> 409
├── RateLimitedError           too many requests at a time or in a minute -> 429
│   └── BudgetSpentError       the key's budget of the day is spent       -> 429
├── ModelError
│   ├── ModelUnavailableError      the language model did not answer         -> 503
│   │   ├── ModelBusyError         it has too much to do
│   │   └── ModelSilentError       it took too long
│   └── ModelFailedError           the language model answered with nonsense -> 502
│       ├── ModelSaidNothingError  it ended without an answer
│       ├── ModelChangedError      the server has another model than before
│       └── ModelBrokeOffError     it ended in the middle of an answer
├── ServiceStoppingError       the service was stopped meanwhile          -> 503
├── BackendsError              the description of the models is wrong     (at start)
├── DatabaseUnavailableError   the database of keys and usage is away     -> 503
├── ExposedWithoutKeyError     listening beyond loopback needs a key      (at start)
└── AddressInUseError          the port is taken                          (at start)
"""

from ingest import errors as ingest_errors
from retrieval import errors as retrieval_errors
from serving.tokens import Usage


class ServingError(Exception):
    """Base class of what serving raises; the message says what to do."""

    @property
    def public(self) -> str:
        """The message, for callers who are not to know addresses and folders inside."""
        return str(self)


class InvalidRequestError(ServingError):
    """The request cannot be served as it is.

    Attributes:
        param: the offending field.
    """

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class PromptTooLongError(InvalidRequestError):
    """Prompt and answer together do not fit the model's window."""


class RequestTooLargeError(ServingError):
    """The body of a call that is no upload has too many bytes."""


class UnauthorizedError(ServingError):
    """The key is missing, wrong, revoked or expired."""


class PermissionDeniedError(ServingError):
    """The key is not for this.

    Attributes:
        param: the field that names what it is not for.
    """

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class KeyNotFoundError(ServingError):
    """No key has this id."""


class ModelNotFoundError(ServingError):
    """No model has this name."""

    param = "model"


class TraceNotFoundError(ServingError):
    """No trace has this id, or not any more, or it is of another key."""


class NotReplayableError(ServingError):
    """A trace does not hold all that was asked for, because another version wrote it."""


class DatabaseUnavailableError(ServingError):
    """The database of keys and usage does not answer, or is locked or full.

    Attributes:
        details: what only admins are told, such as its address; None: nothing.
    """

    def __init__(self, public: str, details: str | None = None) -> None:
        super().__init__(f"{public} {details}" if details else public)
        self._public = public
        self.details = details

    @property
    def public(self) -> str:
        """The message without the details."""
        return self._public


class RateLimitedError(ServingError):
    """Too many requests at a time or in a minute.

    Attributes:
        retry_after_seconds: when to ask again.
    """

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class BudgetSpentError(RateLimitedError):
    """The rest of a key's budget of the day does not suffice."""


class BudgetTooSmallError(ServingError):
    """Nothing fits the budget of the request; the message says what would."""

    param = "suffice.budget"


class ModelError(ServingError):
    """The language model gave no answer.

    Attributes:
        is_worth_another_try: whether the same call may succeed at once.
        is_fault_of_server: whether others will fare alike, so that it should be left alone.
    """

    is_worth_another_try: bool
    is_fault_of_server: bool

    def __init__(self, message: str, address: str | None = None) -> None:
        """Set up.

        Args:
            message: without the address.
            address: of its server; None: not known.
        """
        super().__init__(f"{message} The server: {address}." if address else message)
        self._public = message

    @property
    def public(self) -> str:
        """The message without the address of the server."""
        return self._public


class ModelUnavailableError(ModelError):
    """The language model did not answer.

    Attributes:
        retry_after_seconds: when it makes sense to ask again; None: soon.
    """

    is_worth_another_try = True
    is_fault_of_server = True

    def __init__(
        self,
        message: str,
        address: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, address)
        self.retry_after_seconds = retry_after_seconds


class ModelBusyError(ModelUnavailableError):
    """The language model has too much to do; another try would make it worse."""

    is_worth_another_try = False
    is_fault_of_server = False


class ModelSilentError(ModelUnavailableError):
    """The language model took too long; another try would take as long."""

    is_worth_another_try = False


class ModelFailedError(ModelError):
    """The language model answered, but not in a usable way."""

    is_worth_another_try = False
    is_fault_of_server = False


class ModelSaidNothingError(ModelFailedError):
    """The language model ended without an answer.

    Attributes:
        usage: the tokens that it took all the same.
    """

    def __init__(self, message: str, usage: Usage, address: str | None = None) -> None:
        """Set up; see `ModelError` for the rest."""
        super().__init__(message, address)
        self.usage = usage


class ModelChangedError(ModelFailedError):
    """The server does not have the model any more that it had; nobody asked for this one."""

    is_worth_another_try = True


class ModelBrokeOffError(ModelFailedError):
    """The language model ended in the middle of an answer."""

    is_worth_another_try = True
    is_fault_of_server = True


class ServiceStoppingError(ServingError):
    """The service was stopped before the answer was complete."""


class BackendsError(ServingError):
    """The description of the models is wrong."""


class ExposedWithoutKeyError(ServingError):
    """Listening beyond loopback needs a key."""


class AddressInUseError(ServingError):
    """The address cannot be listened on."""


# status, OpenAI error type, code; the first class that matches counts.
STATUS: dict[type[Exception], tuple[int, str, str]] = {
    PromptTooLongError: (400, "invalid_request_error", "context_length_exceeded"),
    InvalidRequestError: (400, "invalid_request_error", "invalid_value"),
    retrieval_errors.InvalidFilterError: (400, "invalid_request_error", "invalid_value"),
    ingest_errors.InvalidRequestError: (400, "invalid_request_error", "invalid_value"),
    ingest_errors.LanguageMismatchError: (400, "invalid_request_error", "language_mismatch"),
    ingest_errors.EmptyUploadError: (400, "invalid_request_error", "empty_file"),
    UnauthorizedError: (401, "authentication_error", "invalid_api_key"),
    BudgetTooSmallError: (402, "budget_error", "budget_too_small"),
    PermissionDeniedError: (403, "permission_error", "permission_denied"),
    KeyNotFoundError: (404, "not_found_error", "key_not_found"),
    ModelNotFoundError: (404, "not_found_error", "model_not_found"),
    TraceNotFoundError: (404, "not_found_error", "trace_not_found"),
    ingest_errors.DocumentNotFoundError: (404, "not_found_error", "document_not_found"),
    ingest_errors.CollectionNotFoundError: (404, "not_found_error", "collection_not_found"),
    NotReplayableError: (409, "conflict_error", "not_replayable"),
    retrieval_errors.CollectionMismatchError: (409, "conflict_error", "collection_mismatch"),
    retrieval_errors.CollectionTooLargeError: (409, "conflict_error", "collection_too_large"),
    retrieval_errors.ForeignIndexError: (409, "conflict_error", "foreign_index"),
    RequestTooLargeError: (413, "invalid_request_error", "request_too_large"),
    ingest_errors.UploadTooLargeError: (413, "invalid_request_error", "file_too_large"),
    ingest_errors.UnsupportedTypeError: (415, "invalid_request_error", "unsupported_type"),
    ingest_errors.UnreadableFileError: (422, "invalid_request_error", "unreadable_file"),
    ingest_errors.QueueFullError: (429, "rate_limit_error", "queue_full"),
    BudgetSpentError: (429, "rate_limit_error", "budget_spent"),
    RateLimitedError: (429, "rate_limit_error", "rate_limit_exceeded"),
    retrieval_errors.ProfileError: (400, "invalid_request_error", "invalid_profile"),
    retrieval_errors.ProfileInUseError: (409, "conflict_error", "profile_in_use"),
    retrieval_errors.ProfileNotFoundError: (404, "not_found_error", "profile_not_found"),
    retrieval_errors.EmbedderFailedError: (500, "server_error", "embedder_failed"),
    ModelFailedError: (502, "server_error", "model_failed"),
    ModelUnavailableError: (503, "server_error", "model_unavailable"),
    ServiceStoppingError: (503, "server_error", "service_stopping"),
    retrieval_errors.IndexUnavailableError: (503, "server_error", "index_unavailable"),
    DatabaseUnavailableError: (503, "server_error", "database_unavailable"),
    ingest_errors.DiskFullError: (507, "server_error", "disk_full"),
    ingest_errors.CatalogUnavailableError: (503, "server_error", "catalog_unavailable"),
}
_Ours = ServingError | retrieval_errors.RetrievalError | ingest_errors.IngestError
# Of the answers 429 and 503, where the error does not know better.
RETRY_AFTER_SECONDS = 5


def error_body(error: Exception, *, is_admin: bool) -> tuple[int, dict[str, object]]:
    """Return the HTTP status and the body, in OpenAI's shape, for any error.

    Args:
        error: that was raised.
        is_admin: whether the caller may know addresses and folders inside.
    """
    message = str(error)
    if isinstance(error, _Ours) and not is_admin:
        message = error.public
    for kind, (status, error_type, code) in STATUS.items():
        if isinstance(error, kind):
            param = getattr(error, "param", None)
            return status, _shape(message, error_type, param, code)
    message = "Something failed inside the service; its log has the details."
    return 500, _shape(message, "server_error", None, "internal_error")


def _shape(message: str, error_type: str, param: str | None, code: str) -> dict[str, object]:
    return {"error": {"message": message, "type": error_type, "param": param, "code": code}}
