"""What a worker process answers: a canonical text or a domain error as JSON.

JSON instead of pickle, because the other side has just read a hostile file.
"""

from typing import Any

from ingest.errors import UnreadableFileError, UnsupportedTypeError
from ingest.texts import CanonicalText

Reply = dict[str, Any]
_UNSUPPORTED = "unsupported"


def success(text: CanonicalText) -> Reply:
    """Return the reply that carries a text."""
    return {"text": text}


def failure(error: UnreadableFileError | UnsupportedTypeError) -> Reply:
    """Return the reply that carries an error."""
    code = error.code if isinstance(error, UnreadableFileError) else _UNSUPPORTED
    return {"code": code, "message": str(error)}


def result(reply: Reply) -> CanonicalText:
    """Return the text of a reply.

    Raises:
        UnreadableFileError: the reply carries this error.
        UnsupportedTypeError: the reply carries this error.
    """
    if "text" not in reply:
        if reply["code"] == _UNSUPPORTED:
            raise UnsupportedTypeError(reply["message"])
        raise UnreadableFileError(reply["code"], reply["message"])
    return CanonicalText.from_json(reply["text"])
