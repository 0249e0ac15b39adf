"""`suffice eval`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from eval.counted import counted
from suffice.commands.convert import convert
from suffice.commands.harvest import harvest
from suffice.commands.shadow import shadow
from suffice.commands.synth import synth
from suffice.commands.tune import apply, tune
from suffice.options import Collection, Json, Url, console, print_json, service

app = typer.Typer(
    help="Measure how much context your questions need, and certify less.", no_args_is_help=True
)
app.command()(synth)
app.command()(harvest)
app.command()(shadow)
app.command()(convert)
app.command()(tune)
app.command()(apply)
Folder = Annotated[
    Path | None,
    typer.Option(help="Folder in BEIR layout: corpus.jsonl, queries.jsonl, qrels/test.tsv."),
]
File = Annotated[
    Path | None, typer.Option(help="Questions with evidence spans, one JSON object per line.")
]
ResultFile = Annotated[
    Path,
    typer.Argument(
        help="Folder of a tuning, or its result.json.",
        callback=lambda path: path / "result.json" if path.is_dir() else path,
    ),
]
Chunked = Annotated[bool, typer.Option(help="With --dataset: cut documents as the service does.")]


@app.callback()
def measure() -> None:
    """Measure retrieval."""


@app.command()
def run(
    dataset: Folder = None,
    questions: File = None,
    chunked: Chunked = False,
    collection: Collection = "default",
    json_output: Json = False,
    url: Url = None,
) -> None:
    """Measure ranking on a public data set, or how few chunks your own questions need."""
    if (dataset is None) == (questions is None):
        raise typer.BadParameter("Give either --dataset or --questions.")
    if dataset is not None:
        _run_dataset(dataset, chunked=chunked, json_output=json_output)
    elif questions is not None:
        _run_questions(questions, collection, url, json_output=json_output)


@app.command()
def report(
    result: ResultFile,
    output: Annotated[
        Path | None, typer.Option(help="File to write; default: report.html beside the result.")
    ] = None,
) -> None:
    """Write the report of a tuning: one HTML file that needs nothing else."""
    from eval.report.page import write_report  # noqa: PLC0415 - heavy, see cli.py
    from eval.results import Result  # noqa: PLC0415

    path = output or result.with_name("report.html")
    write_report(Result.load(result), path)
    console.print(f"Written to {path}.", markup=False)


@app.command()
def compare(
    base: ResultFile,
    new: ResultFile,
    max_drop: Annotated[
        float,
        typer.Option(min=0.0001, max=1, help="How much evidence may be lost, as a share."),
    ] = 0.02,
    setting: Annotated[
        str | None, typer.Option(help="Setting to compare; default: what each was served by.")
    ] = None,
    json_output: Json = False,
) -> None:
    """Tell whether a change lost evidence: exit code 0 no, 1 yes, 2 unclear, 3 not comparable."""
    from suffice.gate import run_gate  # noqa: PLC0415 - heavy, see cli.py

    raise typer.Exit(run_gate(base, new, max_drop, setting, json_output=json_output))


def _run_dataset(folder: Path, *, chunked: bool, json_output: bool) -> None:
    from suffice.bars import progress_bar  # noqa: PLC0415 - heavy, see cli.py
    from suffice.evaluation import rank_dataset  # noqa: PLC0415

    with progress_bar() as progress:
        report = rank_dataset(folder, chunked=chunked, progress=progress)
    if json_output:
        print_json(report.to_json())
        return
    measures = list(next(iter(report.modes.values())))
    table = Table(
        "mode",
        *measures,
        title=f"{report.dataset}: {counted(report.num_queries, 'query', 'queries')}",
    )
    for mode, values in report.modes.items():
        table.add_row(mode, *(f"{values[measure]:.4f}" for measure in measures))
    console.print(table)
    console.print(
        f"Longer than the embedder {report.embedder} reads, and cut for it: {report.num_cut} of "
        f"{counted(report.num_documents, 'document')}."
    )
    if report.num_missing_queries or report.num_missing_documents:
        console.print(
            "Judged, but counted as not found: queries that are not in queries.jsonl, "
            f"{report.num_missing_queries}, and documents that are not in corpus.jsonl, "
            f"{report.num_missing_documents}."
        )


def _run_questions(path: Path, collection: str, url: str | None, *, json_output: bool) -> None:
    from suffice.bars import progress_bar  # noqa: PLC0415 - heavy, see cli.py
    from suffice.evaluation import measure_chunk_count, print_chunk_count  # noqa: PLC0415

    with service(url) as client, progress_bar() as progress:
        measured = measure_chunk_count(client, path, collection, progress)
    if json_output:
        print_json(measured.to_json())
    else:
        print_chunk_count(measured)
