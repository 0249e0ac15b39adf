"""Errors of the command line and the client.

SufficeError
├── ServiceError    the service refused a request or cannot be reached
├── SettingError    an environment variable is misspelt or has a bad value
└── DemoError       the demo did not show what it should
"""


class SufficeError(Exception):
    """Base class of what the command line raises; the message is meant for the user."""


class ServiceError(SufficeError):
    """The service refused a request or cannot be reached.

    Attributes:
        status: HTTP status, or None when nothing answered.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class SettingError(SufficeError):
    """An environment variable is misspelt or has a bad value."""


class DemoError(SufficeError):
    """The demo did not show what it should."""
