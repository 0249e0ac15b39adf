"""What `suffice eval compare` prints, for a reader of a log, and its exit codes."""

from pathlib import Path

from eval.comparison import ResultComparison, compare_results
from eval.counted import counted
from eval.decisions.gate import Outcome
from eval.decisions.sample_size import MOST_QUESTIONS
from eval.errors import EvalError
from eval.results import Result
from suffice.options import console, error_console, print_json

_EXIT_CODES = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 2}
_MISMATCH = 3


def run_gate(
    base: Path, new: Path, max_drop: float, setting: str | None, *, json_output: bool
) -> int:
    """Compare two results and print what is found.

    Returns:
        The exit code. What cannot be read cannot be compared either, and is no failed change.
    """
    try:
        compared = compare_results(Result.load(base), Result.load(new), max_drop, setting)
    except EvalError as error:
        if json_output:
            print_json({"outcome": "mismatch", "reason": str(error)})
        error_console.print(f"MISMATCH: {error}", style="red", markup=False)
        return _MISMATCH
    if json_output:
        print_json(compared.to_json())
    else:
        _print(compared)
    return _EXIT_CODES[compared.comparison.outcome]


def _print(compared: ResultComparison) -> None:
    console.print(f"{compared.comparison.outcome.upper()}: {_verdict(compared)}", markup=False)
    console.print(
        f"Evidence in the context: {compared.base_coverage:.3f} -> {compared.new_coverage:.3f}. "
        f"Prompt tokens: {compared.base_tokens:,.0f} -> {compared.new_tokens:,.0f}. "
        f"{counted(compared.num_questions, 'question')} in "
        f"{counted(compared.num_clusters, 'cluster')}. "
        f"Settings: {compared.base_setting} -> {compared.new_setting}.",
        markup=False,
    )
    if not compared.are_tokens_alike:
        console.print("Each model counted its own tokens, so those of the prompts do not compare.")
    if compared.num_lost:
        console.print(
            f"Questions whose evidence is not in the documents any more: {compared.num_lost}. They "
            "count as not found; if that is as it should be, make the base anew."
        )
    if compared.num_only_base or compared.num_only_new:
        console.print(
            f"Questions not compared: {compared.num_only_base} that only the base has, and "
            f"{compared.num_only_new} that only the new result has."
        )
    if compared.fallen:
        console.print("Fell most:")
    for fallen in compared.fallen:
        console.print(
            f"  {fallen.base:.3f} -> {fallen.new:.3f}  {fallen.question_id}", markup=False
        )


def _verdict(compared: ResultComparison) -> str:
    difference = compared.comparison.difference
    allowed = f"a loss of {compared.max_drop:g} is allowed"
    change = (
        f"{difference.mean:+.3f}, 95 % interval {difference.low:+.3f} to {difference.high:+.3f}"
    )
    match compared.comparison.outcome:
        case Outcome.PASS:
            return f"the change is {change}; {allowed}."
        case Outcome.FAIL:
            return f"the change is {change}, all of it below -{compared.max_drop:g}: {allowed}."
        case Outcome.INCONCLUSIVE:
            return f"the change is {change}; {allowed}, and both is possible. {_needed(compared)}"


def _needed(compared: ResultComparison) -> str:
    comparison = compared.comparison
    questions, clusters = comparison.questions_needed, comparison.clusters_needed
    if questions is None or clusters is None:
        return (
            f"It would take more than {MOST_QUESTIONS:,} questions in clusters like these to tell, "
            "and nobody writes so many: allow another loss, or ask about more documents."
        )
    return (
        f"About {counted(questions, 'question')} in {counted(clusters, 'cluster')} would tell, "
        "if the change stays as it is."
    )
