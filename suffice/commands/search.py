"""`suffice search`."""

from typing import Annotated, Any

import typer
from rich.table import Table

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


def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    collection: Collection = "default",
    top_k: Annotated[int | None, typer.Option(help="Chunks to return.")] = None,
    mode: Annotated[str | None, typer.Option(help="hybrid, dense or lexical.")] = None,
    profile: Profile = None,
    where: Filter = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show rank and score of each candidate in each step.")
    ] = False,
    json_output: Json = False,
    url: Url = None,
) -> None:
    """Find the chunks that answer a query."""
    options = {"top_k": top_k, "mode": mode, "profile": read_profile(profile), "filter": where}
    with service(url) as client:
        answer = client.search(query, collection, explain=explain or None, **options)
    if json_output:
        print_json(answer)
        return
    for warning in answer["warnings"]:
        error_console.print(f"[yellow]{escape(warning)}[/]")
    if explain:
        _print_explanation(answer, is_filtered=where is not None)
        return
    if not answer["hits"]:
        error_console.print("No hits.")
    for rank, hit in enumerate(answer["hits"], start=1):
        scores = "  ".join(f"{name} {score:.3f}" for name, score in hit["scores"].items())
        console.print(f"[bold]{rank}. {escape(locate(hit))}[/]  [dim]{scores}[/]")
        console.print(escape(" ".join(hit["text"].split())[:300]), "\n")


def _print_explanation(answer: dict[str, Any], *, is_filtered: bool) -> None:
    explained = answer["explain"]
    console.print(explanation_table(answer))
    if left := explained["num_dropped"] - len(explained["dropped"]):
        console.print(f"and {counted(left, 'more candidate')} among those that are no hits")
    if not_found := explained["words_not_found"]:
        console.print(f"No searched chunk has: {escape(', '.join(not_found))}")
    coverage = explained["vocabulary_coverage"]
    if "fused" in explained["num_candidates"] and round(coverage, 2) < 1:
        console.print(
            f"The embedder knows {coverage:.0%} of the query's letters in words, so the dense "
            "search weighs less."
        )
    if (relevance := explained["relevance"]) is not None:
        console.print(f"The relevance of the first hit is {relevance:.3f}.")
    if is_filtered:
        searched, chunks = explained["num_searched"], explained["num_chunks"]
        console.print(f"The filter leaves {searched:,} of {counted(chunks, 'chunk')}.")


def locate(hit: dict[str, Any]) -> str:
    """Return file, place and heading of a hit on one line."""
    place = f", {hit['place']}" if hit["place"] else ""
    heading = f" - {hit['heading']}" if hit["heading"] else ""
    return f"{hit['filename']}{place}{heading}"


def explanation_table(answer: dict[str, Any]) -> Table:
    """Return hits, then what was dropped, with rank and score in each step."""
    steps = list(answer["explain"]["num_candidates"])
    table = Table("hit", *steps, "document", "text, or why it is no hit")
    for number, hit in enumerate(answer["hits"], start=1):
        text = " ".join(hit["text"].split())[:80]
        scores = [score_in(step, hit) for step in steps]
        table.add_row(str(number), *scores, escape(locate(hit)), escape(text))
    table.add_section()
    for candidate in answer["explain"]["dropped"]:
        reason = escape(candidate["reason"])
        scores = [score_in(step, candidate) for step in steps]
        table.add_row("", *scores, escape(locate(candidate)), reason, style="dim")
    return table


def score_in(step: str, candidate: dict[str, Any]) -> str:
    """Return `score (#rank)`; the rank is missing where only another step found the candidate."""
    score, rank = candidate["scores"].get(step), candidate["ranks"].get(step)
    place = f" (#{rank})" if rank else ""
    return "" if score is None else f"{score:.3f}{place}"
