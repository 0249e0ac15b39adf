"""`suffice documents`."""

from typing import Annotated

import typer
from rich.table import Column, Table

from suffice.options import Json, Url, console, print_json, service

app = typer.Typer(help="List, show, delete and retry documents.", no_args_is_help=True)
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
    whole = Column("id", no_wrap=True, min_width=36)  # to be copied from a narrow terminal, too
    table = Table(whole, "collection", "document", "status", "chunks", "reason")
    for document in documents:
        table.add_row(
            document["id"],
            document["collection"],
            document["external_id"],
            document["status"],
            str(document["num_chunks"] or ""),
            (document["error"] or {}).get("reason", ""),
        )
    console.print(table)


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
        reason = (document["error"] or {}).get("reason", "")
        console.print(f"{document['id']} {document['status']} {reason}")
    if any(document["status"] == "failed" for document in documents):
        raise typer.Exit(1)
