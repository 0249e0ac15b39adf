"""Progress bars on standard error; where that is no terminal, none."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.text import Text

from eval.progress import Progress as ShowProgress
from suffice.options import error_console

PACE_SECONDS = 30.0


class Pace:
    """How fast something goes, of late.

    It is measured from one change to another that came at least half a minute later: what is
    reported in batches stands still between them. A silence that is longer than that counts.
    rich looks at the last half minute only, in which a slow machine may report nothing.
    """

    def __init__(self, done: float, now: float) -> None:
        """Begin with what was done before.

        Args:
            done: units.
            now: seconds of a clock that the other methods are told, too.
        """
        self._changes = deque([(now, done)])

    def note(self, done: float, now: float) -> None:
        """Take down how many units are done."""
        changes = self._changes
        if done != changes[-1][1]:
            changes.append((now, done))
        while len(changes) > 1 and changes[1][0] <= changes[-1][0] - PACE_SECONDS:
            changes.popleft()

    def per_second(self, now: float) -> float | None:
        """Return units per second, or None as long as nothing was done."""
        (first, before), (last, done) = self._changes[0], self._changes[-1]
        seconds = max(last - first, now - last)
        return (done - before) / seconds if done > before and seconds else None

    def show(self, now: float) -> str:
        """Return units per second for people, `-` as long as nothing was done."""
        rate = self.per_second(now)
        if rate is None:
            return "-"
        return f"{rate:.1f}" if rate >= 1 else f"{rate:.2g}"

    def seconds_left(self, total: float, now: float) -> float | None:
        """Return how long the rest takes at this pace, or None as long as nothing was done."""
        last, done = self._changes[-1]
        rate = self.per_second(now)
        return max(0.0, (total - done) / rate - (now - last)) if rate else None


class SecondsLeftColumn(ProgressColumn):
    """What the rest of each task takes at its pace, in minutes and seconds.

    A field `before` has the units that others did, which tell nothing of the pace.
    """

    def __init__(self) -> None:
        super().__init__()
        self._paces: dict[TaskID, Pace] = {}

    def render(self, task: Task) -> Text:
        """Show them as 12:34 or 1:23:45."""
        now, before = task.get_time(), task.fields.get("before", 0.0)
        done = task.completed - before
        pace = self._paces.setdefault(task.id, Pace(done, now))
        pace.note(done, now)
        if task.total is None:
            return Text("")
        seconds = pace.seconds_left(task.total - before, now)
        return Text("--:--" if seconds is None else duration(seconds), style="progress.remaining")


def duration(seconds: float) -> str:
    """Return a time as 12:34 or 1:23:45."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute:02}:{second:02}"


def make_bars() -> Progress:
    """Return bars that vanish when they end; each task has a field `note`, shown as it is."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        SecondsLeftColumn(),
        console=error_console,
        transient=True,
        disable=not error_console.is_terminal,
    )


@contextmanager
def progress_bar() -> Iterator[ShowProgress]:
    """Yield a callback that draws a bar for each step."""
    with make_bars() as bars:
        tasks: dict[str, TaskID] = {}

        def show(step: str, done: int, total: int, note: str = "") -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total, note="")
            bars.update(tasks[step], completed=done, total=total, note=note)

        yield show
