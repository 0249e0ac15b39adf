"""Why a search found what it found: ranks and scores of each candidate in each step."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from retrieval.analyzer import PUNCTUATION
from retrieval.filters import Filter
from retrieval.index import ChunkIndex
from retrieval.search import SearchResult

SEARCHES = {"dense", "lexical"}
# Words of a query that are looked up, each by a search.
MAX_WORDS = 100


@dataclass(frozen=True, slots=True)
class Explanation:
    """What became of one candidate.

    Attributes:
        chunk_id: which chunk.
        ranks: its place in each ranking that found it, from 1, by the name of the step.
        scores: its score there.
        dropped: why it is no hit; None when it is one.
    """

    chunk_id: str
    ranks: Mapping[str, int]
    scores: Mapping[str, float]
    dropped: str | None


def explain(result: SearchResult) -> dict[str, Explanation]:
    """Explain all candidates of a search: chunk id -> explanation, best first."""
    ranks = {
        step: {chunk_id: rank for rank, chunk_id in enumerate(ranking, start=1)}
        for step, ranking in result.rankings.items()
    }
    for step in SEARCHES & ranks.keys():
        ranks[step] = {one: rank for one, rank in ranks[step].items() if rank <= result.depth}
    return {
        chunk_id: Explanation(
            chunk_id,
            {step: places[chunk_id] for step, places in ranks.items() if chunk_id in places},
            {step: one[chunk_id] for step, one in result.rankings.items() if chunk_id in one},
            result.dropped.get(chunk_id),
        )
        for chunk_id in dict.fromkeys([*result.final_ranking, *result.dropped])
    }


def words_not_found(index: ChunkIndex, query: str, where: Filter | None = None) -> list[str]:
    """Return which of a query's first `MAX_WORDS` words no chunk has, whole or in parts.

    Words as they stand between spaces; stop words are no words.

    Args:
        index: where it was searched.
        query: the user's words.
        where: filter that the chunks satisfy.
    """
    tokens = set(index.analyzer.query_tokens(query))
    words = dict.fromkeys(word.strip(f"{PUNCTUATION}.") for word in query.split())
    return [
        word
        for word in islice(words, MAX_WORDS)
        if not tokens.isdisjoint(index.analyzer.query_tokens(word))
        and not index.rank_lexical(word, 1, where=where)
    ]
