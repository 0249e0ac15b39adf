"""Progress bars on standard error; where that is no terminal, none."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from eval.progress import Progress as ShowProgress
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


@contextmanager
def progress_bar() -> Iterator[ShowProgress]:
    """Yield a callback of evaluations that draws a bar for each step."""
    with make_bars() as bars:
        tasks: dict[str, TaskID] = {}

        def show(step: str, done: int, total: int, note: str = "") -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total, note="")
            bars.update(tasks[step], completed=done, total=total, note=note)

        yield show
