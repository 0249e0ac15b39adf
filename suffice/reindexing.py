"""Reindexing collections of a service, with bars while it runs."""

import time
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self

from rich.progress import TaskID

from suffice.bars import make_bars
from suffice.client import Client
from suffice.patience import Patience

POLL_SECONDS = 0.5


def reindex(
    client: Client, names: Sequence[str], *, language: str | None = None, force: bool = False
) -> list[dict[str, Any]]:
    """Reindex collections and wait; return these collections as they are then.

    Args:
        client: of the service.
        names: collections; none: all.
        language: that they get; None: each keeps its own.
        force: also those of which nothing is outdated.

    Raises:
        ServiceError: there is no such collection, or the service is away for too long.
    """
    patience = Patience()
    wanted = list(names) or [state["name"] for state in patience.call(client.collections)]
    for name in wanted:
        patience.call(partial(client.reindex, name, language=language, force=force))
    with ReindexingBars() as bars:
        while True:
            states = [s for s in patience.call(client.collections) if s["name"] in wanted]
            bars.show(states)
            if not any(is_under_way(state) for state in states):
                return states
            time.sleep(POLL_SECONDS)


def is_under_way(state: dict[str, Any]) -> bool:
    """Whether a collection is being reindexed."""
    return state["reindexing"] is not None and not has_failed(state)


def has_failed(state: dict[str, Any]) -> bool:
    """Whether the last reindexing of a collection failed."""
    return state["reindexing"] is not None and state["reindexing"]["status"] == "failed"


class ReindexingBars:
    """A bar on standard error for each collection; where that is no terminal, none."""

    def __init__(self) -> None:
        self._bars = make_bars()
        self._tasks: dict[str, TaskID] = {}
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        """Show the bars."""
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wipe them away."""
        self._bars.stop()

    def show(self, states: Sequence[dict[str, Any]]) -> None:
        """Bring the bars up to date."""
        for state in filter(is_under_way, states):
            name, reindexing = state["name"], state["reindexing"]
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(name, total=None, note="")
            rate = reindexing["num_chunks"] / max(time.monotonic() - self._started, POLL_SECONDS)
            self._bars.update(
                self._tasks[name],
                total=state["num_documents"],
                completed=reindexing["num_documents"],
                note=f"documents, {rate:.1f} chunks/s",
            )
