"""Fusion of rankings: pure, ties broken by chunk id, so the same input gives the same order."""

from collections.abc import Mapping
from operator import neg

from retrieval.profiles import Fusion, RetrievalProfile
from retrieval.vocabulary import covered_weight

# So little that it only orders chunks that are alike by words, above all those without any.
TIE_COVERAGE = 0.01


def fuse(
    dense: Mapping[str, float],
    lexical: Mapping[str, float],
    profile: RetrievalProfile,
    coverage: float = 1.0,
) -> dict[str, float]:
    """Fuse two score lists as a profile says: chunk id -> score in [0, 1], best first.

    Args:
        dense: cosine similarity of each chunk.
        lexical: BM25 score of each chunk.
        profile: names the fusion and its weight.
        coverage: how much of the query is in the embedder's vocabulary, from 0 to 1. With none of
            it vectors still order what shares no word with it.
    """
    dense_weight = covered_weight(profile.dense_weight, max(coverage, TIE_COVERAGE))
    if profile.fusion is Fusion.RECIPROCAL_RANK:
        return reciprocal_rank(dense, lexical, dense_weight, profile.rrf_k)
    return convex_combination(dense, lexical, dense_weight)


def reciprocal_rank(
    dense: Mapping[str, float], lexical: Mapping[str, float], dense_weight: float, k: int
) -> dict[str, float]:
    """Fuse two rankings: w * (k + 1) / (k + rank_dense) + (1 - w) * (k + 1) / (k + rank_lexical).

    Ranks count from 1, as in Cormack, Clarke, Buettcher (SIGIR 2009); the factor k + 1 scales the
    sum so that a chunk that leads both rankings scores 1.

    Args:
        dense: cosine similarity of each chunk.
        lexical: BM25 score of each chunk. A chunk missing from a list gets nothing from it.
        dense_weight: w, from 0 to 1.
        k: 0 or more; the higher, the less the first ranks stand out.
    """
    fused: dict[str, float] = {}
    for scores, weight in ((dense, dense_weight), (lexical, 1 - dense_weight)):
        for rank, chunk_id in enumerate(_ordered(scores), start=1):
            fused[chunk_id] = fused.get(chunk_id, 0.0) + weight * (k + 1) / (k + rank)
    return _ordered(fused)


def convex_combination(
    dense: Mapping[str, float], lexical: Mapping[str, float], dense_weight: float
) -> dict[str, float]:
    """Fuse two score lists: w * dense + (1 - w) * lexical / max(lexical).

    A cosine means the same for every query, so it stays as it is: where nothing is similar, the
    words decide. BM25 is only comparable within a query, so it is divided by the best score. Both
    have 0 as their natural lowest value (no similarity, no common word), so the fused score does
    not depend on how deep the lists are (after the theoretical min-max scaling of Bruch et al.,
    TOIS 2023, arXiv 2210.11934).

    Args:
        dense: cosine similarity of each chunk; below 0 counts as 0.
        lexical: BM25 score of each chunk, 0 or more. A chunk missing from a list scores 0 there.
        dense_weight: w, from 0 to 1.

    Returns:
        chunk id -> score in [0, 1], best first.
    """
    best = max(lexical.values(), default=0.0) or 1.0
    fused = {one: dense_weight * min(max(score, 0.0), 1.0) for one, score in dense.items()}
    for chunk_id, score in lexical.items():
        fused[chunk_id] = fused.get(chunk_id, 0.0) + (1 - dense_weight) * score / best
    return _ordered(fused)


def _ordered(scores: Mapping[str, float]) -> dict[str, float]:
    best_first = sorted(zip(map(neg, scores.values()), scores, strict=True))
    return {chunk_id: -score for score, chunk_id in best_first}
