"""`suffice ingest`."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from suffice.errors import ServiceError
from suffice.options import Collection, Json, Url, console, error_console, print_json, service

if TYPE_CHECKING:
    from suffice.client import Client


def ingest(
    paths: Annotated[list[Path], typer.Argument(exists=True, help="Files and folders.")],
    collection: Collection = "default",
    json_output: Json = False,
    url: Url = None,
) -> None:
    """Upload files and wait until they can be searched. Exit code 1 when one of them cannot."""
    from rich.progress import track  # noqa: PLC0415 - heavy, see cli.py

    show = partial(
        track, console=error_console, transient=True, disable=not error_console.is_terminal
    )
    files = list(_files(paths))
    with service(url) as client:
        uploads = [
            _upload(client, path, name, collection) for path, name in show(files, "Uploading")
        ]
        documents = [
            client.wait(upload["id"]) if "id" in upload else upload
            for upload in show(uploads, "Ingesting")
        ]
    if json_output:
        print_json({"documents": documents})
    else:
        console.print(_table(documents))
    if any(document["status"] == "failed" for document in documents):
        raise typer.Exit(1)


def _files(paths: list[Path]) -> Iterator[tuple[Path, str]]:
    """Yield each file with its external id: the path inside the given folder, or the file name."""
    for path in paths:
        if path.is_file():
            yield path, path.name
        for inner in sorted(path.rglob("*")) if path.is_dir() else ():
            if inner.is_file() and not inner.name.startswith("."):
                yield inner, inner.relative_to(path).as_posix()


def _upload(client: "Client", path: Path, external_id: str, collection: str) -> dict[str, Any]:
    """Upload a file; a refused one becomes a failed document without an id."""
    try:
        return client.upload(path, collection, external_id)
    except ServiceError as error:
        if error.status is None or error.status >= 500:  # noqa: PLR2004 - HTTP: not the file's fault
            raise
        refusal = {"code": "refused", "reason": str(error)}
        return {"filename": external_id, "status": "failed", "num_chunks": None, "error": refusal}


def _table(documents: list[dict[str, Any]]) -> Table:
    table = Table("document", "status", "chunks", "reason")
    for document in documents:
        reason = (document["error"] or {}).get("reason", "")
        name = document.get("external_id", document["filename"])
        table.add_row(name, document["status"], str(document["num_chunks"] or ""), reason)
    return table
