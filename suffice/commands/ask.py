"""`suffice ask`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from eval.counted import counted
from suffice.options import (
    Collection,
    Filter,
    Json,
    Profile,
    Url,
    console,
    error_console,
    escape,
    print_json,
    read_profile,
    service,
)

if TYPE_CHECKING:
    from suffice.client import Client


def ask(
    question: Annotated[str, typer.Argument(help="The question.")],
    collection: Collection = "default",
    top_k: Annotated[int | None, typer.Option(help="Chunks in the context.")] = None,
    profile: Profile = None,
    where: Filter = None,
    json_output: Json = False,
    url: Url = None,
) -> None:
    """Answer a question with citations."""
    options = {"top_k": top_k, "profile": read_profile(profile), "filter": where}
    with service(url) as client:
        if json_output:
            print_json(client.ask(question, collection, **options))
        else:
            trace_id = print_answer(client, question, collection, **options)[1]
            if trace_id is not None:
                service_option = f" --url {url}" if url else ""
                error_console.print(f"[dim]suffice explain {trace_id}{escape(service_option)}[/]")


def print_answer(
    client: "Client", question: str, collection: str, **options: Any
) -> tuple[list[dict[str, Any]], str | None]:
    """Print an answer as it is written, then its citations; return these and its trace's id.

    The id is None where the service keeps no traces.
    """
    citations: list[dict[str, Any]] = []
    extension: dict[str, Any] = {}
    for chunk in client.stream(question, collection, **options):
        extension = chunk.get("suffice", extension)
        for choice in chunk["choices"]:
            console.print(escape(choice["delta"].get("content") or ""), end="")
            annotations = choice["delta"].get("annotations", [])
            citations += [annotation["file_citation"] for annotation in annotations]
    console.print()
    for citation in citations:
        place = f", {citation['place']}" if citation["place"] else ""
        source = f"{citation['filename']}{place}, characters {citation['start']}-{citation['end']}"
        quote = " ".join(citation["quote"].split())
        console.print(f"  {escape(citation['marker'])} [bold]{escape(source)}[/]: {escape(quote)}")
    for warning in extension.get("warnings", []):
        error_console.print(f"[yellow]{escape(warning)}[/]")
    error_console.print(f"[dim]{escape(_describe_context(extension))}[/]")
    return citations, extension["trace_id"]


def _describe_context(extension: dict[str, Any]) -> str:
    """Say how long the context was and, while it holds, what is certified of its profile."""
    said = f"{counted(extension['context']['tokens'], 'token')} of context."
    certificate = extension["profile"]["certificate"]
    if certificate is None or not certificate["certified"]:
        return said
    return f"{said} Certified: {certificate['statement']}"
