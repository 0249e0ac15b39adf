"""How long evaluations tell how far they are."""

from typing import Protocol


class Progress(Protocol):
    """Called now and then during an evaluation."""

    def __call__(self, step: str, done: int, total: int, note: str = "") -> None:
        """Take note that `done` of `total` units of a step, such as `documents`, are finished.

        Args:
            step: its name.
            done: finished units.
            total: all units.
            note: what else to show, such as what was spent.
        """


def silent(step: str, done: int, total: int, note: str = "") -> None:
    """Show nothing."""
