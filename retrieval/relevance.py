"""Relevance: how much the best hit says about a query, so that queries can be compared.

A fused score measures a hit's words by those of the query's best hit. So the best one scores well
where words decide, however few of them it has.
"""

from retrieval.analyzer import Analyzer
from retrieval.profiles import RetrievalProfile
from retrieval.search import SearchResult
from retrieval.vocabulary import covered_weight


def relevance(
    result: SearchResult, query: str, analyzer: Analyzer, profile: RetrievalProfile
) -> float | None:
    """Return the relevance of the best hit; None without hits.

    Of fused hits the weighted sum, from 0 to 1, of the cosine and of the share of the query's words
    that the hit has; of others the score, which does not depend on what else was found.

    Args:
        result: of a search.
        query: what was searched.
        analyzer: of the collection.
        profile: how it was searched.
    """
    if not result.hits:
        return None
    best = result.hits[0]
    if result.final_ranking is not result.rankings.get("fused"):
        return best.score
    dense_weight = covered_weight(profile.dense_weight, result.coverage)
    asked = set(analyzer.query_tokens(query))
    shared = asked.intersection(analyzer.passage_tokens(best.chunk.searched_text))
    share = len(shared) / (len(asked) or 1)
    return dense_weight * max(best.scores.get("dense", 0.0), 0.0) + (1 - dense_weight) * share
