"""`suffice replay`."""

from typing import Annotated, Any

import typer
from rich.table import Table

from suffice.options import Json, Url, console, escape, print_json, service


def replay(
    trace_id: Annotated[str, typer.Argument(help="`suffice.trace_id` of an answer.")],
    search_only: Annotated[
        bool, typer.Option("--search-only", help="Ask no model: compare what is found.")
    ] = False,
    json_output: Json = False,
    url: Url = None,
) -> None:
    """Ask the question of a trace again, as it was, and show what changed since."""
    with service(url) as client:
        outcome = client.replay(trace_id, search_only=search_only)
    if json_output:
        print_json(outcome)
        return
    console.print(f"[bold]Question[/]: {escape(outcome['now']['question'])}")
    _print_setting(outcome)
    _print_hits(outcome["hits"])
    if outcome["answer"] is not None:
        _print_answers(outcome)
    for warning in outcome["now"]["warnings"]:
        console.print(f"[yellow]{escape(warning)}[/]")


def _print_setting(outcome: dict[str, Any]) -> None:
    documents = outcome["documents"]
    console.print(
        f"Documents: {documents['num_now']}, {documents['num_changed']} of them changed since "
        f"{outcome['time']}."
    )
    if gone := ", ".join(escape(one["filename"] or "?") for one in documents["deleted"]):
        console.print(f"Deleted, and found then: {gone}.")
    changed = ", ".join(outcome["changed"]) or "nothing"
    console.print(f"Changed: {changed}.")
    if outcome["query"]["before"] != outcome["query"]["now"]:
        console.print(f"Searched for: {escape(_change(outcome['query']))}")


def _print_hits(hits: dict[str, Any]) -> None:
    console.print(
        f"Hits: {hits['num_before']} then, {hits['num_now']} now, {hits['num_kept']} both."
    )
    table = Table("then", "now", "chunk", "", box=None)
    for kind in ("lost", "gained", "moved"):
        for hit in hits[kind]:
            place = hit["place"] or hit["heading"] or ""
            table.add_row(
                *(str(hit[when] or "-") for when in ("before", "now")),
                escape(f"{hit['filename'] or hit['chunk_id']} {place}".strip()),
                escape(hit.get("outcome", kind)),
            )
    if table.row_count:
        console.print(table)


def _print_answers(outcome: dict[str, Any]) -> None:
    answer = outcome["answer"]
    if answer["is_same"]:
        console.print("\nThe answer is the same.")
    else:
        for name, texts in (("Then", answer["before"]), ("Now", answer["now"])):
            console.print(*(f"\n[bold]{name}[/]: {escape(text)}" for text in texts), sep="")
    usd = {when: _dollars(outcome["usd"][when]) for when in ("before", "now")}
    console.print(
        f"\nGrounded {_change(outcome['grounded'])}; prompt tokens "
        f"{_change(outcome['prompt_tokens'])}; $ {_change(usd)}."
    )


def _dollars(usd: float | None) -> str:
    return "?" if usd is None else f"{usd:.6f}"


def _change(pair: dict[str, Any]) -> str:
    before, now = pair["before"], pair["now"]
    return f"{before}" if before == now else f"{before} -> {now}"
