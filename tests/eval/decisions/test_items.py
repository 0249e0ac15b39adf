"""Clusters are what is counted."""

import numpy as np
import pytest

from eval.decisions.items import cluster_means


def test_each_cluster_is_one_item_whatever_its_size() -> None:
    values = np.array([[1.0, 0.0, 0.5, 1.0], [0.0, 0.0, 1.0, 0.5]])
    means = cluster_means(values, ["b", "a", "b", "b"])
    assert means.tolist() == pytest.approx(
        np.array([[0.0, (1 + 0.5 + 1) / 3], [0.0, (0 + 1 + 0.5) / 3]])
    )


def test_no_questions_have_no_clusters() -> None:
    assert cluster_means(np.empty((2, 0)), []).shape == (2, 0)


def test_every_question_has_a_cluster() -> None:
    with pytest.raises(ValueError, match="2 questions, but 1 clusters"):
        cluster_means(np.zeros(2), ["a"])
