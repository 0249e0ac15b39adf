"""`suffice eval synth`."""

from pathlib import Path
from typing import Annotated

import typer

from suffice.options import FEWEST_QUESTIONS, Collection, Json, Url, print_json, service

Output = Annotated[Path, typer.Argument(help="File of questions to write.")]


def synth(
    output: Output,
    collection: Collection = "default",
    number: Annotated[int, typer.Option(min=FEWEST_QUESTIONS, help="Questions to make.")] = 600,
    model: Annotated[
        str | None, typer.Option(help="Model of the settings that writes; default: the first.")
    ] = None,
    no_model: Annotated[bool, typer.Option("--no-model", help="Make all by rules.")] = False,
    max_usd: Annotated[
        float | None, typer.Option(min=0, help="Most dollars for calls of the model.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another one draws other questions.")] = 0,
    json_output: Json = False,
    url: Url = None,
) -> None:
    """Make questions with their evidence from the documents of a collection."""
    from ingest.home import Home  # noqa: PLC0415 - heavy, see cli.py
    from suffice.bars import progress_bar  # noqa: PLC0415
    from suffice.settings import SufficeSettings  # noqa: PLC0415
    from suffice.synthesis import SynthesisOrder, check_output, print_made, synthesize  # noqa: PLC0415

    if no_model and model is not None:
        raise typer.BadParameter("Give either --model or --no-model.")
    order = SynthesisOrder(output, collection, number, seed, not no_model, model, max_usd)
    check_output(output)  # before a service is started
    with service(url) as client, progress_bar() as progress:
        made = synthesize(client, Home(SufficeSettings().home), order, progress)
    if json_output:
        print_json(made.to_json())
    else:
        print_made(made, output)
