"""Answers put together from the chunks that an OpenAI-compatible server streams.

A chunk is whatever JSON the server sent; what is no chunk raises one of `NO_CHUNK`.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from serving.complaints import Complaint
from serving.generation import Delta, Finish, about_tokens
from serving.surrogates import PairJoiner, json_without_halves
from serving.thoughts import ThoughtSplitter
from serving.tokens import Usage

# Why vLLM ends a stream with "[DONE]" when it is stopped, or fails, in the middle of an answer.
_BROKEN_OFF = {"abort", "error"}
# No window has so many, and sums of them fit any database.
_MOST_TOKENS = 2**31
# The last one of JSON that is nested too deep.
NO_CHUNK = (AttributeError, LookupError, TypeError, ValueError, RecursionError)


class ServedAnswers:
    """The answers to one prompt, each up to the length that was asked for.

    A piece has a token or more: with more pieces than it may have tokens, an answer is too long,
    whoever counts. (vLLM counts itself, and comes to its end before.)

    Attributes:
        empty: those without a word by now.
        are_cut: whether one of them is too long, so that nothing more of any is to be read.
    """

    def __init__(self, num_choices: int, max_tokens: int) -> None:
        """Set up.

        Args:
            num_choices: how many answers.
            max_tokens: of each, with the thinking.
        """
        self.empty = set(range(num_choices))
        self.are_cut = False
        self._max_tokens = max_tokens
        self._num_pieces = [0] * num_choices
        self._contents = [PairJoiner() for _ in range(num_choices)]
        self._reasonings = [PairJoiner() for _ in range(num_choices)]
        self._splitters = [ThoughtSplitter() for _ in range(num_choices)]
        self._reasons: dict[int, str] = {}
        self._usage = Usage(0, 0)

    def read(self, chunks: Iterable[Any]) -> Iterator[Delta]:
        """Yield what chunks bring; texts that came together are put together."""
        last: Delta | None = None
        try:
            for delta in chain.from_iterable(map(self._read, chunks)):
                if last is not None and not _read_as_one(last, delta):
                    yield last
                    last = None
                last = delta if last is None else _join(last, delta)
        except (Complaint, *NO_CHUNK):
            if last is not None:  # it was good
                yield last
            raise
        if last is not None:
            yield last

    def rest(self) -> Iterator[Delta]:
        """Yield what was held back: the answers end here."""
        for index, splitter in enumerate(self._splitters):
            text, thought = splitter.feed(self._contents[index].finish())
            more_text, more_thought = splitter.finish()
            thought = self._reasonings[index].finish() + thought + more_thought
            yield from self._bring(Delta(text + more_text, index, thought))

    @property
    def are_whole(self) -> bool:
        """Whether each says why it ended, and that it was at its end; or they were cut."""
        reasons = self._reasons
        have_ended = len(reasons) == len(self._splitters) and not _BROKEN_OFF & {*reasons.values()}
        return self.are_cut or have_ended

    def finish(self) -> Finish:
        """Return the end of answers that are whole; what those took that were cut is not known."""
        num_choices = len(self._splitters)
        ends = [self._reasons.get(index, "length") for index in range(num_choices)]
        reasons = tuple("length" if end == "length" else "stop" for end in ends)
        if self.are_cut:
            return Finish(reasons, Usage(0, 0), is_too_long=True)
        is_too_long = self._usage.completion_tokens > num_choices * self._max_tokens
        return Finish(reasons, self._usage, is_too_long=is_too_long)

    def _read(self, chunk: Any) -> Iterator[Delta]:
        if (usage := chunk.get("usage")) is not None:
            self._usage = _usage(usage)
        for choice in chunk["choices"]:
            index = choice["index"]
            if index not in range(len(self._splitters)):
                raise ValueError(f"answer {index!r} of {len(self._splitters)}")
            if reason := choice.get("finish_reason"):
                self._reasons[index] = reason
            content, reasoning, logprobs = _read(choice)
            # Half a character has a log probability, and no text.
            self._num_pieces[index] += bool(content or reasoning or logprobs)
            if self._num_pieces[index] > self._max_tokens:
                self._reasons[index] = "length"
                self.are_cut = True
                return
            text, thought = self._splitters[index].feed(self._contents[index].feed(content))
            thought = self._reasonings[index].feed(reasoning) + thought
            yield from self._bring(Delta(text, index, thought, logprobs))

    def _bring(self, delta: Delta) -> Iterator[Delta]:
        if delta.text:
            self.empty.discard(delta.choice)
        if delta.text or delta.thought or delta.logprobs:
            yield delta


def _read(choice: Mapping[str, Any]) -> tuple[str, str, Mapping[str, Any] | None]:
    """Return what a choice of a chunk has: answer, thinking and log probabilities."""
    delta = choice.get("delta") or {}
    # vLLM and Ollama call it so; servers of before 2026 `reasoning_content`.
    reasoning = delta.get("reasoning") or delta.get("reasoning_content")
    logprobs = choice.get("logprobs") or None
    if not isinstance(logprobs, dict | None):
        raise TypeError(f"{logprobs!r} are no log probabilities")
    return _text(delta.get("content")), _text(reasoning), json_without_halves(logprobs)


def _read_as_one(first: Delta, second: Delta) -> bool:
    """Tell whether nobody misses the seam between two pieces; each log probability has its own."""
    is_apart = first.logprobs or second.logprobs or (first.text and second.thought)
    return first.choice == second.choice and not is_apart


def _join(first: Delta, second: Delta) -> Delta:
    return Delta(
        first.text + second.text,
        first.choice,
        first.thought + second.thought,
        num_tokens=about_tokens(first) + about_tokens(second),
    )


def _text(value: object) -> str:
    if not isinstance(value, str | None):
        raise TypeError(f"{value!r} is no text")
    return value or ""


def _usage(usage: Mapping[str, Any]) -> Usage:
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    read, written = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    return Usage(
        read,
        written,
        min(read, _count(prompt.get("cached_tokens"))),
        min(written, _count(completion.get("reasoning_tokens"))),
    )


def _count(value: object) -> int:
    """Return a number of tokens; what is none counts as not told."""
    return value if isinstance(value, int) and 0 <= value < _MOST_TOKENS else 0
