"""`suffice reindex`."""

from typing import Annotated

import typer
from rich.table import Table

from retrieval.languages import Language
from suffice.options import Json, Url, console, error_console, print_json, service


def reindex(
    collections: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COLLECTION]...", help="Default: all that are outdated."),
    ] = None,
    language: Annotated[
        Language | None, typer.Option(help="Language that they get; default: each keeps its own.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also what was made with the settings of today.")
    ] = False,
    json_output: Json = False,
    url: Url = None,
) -> None:
    """Make collections anew with the settings of today; they answer meanwhile."""
    from suffice.reindexing import has_failed, reindex  # noqa: PLC0415 - heavy, see cli.py

    if language is not None and not collections:
        raise typer.BadParameter("name the collections that get it.", param_hint="--language")
    with service(url) as client:
        try:
            states = reindex(client, collections or [], language=language, force=force)
        except KeyboardInterrupt:
            who = "The next run" if client.is_embedded else "The service"
            error_console.print(f"Interrupted. {who} goes on with what was begun.", style="yellow")
            raise typer.Exit(130) from None
    if json_output:
        print_json({"collections": states})
    else:
        table = Table("collection", "documents", "chunks", "embedder", "language", "result")
        for state in states:
            reason = state["reindexing"]["reason"] if has_failed(state) else "up to date"
            counts = (str(state["num_documents"]), str(state["num_chunks"]))
            table.add_row(state["name"], *counts, state["embedder"], state["language"], reason)
        console.print(table)
    if any(has_failed(state) for state in states):
        raise typer.Exit(1)
