"""The gate has three answers."""

from math import ceil, log

import numpy as np
import pytest

from benchmarks.decisions import gate_errors
from eval.decisions.gate import Outcome, compare
from eval.intervals import MeanInterval

CLUSTERS = [str(question) for question in range(400)]
BASE = np.full(400, 0.5)
# Mean 0, standard deviation 0.1.
NOISE = np.tile([0.1, -0.1], 200)


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (0.0, Outcome.PASS),
        (0.1, Outcome.PASS),
        (-0.045, Outcome.INCONCLUSIVE),
        (-0.055, Outcome.INCONCLUSIVE),
        (-0.1, Outcome.FAIL),
    ],
)
def test_outcome_is_where_the_interval_lies(change: float, outcome: Outcome) -> None:
    result = compare(BASE, BASE + change + NOISE, CLUSTERS, max_drop=0.05)
    assert result.outcome is outcome
    low, mean, high = result.difference.low, result.difference.mean, result.difference.high
    assert mean == pytest.approx(change)
    assert (low >= -0.05, high <= -0.05) == (outcome is Outcome.PASS, outcome is Outcome.FAIL)


@pytest.mark.parametrize(("num_clusters", "outcome"), [(199, "inconclusive"), (200, "pass")])
def test_that_nothing_changed_takes_clusters_to_show(num_clusters: int, outcome: str) -> None:
    # A fall of 0.02 may be one question lost in 50: of 182 none is with a chance of 0.025.
    same = BASE[:num_clusters]
    assert compare(same, same, CLUSTERS[:num_clusters], max_drop=0.02).outcome == outcome


def test_inconclusive_says_how_many_clusters_would_tell() -> None:
    result = compare(BASE, BASE - 0.04 + NOISE, CLUSTERS, max_drop=0.05)
    assert result.outcome is Outcome.INCONCLUSIVE
    # z[0.975] = 1.960 and z[0.8] = 0.842; the mean is 0.01 above the bound. A quarter more.
    assert result.clusters_needed == ceil(1.25 * ceil((1.95996 + 0.84162) ** 2 * 0.01 / 0.01**2))
    assert result.questions_needed == result.clusters_needed
    # Two questions in each.
    pairs = [str(question // 2) for question in range(400)]
    noise = np.repeat(NOISE[:200], 2)
    result = compare(BASE, BASE - 0.04 + noise, pairs, max_drop=0.05)
    assert result.clusters_needed == 982
    assert result.questions_needed == 2 * 982


@pytest.mark.parametrize("change", [-0.05, -0.0499, -0.049])
def test_near_the_bound_no_number_that_anybody_writes_would_tell(change: float) -> None:
    # 7.85 * 0.1^2 / 0.001^2 = 78,500 for the last one.
    result = compare(BASE, BASE + change + NOISE, CLUSTERS, max_drop=0.05)
    assert result.outcome is Outcome.INCONCLUSIVE
    assert (result.clusters_needed, result.questions_needed) == (None, None)


def test_one_document_tells_nothing() -> None:
    result = compare(BASE[:2], BASE[:2], ["one"] * 2, max_drop=0.05)
    assert result.outcome is Outcome.INCONCLUSIVE
    assert result.difference == MeanInterval(0.0, -1.0, 1.0, 1)
    # As many as see nothing of a fall of 0.05 in one run of 40, and a quarter more.
    assert result.clusters_needed == ceil(1.25 * log(40) / 0.05)
    assert result.questions_needed == 2 * result.clusters_needed


def test_scores_of_other_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="400 scores before and 399 after"):
        compare(BASE, BASE[1:], CLUSTERS, max_drop=0.05)


def test_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="max_drop is 0"):
        compare(BASE, BASE, CLUSTERS, max_drop=0)
    with pytest.raises(ValueError, match="confidence is 95"):
        compare(BASE, BASE, CLUSTERS, max_drop=0.05, confidence=95)
    with pytest.raises(ValueError, match="scores must be in"):
        compare(BASE, BASE + 1, CLUSTERS, max_drop=0.05)


def test_errors_are_as_rare_as_promised_where_a_t_interval_errs_more() -> None:
    figures = gate_errors(np.random.default_rng(1), 300, sizes=(60,))
    broken = {(one.method, one.case) for one in figures if not one.kept}
    assert ("t interval: pass", "ties and skew") in broken
    assert {method for method, _ in broken} == {"t interval: pass"}
