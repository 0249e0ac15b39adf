"""What a setting does to questions of each kind, tag and language."""

from dataclasses import dataclass

import numpy as np

from eval.decisions.items import Floats, cluster_means
from eval.intervals import MeanInterval, cluster_t_interval
from eval.results import Result


@dataclass(frozen=True, slots=True)
class Group:
    """Questions that have something in common; each cluster of them counts the same.

    Attributes:
        name: what they have in common.
        num_questions: how many there are.
        coverage_now: mean share of their evidence in the context as it is served.
        coverage_new: in that of what was chosen.
        change: of the coverage, paired, 95 % interval over clusters; None: they are of one cluster.
        tokens_now: mean of their prompts as they are served.
        tokens_new: as was chosen.
    """

    name: str
    num_questions: int
    coverage_now: float
    coverage_new: float
    change: MeanInterval | None
    tokens_now: float
    tokens_new: float


def compare_groups(result: Result) -> list[Group]:
    """Compare what was chosen with what is served, group by group."""
    places = {one: place for place, one in enumerate(result.question_ids)}
    return [
        _compare(result, name, [places[one] for one in ids]) for name, ids in result.groups.items()
    ]


def _compare(result: Result, name: str, places: list[int]) -> Group:
    served, chosen = result.served, result.chosen
    now, new = (np.array(one.item_coverage)[places] for one in (served, chosen))
    clusters = [result.clusters[place] for place in places]

    def mean(values: Floats) -> float:
        return float(cluster_means(values, clusters).mean())

    return Group(
        name=name,
        num_questions=len(places),
        coverage_now=mean(now),
        coverage_new=mean(new),
        change=cluster_t_interval((new - now).tolist(), clusters),
        tokens_now=mean(np.array(served.item_tokens, float)[places]),
        tokens_new=mean(np.array(chosen.item_tokens, float)[places]),
    )
