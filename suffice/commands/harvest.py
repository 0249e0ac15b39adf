"""`suffice eval harvest`."""

from pathlib import Path
from typing import Annotated

import typer

from eval.counted import counted
from suffice.options import Collection, Json, Url, console, print_json, service

Output = Annotated[Path, typer.Argument(help="File of questions to add to.")]


def harvest(
    output: Output, collection: Collection = "default", json_output: Json = False, url: Url = None
) -> None:
    """Collect questions that people rated, or got no answer to, for a person to review."""
    from eval.harvest import Queue, Reason, to_item  # noqa: PLC0415 - heavy, see cli.py

    queue = Queue(output)  # before a service is started
    with service(url) as client:
        names = {one["id"]: one["external_id"] for one in client.documents(collection)}
        items = [to_item(trace, names) for trace in client.traces(collection)]
    added = queue.add(item for item in items if item is not None)
    if json_output:
        print_json({"num_added": {reason: added[reason] for reason in Reason}})
        return
    console.print(
        f"{counted(added.total(), 'question')} added to {output}: "
        f"{added[Reason.DOWN]} with thumbs down, {added[Reason.REFUSED]} without an answer, "
        f"{added[Reason.UP]} with thumbs up.",
        markup=False,
    )
    if added:
        console.print(
            "Where `facts` is null, write down what answers the question, or [] if the documents "
            "do not; see `review` in the line. Delete lines that are of no use.",
            markup=False,
        )
