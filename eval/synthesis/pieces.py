"""Pieces of the documents, ranked by BM25: what the simplest search finds for a question."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eval.questions import Question
from eval.synthesis.corpus import Corpus, Source
from retrieval.bm25 import Corpus as CountedTokens

# Whole sentences, whatever the chunks of the service are.
PIECE_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a document."""

    document: str
    start: int
    end: int
    text: str


class Pieces:
    """All documents in pieces."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._pieces = [piece for source in corpus.sources.values() for piece in _cut(source)]
        self._counted = CountedTokens(
            (str(number), corpus.analyzer.passage_tokens(piece.text))
            for number, piece in enumerate(self._pieces)
        )

    def best(self, question: str, number: int) -> list[Piece]:
        """Return the pieces that share most with a question, best first, or fewer."""
        scores = self._counted.score(self._corpus.analyzer.query_tokens(question))
        found = ((-score, int(place)) for place, score in scores if score > 0)
        return [self._pieces[place] for _, place in heapq.nsmallest(number, found)]

    def success_at_1(self, questions: Sequence[Question]) -> float:
        """Return for which share of answerable questions the best piece has evidence."""
        found = [_has_evidence(self.best(one.text, 1), one) for one in questions]
        return sum(found) / len(found)


def _cut(source: Source) -> Iterator[Piece]:
    text = source.text.text
    start = None
    for sentence in source.sentences:
        if start is None:
            start = sentence.start
        end = sentence.end
        if end - start >= PIECE_CHARACTERS:
            yield Piece(source.name, start, end, text[start:end])
            start = None
    if start is not None:
        yield Piece(source.name, start, end, text[start:end])


def _has_evidence(pieces: Sequence[Piece], question: Question) -> bool:
    return any(
        piece.document == span.document
        and span.start is not None
        and span.end is not None
        and span.start < piece.end
        and piece.start < span.end
        for piece in pieces
        for fact in question.facts
        for span in fact
    )
