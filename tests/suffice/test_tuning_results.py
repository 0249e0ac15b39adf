"""`suffice eval report` and `suffice eval compare`: from the files of a tuning."""

from pathlib import Path

import pytest

from eval.answer_scores import Fault
from eval.report.page import render_report
from eval.results import Result
from suffice import options
from suffice.tuning_output import print_result
from tests.suffice.terminal import Suffice
from tests.tunings import NUM_QUESTIONS, make_answered, make_result, with_coverage, with_faults

ALL = with_coverage([1.0] * NUM_QUESTIONS)
NONE = with_coverage([0.0] * NUM_QUESTIONS)
# Every eighth cluster of three questions loses all: 0.125 +- 0.07.
SOME = with_coverage([0.0 if one // 3 % 8 == 0 else 1.0 for one in range(NUM_QUESTIONS)])
OTHER_FILE = make_result({"questions": ALL.questions.model_copy(update={"sha256": "aa" * 32})})


@pytest.mark.parametrize(
    ("new", "code", "says"),
    [
        (ALL, 0, "PASS: the change is +0.000"),
        (NONE, 1, "FAIL: the change is -1.000"),
        (SOME, 2, "INCONCLUSIVE: the change is -0.125"),
        (OTHER_FILE, 3, "MISMATCH: The results are of different files of questions"),
    ],
)
def test_exit_code_is_the_answer(
    offline: Suffice, tmp_path: Path, new: Result, code: int, says: str
) -> None:
    ALL.save(tmp_path / "base.json")
    new.save(tmp_path / "new.json")
    arguments = ("eval", "compare", "base.json", "new.json", "--max-drop", 0.1)
    outcome = offline(*arguments)
    assert outcome.code == code
    assert (outcome.err if code == 3 else outcome.out).startswith(says)
    as_json = offline(*arguments, "--json")
    assert as_json.code == code
    assert as_json.json()["outcome"] == says.split(":", maxsplit=1)[0].lower()


def test_what_cannot_be_read_is_no_failed_change(offline: Suffice, tmp_path: Path) -> None:
    ALL.save(tmp_path / "base.json")
    outcome = offline("eval", "compare", "base.json", "none.json")
    assert outcome.code == 3
    assert outcome.err == "MISMATCH: none.json cannot be read: No such file or directory.\n"


def test_log_names_what_fell_and_what_would_tell(offline: Suffice, tmp_path: Path) -> None:
    ALL.save(tmp_path / "base.json")
    SOME.save(tmp_path / "new.json")
    out = offline("eval", "compare", "base.json", "new.json", "--max-drop", 0.1).out
    assert "both is possible. About " in out
    assert "Evidence in the context: 1.000 -> 0.875." in out
    fell = out.split("Fell most:\n")[1].splitlines()
    assert len(fell) == 10
    assert fell[0] == "  1.000 -> 0.000  q-0"


def test_tokens_that_two_models_counted_are_not_compared_in_silence(
    offline: Suffice, tmp_path: Path
) -> None:
    other = ALL.fingerprints.model_copy(update={"tokenizer": "another"})
    ALL.save(tmp_path / "base.json")
    ALL.model_copy(update={"fingerprints": other}).save(tmp_path / "new.json")
    says = "Each model counted its own tokens"
    assert says not in offline("eval", "compare", "base.json", "base.json").out
    assert says in offline("eval", "compare", "base.json", "new.json").out


def test_report_lies_beside_the_result_or_where_asked(offline: Suffice, tmp_path: Path) -> None:
    (tmp_path / "tuning").mkdir()
    result = make_result()
    result.save(tmp_path / "tuning" / "result.json")
    outcome = offline("eval", "report", "tuning/result.json")
    assert (outcome.code, outcome.out) == (0, "Written to tuning/report.html.\n")
    assert (tmp_path / "tuning" / "report.html").read_text("utf-8") == render_report(result)
    assert offline("eval", "report", "tuning", "--output", "a.html").code == 0
    assert (tmp_path / "a.html").is_file()


def test_what_answers_say_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options.console, "width", 200)
    print_result(make_answered(), Path("tuning"))
    out = capsys.readouterr().out
    for text in (
        "change (A/A 0.017)",
        "Answers graded by mistral-small-4 (uncalibrated; 2% of the replies were no verdict)",
        "the race took 64% of all settings times questions",
        "10% of the answers changed, their quality by 0.017",
        "Wrong now, of 240: ",
        "99.7% of the chunks are the same",
        "Thinking before the answer: +0.034 (+0.011 to +0.057) of the quality (A/A 0.017). Better",
        "Reranker: not measured. There is none: RETRIEVAL_RERANKER is not set.",
    ):
        assert text in out


def test_answers_without_a_verdict_are_not_called_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options.console, "width", 200)
    print_result(with_faults({Fault.NONE: 200, Fault.READER: 10, Fault.UNJUDGED: 30}), Path())
    assert "Wrong now, of 240: 10 reader. Not judged: 30." in capsys.readouterr().out


def test_report_that_cannot_be_written_is_one_line(offline: Suffice, tmp_path: Path) -> None:
    make_result().save(tmp_path / "result.json")
    outcome = offline("eval", "report", "result.json", "--output", "none/a.html")
    assert outcome.code == 1
    assert outcome.err == (
        "The report cannot be written to none/a.html: No such file or directory. "
        "Choose another place with --output.\n"
    )
