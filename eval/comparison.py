"""The gate of a change in continuous integration: two results of tunings, question by question."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from eval.decisions.gate import Comparison, compare
from eval.decisions.items import Floats, cluster_means
from eval.errors import MismatchError
from eval.results import Measured, Result

MOST_FALLEN = 10


@dataclass(frozen=True, slots=True)
class Fallen:
    """A question whose coverage fell."""

    question_id: str
    base: float
    new: float


@dataclass(frozen=True, slots=True)
class ResultComparison:
    """What became of the coverage of the questions that both results have.

    Attributes:
        comparison: outcome and difference, over clusters.
        max_drop: how much the mean was allowed to fall.
        base_setting: that was measured before, in words.
        new_setting: after the change.
        num_questions: that were compared.
        num_clusters: of these.
        num_lost: of these, whose evidence is not in the documents any more: found no more either.
        num_only_base: other questions that are in one result only.
        num_only_new: likewise.
        base_coverage: mean over the clusters.
        new_coverage: likewise.
        base_tokens: likewise of the prompts, of the questions that both have.
        new_tokens: likewise.
        are_tokens_alike: whether both were counted by the same tokenizer.
        fallen: the questions that fell most, up to `MOST_FALLEN`, the worst first.
    """

    comparison: Comparison
    max_drop: float
    base_setting: str
    new_setting: str
    num_questions: int
    num_clusters: int
    num_lost: int
    num_only_base: int
    num_only_new: int
    base_coverage: float
    new_coverage: float
    base_tokens: float
    new_tokens: float
    are_tokens_alike: bool
    fallen: tuple[Fallen, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON types."""
        fields = asdict(self)
        comparison = fields.pop("comparison")
        return {**comparison, **fields}


def compare_results(
    base: Result, new: Result, max_drop: float, setting: str | None = None
) -> ResultComparison:
    """Compare the coverage of the same questions before and after a change.

    Clusters are those of the base: where documents are few they are stretches of text, and those
    move when a document, or the size of chunks, is changed.

    Args:
        base: before.
        new: after.
        max_drop: how much the mean may fall, in (0, 1].
        setting: the name of what is compared in both; None: what each was served by.

    Raises:
        MismatchError: the results are not about the same questions, or the setting is not in both.
        ValueError: max_drop is out of its range.
    """
    before = _setting(base, setting, "base")
    after = _setting(new, setting, "new")
    if setting is not None and before.profile != after.profile:
        raise MismatchError(
            f"{setting!r} is {before.label!r} in the base and {after.label!r} in the new result. "
            "Tune both states with the same options."
        )
    pairs = list(_pairs(base, new))
    shared, columns = [row for row, _ in pairs], [column for _, column in pairs]
    lost = [
        row
        for row, question in enumerate(base.question_ids)
        if question in new.questions.dropped and row not in shared
    ]
    rows = [*shared, *lost]
    clusters = [base.clusters[row] for row in rows]
    base_scores = np.array(before.item_coverage)[rows]
    new_scores = np.array([*np.array(after.item_coverage)[columns], *[0.0] * len(lost)])
    comparison = compare(base_scores, new_scores, clusters, max_drop)
    both = clusters[: len(shared)]
    worst = np.argsort(new_scores - base_scores, kind="stable")[:MOST_FALLEN]
    return ResultComparison(
        comparison=comparison,
        max_drop=max_drop,
        base_setting=before.label,
        new_setting=after.label,
        num_questions=len(rows),
        num_clusters=len(set(clusters)),
        num_lost=len(lost),
        num_only_base=len(base.question_ids) - len(rows),
        num_only_new=len(new.question_ids) - len(pairs),
        base_coverage=_mean(base_scores, clusters),
        new_coverage=_mean(new_scores, clusters),
        base_tokens=_mean(np.array(before.item_tokens)[shared], both),
        new_tokens=_mean(np.array(after.item_tokens)[columns], both),
        are_tokens_alike=base.fingerprints.tokenizer == new.fingerprints.tokenizer,
        fallen=tuple(
            Fallen(base.question_ids[rows[pair]], float(base_scores[pair]), float(new_scores[pair]))
            for pair in worst
            if new_scores[pair] < base_scores[pair]
        ),
    )


def _mean(values: Floats, clusters: Sequence[str]) -> float:
    """Return the mean over clusters, as a tuning reports it."""
    return float(np.mean(cluster_means(values, clusters)))


def _setting(result: Result, name: str | None, which: str) -> Measured:
    try:
        return result.setting(name or result.reference)
    except KeyError:
        names = ", ".join(one.name for one in result.settings)
        raise MismatchError(
            f"The {which} result has no setting {name!r}, so nothing is compared. It has: {names}."
        ) from None


def _pairs(base: Result, new: Result) -> Iterator[tuple[int, int]]:
    """Yield the place in both results of each question that they share."""
    if base.questions.sha256 != new.questions.sha256:
        raise MismatchError(
            "The results are of different files of questions (SHA-256 "
            f"{base.questions.sha256[:12]} and {new.questions.sha256[:12]}). Tune both states with "
            "the same file; after questions were added, make the base anew."
        )
    places = {question: place for place, question in enumerate(new.question_ids)}
    shared = [question for question in base.question_ids if question in places]
    if not shared:
        raise MismatchError(
            "The results share no question: they were split differently (seeds "
            f"{base.questions.seed} and {new.questions.seed}), or none was left. "
            "Tune both states with the same seed."
        )
    for place, question in enumerate(base.question_ids):
        if question in places:
            yield place, places[question]
