"""`suffice documents`."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from suffice.options import Json, Url, console, escape, print_json, service

app = typer.Typer(help="List, show, delete and retry documents.", no_args_is_help=True)
ID_WIDTH = 36
Ids = Annotated[list[str], typer.Argument(help="Document ids.")]


@app.command("list")
def list_documents(
    collection: Annotated[str | None, typer.Option(help="Only of this collection.")] = None,
    status: Annotated[str | None, typer.Option(help="Only in this state.")] = None,
    json_output: Json = False,
    url: Url = None,
) -> None:
    """List the documents."""
    with service(url) as client:
        documents = list(client.documents(collection, status))
    if json_output:
        print_json({"documents": documents})
        return
    console.print(_table(documents))


@app.command()
def show(document_id: str, url: Url = None) -> None:
    """Show all that is known of a document, as JSON."""
    with service(url) as client:
        print_json(client.document(document_id))


@app.command()
def delete(document_ids: Ids, url: Url = None) -> None:
    """Delete documents for good."""
    with service(url) as client:
        for document_id in document_ids:
            client.delete(document_id)
            console.print(f"deleted {document_id}")


@app.command()
def retry(document_ids: Ids, url: Url = None) -> None:
    """Ingest failed or partial documents again; exit code 1 when one of them fails again."""
    with service(url) as client:
        for document_id in document_ids:
            client.retry(document_id)
        documents = [client.wait(document_id) for document_id in document_ids]
    for document in documents:
        console.print(f"{document['id']} {document['status']} {escape(_reason(document))}")
    if any(document["status"] == "failed" for document in documents):
        raise typer.Exit(1)


def _table(documents: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table that fits into 80 columns: ids below the names, nothing that goes without."""
    table = Table(Column("document, id", overflow="fold", width=ID_WIDTH))
    has_several = len({one["collection"] for one in documents}) > 1
    if has_several:
        table.add_column("collection", overflow="fold")
    table.add_column("status", no_wrap=True)
    table.add_column("chunks", no_wrap=True)
    has_reasons = any(map(_reason, documents))
    if has_reasons:
        table.add_column("reason", overflow="fold")
    for one in documents:
        cells = [f"{escape(one['external_id'])}\n[dim]{one['id']}[/]"]
        cells += [escape(one["collection"])] if has_several else []
        cells += [one["status"], str(one["num_chunks"] or "")]
        cells += [escape(_reason(one))] if has_reasons else []
        table.add_row(*cells)
    return table


def _reason(document: Mapping[str, Any]) -> str:
    return str((document["error"] or {}).get("reason") or "")
