"""Answers put together from the chunks that an OpenAI-compatible server streams.

The client hands on whatever the server sent; what is no chunk raises AttributeError, TypeError or
ValueError.
"""

import re
from collections.abc import Iterator

from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice

from serving.generation import Delta, Finish, Usage
from serving.thoughts import ThoughtSplitter

# Why vLLM ends a stream with "[DONE]" when it is stopped, or fails, in the middle of an answer.
_BROKEN_OFF = {"abort", "error"}
_HALF_PAIR = re.compile("[\ud800-\udfff]")


class ServedAnswers:
    """The answers to one prompt.

    Attributes:
        empty: those without a word by now.
    """

    def __init__(self, num_choices: int) -> None:
        self.empty = set(range(num_choices))
        self._splitters = [ThoughtSplitter() for _ in range(num_choices)]
        self._reasons: dict[int, str] = {}
        self._usage = Usage(0, 0)

    def read(self, chunk: ChatCompletionChunk) -> Iterator[Delta]:
        """Yield what a chunk brings."""
        if chunk.usage is not None:
            self._usage = _usage(chunk.usage)
        for choice in chunk.choices:
            if choice.index not in range(len(self._splitters)):
                raise ValueError(f"answer {choice.index!r} of {len(self._splitters)}")
            if choice.finish_reason:
                self._reasons[choice.index] = choice.finish_reason
            yield from self._bring(_read(choice, self._splitters[choice.index]))

    def rest(self) -> Iterator[Delta]:
        """Yield what was held back: the answers end here."""
        for index, splitter in enumerate(self._splitters):
            text, thought = splitter.finish()
            yield from self._bring(Delta(text, index, thought))

    @property
    def are_whole(self) -> bool:
        """Whether each says why it ended, and that it was at its end."""
        reasons = self._reasons
        return len(reasons) == len(self._splitters) and not _BROKEN_OFF & {*reasons.values()}

    def finish(self) -> Finish:
        """Return the end of answers that are whole."""
        ends = [reason for _, reason in sorted(self._reasons.items())]
        return Finish(tuple("length" if end == "length" else "stop" for end in ends), self._usage)

    def _bring(self, delta: Delta) -> Iterator[Delta]:
        if delta.text:
            self.empty.discard(delta.choice)
        # Half a character has a log probability, and no text.
        if delta.text or delta.thought or delta.logprobs:
            yield delta


def _read(choice: Choice, splitter: ThoughtSplitter) -> Delta:
    content: object = choice.delta and choice.delta.content
    # vLLM and Ollama call it so; servers of before 2026 `reasoning_content`.
    reasoning: object = choice.delta and (
        getattr(choice.delta, "reasoning", None) or getattr(choice.delta, "reasoning_content", None)
    )
    text, thought = splitter.feed(_whole(content))
    logprobs = choice.logprobs.to_dict() if choice.logprobs else None
    return Delta(text, choice.index, _whole(reasoning) + thought, logprobs)


def _whole(text: object) -> str:
    """Return a text that UTF-8 can write."""
    if not isinstance(text, str | None):
        raise TypeError(f"{text!r} is no text")
    return _HALF_PAIR.sub("\ufffd", text or "")


def _usage(usage: CompletionUsage) -> Usage:
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    read, written = _count(usage.prompt_tokens), _count(usage.completion_tokens)
    return Usage(
        read,
        written,
        min(read, _count(prompt.cached_tokens if prompt else 0)),
        min(written, _count(completion.reasoning_tokens if completion else 0)),
    )


def _count(value: object) -> int:
    """Return a number of tokens; what is none counts as not told."""
    return max(0, value) if isinstance(value, int) else 0
