"""The `suffice` command.

Whatever takes long to import (torch, httpx, pydantic) is imported inside the commands that use it,
so that `suffice --help` is instant.
"""

import logging
import sys
from typing import Annotated

import typer

from eval.errors import EvalError
from ingest.errors import IngestError
from retrieval.errors import RetrievalError
from serving.errors import ServingError
from suffice.commands import (
    ask,
    cost,
    doctor,
    documents,
    evaluate,
    explain,
    ingest,
    keys,
    migrate,
    profiles,
    reindex,
    replay,
    search,
    serve,
)
from suffice.errors import SufficeError
from suffice.log_lines import write_log
from suffice.options import console, error_console

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
app.command()(serve.serve)
app.command()(ingest.ingest)
app.command()(search.search)
app.command()(ask.ask)
app.command()(explain.explain)
app.command()(replay.replay)
app.add_typer(documents.app, name="documents")
app.command()(reindex.reindex)
app.add_typer(profiles.app, name="profiles")
app.add_typer(keys.app, name="keys")
app.add_typer(evaluate.app, name="eval")
app.add_typer(cost.app, name="cost")
app.command()(migrate.migrate)
app.command()(doctor.doctor)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib.metadata import version  # noqa: PLC0415 - see above

        console.print(f"suffice {version('suffice')}")
        raise typer.Exit


@app.callback()
def check(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Answers from your own documents, with exact citations and no more context than needed."""
    from suffice.settings import check_settings  # noqa: PLC0415 - see above

    check_settings()


def main() -> None:
    """Run the command; an expected error is one line on standard error and exit code 1."""
    # Commands tell what became of their work; what the service that one runs itself notes beside
    # that is for its operator.
    write_log(sys.stderr, logging.ERROR)
    try:
        app()
    except (EvalError, IngestError, RetrievalError, ServingError, SufficeError) as error:
        error_console.print(str(error), style="red", markup=False)
        sys.exit(1)
