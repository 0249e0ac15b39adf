"""Reindexing collections of a service, with bars while it runs."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from suffice.bars import progress_bar
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
    started = time.monotonic()
    with progress_bar() as show:
        while True:
            states = [s for s in patience.call(client.collections) if s["name"] in wanted]
            open_states = [state for state in states if is_under_way(state)]
            if not open_states:
                return states
            seconds = max(time.monotonic() - started, POLL_SECONDS)
            for state in open_states:
                done = state["reindexing"]
                note = f"documents, {done['num_chunks'] / seconds:.1f} chunks/s"
                show(state["name"], done["num_documents"], state["num_documents"], note)
            time.sleep(POLL_SECONDS)


def is_under_way(state: dict[str, Any]) -> bool:
    """Whether a collection is being reindexed."""
    return state["reindexing"] is not None and not has_failed(state)


def has_failed(state: dict[str, Any]) -> bool:
    """Whether the last reindexing of a collection failed."""
    return state["reindexing"] is not None and state["reindexing"]["status"] == "failed"
