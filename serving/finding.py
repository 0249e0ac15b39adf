"""Finding: what a question is answered from, before any of it is chosen for a prompt."""

from collections.abc import Callable
from dataclasses import dataclass

from ingest.library import Library
from ingest.sections import make_heads_in
from retrieval.analyzer import get_analyzer
from retrieval.embedding import Embedder
from retrieval.profiles import RetrievalProfile
from retrieval.relevance import relevance
from retrieval.search import Searcher, SearchResult
from retrieval.sentence_ranking import SentenceRanker
from serving.question import Question


@dataclass(frozen=True, slots=True)
class Found:
    """What the search brought.

    Attributes:
        query: what was searched.
        result: of the search.
        embedder: of the collection.
        language: likewise.
        ranker: of the sentences that the hits have; it remembers what it has read of them.
    """

    query: str
    result: SearchResult
    embedder: Embedder
    language: str
    ranker: SentenceRanker

    def relevance(self, profile: RetrievalProfile) -> float | None:
        """Return how relevant the best hit is, see `retrieval.relevance`; None without hits.

        Args:
            profile: how it was searched.
        """
        return relevance(self.result, self.query, get_analyzer(self.language), profile)


Find = Callable[[Question, str], Found]
"""Searches for a query, which may be other words than the question's."""


def search_library(library: Library, searcher: Searcher, question: Question, query: str) -> Found:
    """Search the collection of a question."""
    with library.open_index(question.collection) as opened:
        result = searcher.search(
            opened.index,
            opened.embedder,
            query,
            question.profile,
            question.top_k,
            question.where,
        )
    heads_in = make_heads_in(library.revision_text)
    ranker = SentenceRanker(get_analyzer(opened.language), heads_in, opened.embedder)
    return Found(query, result, opened.embedder, opened.language, ranker)
