"""Progress bars on standard error; where that is no terminal, none."""

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from suffice.options import error_console


def make_bars() -> Progress:
    """Return bars that vanish when they end; each task has a field `note`, shown as it is."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeRemainingColumn(compact=True),
        console=error_console,
        transient=True,
        disable=not error_console.is_terminal,
    )
