"""How long evaluations tell how far they are."""

from typing import Protocol


class Progress(Protocol):
    """Called now and then during an evaluation."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """Take note that `done` of `total` units of a step, such as `documents`, are finished."""


def silent(step: str, done: int, total: int) -> None:
    """Show nothing."""
