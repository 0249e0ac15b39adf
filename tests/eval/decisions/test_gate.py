"""The gate has three answers."""

from math import ceil

import numpy as np
import pytest

from benchmarks.decisions import gate_errors
from eval.decisions.gate import FEWEST_CLUSTERS, Comparison, Outcome, compare
from eval.decisions.sample_size import items_needed

CLUSTERS = [str(question) for question in range(100)]
BASE = np.full(100, 0.5)
# Mean 0, standard deviation 0.1 * sqrt(100 / 99).
NOISE = np.tile([0.1, -0.1], 50)


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (0.0, Outcome.PASS),
        (0.1, Outcome.PASS),
        (-0.04, Outcome.INCONCLUSIVE),
        (-0.06, Outcome.INCONCLUSIVE),
        (-0.1, Outcome.FAIL),
    ],
)
def test_outcome_is_where_the_interval_lies(change: float, outcome: Outcome) -> None:
    result = compare(BASE, BASE + change + NOISE, CLUSTERS, max_drop=0.05)
    assert result.outcome is outcome
    assert result.difference is not None
    assert result.difference.mean == pytest.approx(change)


def test_inconclusive_says_how_many_clusters_would_tell() -> None:
    needed = compare(BASE, BASE - 0.04 + NOISE, CLUSTERS, max_drop=0.05).clusters_needed
    # z[0.975] = 1.960 and z[0.8] = 0.842; the mean is 0.01 above the bound.
    assert needed == ceil((1.95996 + 0.84162) ** 2 * 0.01 * 100 / 99 / 0.01**2)
    assert needed == items_needed(0.1 * np.sqrt(100 / 99), 0.01, delta=0.025)


def test_on_the_bound_no_number_would_tell() -> None:
    base = np.full(12, 0.5)
    new = np.array([0.25, 0.25, 0.5, 0.5] * 3)
    result = compare(base, new, list("abcdefghijkl"), max_drop=0.125)
    assert result.outcome is Outcome.INCONCLUSIVE
    assert result.clusters_needed is None


def test_one_document_does_not_tell() -> None:
    assert compare(BASE, BASE, ["one"] * 100, max_drop=0.05) == Comparison(
        Outcome.INCONCLUSIVE, None, FEWEST_CLUSTERS
    )


@pytest.mark.parametrize("number", [2, 9, 10])
def test_few_questions_do_not_tell_even_if_nothing_changed(number: int) -> None:
    same = compare(BASE[:number], BASE[:number], CLUSTERS[:number], max_drop=0.05)
    fallen = compare(BASE[:number], BASE[:number] - 0.5, CLUSTERS[:number], max_drop=0.05)
    if number < FEWEST_CLUSTERS:
        outcomes = (Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE)
        assert same.clusters_needed == FEWEST_CLUSTERS
    else:
        outcomes = (Outcome.PASS, Outcome.FAIL)
    assert (same.outcome, fallen.outcome) == outcomes


def test_scores_of_other_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="100 scores before and 99 after"):
        compare(BASE, BASE[1:], CLUSTERS, max_drop=0.05)


def test_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="max_drop is 0"):
        compare(BASE, BASE, CLUSTERS, max_drop=0)
    with pytest.raises(ValueError, match="confidence is 95"):
        compare(BASE, BASE, CLUSTERS, max_drop=0.05, confidence=95)
    with pytest.raises(ValueError, match="scores must be in"):
        compare(BASE, BASE + 1, CLUSTERS, max_drop=0.05)


def test_the_same_system_rarely_fails_twice() -> None:
    for figure in gate_errors(np.random.default_rng(1), 100, sizes=(100,)):
        if figure.method == "fail":
            assert figure.error <= 0.05
