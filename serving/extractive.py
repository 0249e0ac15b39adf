"""The extractive answerer: needs no language model, answers with sentences of the documents."""

import asyncio
import math
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from retrieval.chunks import Chunk
from retrieval.embedding import Embedder, Matrix, TokenVectors
from retrieval.late_interaction import compare
from retrieval.sentences import sentence_spans
from serving.citations import MARKER
from serving.context import Context, ContextItem, num_tokens
from serving.generation import Delta, Finish, Task, TokenCounter
from serving.pricing import Price, Rates
from serving.refusals import no_answer
from serving.tokens import Usage

# Weight, count and share were chosen by measuring on examples/ (docs/benchmarks.md).
CHUNK_WEIGHT = 0.15
MAX_EXTRACTS = 6
# Share of the question's tokens, those that match worst, on which the support is judged.
WORST_SHARE = 0.25
MIN_WORDS = 4
_WORD = re.compile(r"\w+")
_BLANK_LINE = re.compile(r"\n\s*\n")
_WRAP = re.compile(r"[ \t]*\n\s*(?!\s|\||[-*•] |\d+[.)] )")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Extract:
    """A sentence with its neighbours.

    Attributes:
        item: the context item it stands in.
        span: where in the text of the item's passage, sentence and neighbours.
        sentence: where in that text, the sentence alone.
    """

    item: ContextItem
    span: Span
    sentence: Span

    @property
    def cited_text(self) -> str:
        """The extract without line wraps, each paragraph with the marker.

        List items and table rows keep their lines. The document's own `[2]` must not pass for a
        marker.
        """
        text = MARKER.sub(r"(\1)", self.item.passage.text[slice(*self.span)]).strip()
        paragraphs = [_WRAP.sub(" ", one.strip()) for one in _BLANK_LINE.split(text)]
        return "\n\n".join(f"{one} [{self.item.number}]" for one in paragraphs)


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a context has to say to a question.

    Attributes:
        extracts: best first.
        support: from 0 to 1, how well the chunk that speaks of all of the question does so.
    """

    extracts: list[Extract]
    support: float


class ExtractiveGenerator:
    """Answers with the sentences of the context that best answer the question, word for word."""

    name = "extractive"
    counter: TokenCounter | None = None
    can_think = False
    uses_tags = False
    price: Price | None = None
    rates: Rates | None = None
    max_answer_tokens: int | None = None

    def __init__(self, threshold: float) -> None:
        """Set up.

        Args:
            threshold: support of the context below which there is no answer.
        """
        self._threshold = threshold

    async def model_name(self) -> str:
        """Return the name the answers are given under."""
        return "extractive"

    async def check(self) -> None:
        """Return at once: there is nothing to reach."""

    async def close(self) -> None:
        """Return at once: nothing is held."""

    async def generate(self, task: Task) -> AsyncGenerator[Delta | Finish, None]:
        """Yield one cited extract at a time, or say that the documents have no answer."""
        if task.embedder is None:
            raise TypeError("there is nothing to compare the question with")
        ranking = await asyncio.to_thread(rank_extracts, task.embedder, task.question, task.context)
        pieces = [no_answer(task.question)]
        if ranking.extracts and ranking.support >= self._threshold:
            pieces = [extract.cited_text for extract in choose_extracts(ranking.extracts)]
        for choice in range(task.sampling.num_choices):
            for position, piece in enumerate(pieces):
                yield Delta(f"\n\n{piece}" if position else piece, choice)
        usage = _usage(task.embedder, task, "\n\n".join(pieces))
        yield Finish(("stop",) * task.sampling.num_choices, usage)


def _usage(embedder: Embedder, task: Task, answer: str) -> Usage:
    """Count what was read and written, by the embedder's tokenizer."""
    question_tokens = embedder.count_tokens(task.question)
    return Usage(
        prompt_tokens=num_tokens(task.context) + question_tokens,
        completion_tokens=task.sampling.num_choices * embedder.count_tokens(answer),
    )


def rank_extracts(embedder: Embedder, question: str, context: Context) -> Ranking:
    """Rank the sentences of a context by late interaction with the question.

    An extract scores by how well it matches the tokens of the question, its sentence alone and with
    its neighbours in equal parts; how well its chunk was found counts as well. The support is
    judged by the tokens that match worst: a question about something that is mentioned nowhere
    shares all its other words with many texts.
    """
    query = _words_only(question, embedder.embed_query_tokens(question))
    if not query.offsets:
        return Ranking([], 0.0)
    found = [(item, hit) for item in context for hit in item.passage.hits]
    # Sentences of one chunk may stand in several passages.
    passages = list(dict.fromkeys(hit.chunk.passage for _, hit in found))
    tokens_of = dict(zip(passages, embedder.embed_passage_tokens(passages), strict=True))
    scored: list[tuple[float, Extract]] = []
    support = 0.0
    for item, hit in found:
        similarity = compare(query, tokens_of[hit.chunk.passage])
        text_start = len(hit.chunk.passage) - len(hit.chunk.text)
        # From offsets in the text of the item's passage to those in the passage of the chunk.
        shift = text_start + item.passage.start - hit.chunk.start
        support = max(support, _worst(similarity.best_matches(0, len(hit.chunk.passage))))
        for extract in _extracts(item, hit.chunk):
            matches = [
                similarity.best_matches(shift + start, shift + end).mean()
                for start, end in (extract.sentence, extract.span)
            ]
            # From 0 to 1, as the weight was chosen for; a reranker's score may be anything.
            fused = hit.scores.get("fused", hit.score)
            scored.append((float(np.mean(matches)) + CHUNK_WEIGHT * fused, extract))
    scored.sort(key=lambda pair: -pair[0])
    return Ranking([extract for _, extract in scored], support)


def choose_extracts(ranked: Sequence[Extract]) -> list[Extract]:
    """Take the best extracts; none repeats text that an earlier one shows."""
    chosen: list[Extract] = []
    for candidate in ranked:
        extract = candidate
        for earlier in chosen:
            extract = _without(extract, earlier)
        start, end = extract.span
        if start <= extract.sentence[0] and extract.sentence[1] <= end:
            chosen.append(extract)
        if len(chosen) == MAX_EXTRACTS:
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


def _without(extract: Extract, earlier: Extract) -> Extract:
    """Cut off what an earlier extract of the same item shows; its own sentence may go with it."""
    start, end = extract.span
    if extract.item is not earlier.item or end <= earlier.span[0] or earlier.span[1] <= start:
        return extract
    if earlier.span[0] <= start:
        start = min(end, _skip_space(extract.item.passage.text, earlier.span[1]))
    else:
        end = earlier.span[0]
    return replace(extract, span=(start, end))


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _extracts(item: ContextItem, chunk: Chunk) -> list[Extract]:
    """Return an extract around each sentence of a chunk that is long enough to say something.

    Of a chunk that is in the passage in part, the sentences that are.
    """
    passage = item.passage
    offset = chunk.start - passage.start
    spans = [
        (offset + start, offset + end)
        for start, end in sentence_spans(chunk.text)
        if passage.start <= chunk.start + start
        and chunk.start + end <= passage.end
        and _says_something(chunk, chunk.text[start:end])
    ]
    return [
        Extract(item, (before[0], after[1]), sentence)
        for before, sentence, after in _with_neighbours(item.passage.text, spans)
    ]


def _with_neighbours(text: str, spans: Sequence[Span]) -> Iterator[tuple[Span, Span, Span]]:
    """Yield each sentence between its neighbours; table rows stand alone, as their own."""
    for i, sentence in enumerate(spans):
        around = (spans[max(0, i - 1)], spans[min(len(spans) - 1, i + 1)])
        if _is_row(text, sentence):
            around = (sentence, sentence)
        before, after = (sentence if _is_row(text, span) else span for span in around)
        yield before, sentence, after


def _is_row(text: str, span: Span) -> bool:
    return text.startswith("|", span[0])


def _says_something(chunk: Chunk, sentence: str) -> bool:
    is_title = sentence.strip("# ") in chunk.headings
    return not is_title and len(_WORD.findall(sentence)) >= MIN_WORDS
