"""`suffice migrate`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from eval.counted import counted
from suffice.errors import SufficeError
from suffice.options import Json, console, escape, print_json

if TYPE_CHECKING:
    from suffice.migration import Moved


def migrate(
    to: Annotated[str, typer.Option(help="URL of the Qdrant server.")],
    api_key: Annotated[
        str | None, typer.Option(help="Its key; default: RETRIEVAL_QDRANT_API_KEY.")
    ] = None,
    json_output: Json = False,
) -> None:
    """Copy the embedded index to a Qdrant server, and compare."""
    moved = _move(to, api_key)
    if json_output:
        print_json([_to_json(one) for one in moved])
    else:
        for one in moved:
            console.print(f"{escape(one.name)}: {counted(one.sent.num_points, 'chunk')}")
    if different := [one for one in moved if not one.is_same]:
        raise SufficeError(
            "On the server "
            + "; ".join(
                f"{one.name} has {counted(one.found.num_points, 'chunk')} instead of "
                f"{one.sent.num_points:,}, or other content"
                for one in different
            )
            + ". Delete these collections there and migrate again."
        )
    if not json_output:
        console.print(f"Everything is there. Set RETRIEVAL_QDRANT_URL={escape(to)} and start.")


def _move(to: str, api_key: str | None) -> list["Moved"]:
    from pydantic import SecretStr  # noqa: PLC0415 - heavy, see cli.py

    from ingest.home import Home  # noqa: PLC0415
    from ingest.settings import IngestSettings  # noqa: PLC0415
    from retrieval.settings import RetrievalSettings  # noqa: PLC0415
    from suffice.bars import progress_bar  # noqa: PLC0415
    from suffice.migration import move_index  # noqa: PLC0415
    from suffice.settings import SufficeSettings  # noqa: PLC0415

    path = SufficeSettings().home
    if not path.is_dir():
        raise SufficeError(f"There is no folder {path} with an index to migrate; see SUFFICE_HOME.")
    given: dict[str, object] = {"qdrant_url": to}
    if api_key is not None:
        given["qdrant_api_key"] = SecretStr(api_key)
    settings = RetrievalSettings().model_copy(update=given)
    with Home(path) as home, progress_bar() as show:
        return list(move_index(home, IngestSettings(), settings, show))


def _to_json(moved: "Moved") -> dict[str, Any]:
    return {
        "name": moved.name,
        "num_chunks": moved.sent.num_points,
        "checksum": moved.sent.checksum,
        "is_same": moved.is_same,
    }
