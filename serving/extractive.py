"""The extractive answerer: needs no language model, answers with sentences of the documents."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from retrieval.embedding import Embedder
from retrieval.sentences import sentence_spans
from serving.citations import MARKER
from serving.context import Context, ContextItem, num_tokens
from serving.generation import NO_ANSWER, Finish, Task, Usage

# Weights and counts were chosen by measuring on examples/ (docs/benchmarks.md).
CHUNK_WEIGHT = 0.3
MAX_PASSAGES = 5
SHORTLIST = 16
MIN_WORDS = 4
_WORD = re.compile(r"\w+")
_WRAP = re.compile(r"[ \t]*\n\s*(?!\s|\||[-*•] |\d+[.)] )")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Passage:
    """A sentence with its neighbours.

    Attributes:
        item: the context item it stands in.
        span: where in the chunk's text, sentence and neighbours.
        sentence: where in the chunk's text, the sentence alone.
    """

    item: ContextItem
    span: Span
    sentence: Span

    @property
    def text(self) -> str:
        """The passage without line wraps; list items and table rows keep their lines."""
        return _WRAP.sub(" ", self.item.chunk.text[slice(*self.span)])

    @property
    def cited_text(self) -> str:
        """The passage and its marker; the document's own `[2]` must not pass for one."""
        text = MARKER.sub(r"(\1)", self.text)
        return f"{text} [{self.item.number}]"

    @property
    def titled_sentence(self) -> str:
        """The sentence below its headings, which often name what it speaks of."""
        sentence = self.item.chunk.text[slice(*self.sentence)]
        return f"{self.item.chunk.heading_path}\n{sentence}"


@dataclass(frozen=True, slots=True)
class Scored:
    """A passage, its support (similarity to the question, up to 1), and what it is ranked by."""

    passage: Passage
    support: float
    rank_score: float


class ExtractiveGenerator:
    """Answers with the passages of the context that best answer the question, word for word."""

    def __init__(self, embedder: Embedder, threshold: float) -> None:
        """Set up.

        Args:
            embedder: judges how close a passage is to the question.
            threshold: support of the best passage below which there is no answer.
        """
        self._embedder = embedder
        self._threshold = threshold

    async def model_name(self) -> str:
        """Return the name the answers are given under."""
        return "extractive"

    async def check(self) -> None:
        """Return at once: there is nothing to reach."""

    async def close(self) -> None:
        """Return at once: nothing is held."""

    async def generate(self, task: Task) -> AsyncIterator[str | Finish]:
        """Yield one cited passage at a time, or say that the documents have no answer."""
        ranked = await asyncio.to_thread(rank_passages, self._embedder, task.question, task.context)
        pieces = [NO_ANSWER]
        if max((scored.support for scored in ranked), default=0.0) >= self._threshold:
            pieces = [passage.cited_text for passage in choose_passages(ranked)]
        for position, piece in enumerate(pieces):
            yield f"\n\n{piece}" if position else piece
        yield Finish("stop", self._usage(task, "\n\n".join(pieces)))

    def _usage(self, task: Task, answer: str) -> Usage:
        """Count what was read and written, by the embedder's tokenizer."""
        question_tokens = len(self._embedder.token_offsets(task.question))
        return Usage(
            prompt_tokens=num_tokens(task.context) + question_tokens,
            completion_tokens=len(self._embedder.token_offsets(answer)),
        )


def rank_passages(embedder: Embedder, question: str, context: Context) -> list[Scored]:
    """Return the passages most likely to answer, best first, at most `SHORTLIST`.

    A first look ranks single sentences below their headings; a second one also weighs the
    sentences around. How well the whole chunk was found counts as well.
    """
    passages = [passage for item in context for passage in _passages(item)]
    if not passages:
        return []
    query = embedder.embed_query(question)
    sentence = embedder.embed_passages([p.titled_sentence for p in passages]) @ query
    chunk = [CHUNK_WEIGHT * passage.item.score for passage in passages]
    shortlist = sorted(range(len(passages)), key=lambda i: -(sentence[i] + chunk[i]))[:SHORTLIST]
    around = embedder.embed_passages([passages[i].text for i in shortlist]) @ query
    scored = []
    for i, similarity in zip(shortlist, around, strict=True):
        support = float(sentence[i] + similarity) / 2
        scored.append(Scored(passages[i], support, support + chunk[i]))
    return sorted(scored, key=lambda one: -one.rank_score)


def choose_passages(ranked: Sequence[Scored]) -> list[Passage]:
    """Take the best passages; none repeats text that an earlier one shows."""
    chosen: list[Passage] = []
    for scored in ranked:
        passage = scored.passage
        for earlier in chosen:
            passage = _without(passage, earlier)
        start, end = passage.span
        if start <= passage.sentence[0] and passage.sentence[1] <= end:
            chosen.append(passage)
        if len(chosen) == MAX_PASSAGES:
            break
    return chosen


def _without(passage: Passage, earlier: Passage) -> Passage:
    """Cut off what an earlier passage of the same chunk shows; its own sentence may go with it."""
    start, end = passage.span
    if passage.item is not earlier.item or end <= earlier.span[0] or earlier.span[1] <= start:
        return passage
    if earlier.span[0] <= start:
        start = min(end, _skip_space(passage.item.chunk.text, earlier.span[1]))
    else:
        end = earlier.span[0]
    return replace(passage, span=(start, end))


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _passages(item: ContextItem) -> list[Passage]:
    """Return a passage around each sentence that is long enough to say something."""
    text = item.chunk.text
    spans = [span for span in sentence_spans(text) if _says_something(item, text[slice(*span)])]
    return [
        Passage(item, (spans[max(0, i - 1)][0], spans[min(len(spans) - 1, i + 1)][1]), sentence)
        for i, sentence in enumerate(spans)
    ]


def _says_something(item: ContextItem, sentence: str) -> bool:
    is_title = sentence.strip("# ") in item.chunk.headings
    return not is_title and len(_WORD.findall(sentence)) >= MIN_WORDS
