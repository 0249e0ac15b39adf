"""Fusion of rankings: pure, ties broken by chunk id, so the same input gives the same order."""

from collections.abc import Mapping


def convex_combination(
    dense: Mapping[str, float], lexical: Mapping[str, float], dense_weight: float
) -> dict[str, float]:
    """Fuse two score lists: w * dense / max(dense) + (1 - w) * lexical / max(lexical).

    Both scores have 0 as their natural lowest value (no similarity, no common word), so scaling by
    the maximum alone keeps the fused score independent of how deep the lists are (the theoretical
    min-max variant of Bruch et al., TOIS 2023, arXiv 2210.11934).

    Args:
        dense: cosine similarity of each chunk; below 0 counts as 0.
        lexical: BM25 score of each chunk, 0 or more. A chunk missing from a list scores 0 there.
        dense_weight: w, from 0 to 1.

    Returns:
        chunk id -> score in [0, 1], best first.
    """
    scaled_dense, scaled_lexical = _scale(dense), _scale(lexical)
    fused = {
        chunk_id: dense_weight * scaled_dense.get(chunk_id, 0.0)
        + (1 - dense_weight) * scaled_lexical.get(chunk_id, 0.0)
        for chunk_id in {*dense, *lexical}
    }
    return dict(sorted(fused.items(), key=lambda item: (-item[1], item[0])))


def _scale(scores: Mapping[str, float]) -> dict[str, float]:
    highest = max(scores.values(), default=0.0)
    if highest <= 0:
        return {}
    return {chunk_id: max(0.0, score) / highest for chunk_id, score in scores.items()}
