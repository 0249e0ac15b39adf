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
    means = ir_measures.calc_aggregate(MEASURES, qrels, _run(qrels, rankings))
    return {str(measure): float(means[measure]) for measure in MEASURES}


def measure_queries(
    qrels: Qrels, rankings: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, float]]:
    """Return what `measure_rankings` takes the means of: measure -> query id -> value."""
    values: dict[str, dict[str, float]] = {str(measure): {} for measure in MEASURES}
    for metric in ir_measures.iter_calc(MEASURES, qrels, _run(qrels, rankings)):
        values[str(metric.measure)][metric.query_id] = float(metric.value)
    return values


def _run(qrels: Qrels, rankings: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
    return {
        query_id: {document_id: -float(rank) for rank, document_id in enumerate(ranking)}
        for query_id, ranking in rankings.items()
        if query_id in qrels and ranking
    }
