"""Options and output that several commands share."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from suffice.client import Client

Collection = Annotated[str, typer.Option(help="Collection of documents.")]
Json = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON.")]
Url = Annotated[str | None, typer.Option(help="Service to talk to; default: SUFFICE_URL.")]

console = Console(highlight=False, soft_wrap=True)
error_console = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def service(url: str | None) -> Iterator["Client"]:
    """Yield a client of the service that a command is meant for."""
    from suffice.session import open_client  # noqa: PLC0415 - heavy, see cli.py
    from suffice.settings import SufficeSettings  # noqa: PLC0415

    settings = SufficeSettings()
    if url is not None:
        settings = settings.model_copy(update={"url": url})
    with open_client(settings) as client:
        yield client


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output, without markup or wrapping."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
