"""What a tuning prints: the settings that matter, longest prompts first."""

from pathlib import Path

from eval.results import Result
from suffice.options import console
from suffice.tuning_output import print_result
from tests.tunings import SETTINGS, make_result


def shown(result: Result) -> list[str]:
    """Return the names of the settings that are printed, in their order."""
    names = {f"{k} chunks of {size}": name for name, (size, k) in SETTINGS.items()}
    with console.capture() as capture:
        print_result(result, Path("tuning"))
    rows = [line[1:].strip() for line in capture.get().splitlines() if line.startswith("\u2502")]
    return [name for row in rows for start, name in names.items() if row.startswith(start)]


def test_a_setting_that_another_beats_is_shown_only_if_it_was_tested() -> None:
    # "c" finds more than "b", with 1,690 tokens instead of 2,341.
    assert shown(make_result()) == ["served", "a", "b", "c", "d", "e", "f", "g"]
    assert shown(make_result(tested=[])) == ["served", "a", "c", "d", "e", "f", "g"]


def test_the_order_of_the_result_does_not_matter() -> None:
    result = make_result(tested=[])
    turned = result.model_copy(update={"settings": result.settings[::-1]})
    assert shown(turned) == ["served", "a", "c", "d", "e", "f", "g"]


def test_questions_that_are_missing_come_with_the_command_that_makes_them() -> None:
    result = make_result(verdict="not_certified", chosen="served", questions_needed=100)
    wanted = result.questions.num_answerable + result.questions.num_unanswerable + 100
    five = result.questions.model_copy(update={"num_answerable": 5, "num_unanswerable": 0})
    few = make_result({"questions": five}, verdict="not_certified", questions_needed=2)
    for one, number in ((result, wanted), (few, 10)):  # it makes 10 or more
        with console.capture() as capture:
            print_result(one, Path("tuning"))
        command = f"suffice eval synth more.jsonl --collection {one.collection} --number {number}."
        assert command in " ".join(capture.get().split())
