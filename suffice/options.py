"""Options and output that several commands share."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape as escape_markup

from suffice.errors import SufficeError

if TYPE_CHECKING:
    from suffice.client import Client


def _parse_filter(text: str) -> dict[str, Any]:
    """Read a filter; the service says what is wrong with it, except that it is no JSON object."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"no valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise typer.BadParameter("must be a JSON object")
    return value


# That `suffice eval synth` makes.
FEWEST_QUESTIONS = 10

Collection = Annotated[str, typer.Option(help="Collection of documents.")]
Filter = Annotated[
    dict[str, Any] | None,
    typer.Option(
        "--filter",
        parser=_parse_filter,
        metavar="JSON",
        help='Only documents with this metadata: {"type": "eq", "key": "year", "value": 2024}.',
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON.")]
Profile = Annotated[
    str | None, typer.Option(help="Retrieval profile: a saved one's name, or a JSON file.")
]
Url = Annotated[str | None, typer.Option(help="Service to talk to; default: SUFFICE_URL.")]

# All but tabs and line ends.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

console = Console(highlight=False, soft_wrap=True)
error_console = Console(stderr=True, highlight=False, soft_wrap=True)


def escape(text: str) -> str:
    """Return a text of documents or models as it is: no markup, nothing that a terminal obeys."""
    return escape_markup(_CONTROL.sub(lambda match: ascii(match.group())[1:-1], text))


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


def read_profile(profile: str | None) -> Any:
    """Return a profile as requests take it: its name, or what stands in the JSON file."""
    if profile is None or not profile.endswith(".json"):
        return profile
    return read_json(Path(profile))


def read_json(path: Path) -> Any:
    """Return the value in a JSON file.

    Raises:
        SufficeError: there is none.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SufficeError(f"No JSON can be read from {path}: {error}.") from error


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output, without markup or wrapping."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
