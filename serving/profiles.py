"""Profiles: how to search, and how to answer from what was found."""

import hashlib
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool
from pydantic_core import to_json

from retrieval.profiles import RetrievalProfile
from serving.certificates import Certificate
from serving.generation import Thinking

MAX_SAMPLES = 16


class Verification(StrEnum):
    """What becomes of statements that a second look does not find in the passage they cite."""

    OFF = "off"
    """Nobody looks."""
    MARK = "mark"
    """They are named beside the answer."""
    DROP = "drop"
    """They are taken out of the answer, which is therefore sent in one piece."""


class Rewriting(StrEnum):
    """How a follow-up becomes a query that can be understood alone."""

    OFF = "off"
    RULES = "rules"
    MODEL = "model"
    """By the model, where one answers; otherwise by rules."""


class AnswerPolicy(BaseModel):
    """How to answer: which model, how long it thinks, how often it tries, who checks it.

    Attributes:
        model: name of the model that answers; None: the first one of the settings.
        strong_model: answers in its place where the following say so; None: never.
        strong_below: when the best hit is less relevant than this, see `retrieval.relevance`, the
            question counts as difficult.
        strong_from_tokens: so do questions of so many tokens.
        escalate: ask the strong model when the first answer is not grounded. The answer then comes
            in one piece.
        thinking: whether the model thinks first; a number is the most tokens it may take for that;
            None leaves it to the server.
        samples: answers to write, of which the best grounded one is given.
        verify: what to do about unsupported statements, found by `verifier`.
        verifier: name of the model that looks; None: the strong one, or the one that answers.
        rewrite: how follow-ups become queries.
        abstain_below: when the best hit is less relevant than this, the documents have no answer,
            and no model is asked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str | None = None
    strong_model: str | None = None
    strong_below: float | None = Field(default=None, strict=True)
    strong_from_tokens: int | None = Field(default=None, ge=1, strict=True)
    escalate: bool = Field(default=False, strict=True)
    thinking: StrictBool | Annotated[int, Field(ge=1, strict=True)] | None = None
    samples: int = Field(default=1, ge=1, le=MAX_SAMPLES, strict=True)
    verify: Verification = Verification.OFF
    verifier: str | None = None
    rewrite: Rewriting = Rewriting.MODEL
    abstain_below: float | None = Field(default=None, strict=True)


class AnsweringProfile(RetrievalProfile):
    """A retrieval profile with the policy of answers.

    Attributes:
        answering: how to answer; searches alone do not look at it.
        certificate: what was shown of it by `suffice eval tune`.
    """

    answering: AnswerPolicy = AnswerPolicy()
    certificate: Certificate | None = None

    @property
    def digest(self) -> str:
        """The SHA-256 of what is not as by default: equal profiles have the same.

        It stays the same when fields are added: what was watched of a profile goes on.
        """
        return self._digest(set())

    @property
    def settings_digest(self) -> str:
        """The same without its certificate, which names by it what it is about."""
        return self._digest({"certificate"})

    def _digest(self, left_out: set[str]) -> str:
        values = self.model_dump(mode="json", exclude=left_out, exclude_defaults=True)
        if self.rule is not None:
            # A default of each family, but two of them have nothing else to tell them apart.
            values["rule"]["family"] = self.rule.family
        return hashlib.sha256(to_json(values)).hexdigest()


def to_thinking(wish: bool | int | None) -> Thinking | None:
    """Return what a wish such as `true` or `500` means."""
    if wish is None:
        return None
    if isinstance(wish, bool):
        return Thinking(wish)
    return Thinking(is_on=True, max_tokens=wish)
