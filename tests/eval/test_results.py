"""A result is kept whole, and one that contradicts itself is refused."""

from pathlib import Path
from typing import Any

import pytest

from eval.errors import DatasetError
from eval.results import Result
from tests.tunings import make_answered, make_answers, make_result


def test_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    make_result().save(path)
    assert Result.load(path) == make_result()
    make_answered().save(path)
    assert Result.load(path) == make_answered()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"reference": "gone"}, "there is no setting 'gone'"),
        ({"settings": [make_result().settings[0]] * 2}, "two settings have the same name"),
        ({"question_ids": ["q"] * 240}, "a question is there twice"),
        ({"groups": {"human": ["gone"]}}, "a group has a question that is not there"),
        ({"groups": {"human": []}}, "a group has no question"),
        ({"clusters": ["c"]}, "clusters and items must be as many as questions"),
        (
            {"settings": make_result().settings[:4], "answers": make_answers()},
            "answers are there of a setting that is not",
        ),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make_result(changes)


def test_other_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none\.json cannot be read: No such file"):
        Result.load(tmp_path / "none.json")
    (tmp_path / "other.json").write_text('{"version": 1}')
    with pytest.raises(DatasetError, match=r"other\.json holds no result of a tuning: created: "):
        Result.load(tmp_path / "other.json")
