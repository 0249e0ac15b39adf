"""Two halves of the questions: one to choose a setting with, one to certify it on.

Questions about one document succeed and fail together, so all of a cluster are on one side.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from eval.questions import Question

TUNE_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class Split:
    """Questions on two sides, in their order; no cluster is on both."""

    tune: tuple[Question, ...]
    certify: tuple[Question, ...]


def split_by_cluster(
    questions: Iterable[Question], seed: int = 0, tune_share: float = TUNE_SHARE
) -> Split:
    """Draw the side of each cluster by a hash of its name.

    So a cluster stays on its side when others come or go, except that with two clusters or more
    no side is empty: then the cluster nearest to the other side changes over.

    Args:
        questions: to split.
        seed: another one draws anew.
        tune_share: of the clusters, in (0, 1), that are for tuning.
    """
    questions = tuple(questions)
    places = {one.cluster: _place(one.cluster, seed) for one in questions}
    border = tune_share
    if len(places) > 1:
        ascending = sorted(places.values())
        border = min(max(border, ascending[0]), ascending[-2])
    return Split(
        tune=tuple(one for one in questions if places[one.cluster] <= border),
        certify=tuple(one for one in questions if places[one.cluster] > border),
    )


def _place(cluster: str, seed: int) -> float:
    """Return where a cluster falls in [0, 1)."""
    digest = hashlib.sha256(f"{seed} {cluster}".encode("utf-8", "surrogatepass")).digest()
    return float(int.from_bytes(digest[:8]) / (1 << 64))
