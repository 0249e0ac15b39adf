"""`suffice doctor`."""

from dataclasses import asdict
from typing import Annotated

import typer

from suffice.options import Json, console, escape, print_json


def doctor(
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what of catalog, index and files disagrees.")
    ] = False,
    json_output: Json = False,
) -> None:
    """Check Python, disk, model files, GPU, Qdrant, reranker, language model and store."""
    from suffice.doctor import examine  # noqa: PLC0415 - heavy, see cli.py
    from suffice.settings import SufficeSettings  # noqa: PLC0415

    findings = list(examine(SufficeSettings(), repair=repair))
    if json_output:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = "[green]ok  [/]" if finding.ok else "[red]FAIL[/]"
            console.print(f"{mark} [bold]{finding.part:<9}[/] {escape(finding.message)}")
            for line in finding.mended:
                console.print(f"     [yellow]mended[/]    {escape(line)}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
