"""`suffice serve`."""

import sys
from dataclasses import replace
from typing import Annotated

import typer

from suffice.options import console


def serve(
    host: Annotated[str | None, typer.Option(help="Address; default: SERVING_HOST.")] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port, 0 for any; default: SERVING_PORT."),
    ] = None,
) -> None:
    """Run the service until Ctrl-C."""
    from ingest.home import Home  # noqa: PLC0415 - heavy, see cli.py
    from suffice.log_lines import write_log  # noqa: PLC0415
    from suffice.settings import SufficeSettings  # noqa: PLC0415

    write_log(sys.stderr)
    home = SufficeSettings().home
    Home(home).check_free()  # before the imports that take seconds

    from serving.server import run  # noqa: PLC0415
    from serving.service import Settings  # noqa: PLC0415

    settings = Settings.read(home)
    given = {"host": host, "port": port}
    changes = {name: value for name, value in given.items() if value is not None}
    serving = settings.serving.model_copy(update=changes)
    run(
        replace(settings, serving=serving),
        on_start=lambda url: console.print(f"Suffice answers at {url} (API: {url}/docs)"),
    )
