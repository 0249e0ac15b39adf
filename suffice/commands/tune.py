"""`suffice eval tune` and `suffice eval apply`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from eval.extras import Extra
from suffice.options import Collection, Json, Url, console, error_console, print_json, service

if TYPE_CHECKING:
    from eval.choice import Goal

Questions = Annotated[Path, typer.Argument(help="Questions with their evidence, see `eval synth`.")]
Folder = Annotated[Path, typer.Argument(help="Folder that `eval tune` wrote.")]


def tune(
    questions: Questions,
    output: Annotated[Path, typer.Option(help="Folder for the result.")] = Path("tuning"),
    collection: Collection = "default",
    eps: Annotated[
        float | None,
        typer.Option(min=0.001, max=0.5, help="Loss of evidence coverage that is none; 0.03."),
    ] = None,
    delta: Annotated[float, typer.Option(min=0.001, max=0.4, help="Error rate.")] = 0.05,
    test: Annotated[
        Literal["wsr", "t_plus_one"] | None,
        typer.Option(help="wsr: guaranteed (default); t_plus_one: approximate, fewer questions."),
    ] = None,
    mode: Annotated[
        Literal["reference", "best"] | None,
        typer.Option(help="Compare with: reference, what is served now (default); best, all."),
    ] = None,
    min_coverage: Annotated[
        float | None,
        typer.Option(min=0.01, max=0.99, help="Least evidence coverage, instead of --eps."),
    ] = None,
    on_average: Annotated[
        bool,
        typer.Option(
            help="With --min-coverage: promise it over tunings, not of this one; cheaper."
        ),
    ] = False,
    max_prompt_tokens: Annotated[
        int | None, typer.Option(min=1, help="Only settings whose prompts are so short (95 %).")
    ] = None,
    max_usd_per_1000: Annotated[
        float | None, typer.Option(min=0, help="Only those whose answers cost so little (95 %).")
    ] = None,
    max_ms: Annotated[
        float | None, typer.Option(min=1, help="Only those whose answers take so short (95 %).")
    ] = None,
    answer_tokens: Annotated[
        int, typer.Option(min=1, help="With these two: tokens of an answer, thinking included.")
    ] = 200,
    chunk_tokens: Annotated[
        list[int] | None, typer.Option(help="Another chunk size to try; may be given often.")
    ] = None,
    overlap: Annotated[
        list[int] | None, typer.Option(help="An overlap of chunks to try; may be given often.")
    ] = None,
    answers: Annotated[
        bool, typer.Option(help="Let the model answer, and compare its answers.")
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="With --answers: who answers; default: that of the profile.")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="With --answers: model of the settings that grades them.")
    ] = None,
    stages: Annotated[
        list[Extra] | None,
        typer.Option(help="Ask whether this stage pays, too; may be given often. It costs."),
    ] = None,
    max_usd: Annotated[
        float | None, typer.Option(min=0, help="With --answers: most dollars for all calls.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another one splits the questions anew.")] = 0,
    json_output: Json = False,
    url: Url = None,
) -> None:
    """Find the cheapest context that is not worse than today's, and certify it."""
    from eval.budgets import Budget  # noqa: PLC0415 - heavy, see cli.py
    from ingest.home import Home  # noqa: PLC0415
    from suffice.bars import progress_bar  # noqa: PLC0415
    from suffice.exclusion import exclusive  # noqa: PLC0415
    from suffice.settings import SufficeSettings  # noqa: PLC0415
    from suffice.tuning import run_tuning  # noqa: PLC0415
    from suffice.tuning_order import AnswerOrder, TuningOrder, check_order  # noqa: PLC0415
    from suffice.tuning_output import print_result  # noqa: PLC0415

    goal = _goal(eps, delta, test, mode, min_coverage, on_average=on_average)
    if not answers and (model or judge or max_usd is not None):
        raise typer.BadParameter("--model, --judge and --max-usd are for --answers.")
    extras = list(dict.fromkeys(stages or ()))
    if not answers and set(extras) - {Extra.HEADINGS}:
        raise typer.BadParameter("Of --stages only headings can do without --answers.")
    if answers and min_coverage is not None:
        raise typer.BadParameter("--min-coverage is about evidence; leave --answers out.")
    order = TuningOrder(
        questions,
        collection,
        output,
        chunk_tokens or (),
        overlap or (),
        goal,
        seed,
        AnswerOrder(model, judge, max_usd) if answers else None,
        Budget(max_prompt_tokens, max_usd_per_1000, max_ms, answer_tokens),
        extras,
    )
    check_order(order)  # before a service is started
    try:
        with exclusive(output), service(url) as client, progress_bar() as progress:
            result = run_tuning(client, Home(SufficeSettings().home), order, progress)
    except KeyboardInterrupt:
        error_console.print(
            "Interrupted. The same command goes on where it stopped.", style="yellow"
        )
        raise typer.Exit(130) from None
    if json_output:
        print_json(result.model_dump(mode="json"))
    else:
        print_result(result, output)


def _goal(
    eps: float | None,
    delta: float,
    test: str | None,
    mode: str | None,
    min_coverage: float | None,
    *,
    on_average: bool,
) -> "Goal":
    """Return what is wanted; what says nothing beside the rest is refused."""
    from eval.choice import Goal  # noqa: PLC0415 - heavy, see cli.py
    from eval.decisions.pvalues import PairedTest  # noqa: PLC0415
    from eval.decisions.sequence import Mode  # noqa: PLC0415

    compared: dict[str, Any] = {}
    if eps is not None:
        compared["eps"] = eps
    if test is not None:
        compared["test"] = PairedTest(test)
    if mode is not None:
        compared["mode"] = Mode(mode)
    if compared and min_coverage is not None:
        raise typer.BadParameter(
            "--eps, --test and --mode are about a comparison, and --min-coverage compares with "
            "nothing; leave them out."
        )
    if on_average and min_coverage is None:
        raise typer.BadParameter("--on-average is about --min-coverage.")
    return Goal(delta=delta, min_coverage=min_coverage, on_average=on_average, **compared)


def apply(
    folder: Folder = Path("tuning"),
    name: Annotated[str, typer.Option(help="To save the profile under.")] = "tuned",
    json_output: Json = False,
    url: Url = None,
) -> None:
    """Serve the collection with the setting that was certified."""
    from suffice.certified_profile import apply as apply_tuning  # noqa: PLC0415 - heavy, see cli.py

    with service(url) as client:
        collection, cut = apply_tuning(client, folder, name)
    if json_output:
        print_json(collection)
        return
    console.print(
        f"The collection {collection['name']!r} is served with the profile {name!r} from now on. "
        "Back again: suffice profiles serve default"
        + ("" if collection["name"] == "default" else f" --collection {collection['name']}")
    )
    if cut is not None:
        console.print(
            "It becomes certified once the documents are cut as they were measured: set "
            f"{cut.settings}, start the service again, and run suffice reindex {collection['name']}"
        )
