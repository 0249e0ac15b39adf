"""Generation: the protocol that every writer of answers follows."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from retrieval.embedding import Embedder
from serving.context import Context

NO_ANSWER = "The documents do not contain an answer to this question."


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to generate; None leaves it to the model server.

    Attributes:
        max_tokens: longest answer.
        temperature: 0 is greedy.
        top_p: share of probability mass kept.
        seed: for repeatable answers where the server supports it.
        stop: texts that end the answer.
    """

    max_tokens: int
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier message; its role is `system`, `user` or `assistant`."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Task:
    """What to answer from what.

    Attributes:
        embedder: of the collection, for writers that compare texts.
    """

    question: str
    context: Context
    history: Sequence[Turn]
    sampling: Sampling
    embedder: Embedder


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the model counted them; `cached` are those of the prompt it had in its cache."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of an answer: `stop` or `length`, and what it took."""

    reason: str
    usage: Usage


class Generator(Protocol):
    """Writes answers with `[number]` after each statement, naming the context item it rests on."""

    async def model_name(self) -> str:
        """Return the name of the model that answers."""

    async def check(self) -> None:
        """Return if the model can be reached.

        Raises:
            ModelUnavailableError, ModelFailedError: it cannot.
        """

    async def close(self) -> None:
        """Give up what is held to reach the model."""

    def generate(self, task: Task) -> AsyncIterator[str | Finish]:
        """Yield the answer in pieces, then one Finish.

        Raises:
            ModelUnavailableError: the model cannot be reached.
            ModelFailedError: it answered with something that is no answer, or broke off.
            InvalidRequestError: it refuses the request.
        """
