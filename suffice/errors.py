"""Errors of the command line and the client.

SufficeError
├── ServiceError        the service refused a request or cannot be reached
├── FileChangedError    a file changed while it was being uploaded
├── WatchError          a folder cannot be followed
├── SettingError        an environment variable is misspelt or has a bad value
└── DemoError           the demo did not show what it should
"""


class SufficeError(Exception):
    """Base class of what the command line raises; the message is meant for the user."""


class ServiceError(SufficeError):
    """The service refused a request or cannot be reached.

    Attributes:
        status: HTTP status, or None when nothing answered.
        retry_after_seconds: when the service asks to be called again, or None.
    """

    def __init__(
        self, message: str, status: int | None = None, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class FileChangedError(SufficeError):
    """A file changed while it was being uploaded; the service has not accepted it."""


class WatchError(SufficeError):
    """A folder cannot be followed."""


class SettingError(SufficeError):
    """An environment variable is misspelt or has a bad value."""


class DemoError(SufficeError):
    """The demo did not show what it should."""
