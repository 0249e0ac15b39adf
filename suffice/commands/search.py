"""`suffice search`."""

from typing import Annotated, Any

import typer
from rich.markup import escape

from suffice.options import Collection, Json, Url, console, print_json, service


def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    collection: Collection = "default",
    top_k: Annotated[int, typer.Option(help="Chunks to return.")] = 10,
    mode: Annotated[str, typer.Option(help="hybrid, dense or lexical.")] = "hybrid",
    json_output: Json = False,
    url: Url = None,
) -> None:
    """Find the chunks that answer a query."""
    with service(url) as client:
        answer = client.search(query, collection, top_k, mode)
    if json_output:
        print_json(answer)
        return
    for rank, hit in enumerate(answer["hits"], start=1):
        scores = "  ".join(f"{name} {score:.3f}" for name, score in hit["scores"].items())
        console.print(f"[bold]{rank}. {escape(locate(hit))}[/]  [dim]{scores}[/]")
        console.print(escape(" ".join(hit["text"].split())[:300]), "\n")


def locate(hit: dict[str, Any]) -> str:
    """Return file, place and heading of a hit on one line."""
    place = f", {hit['place']}" if hit["place"] else ""
    heading = f" - {hit['heading']}" if hit["heading"] else ""
    return f"{hit['filename']}{place}{heading}"
