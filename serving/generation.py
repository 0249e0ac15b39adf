"""Generation: the protocol that every writer of answers follows."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from retrieval.embedding import Embedder
from serving.context import Context
from serving.pricing import Price, Rates
from serving.tokens import Usage

# Room for thinking without a limit of its own, in tokens.
THINKING_TOKENS = 4096
# English and Chinese have about four bytes in a token.
_BYTES_PER_TOKEN = 4
NO_ANSWER = "The documents do not contain an answer to this question."

Message = Mapping[str, str]
"""One message of a prompt: `role` is `system`, `user` or `assistant`; `content` is text."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to generate; None leaves it to the model server.

    Attributes:
        max_tokens: longest answer, without the thinking that comes before it.
        temperature: 0 is greedy.
        top_p: share of probability mass kept.
        seed: for repeatable answers where the server supports it.
        stop: texts that end the answer.
        num_choices: answers to write to one prompt.
        response_format: OpenAI's, such as a JSON schema that the answer must satisfy.
        top_logprobs: alternatives reported for each token; None: no log probabilities at all.
        presence_penalty: against words that were written at all.
        frequency_penalty: against words that were written often.
    """

    max_tokens: int
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    num_choices: int = 1
    response_format: Mapping[str, Any] | None = None
    top_logprobs: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None

    @property
    def is_json(self) -> bool:
        """Whether the answer must be JSON."""
        return self.response_format is not None and self.response_format.get("type") != "text"


@dataclass(frozen=True, slots=True)
class Thinking:
    """Whether a model thinks before it answers.

    Attributes:
        is_on: whether it does.
        max_tokens: longest thinking; None leaves it to the model.
    """

    is_on: bool
    max_tokens: int | None = None


def thinking_room(thinking: Thinking | None) -> int:
    """Return the tokens that thinking may take on top of the answer's."""
    if thinking is None or not thinking.is_on:
        return 0
    return THINKING_TOKENS if thinking.max_tokens is None else thinking.max_tokens


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier message; its role is `system`, `user` or `assistant`."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Task:
    """What to answer from what.

    Attributes:
        question: as the user asked it.
        context: the passages to answer from.
        messages: the prompt for a model, which holds both.
        sampling: how to generate.
        embedder: of the collection, for writers that compare texts; None: there is no context.
        thinking: None leaves it to the model server.
    """

    question: str
    context: Context
    messages: Sequence[Message]
    sampling: Sampling
    embedder: Embedder | None
    thinking: Thinking | None = None

    @property
    def answer_room(self) -> int:
        """Most tokens that one answer may have, with the thinking."""
        return self.sampling.max_tokens + thinking_room(self.thinking)


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of an answer.

    Attributes:
        text: of the answer.
        choice: which of the answers it belongs to, from 0.
        thought: of the thinking, which is no part of the answer.
        logprobs: OpenAI's, of the tokens of `text`.
        is_refusal: whether `text` stands in the place of JSON that was asked for.
        num_tokens: about as many as it has, where it was put together; None: see `about_tokens`.
    """

    text: str = ""
    choice: int = 0
    thought: str = ""
    logprobs: Mapping[str, Any] | None = None
    is_refusal: bool = False
    num_tokens: int | None = None


def about_tokens(delta: Delta) -> int:
    """Return about how many tokens a piece has, for want of the server's usage: mostly one."""
    num_bytes = len(delta.text.encode()) + len(delta.thought.encode())
    return delta.num_tokens or max(1, num_bytes // _BYTES_PER_TOKEN)


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of all answers.

    Attributes:
        reasons: for each `stop` or `length`.
        usage: what they took.
        is_too_long: whether the server wrote more than an answer may have.
    """

    reasons: tuple[str, ...]
    usage: Usage
    is_too_long: bool = False


class TokenCounter(Protocol):
    """Counts as the model does that reads the prompt. The calls may wait for a server."""

    @property
    def is_exact(self) -> bool:
        """Whether the counts are the model's own, and not an estimate."""

    def window(self) -> int | None:
        """Return the most tokens of prompt and answer together; None: not known."""

    def count_text(self, text: str) -> int:
        """Count the tokens of a part of a prompt."""

    def count_messages(
        self, messages: Sequence[Message], thinking: Thinking | None, *, exactly: bool = False
    ) -> int:
        """Count the tokens of a prompt, with all that the model's template adds.

        Args:
            messages: the prompt.
            thinking: switches parts of some templates.
            exactly: whatever it takes; otherwise it may be off by a token or two.
        """

    def forget(self) -> None:
        """Find out anew what is served: it may be another model than before, or another window."""

    def close(self) -> None:
        """Give up what is held to count."""


class Generator(Protocol):
    """Writes answers that name, after each statement, the context item it rests on.

    Attributes:
        name: under which requests, settings and traces know it.
        counter: of the model; None where the embedder's tokenizer counts.
        can_think: whether thinking can be switched on and off.
        uses_tags: whether it names items by the tags of their fences, as a model does; otherwise
            by `[number]`.
        price: what a token costs; None: nothing is known.
        rates: how fast it reads and writes; None: not measured.
        max_answer_tokens: its longest answer unless asked for; None: the service's setting.
    """

    name: str
    counter: TokenCounter | None
    can_think: bool
    uses_tags: bool
    price: Price | None
    rates: Rates | None
    max_answer_tokens: int | None

    async def model_name(self) -> str:
        """Return the name of the model that answers."""

    async def check(self) -> None:
        """Return if the model can be reached.

        Raises:
            ModelUnavailableError, ModelFailedError: it cannot.
        """

    async def close(self) -> None:
        """Give up what is held to reach the model."""

    def generate(self, task: Task) -> AsyncGenerator[Delta | Finish, None]:
        """Yield the answers in pieces, then one Finish.

        Raises:
            ModelUnavailableError: the model cannot be reached.
            ModelFailedError: it answered with something that is no answer, or broke off.
            PromptTooLongError: the prompt and the room for the answer exceed its window.
            InvalidRequestError: it refuses the request.
        """
