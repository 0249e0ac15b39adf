"""Human labels correct a judge's mean; without them it is uncalibrated."""

import json
from pathlib import Path

import numpy as np
import pytest

from eval.decisions.prediction_powered import prediction_powered_mean
from eval.errors import DatasetError
from eval.labels import add_unlabelled, answer_id, correct_mean, load_labels


def test_labels_correct_the_mean() -> None:
    # The judge finds all right; people find half of what they saw wrong.
    grades = {str(number): 1.0 for number in range(100)}
    labels = {str(number): float(number % 2) for number in range(20)} | {"another": 0.0}
    labelled = correct_mean(grades, labels, {one: one for one in grades})
    assert (labelled.mean, labelled.num_labels, labelled.is_calibrated) == (1.0, 20, True)
    expected = prediction_powered_mean(
        np.array([number % 2 for number in range(20)], float), np.ones(20), np.ones(80)
    )
    assert labelled.corrected == expected
    assert expected.mean == 0.5
    assert expected.low < 0.5 < expected.high < 1


@pytest.mark.parametrize("labels", [{}, {"0": 1.0}, {"x": 1.0, "y": 0.0}])
def test_without_labels_of_these_answers_the_mean_is_uncalibrated(labels: dict[str, float]) -> None:
    grades = {"0": 1.0, "1": 0.0, "2": 0.5, "3": 0.5}
    labelled = correct_mean(grades, labels, {one: one for one in grades})
    assert (labelled.mean, labelled.corrected) == (0.5, None)
    assert not labelled.is_calibrated


def test_labels_of_one_document_do_not_tell_how_much_they_spread() -> None:
    grades = {str(number): float(number % 2) for number in range(40)}
    labels = {str(number): 1.0 for number in range(20)}
    one = {name: "a.md" if name in labels else name for name in grades}
    assert correct_mean(grades, labels, one).corrected is None
    # Five questions of a document that the judge grades alike say no more than one.
    five = {name: f"{int(name) // 10} {int(name) % 2}.md" for name in grades}
    alone, together = (
        correct_mean(grades, labels, clusters).corrected
        for clusters in ({name: name for name in grades}, five)
    )
    assert alone is not None
    assert together is not None
    assert together.mean == alone.mean
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_another_answer_has_another_id() -> None:
    ids = {answer_id(question, text) for question in ("q1", "q2") for text in ("a", "b")}
    assert len(ids) == 4
    assert answer_id("q1", "a") == answer_id("q1", "a")


def test_what_is_written_is_read_once_it_is_filled_in(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    answers = [
        {"id": one, "question": "q?", "reference": "r", "answer": "\u00e4"} for one in ("a", "b")
    ]
    add_unlabelled(path, answers[::-1])
    assert load_labels(path) == {}
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines[1]["score"] = 0.5
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    assert load_labels(path) == {"b": 0.5}
    # Another run adds what is new, and takes nothing away.
    add_unlabelled(path, [*answers, {**answers[0], "id": "c"}])
    assert load_labels(path) == {"b": 0.5}
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (['{"id": "a", "score": 2}'], r"line 1: 'score' must be a number from 0 to 1"),
        (['{"id": "a", "score": true}'], "'score' must be a number"),
        (['{"id": "a", "score": NaN}'], "'score' must be a number"),
        (['{"score": 1}'], "'id' must be text"),
        (
            ['{"id": "a", "score": 1}', '{"id": "a", "score": 0}'],
            "line 2: the id 'a' is there twice",
        ),
    ],
)
def test_bad_labels(tmp_path: Path, lines: list[str], problem: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(DatasetError, match=problem):
        load_labels(path)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be written"):
        add_unlabelled(tmp_path / "no" / "labels.jsonl", [])
