"""Sentence ranking: which sentences of some chunks say most about a question.

What is kept of a text for a question is chosen by sentences in Xu et al. (RECOMP, ICLR 2024), too.
Here words choose, which costs no time to speak of, or the vectors of the embedder beside them.
"""

import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import log, log2
from typing import NamedTuple

import numpy as np

from retrieval.analyzer import Analyzer
from retrieval.chunks import Chunk
from retrieval.embedding import Embedder
from retrieval.sentences import sentence_spans
from retrieval.vocabulary import covered_weight

RankSentences = Callable[[Sequence[Chunk]], list[Chunk]]
"""Returns sentences of chunks, those first that say most."""


class SectionHead(NamedTuple):
    """Where a section begins.

    Attributes:
        start: first character of its heading in the canonical text.
        end: one past the last character of its heading.
        titles: of the sections around it and its own, outermost first.
    """

    start: int
    end: int
    titles: tuple[str, ...]


HeadsIn = Callable[[Chunk], Sequence[SectionHead]]
"""Returns which sections begin in a chunk, by place; none where its document's text is not kept."""

# What a sentence loses for each doubling of its chunk's rank; the best there could be scores 1.
RANK_DISCOUNT = 0.15
# Best chunks whose sentences the embedder reads: no vector makes good what rank takes of others.
MAX_READ_CHUNKS = 50
# Sentences that the embedder reads before it may be told to stop.
READ_TOGETHER = 256
# Below the header of a table, as `ingest.tables` has it.
_DASHES = re.compile(r"\|(?=.*-)[|:\-\t ]*")


class SentenceRanker:
    """Ranks sentences of a collection's chunks.

    What it has analysed it remembers, and of the last query how similar it was to what.
    """

    def __init__(self, analyzer: Analyzer, heads_in: HeadsIn, embedder: Embedder) -> None:
        """Set up.

        Args:
            analyzer: of the collection.
            heads_in: of its documents.
            embedder: of the collection; asked only where vectors have a weight.
        """
        self._analyzer = analyzer
        self._heads_in = heads_in
        self._embedder = embedder
        self._sentences: dict[str, list[Chunk]] = {}
        self._words: dict[str, frozenset[str]] = {}
        self._query = ""
        self._coverage = 1.0
        self._cosines: dict[str, float] = {}

    def rank(
        self,
        query: str,
        chunks: Sequence[Chunk],
        *,
        dense_weight: float = 0,
        margin: float | None = None,
    ) -> list[Chunk]:
        """Return the sentences of some chunks, those first that say most about a query.

        Args:
            query: what was searched.
            chunks: best first.
            dense_weight: of the similarity of vectors against that of words, from 0 to 1.
            margin: by how much a sentence may score below the best; None: by any.

        Raises:
            EmbedderFailedError: vectors have a weight, and the model fails.
        """
        scored = self.score(query, chunks, dense_weight)
        num_within = count_within([score for score, _ in scored], margin)
        return [sentence for _, sentence in scored[:num_within]]

    def score(
        self, query: str, chunks: Sequence[Chunk], dense_weight: float = 0
    ) -> list[tuple[float, Chunk]]:
        """Return the sentences of some chunks with their scores, best first.

        A sentence counts by the words that it shares with the query: each weighs the more, the
        fewer of these sentences have it (the inverse document frequency of BM25), and all together
        1. With a weight it counts by its vector, too: the most similar of these sentences 1, the
        least 0; nothing, where all are alike, or the chunk is none of the best `MAX_READ_CHUNKS`.
        What was found further down the ranking counts less.

        Args:
            query: what was searched.
            chunks: best first.
            dense_weight: of the similarity of vectors against that of words, from 0 to 1; less of
                it counts where the embedder hardly knows the language of the query.

        Raises:
            EmbedderFailedError: vectors have a weight, and the model fails.
        """
        if dense_weight:
            self._turn_to(query)
            dense_weight = covered_weight(dense_weight, self._coverage)
        ranks, sentences = [], []
        for rank, chunk in enumerate(chunks):
            for sentence in self.sentences(chunk):
                ranks.append(rank)
                sentences.append(sentence)
        asked = frozenset(self._analyzer.query_tokens(query))
        shared = [asked & self._words_of(one) for one in sentences]
        weights = _weigh(shared)
        by_words = [sum(sorted(weights[word] for word in words)) for words in shared]
        by_vectors = by_words
        if dense_weight:
            self.read(query, chunks)
            num_read = sum(rank < MAX_READ_CHUNKS for rank in ranks)
            by_vectors = self._similarities(sentences[:num_read])
            by_vectors += [0] * (len(sentences) - num_read)
        scores = [
            (1 - dense_weight) * lexical + dense_weight * dense - RANK_DISCOUNT * log2(1 + rank)
            for lexical, dense, rank in zip(by_words, by_vectors, ranks, strict=True)
        ]
        order = sorted(range(len(sentences)), key=lambda place: (-scores[place], place))
        return [(scores[place], sentences[place]) for place in order]

    def read(
        self, query: str, chunks: Sequence[Chunk], is_over: Callable[[], bool] = lambda: False
    ) -> None:
        """Have the vectors of sentences made that `score` asks for, where they have a weight.

        Args:
            query: what was searched.
            chunks: whose sentences these are, best first.
            is_over: says whether nobody waits for it any more.

        Raises:
            EmbedderFailedError: the model fails.
        """
        self._turn_to(query)
        if not self._coverage:
            return  # no vector would count
        best = chunks[:MAX_READ_CHUNKS]
        # Equal ones once: in another batch a vector differs by a little.
        passages = dict.fromkeys(one.passage for chunk in best for one in self.sentences(chunk))
        new = [one for one in passages if one not in self._cosines]
        for start in range(0, len(new), READ_TOGETHER):
            if is_over():
                return
            some = new[start : start + READ_TOGETHER]
            vectors = self._embedder.embed_passages(some)
            cosines = (vectors @ self._embedder.embed_query(query)).tolist()
            self._cosines |= zip(some, cosines, strict=True)

    def sentences(self, chunk: Chunk) -> list[Chunk]:
        """Return the sentences of a chunk as chunks of their own, by place, see `split`."""
        sentences = self._sentences.get(chunk.chunk_id)
        if sentences is None:
            sentences = self._sentences[chunk.chunk_id] = list(split(chunk, self._heads_in(chunk)))
        return sentences

    def _turn_to(self, query: str) -> None:
        if query != self._query:
            self._query, self._cosines = query, {}
            self._coverage = self._embedder.vocabulary_coverage(query)

    def _similarities(self, sentences: Sequence[Chunk]) -> list[float]:
        """Return how similar sentences are to the query: the most 1, the least 0; if alike, all 0.

        They have been read.
        """
        cosines = np.array([self._cosines[one.passage] for one in sentences])
        if not cosines.size or cosines.max() == cosines.min():
            return [0] * len(sentences)
        similarities: list[float] = ((cosines - cosines.min()) / np.ptp(cosines)).tolist()
        return similarities

    def _words_of(self, sentence: Chunk) -> frozenset[str]:
        words = self._words.get(sentence.chunk_id)
        if words is None:
            words = frozenset(self._analyzer.passage_tokens(sentence.text))
            self._words[sentence.chunk_id] = words
        return words


def split(chunk: Chunk, heads: Sequence[SectionHead]) -> Iterator[Chunk]:
    """Yield the sentences of a chunk as chunks of their own, by place; together they say all of it.

    Headings go with the sentence below them and stand above the others of their section; the
    header of a table goes with its first row, and is the table header of the other rows.

    Args:
        chunk: to be split.
        heads: of the sections that begin in it, by place.
    """
    headings = titles = chunk.headings
    table_header = header = chunk.table_header
    heading_end = 0
    start: int | None = None
    coming = deque(heads)
    spans = sentence_spans(chunk.text)
    lines = [chunk.text[first:end] for first, end in spans]
    first_line, _, _ = chunk.text.partition("\n")
    around = zip(["", *lines], spans, lines, [*lines[1:], ""], strict=False)
    for above, (first, end), line, below in around:
        is_below_dashes, is_dashes, is_above_dashes = map(_DASHES.fullmatch, (above, line, below))
        is_header = line.startswith("|") and is_above_dashes and not (is_dashes or is_below_dashes)
        if is_header:
            header = line
        elif not line.startswith("|") and first > len(first_line):
            header = ""  # behind the table; in the first line is the rest of a row that was cut
        while coming and coming[0].start <= chunk.start + first:
            head_start, heading_end, titles = coming.popleft()
            if head_start == chunk.start:
                titles = chunk.headings  # where they are long, without the outermost
        if start is None:
            start, headings, table_header = first, titles, "" if is_header else header
        is_heading = chunk.start + end <= heading_end
        is_above = is_header or is_dashes or is_heading
        if is_above and below:
            continue
        yield replace(
            chunk,
            chunk_id=f"{chunk.chunk_id}:{start}",
            start=chunk.start + start,
            end=chunk.start + end,
            text=chunk.text[start:end],
            headings=headings,
            table_header=table_header,
        )
        start = None


def count_within(scores: Sequence[float], margin: float | None) -> int:
    """Return how many scores, best first, are no more than a margin below the best."""
    if margin is None:
        return len(scores)
    return sum(score >= scores[0] - margin for score in scores)


def whole_id(sentence_id: str) -> str:
    """Return the id of the chunk that a sentence is of; of a chunk its own."""
    return sentence_id.partition(":")[0]


def _weigh(shared: Sequence[frozenset[str]]) -> Mapping[str, float]:
    """Return what each word is worth; together 1."""
    having = Counter(word for words in shared for word in words)
    rarity = {
        word: log(1 + (len(shared) - num + 0.5) / (num + 0.5)) for word, num in having.items()
    }
    total = sum(sorted(rarity.values()))
    return {word: value / total for word, value in rarity.items()}
