"""Pairs: what shadow answers tell about a candidate, as mean differences with intervals."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.intervals import MeanInterval, question_t_interval

MEASURES = ("prompt_tokens", "completion_tokens", "usd", "seconds", "grounded", "citations")


@dataclass(frozen=True, slots=True)
class PairedMeasure:
    """One measure of both profiles.

    Attributes:
        served: its mean over the answers that were given.
        shadow: its mean over the others.
        difference: of shadow and served; None with fewer than two different questions.
    """

    served: float
    shadow: float
    difference: MeanInterval | None


@dataclass(frozen=True, slots=True)
class ShadowComparison:
    """A candidate beside what served a collection.

    Attributes:
        collection: that was asked.
        profile: name of the one that served.
        candidate: name of the other one.
        num_pairs: answers compared.
        num_questions: different ones.
        same_share: of pairs whose answers have the same words.
        measures: by name, see `MEASURES`; dollars only of pairs whose price is known, if there are
            any.
    """

    collection: str
    profile: str
    candidate: str
    num_pairs: int
    num_questions: int
    same_share: float
    measures: Mapping[str, PairedMeasure]


def compare_pairs(pairs: Iterable[Mapping[str, Any]]) -> list[ShadowComparison]:
    """Compare what pairs say of each candidate, the latest first.

    A profile that was changed under its name is another one. The same question asked again is not
    another question: the intervals take all its pairs for one cluster.

    Args:
        pairs: as `GET /v1/shadow` lists them, in order of their ids.
    """
    groups: defaultdict[tuple[str, ...], list[Mapping[str, Any]]] = defaultdict(list)
    parts = ("collection", "profile", "profile_digest", "candidate", "candidate_digest")
    for pair in pairs:
        groups[tuple(pair[part] for part in parts)].append(pair)
    latest = sorted(groups.values(), key=lambda group: group[-1]["id"], reverse=True)
    return [_compare(group) for group in latest]


def _compare(group: Sequence[Mapping[str, Any]]) -> ShadowComparison:
    questions = [pair["question"] for pair in group]
    known = {name: [pair for pair in group if _is_known(pair, name)] for name in MEASURES}
    return ShadowComparison(
        collection=group[0]["collection"],
        profile=group[0]["profile"],
        candidate=group[0]["candidate"],
        num_pairs=len(group),
        num_questions=len(set(questions)),
        same_share=sum(pair["is_same"] for pair in group) / len(group),
        measures={name: _measure(pairs, name) for name, pairs in known.items() if pairs},
    )


def _is_known(pair: Mapping[str, Any], name: str) -> bool:
    return None not in (pair["served"][name], pair["shadow"][name])


def _measure(pairs: Sequence[Mapping[str, Any]], name: str) -> PairedMeasure:
    served = [float(pair["served"][name]) for pair in pairs]
    shadow = [float(pair["shadow"][name]) for pair in pairs]
    differences = [after - before for before, after in zip(served, shadow, strict=True)]
    return PairedMeasure(
        served=sum(served) / len(pairs),
        shadow=sum(shadow) / len(pairs),
        difference=question_t_interval(differences, [pair["question"] for pair in pairs]),
    )
