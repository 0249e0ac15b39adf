"""`suffice cost`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from eval.counted import counted
from suffice.options import Json, console, escape, print_json

if TYPE_CHECKING:
    from eval.break_even import Comparison, ListedPrice
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
    from suffice.costs import TypicalQuestion, estimate  # noqa: PLC0415
    from suffice.settings import SufficeSettings  # noqa: PLC0415

    if cached_tokens > prompt_tokens:
        raise typer.BadParameter("--cached-tokens are of the prompt, so there can be no more.")
    question = TypicalQuestion(prompt_tokens, completion_tokens, cached_tokens, questions_per_day)
    rates = Home(SufficeSettings().home).rates
    estimates = estimate(ServingSettings(), rates, model, question)
    if json_output:
        print_json([asdict(one) for one in estimates])
    else:
        _print_estimates(estimates, questions_per_day)


@app.command("break-even")
def break_even(
    model: Annotated[
        str | None, typer.Argument(help="Name of an own model of the settings; default: the first.")
    ] = None,
    prompt_tokens: Annotated[
        list[int] | None, typer.Option(min=1, help="Tokens read for an answer; may be repeated.")
    ] = None,
    tuning: Annotated[
        Path | None,
        typer.Option(
            help="Folder that `eval tune` wrote: those of today's and the chosen setting."
        ),
    ] = None,
    answer_tokens: Annotated[int, typer.Option(min=1, help="Tokens of an answer.")] = 200,
    thinking_tokens: Annotated[int, typer.Option(min=0, help="Tokens of thinking before it.")] = 0,
    samples: Annotated[int, typer.Option(min=1, help="Answers written for a question.")] = 1,
    shared_prompt: Annotated[
        bool,
        typer.Option(
            "--shared-prompt/--separate-prompts",
            help="The prompt is read once for all samples, or for each.",
        ),
    ] = True,
    cached_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the prompt from the prefix cache.")
    ] = 0.0,
    gpu_usd_per_hour: Annotated[
        float | None, typer.Option(help="What a GPU costs, used or not; default: the settings'.")
    ] = None,
    utilisation: Annotated[
        list[float] | None,
        typer.Option(help="Share of its time that a GPU may be busy; may be repeated."),
    ] = None,
    questions_per_day: Annotated[
        list[int] | None, typer.Option(min=1, help="Questions a day; may be repeated.")
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="TOML file with the prices of APIs; default: ours.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="SVG file to draw into.")] = None,
    json_output: Json = False,
) -> None:
    """Tell from how many questions a day an own GPU is cheaper than APIs."""
    from eval.break_even import API_PRICES, Effort, load_prices  # noqa: PLC0415 - heavy, see cli.py
    from ingest.home import Home  # noqa: PLC0415
    from serving.settings import ServingSettings  # noqa: PLC0415
    from suffice.costs import compare_with_apis  # noqa: PLC0415
    from suffice.settings import SufficeSettings  # noqa: PLC0415

    if (tuning is None) == (prompt_tokens is None):
        raise typer.BadParameter("Give either --prompt-tokens or --tuning.")
    if gpu_usd_per_hour is not None and not 0 < gpu_usd_per_hour < math.inf:
        raise typer.BadParameter("--gpu-usd-per-hour must be above 0.")
    utilisations = utilisation or [0.5]
    if not all(0 < one <= 1 for one in utilisations):
        raise typer.BadParameter("--utilisation must be above 0 and at most 1.")
    sizes = {counted(one, "prompt token"): one for one in prompt_tokens or ()}
    if tuning is not None:
        sizes = _prompts_of_tuning(tuning)
    effort = Effort(1, answer_tokens, thinking_tokens, samples, cached_share, shared_prompt)
    efforts = {label: replace(effort, prompt_tokens=one) for label, one in sizes.items()}
    table = load_prices(prices or API_PRICES)
    rates = Home(SufficeSettings().home).rates
    comparisons = compare_with_apis(
        ServingSettings(), rates, model, gpu_usd_per_hour, efforts, utilisations, table
    )
    if plot is not None:
        from eval.break_even_plot import draw_break_even  # noqa: PLC0415

        draw_break_even(comparisons, plot)
    days = questions_per_day or []
    if json_output:
        print_json([_comparison_to_json(one, days, table) for one in comparisons])
    else:
        _print_comparisons(comparisons, days, table)


def _prompts_of_tuning(folder: Path) -> dict[str, int]:
    """Return the mean prompt tokens of what was served and of what was chosen."""
    from eval.results import Result  # noqa: PLC0415 - heavy, see cli.py

    result = Result.load(folder / "result.json")
    both = (result.served, result.chosen)
    tokens = {one.label: round(result.prompt_tokens(one.name)) for one in both}
    return {f"{label}: {counted(one, 'prompt token')}": one for label, one in tokens.items()}


def _comparison_to_json(
    one: "Comparison", days: Sequence[int], prices: Mapping[str, "ListedPrice"]
) -> dict[str, Any]:
    own = one.own
    return {
        "label": one.label,
        **asdict(one.effort),
        "gpu_usd_per_hour": own.usd_per_hour,
        "gpu_seconds": own.seconds,
        "utilisation": own.utilisation,
        "questions_per_gpu": own.questions_per_gpu,
        "is_trusted": own.is_trusted,
        "days": [
            {"questions": day, "gpus": own.number(day), "usd": own.usd_per_day(day)} for day in days
        ],
        "apis": [
            {
                "name": name,
                "as_of": prices[name].as_of.isoformat(),
                "usd_per_1000": 1000 * api.usd,
                "break_even": None if api.break_even is None else asdict(api.break_even),
            }
            for name, api in one.apis.items()
        ],
    }


def _print_comparisons(
    comparisons: Sequence["Comparison"], days: Sequence[int], prices: Mapping[str, "ListedPrice"]
) -> None:
    for one in comparisons:
        own = one.own
        console.print(
            f"[bold]{escape(one.label)}[/]: an answer takes {own.seconds:.3g} s of it, so it gives "
            f"{own.questions_per_gpu:,.0f} a day for ${own.usd_per_gpu:,.2f}."
        )
        console.print(_break_even_table(one))
        if days:
            console.print(_days_table(one, days))
    console.print(
        "Own from: questions a day with which own GPUs cost no more; always: from so many on they "
        "never cost more. Prices alone are compared; the models are others."
    )
    if not comparisons[0].own.is_trusted:
        console.print(
            "[yellow]Note:[/] the rates of the own GPU are not to be trusted; run `suffice cost "
            "calibrate` again."
        )
    for name, listed in prices.items():
        note = "" if listed.note is None else f": {listed.note}"
        console.print(escape(f"{name}, {listed.as_of:%Y-%m-%d}{note}."))


def _break_even_table(one: "Comparison") -> Table:
    table = Table("answers by", "$ for 1,000", "own from", "always")
    full = 1000 * one.own.usd_per_gpu / one.own.questions_per_gpu
    table.add_row("own GPUs, as busy as may be", f"{full:.3f}", style="bold")
    for name, api in one.apis.items():
        even = api.break_even
        numbers = ("never", "") if even is None else (f"{even.first:,}", f"{even.always:,}")
        table.add_row(escape(name), f"{1000 * api.usd:.3f}", *numbers)
    return table


def _days_table(one: "Comparison", days: Sequence[int]) -> Table:
    table = Table("$ a day for", *(f"{day:,}" for day in days))
    own = (f"{one.own.usd_per_day(day):,.2f} ({one.own.number(day):,})" for day in days)
    table.add_row("own GPUs (so many)", *own, style="bold")
    for name, api in one.apis.items():
        table.add_row(escape(name), *(f"{day * api.usd:,.2f}" for day in days))
    return table


def _to_json(measured: "MeasuredRates") -> dict[str, Any]:
    return {
        **measured.rates.model_dump(mode="json"),
        "num_requests": measured.num_requests,
        "notes": measured.notes,
    }


def _print_rates(name: str, measured: "MeasuredRates") -> None:
    requests = counted(measured.num_requests, "request")
    title = f"{name} ({measured.rates.model}): tokens per second, {requests}"
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
