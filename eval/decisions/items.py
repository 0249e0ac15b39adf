"""What a test counts: one number for each cluster of questions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def cluster_means(values: Floats, clusters: Sequence[str]) -> Floats:
    """Return the mean of each cluster; each then counts the same, whatever its size.

    Questions about one document succeed and fail together, so the cluster is what is drawn
    independently, and what an error rate can be promised for.

    Args:
        values: (..., num_questions).
        clusters: the cluster of each question.

    Returns:
        (..., num_clusters), in the order of the sorted names of the clusters.

    Raises:
        ValueError: there are more or fewer clusters than questions.
    """
    if values.shape[-1] != len(clusters):
        raise ValueError(f"{values.shape[-1]} questions, but {len(clusters)} clusters of questions")
    if not clusters:
        return values
    _, cluster_of, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    by_cluster = values[..., np.argsort(cluster_of, kind="stable")]
    starts = np.cumsum(sizes) - sizes
    means: Floats = np.add.reduceat(by_cluster, starts, axis=-1) / sizes
    return means


def check_range(name: str, values: Floats, low: float, high: float) -> None:
    """Raise ValueError unless all values are in [low, high]; NaN is not."""
    if not np.all((values >= low) & (values <= high)):
        raise ValueError(f"{name} must be in [{low:g}, {high:g}]")
