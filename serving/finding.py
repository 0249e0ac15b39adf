"""Finding: what a question is answered from, before any of it is chosen for a prompt."""

from collections.abc import Callable
from dataclasses import dataclass

from ingest.library import Library
from retrieval.embedding import Embedder
from retrieval.search import Searcher, SearchResult
from serving.question import Question


@dataclass(frozen=True, slots=True)
class Found:
    """What the search brought.

    Attributes:
        query: what was searched.
        result: of the search.
        embedder: of the collection.
        language: likewise.
    """

    query: str
    result: SearchResult
    embedder: Embedder
    language: str


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
    return Found(query, result, opened.embedder, opened.language)
