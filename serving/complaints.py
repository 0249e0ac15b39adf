"""Complaints: what an OpenAI-compatible server says when it does not answer as it was asked to."""

import json
from collections.abc import Mapping

from serving.surrogates import without_halves

# Of what a server says about an error, in characters: some quote the prompt, documents and all.
MAX_SAID = 200


class Complaint(Exception):  # noqa: N818 - of the server, not of ours
    """An error that a server told, in any of the shapes that there are.

    Attributes:
        status: of HTTP; None: it came within a stream.
        code: that the server gives it, number or text; None: none.
        param: the field that it is about, as the server calls it.
        message: all that it said.
        retry_after_seconds: when to ask again; None: it names no time, or a date.
    """

    def __init__(
        self, error: object, status: int | None = None, retry_after_seconds: float | None = None
    ) -> None:
        """Set up.

        Args:
            error: the object or text that a server calls so.
            status: see above.
            retry_after_seconds: see above.
        """
        fields = error if isinstance(error, dict) else {}
        said = fields.get("message")
        self.status = status
        self.code = fields.get("code")
        self.param = fields.get("param")
        self.message = without_halves(str(said or error or "It gives no reason."))
        self.retry_after_seconds = retry_after_seconds
        super().__init__(self.message)

    @classmethod
    def of_body(
        cls, body: str, status: int | None = None, headers: Mapping[str, str] | None = None
    ) -> "Complaint":
        """Read an answer that is no completion.

        Args:
            body: of it.
            status: of HTTP, where it tells of an error.
            headers: of the answer.
        """
        error: object = body
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            pass
        else:
            error = answer.get("error", answer) if isinstance(answer, dict) else answer
        value = (headers or {}).get("Retry-After", "")
        return cls(error, status, float(value) if value.isdecimal() else None)

    @property
    def said(self) -> str:
        """What the server said, in short, as a sentence."""
        text = shorten(self.message)
        return text if text.endswith((".", "!", "?")) else f"{text}."


def shorten(text: str) -> str:
    """Return a text as one line that is not too long."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_SAID else f"{line[:MAX_SAID]}\u2026"
