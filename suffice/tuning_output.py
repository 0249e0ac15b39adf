"""What a tuning prints in a terminal."""

from pathlib import Path

import numpy as np
from rich.table import Table

from eval.answer_scores import Fault
from eval.counted import counted
from eval.intervals import MeanInterval
from eval.pareto import pareto_front
from eval.results import Answers, Measured, Result, Verdict
from suffice.options import FEWEST_QUESTIONS, console, error_console, escape


def print_result(result: Result, folder: Path) -> None:
    """Print the settings, the tests and the verdict."""
    decision = result.decision
    tested = {one.name: one.p_value for one in decision.tested}
    table = Table("setting", "prompt tokens", "evidence coverage", "all evidence", "p")
    for one in _worth_showing(result):
        style = "bold green" if one.name == decision.chosen else None
        p_value = tested.get(one.name)
        table.add_row(
            escape(one.label) + (" (now)" if one.name == result.reference else ""),
            f"{one.prompt_tokens.mean:,.0f}",
            _interval(one.coverage),
            f"{one.sufficient.mean:.2f}",
            "" if p_value is None else f"{p_value:.3f}",
            style=style,
        )
    counts = result.questions
    console.print(table)
    console.print(
        f"{counted(result.num_settings, 'setting')}; chosen with "
        f"{counted(counts.num_tune, 'question')}, measured on "
        f"{counted(counts.num_certify, 'other')} in "
        f"{counted(counts.num_clusters_certify, 'cluster')}."
    )
    if result.answers is not None:
        _print_answers(result, result.answers)
    if result.search_noise is not None:
        noise = result.search_noise
        console.print(
            f"Searched again by the service, {counted(noise.num_questions, 'question')}: "
            f"{noise.share_same:.1%} of the chunks are the same."
        )
    _print_stages(result)
    for warning in result.warnings:
        error_console.print(f"[yellow]Warning:[/] {escape(warning)}")
    if result.budget is not None:
        console.print(escape(result.budget.statement))
    console.print(f"[bold]{escape(decision.statement)}[/]")
    console.print(f"The report: {folder / 'report.html'}", markup=False)
    if decision.questions_needed is not None:
        wanted = counts.num_answerable + counts.num_unanswerable + decision.questions_needed
        number = max(wanted, FEWEST_QUESTIONS)
        console.print(
            f"To make as many: suffice eval synth more.jsonl --collection {result.collection} "
            f"--number {number}. Questions about the same parts of documents do not count again; "
            "where the documents give no others, add documents or ask for less."
        )
    if decision.verdict is Verdict.CERTIFIED:
        console.print(f"Serve it: suffice eval apply {folder}", markup=False)


def _worth_showing(result: Result) -> list[Measured]:
    """Return what no other setting beats in both, what is served and what was chosen or tested."""
    tokens = np.array([one.prompt_tokens.mean for one in result.settings])
    coverage = np.array([one.coverage.mean for one in result.settings])
    front = {result.settings[number].name for number in pareto_front(tokens, coverage)}
    names = front | {result.reference, result.decision.chosen}
    names |= {one.name for one in result.decision.tested}
    shown = (one for one in result.settings if one.name in names)
    return sorted(shown, key=lambda one: -one.prompt_tokens.mean)


def _print_stages(result: Result) -> None:
    for stage in result.stages:
        console.print(f"{escape(stage.name)}: {_signed(stage.coverage)}. {stage.statement}")
    for answering in result.answers.stages if result.answers is not None else ():
        console.print(
            f"{escape(answering.name)}: {_signed(answering.quality)} of the quality"
            f"{_floor(result.answers)}. {escape(answering.statement)}"
        )
    for name, reason in result.not_measured.items():
        console.print(f"[dim]{escape(name)}: not measured. {escape(reason)}[/]")


def _print_answers(result: Result, answers: Answers) -> None:
    table = Table(
        *("answers", "prompt tokens", "quality", f"change{_floor(answers)}"),
        *("F1", "citations right", "evidence cited"),
    )
    for one in answers.settings:
        table.add_row(
            escape(result.setting(one.name).label),
            f"{one.prompt_tokens.mean:,.0f}",
            _interval(one.quality) if one.flaw is None else escape(one.flaw),
            "" if one.change is None else _signed(one.change),
            *map(_share, (one.f1, one.citation_precision, one.citation_recall)),
        )
    for name, flaw in answers.race.invalid.items():
        if answers.setting(name) is None:
            table.add_row(escape(result.setting(name).label), "", escape(flaw))
    console.print(table)
    console.print(
        f"Answers {_how_judged(answers)}; {counted(answers.num_calls, 'call')} in this run, "
        f"${answers.usd:.4f}; the race took {answers.race.share_of_grid:.0%} of all settings "
        "times questions."
    )
    served = answers.setting(result.reference)
    if served is not None:
        wrong = [
            f"{number} {fault}"
            for fault, number in served.faults.items()
            if fault not in {Fault.NONE, Fault.UNJUDGED}
        ]
        unjudged = served.faults.get(Fault.UNJUDGED, 0)
        also = f" Not judged: {unjudged}." if unjudged else ""
        console.print(f"Wrong now, of {len(served.items)}: {', '.join(wrong)}.{also}")
    if answers.noise is not None:
        noise = answers.noise
        console.print(
            f"A/A, {counted(noise.num_questions, 'question')} answered once more by what is "
            f"served now: {noise.share_changed:.0%} of the answers changed, their quality by "
            f"{noise.quality:.3f} in the mean."
        )


def _floor(answers: Answers | None) -> str:
    noise = None if answers is None else answers.noise
    return "" if noise is None else f" (A/A {noise.quality:.3f})"


def _how_judged(answers: Answers) -> str:
    judge = answers.judge
    if judge is None:
        return "scored by their words"
    calibrated = "corrected by labels" if answers.is_calibrated else "uncalibrated"
    return (
        f"graded by {escape(judge.model)} ({calibrated}; {judge.failure_rate:.0%} of the replies "
        "were no verdict)"
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _interval(one: MeanInterval) -> str:
    return f"{one.mean:.3f} ({one.low:.3f} to {one.high:.3f})"


def _signed(one: MeanInterval) -> str:
    return f"{one.mean:+z.3f} ({one.low:+z.3f} to {one.high:+z.3f})"
