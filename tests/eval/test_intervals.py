"""Questions of one cluster are one observation."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.intervals import MeanInterval, cluster_t_interval, question_t_interval

T_975_WITH_2_DEGREES = 4.302652729911275


def test_values_are_the_formulas() -> None:
    interval = cluster_t_interval([0.0, 1.0, 1.0, 0.5], ["a", "a", "b", "c"])
    # Cluster means 0.5, 1 and 0.5: their mean is 2/3 and their variance 1/12.
    reach = T_975_WITH_2_DEGREES * sqrt(1 / 12 / 3)
    assert interval is not None
    assert (interval.mean, interval.low, interval.high) == pytest.approx(
        (2 / 3, 2 / 3 - reach, 2 / 3 + reach)
    )
    assert interval.num_clusters == 3


def test_values_that_agree_leave_no_doubt() -> None:
    assert cluster_t_interval([0.5, 0.5], ["a", "b"]) == MeanInterval(0.5, 0.5, 0.5, 2)


@pytest.mark.parametrize("clusters", [[], ["a"], ["a", "a"]])
def test_fewer_than_two_clusters_say_nothing(clusters: list[str]) -> None:
    assert cluster_t_interval([1.0] * len(clusters), clusters) is None
    assert question_t_interval([1.0] * len(clusters), clusters) is None


def test_coverage_with_dependent_questions_where_they_do_not_count_as_items() -> None:
    random = np.random.default_rng(7)
    num_runs, num_clusters, cluster_size = 1000, 20, 10
    clusters = [str(cluster) for cluster in range(num_clusters) for _ in range(cluster_size)]
    questions = [str(question) for question in range(len(clusters))]
    held = naive = 0
    for _ in range(num_runs):
        shared = np.repeat(random.normal(0, 0.5, num_clusters), cluster_size)
        values = shared + random.normal(0, 0.87, num_clusters * cluster_size)
        interval = cluster_t_interval(values.tolist(), clusters)
        assert interval is not None
        held += interval.low <= 0 <= interval.high
        alone = cluster_t_interval(values.tolist(), questions)
        assert alone is not None
        naive += alone.low <= 0 <= alone.high
    assert 0.93 <= held / num_runs <= 0.97
    assert naive / num_runs < 0.8


def test_clusters_count_by_their_size() -> None:
    interval = question_t_interval([0.0, 1.0, 1.0, 0.5], ["a", "a", "b", "c"])
    # The mean is 5/8; the clusters are off it by -1/4, 3/8 and -1/8 in all.
    error = sqrt(((1 / 4) ** 2 + (3 / 8) ** 2 + (1 / 8) ** 2) * 3 / 2) / 4
    reach = T_975_WITH_2_DEGREES * error
    assert interval is not None
    assert (interval.mean, interval.low, interval.high) == pytest.approx(
        (5 / 8, 5 / 8 - reach, 5 / 8 + reach)
    )


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=2, max_size=6))
def test_with_clusters_of_one_size_both_intervals_are_the_same(
    rows: list[tuple[float, ...]],
) -> None:
    values = [value for row in rows for value in row]
    clusters = [str(cluster) for cluster, row in enumerate(rows) for _ in row]
    by_size, alike = question_t_interval(values, clusters), cluster_t_interval(values, clusters)
    assert by_size is not None
    assert alike is not None
    assert (by_size.mean, by_size.low, by_size.high) == pytest.approx(
        (alike.mean, alike.low, alike.high)
    )
