"""`suffice eval convert`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from eval.counted import counted
from suffice.options import Collection, Url, console, service


class Format(StrEnum):
    """What questions are converted from."""

    BEIR = "beir"
    SQUAD = "squad"
    CHUNKS = "chunks"


def convert(
    source_format: Annotated[Format, typer.Argument(metavar="FORMAT", help="beir, squad, chunks.")],
    source: Annotated[Path, typer.Argument(help="Folder or file to convert.")],
    output: Annotated[Path, typer.Argument(help="New folder for questions and documents.")],
    collection: Collection = "default",
    url: Url = None,
) -> None:
    """Convert a test collection to questions with evidence, and documents to ingest."""
    from eval.conversion import (  # noqa: PLC0415 - heavy, see cli.py
        QUESTIONS,
        convert_beir,
        convert_chunks,
        convert_squad,
    )

    match source_format:
        case Format.BEIR:
            converted = convert_beir(source, output)
        case Format.SQUAD:
            converted = convert_squad(source, output)
        case Format.CHUNKS:
            from suffice.snapshots import read_collection  # noqa: PLC0415

            with service(url) as client:
                snapshot = read_collection(client, collection).snapshot
            texts = {one.name: (one.text.text, one.revision) for one in snapshot.documents}
            converted = convert_chunks(source, output, texts)
    console.print(
        f"{counted(converted.num_questions, 'question')} in {output / QUESTIONS}; left out because "
        f"their evidence is not in the documents: {converted.num_dropped}.",
        markup=False,
    )
    if converted.num_documents:
        console.print(
            f"Their documents, {converted.num_documents:,}: suffice ingest {output / 'documents'}",
            markup=False,
        )
