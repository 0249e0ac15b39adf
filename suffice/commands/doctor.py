"""`suffice doctor`."""

import typer
from rich.markup import escape

from suffice.options import Json, console, print_json


def doctor(json_output: Json = False) -> None:
    """Check Python, model files, store, disk, GPU, Qdrant and language model."""
    from suffice.doctor import examine  # noqa: PLC0415 - heavy, see cli.py
    from suffice.settings import SufficeSettings  # noqa: PLC0415

    findings = list(examine(SufficeSettings()))
    if json_output:
        print_json([{"part": f.part, "ok": f.ok, "message": f.message} for f in findings])
    else:
        for finding in findings:
            mark = "[green]ok  [/]" if finding.ok else "[red]FAIL[/]"
            console.print(f"{mark} [bold]{finding.part:<9}[/] {escape(finding.message)}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
