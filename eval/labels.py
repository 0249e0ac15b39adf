"""What people say of answers that a model judged as well, and the judge's mean corrected by it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.decisions.prediction_powered import PredictionPoweredMean, prediction_powered_mean
from eval.errors import writing
from eval.json_lines import read_json_lines

# Two clusters of each say how much they spread.
LEAST = 2


@dataclass(frozen=True, slots=True)
class LabelledMean:
    """The judge's mean grade of a setting's answers, with what people say of some of them.

    Attributes:
        mean: of the judge alone.
        corrected: by the labels; None: there are too few, so the mean is uncalibrated.
        num_labels: of these answers.
    """

    mean: float
    corrected: PredictionPoweredMean | None
    num_labels: int

    @property
    def is_calibrated(self) -> bool:
        """Whether people have judged enough of the answers."""
        return self.corrected is not None


def answer_id(question_id: str, answer: str) -> str:
    """Return the id under which people label an answer: another answer has another one."""
    return hashlib.sha256(f"{question_id}\0{answer}".encode()).hexdigest()[:16]


def load_labels(path: Path) -> dict[str, float]:
    """Read labels: a JSON object per line with `id` and `score`, in [0, 1]; other keys may follow.

    Raises:
        DatasetError: the file is missing, a line broken, or an id there twice.
    """
    labels: dict[str, float] = {}
    for line in read_json_lines(path):
        identifier, score = line.non_blank_text("id"), line.fields.get("score")
        if score is None:  # not labelled yet
            continue
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
            raise line.error("'score' must be a number from 0 to 1")
        if identifier in labels:
            raise line.error(f"the id {identifier!r} is there twice")
        labels[identifier] = float(score)
    return labels


def add_unlabelled(path: Path, answers: Iterable[Mapping[str, str]]) -> None:
    """Add answers to a file, for people to fill in `score`; what is there already stays as it is.

    They are added by their ids, which is a random order: the first ones are a sample of all.

    Args:
        path: of the file; there may be none yet.
        answers: each with `id`, `question`, `reference` and `answer`.

    Raises:
        DatasetError: it cannot be read or written.
    """
    known = {line.text("id") for line in read_json_lines(path)} if path.exists() else set()
    new = {one["id"]: one for one in answers if one["id"] not in known}
    with writing(path), path.open("a", encoding="utf-8") as file:
        for _, answer in sorted(new.items()):
            file.write(json.dumps({**answer, "score": None}, ensure_ascii=False) + "\n")


def correct_mean(
    grades: Mapping[str, float], labels: Mapping[str, float], clusters: Mapping[str, str]
) -> LabelledMean:
    """Correct the judge's mean by where people saw it err.

    Args:
        grades: the judge's, by `answer_id`, one or more.
        labels: of people, likewise; those of other answers are passed over.
        clusters: of the questions, likewise.
    """
    both = [one for one in grades if one in labels]
    others = [one for one in grades if one not in labels]
    names = tuple([clusters[one] for one in part] for part in (both, others))
    corrected = None
    if all(len(set(part)) >= LEAST for part in names):
        corrected = prediction_powered_mean(
            np.array([labels[one] for one in both]),
            np.array([grades[one] for one in both]),
            np.array([grades[one] for one in others]),
            clusters=(names[0], names[1]),
        )
    return LabelledMean(float(np.mean(list(grades.values()))), corrected, len(both))
