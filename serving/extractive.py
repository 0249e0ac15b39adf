"""The extractive answerer: needs no language model, answers with sentences of the documents."""

import asyncio
import math
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from retrieval.embedding import Embedder, Matrix, TokenVectors
from retrieval.late_interaction import compare
from retrieval.sentences import sentence_spans
from serving.citations import MARKER
from serving.context import Context, ContextItem, num_tokens
from serving.generation import NO_ANSWER, Finish, Task, Usage

# Weight, count and share were chosen by measuring on examples/ (docs/benchmarks.md).
CHUNK_WEIGHT = 0.15
MAX_PASSAGES = 6
# Share of the question's tokens, those that match worst, on which the support is judged.
WORST_SHARE = 0.25
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


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a context has to say to a question.

    Attributes:
        passages: best first.
        support: from 0 to 1, how well the chunk that speaks of all of the question does so.
    """

    passages: list[Passage]
    support: float


class ExtractiveGenerator:
    """Answers with the passages of the context that best answer the question, word for word."""

    def __init__(self, embedder: Embedder, threshold: float) -> None:
        """Set up.

        Args:
            embedder: judges how close a passage is to the question.
            threshold: support of the context below which there is no answer.
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
        ranking = await asyncio.to_thread(
            rank_passages, self._embedder, task.question, task.context
        )
        pieces = [NO_ANSWER]
        if ranking.passages and ranking.support >= self._threshold:
            pieces = [passage.cited_text for passage in choose_passages(ranking.passages)]
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


def rank_passages(embedder: Embedder, question: str, context: Context) -> Ranking:
    """Rank the passages of a context by late interaction with the question.

    A passage scores by how well it matches the tokens of the question, its sentence alone and with
    its neighbours in equal parts; how well the whole chunk was found counts as well. The support is
    judged by the tokens that match worst: a question about something that is mentioned nowhere
    shares all its other words with many texts.
    """
    query = _words_only(question, embedder.embed_query_tokens(question))
    if not query.offsets:
        return Ranking([], 0.0)
    chunks = embedder.embed_passage_tokens([item.chunk.passage for item in context])
    scored: list[tuple[float, Passage]] = []
    support = 0.0
    for item, tokens in zip(context, chunks, strict=True):
        similarity = compare(query, tokens)
        text_start = len(item.chunk.passage) - len(item.chunk.text)
        support = max(support, _worst(similarity.best_matches(0, len(item.chunk.passage))))
        for passage in _passages(item):
            matches = [
                similarity.best_matches(text_start + start, text_start + end).mean()
                for start, end in (passage.sentence, passage.span)
            ]
            scored.append((float(np.mean(matches)) + CHUNK_WEIGHT * item.score, passage))
    scored.sort(key=lambda pair: -pair[0])
    return Ranking([passage for _, passage in scored], support)


def choose_passages(ranked: Sequence[Passage]) -> list[Passage]:
    """Take the best passages; none repeats text that an earlier one shows."""
    chosen: list[Passage] = []
    for candidate in ranked:
        passage = candidate
        for earlier in chosen:
            passage = _without(passage, earlier)
        start, end = passage.span
        if start <= passage.sentence[0] and passage.sentence[1] <= end:
            chosen.append(passage)
        if len(chosen) == MAX_PASSAGES:
            break
    return chosen


def _words_only(text: str, tokens: TokenVectors) -> TokenVectors:
    """Leave punctuation out, unless there is nothing else."""
    words = [i for i, (start, end) in enumerate(tokens.offsets) if _WORD.search(text[start:end])]
    if not words:
        return tokens
    return TokenVectors([tokens.offsets[i] for i in words], tokens.vectors[words])


def _worst(matches: Matrix) -> float:
    """Return the mean of the lowest `WORST_SHARE` of the matches, 0 when there are none."""
    if not len(matches):
        return 0.0
    lowest = np.sort(matches)[: math.ceil(len(matches) * WORST_SHARE)]
    return float(lowest.mean())


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
