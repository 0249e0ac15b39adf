"""Measures are ir-measures' own, of the order alone."""

from math import log2

import ir_measures
import pytest
from ir_measures import RR, R, nDCG

from eval.measures import measure_queries, measure_rankings


def test_values_are_the_formulas() -> None:
    qrels = {"q1": {"a": 2, "b": 1, "c": 0}}
    assert measure_rankings(qrels, {"q1": ["c", "a", "x", "b"]}) == pytest.approx(
        {
            "nDCG@10": (2 / log2(3) + 1 / log2(5)) / (2 / log2(2) + 1 / log2(3)),
            "R@10": 2 / 2,
            "R@100": 2 / 2,
            "RR@10": 1 / 2,
        }
    )


def test_cut_offs() -> None:
    ranking = [f"x{rank}" for rank in range(1, 11)] + ["a"]
    measured = measure_rankings({"q1": {"a": 1}}, {"q1": ranking})
    assert measured == {"nDCG@10": 0, "R@10": 0, "R@100": 1, "RR@10": 0}


@pytest.mark.parametrize("missing", [{}, {"q2": []}], ids=["no ranking", "empty ranking"])
def test_judged_query_without_ranking_scores_zero(missing: dict[str, list[str]]) -> None:
    qrels = {"q1": {"a": 1}, "q2": {"b": 1}}
    measured = measure_rankings(qrels, {"q1": ["a"], **missing})
    assert set(measured.values()) == {(1 + 0) / 2}


def test_nothing_found_at_all() -> None:
    assert set(measure_rankings({"q1": {"a": 1}}, {}).values()) == {0.0}


def test_rankings_of_unjudged_queries_do_not_count() -> None:
    assert measure_rankings({"q1": {"a": 1}}, {"q1": ["a"], "q2": ["b"]})["RR@10"] == 1


def test_agrees_with_ir_measures_on_trec_text() -> None:
    qrels = "q1 0 a 1\nq1 0 b 2\nq2 0 c 1\nq3 0 a 1\n"
    run = "q1 Q0 b 1 9 x\nq1 Q0 d 2 8 x\nq1 Q0 a 3 7 x\nq2 Q0 a 1 9 x\nq2 Q0 c 2 8 x\n"
    expected = ir_measures.calc_aggregate(
        [nDCG @ 10, R @ 10, R @ 100, RR @ 10],
        list(ir_measures.read_trec_qrels(qrels)),  # type: ignore[no-untyped-call]
        list(ir_measures.read_trec_run(run)),  # type: ignore[no-untyped-call]
    )
    measured = measure_rankings(
        {"q1": {"a": 1, "b": 2}, "q2": {"c": 1}, "q3": {"a": 1}},
        {"q1": ["b", "d", "a"], "q2": ["a", "c"]},
    )
    assert measured == {str(measure): value for measure, value in expected.items()}


def test_the_means_are_those_of_the_queries() -> None:
    qrels = {"q1": {"a": 1, "b": 2}, "q2": {"c": 1}, "q3": {"a": 1}}
    rankings = {"q1": ["b", "d", "a"], "q2": ["a", "c"]}
    values = measure_queries(qrels, rankings)
    assert values["RR@10"] == {"q1": 1, "q2": 1 / 2, "q3": 0}
    means = {measure: sum(each.values()) / 3 for measure, each in values.items()}
    assert measure_rankings(qrels, rankings) == pytest.approx(means)
