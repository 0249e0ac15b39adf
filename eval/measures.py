"""Ranking measures, by ir-measures (MacAvaney et al., ECIR 2022)."""

from collections.abc import Mapping, Sequence

import ir_measures
from ir_measures import RR, R, nDCG

from eval.beir import Qrels

# 1 / rank over 10 ranks, and the two cut-offs at which BEIR reports.
MEASURES = (nDCG @ 10, R @ 10, R @ 100, RR @ 10)


def measure_rankings(qrels: Qrels, rankings: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Return the mean of each measure over the judged queries, in [0, 1].

    The order alone counts: ir-measures is given scores that fall strictly with the rank, because
    its parts break ties differently. A judged query without a ranking scores 0.

    Args:
        qrels: query id -> document id -> grade.
        rankings: query id -> distinct document ids, best first.

    Returns:
        `nDCG@10`, `R@10`, `R@100` and `RR@10`, in this order.
    """
    run = {
        query_id: {document_id: -float(rank) for rank, document_id in enumerate(ranking)}
        for query_id, ranking in rankings.items()
        if query_id in qrels and ranking
    }
    means = ir_measures.calc_aggregate(MEASURES, qrels, run)
    return {str(measure): float(means[measure]) for measure in MEASURES}
