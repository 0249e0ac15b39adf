"""What a tuning prints in a terminal."""

from pathlib import Path

from rich.markup import escape
from rich.table import Table

from eval.intervals import MeanInterval
from eval.results import Result, Verdict
from suffice.options import console, error_console


def print_result(result: Result, folder: Path) -> None:
    """Print the settings, the tests and the verdict."""
    decision = result.decision
    tested = {one.name: one.p_value for one in decision.tested}
    table = Table("setting", "prompt tokens", "evidence coverage", "all evidence", "p")
    for one in result.settings:
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
        f"{result.num_settings:,} settings; chosen with {counts.num_tune} questions, measured on "
        f"{counts.num_certify} others about {counts.num_clusters_certify} documents or threads."
    )
    for stage in result.stages:
        console.print(f"{escape(stage.name)}: {_signed(stage.coverage)}. {stage.statement}")
    for warning in result.warnings:
        error_console.print(f"[yellow]Warning:[/] {escape(warning)}")
    console.print(f"[bold]{escape(decision.statement)}[/]")
    console.print(f"The report: {folder / 'report.html'}", markup=False)
    if decision.verdict is Verdict.CERTIFIED:
        console.print(f"Serve it: suffice eval apply {folder}", markup=False)


def _interval(one: MeanInterval) -> str:
    return f"{one.mean:.3f} ({one.low:.3f} to {one.high:.3f})"


def _signed(one: MeanInterval) -> str:
    return f"{one.mean:+.3f} ({one.low:+.3f} to {one.high:+.3f})"
