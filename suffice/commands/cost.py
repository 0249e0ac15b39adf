"""`suffice cost`."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from suffice.options import Json, console, print_json

if TYPE_CHECKING:
    from eval.rates import MeasuredRates
    from serving.pricing import Speed
    from suffice.costs import Estimate

app = typer.Typer(help="Measure and estimate what answers cost.", no_args_is_help=True)
Model = Annotated[
    str | None, typer.Argument(help="Name of a model of the settings; default: all of them.")
]


@app.callback()
def cost() -> None:
    """Measure and estimate what answers cost."""


@app.command()
def calibrate(
    model: Model = None,
    concurrency: Annotated[
        list[int] | None, typer.Option(min=1, help="Requests at a time; may be repeated.")
    ] = None,
    max_seconds: Annotated[
        float, typer.Option(min=1, help="Time after which nothing more is measured.")
    ] = 300.0,
    json_output: Json = False,
) -> None:
    """Measure how fast model servers read and write; they should have nothing else to do."""
    from eval.rates import Workload  # noqa: PLC0415 - heavy, see cli.py
    from ingest.home import Home  # noqa: PLC0415
    from serving.settings import ServingSettings  # noqa: PLC0415
    from suffice.bars import progress_bar  # noqa: PLC0415
    from suffice.costs import calibrate  # noqa: PLC0415
    from suffice.settings import SufficeSettings  # noqa: PLC0415

    workload = Workload(tuple(sorted(set(concurrency or (1, 8)))), max_seconds)
    rates = Home(SufficeSettings().home).rates
    with progress_bar() as progress:
        measured = calibrate(ServingSettings(), rates, model, workload, progress)
    if json_output:
        print_json({name: _to_json(one) for name, one in measured.items()})
        return
    for name, one in measured.items():
        _print_rates(name, one)
    console.print(f"Kept in {escape(str(rates))}; a running service reads them when it starts.")


@app.command()
def estimate(
    prompt_tokens: Annotated[int, typer.Option(min=1, help="Tokens read for an answer.")],
    completion_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens written, thinking included.")
    ],
    questions_per_day: Annotated[int, typer.Option(min=1, help="Questions a day.")],
    model: Model = None,
    cached_tokens: Annotated[
        int, typer.Option(min=0, help="Tokens of the prompt that come from the prefix cache.")
    ] = 0,
    json_output: Json = False,
) -> None:
    """Print what an answer costs with each model, and on what that rests."""
    from ingest.home import Home  # noqa: PLC0415 - heavy, see cli.py
    from serving.settings import ServingSettings  # noqa: PLC0415
    from suffice.costs import Question, estimate  # noqa: PLC0415
    from suffice.settings import SufficeSettings  # noqa: PLC0415

    if cached_tokens > prompt_tokens:
        raise typer.BadParameter("--cached-tokens are of the prompt, so there can be no more.")
    question = Question(prompt_tokens, completion_tokens, cached_tokens, questions_per_day)
    rates = Home(SufficeSettings().home).rates
    estimates = estimate(ServingSettings(), rates, model, question)
    if json_output:
        print_json([asdict(one) for one in estimates])
    else:
        _print_estimates(estimates, questions_per_day)


def _to_json(measured: "MeasuredRates") -> dict[str, Any]:
    return {
        **measured.rates.model_dump(mode="json"),
        "num_requests": measured.num_requests,
        "notes": measured.notes,
    }


def _print_rates(name: str, measured: "MeasuredRates") -> None:
    title = f"{name} ({measured.rates.model}): tokens per second, {measured.num_requests} requests"
    table = Table(
        *("at a time", "of", "read", "cached", "written", "and each", "error", "95 % within"),
        title=escape(title),
    )
    for load in measured.rates.loads:
        table.add_row(str(load.concurrency), "one", *_cells(load.latency))
        table.add_row("", "all", *_cells(load.work))
    console.print(table)
    for note in measured.notes:
        console.print(f"[yellow]Note:[/] {escape(note)}")


def _cells(speed: "Speed") -> list[str]:
    rates = (
        speed.prefill_tokens_per_second,
        speed.cached_tokens_per_second,
        speed.decode_tokens_per_second,
    )
    return [
        *("-" if rate is None else f"{rate:,.0f}" for rate in rates),
        f"{1000 * speed.overhead_seconds:,.0f} ms",
        f"{speed.median_error:.1%}",
        f"{speed.p95_error:.1%}",
    ]


def _print_estimates(estimates: list["Estimate"], questions_per_day: int) -> None:
    table = Table("model", "$ an answer", "$ for 1,000", "$ a day", "seconds", "rests on")
    for one in estimates:
        usd = one.usd_per_answer
        amounts = (
            ("?", "?", "?")
            if usd is None
            else (f"{usd:.6f}", f"{1000 * usd:.3f}", f"{questions_per_day * usd:.2f}")
        )
        seconds = "?" if one.seconds is None else f"{one.seconds:.1f}"
        table.add_row(escape(one.name), *amounts, seconds, one.basis.replace("_", " "))
    console.print(table)
    for one in estimates:
        if one.missing is not None:
            console.print(f"{escape(one.name)}: no price. {escape(one.missing)}")
        if one.busy_share is not None:
            console.print(
                f"{escape(one.name)}: the questions keep {one.busy_share:.1%} of a GPU busy. If "
                f"nothing else uses it, an answer costs ${one.usd_per_answer_alone:.6f}."
            )
