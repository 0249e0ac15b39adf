"""`suffice explain`."""

from typing import Annotated, Any

import typer
from rich.table import Table

from eval.counted import counted
from suffice.commands.search import score_in
from suffice.options import Json, Url, console, escape, print_json, service

STEPS = ("dense", "lexical", "fused", "rerank")


def explain(
    trace_id: Annotated[str, typer.Argument(help="`suffice.trace_id` of an answer.")],
    json_output: Json = False,
    url: Url = None,
) -> None:
    """Show why an answer is as it is: what was found, used, cited, and what it cost."""
    with service(url) as client:
        trace = client.trace(trace_id)
    if json_output:
        print_json(trace)
        return
    body = trace["body"]
    _print_question(body)
    console.print(_candidates(body["candidates"]))
    if body["plan"] is not None:
        _print_plan(body)
    for answer in body["answers"]:
        console.print(f"\n[bold]Answer[/] ({answer['finish_reason']}): {escape(answer['text'])}")
        for sentence in answer["sentences"]:
            if sentence["support"] == "unsupported":
                text = answer["text"][sentence["start"] : sentence["end"]]
                console.print(f"  [yellow]not supported[/]: {escape(text)} {sentence['reason']}")
    console.print(_calls(body["cost"]["calls"]))
    for warning in body["warnings"]:
        console.print(f"[yellow]{escape(warning)}[/]")


def _print_question(body: dict[str, Any]) -> None:
    console.print(f"[bold]Question[/]: {escape(body['question'])}")
    query = body["query"]
    if query["method"] != "none":
        console.print(f"Searched for, by {query['method']}: {escape(query['text'])}")
    console.print(f"{escape(query['reason'])} Collection {escape(body['collection'])}.\n")


def _print_plan(body: dict[str, Any]) -> None:
    plan, context = body["plan"], body["context"]
    console.print(
        f"\n{counted(context['passages'], 'passage')} of {counted(context['chunks'], 'chunk')}, "
        f"{context['tokens']:,} of {counted(context['tokens_before'], 'token')}, "
        f"{context['recalled']} of earlier turns; model {escape(plan['model'])}, answer of at most "
        f"{counted(plan['max_answer_tokens'], 'token')}."
    )
    if plan["given_up"]:
        console.print(f"Given up for the budget or the window: {', '.join(plan['given_up'])}.")


def _candidates(candidates: list[dict[str, Any]]) -> Table:
    """Return the table of what was found, in its final order."""
    steps = [step for step in STEPS if any(step in one["ranks"] for one in candidates)]
    table = Table("", "chunk", *steps, "what became of it", box=None)
    for rank, one in enumerate(candidates, start=1):
        place = one.get("place") or one.get("heading") or ""
        table.add_row(
            str(rank),
            escape(f"{one.get('filename') or one['chunk_id']} {place}".strip()),
            *(score_in(step, one) for step in steps),
            escape(one["outcome"]),
        )
    return table


def _calls(calls: list[dict[str, Any]]) -> Table:
    """Return the table of the calls of models."""
    table = Table("call", "model", "read", "cached", "written", "thought", "$", "s", box=None)
    for call in calls:
        table.add_row(
            call["purpose"],
            escape(call["model"]),
            *(
                f"{call[name]:,}"
                for name in (
                    "prompt_tokens",
                    "cached_tokens",
                    "completion_tokens",
                    "reasoning_tokens",
                )
            ),
            "?" if call["usd"] is None else f"{call['usd']:.6f}",
            f"{call['seconds']:.2f}",
        )
    return table
