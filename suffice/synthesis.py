"""What `suffice eval synth` does: questions from the documents of a running service."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from eval.asking import Asker, Spending
from eval.counted import counted
from eval.errors import DatasetError, writing
from eval.progress import Progress
from eval.questions import load_questions, write_questions
from eval.reply_cache import ReplyCache
from eval.synthesis.corpus import MODEL, RULE, Corpus, Source
from eval.synthesis.making import Made, make_questions
from ingest.home import Home
from retrieval.embedding import Embedder
from retrieval.errors import EmbedderUnavailableError
from retrieval.settings import RetrievalSettings
from serving.models import build_models, list_backends
from serving.settings import ServingSettings
from suffice.client import Client
from suffice.errors import SufficeError
from suffice.options import console, error_console, escape
from suffice.snapshots import read_collection


@dataclass(frozen=True, slots=True)
class SynthesisOrder:
    """What is wanted.

    Attributes:
        output: file of questions to write.
        collection: whose documents they are made from.
        number: of questions.
        seed: another one draws others.
        uses_model: False makes them by rules alone.
        model: of the settings, by name; None: the first, or none if there is none.
        max_usd: for all calls of the model; None: any.
    """

    output: Path
    collection: str = "default"
    number: int = 600
    seed: int = 0
    uses_model: bool = True
    model: str | None = None
    max_usd: float | None = None


def synthesize(client: Client, home: Home, order: SynthesisOrder, progress: Progress) -> Made:
    """Make questions from a collection's documents and write them.

    Replies of the model are kept beside the output, so the same command goes on where it was.

    Args:
        client: of the service.
        home: with the rates of the models.
        order: what is wanted.
        progress: told how far it is.

    Raises:
        DatasetError: the output cannot be written, or holds questions of people.
        NoQuestionsError: there are no documents, or they give no question.
        SufficeError: there is no such model.
        ModelUnavailableError, ModelFailedError: the model cannot be reached at all.
    """
    settings = RetrievalSettings()
    served = read_collection(client, order.collection, progress)
    sources = (Source(one.name, one.revision, one.text) for one in served.snapshot.documents)
    corpus = Corpus(sources, served.fingerprints["analyzer"])
    made = asyncio.run(_make(corpus, home, order, _load_embedder(settings), progress))
    write_questions(order.output, made.questions)
    return made


def check_output(path: Path) -> None:
    """Return if a file of questions can be written, and none is lost by it.

    Raises:
        DatasetError: it cannot, or there is a file that does not hold made questions only.
    """
    if path.is_dir():
        raise DatasetError(f"{path} cannot be written: it is a folder.")
    kinds = {question.kind for question in load_questions(path)} if path.exists() else set()
    if not kinds <= {RULE, MODEL}:
        raise DatasetError(
            f"{path} holds questions that were not made by a program. Name another file."
        )
    trial = path.with_name(f"{path.name}.tmp")
    with writing(path):
        trial.touch()
        trial.unlink()


def print_made(made: Made, output: Path) -> None:
    """Print the counts by maker and by reason, and the warnings."""
    table = Table("made by", "questions", title=counted(len(made.questions), "question"))
    for maker, number in sorted(made.num_by_maker.items()):
        table.add_row(maker, str(number))
    console.print(table)
    if made.num_rejected:
        table = Table("left out because", "questions")
        for reason, number in sorted(made.num_rejected.items()):
            table.add_row(reason, str(number))
        console.print(table)
    for line in _lines(made):
        console.print(line)
    for warning in made.warnings:
        error_console.print(f"[yellow]Warning:[/] {escape(warning)}")
    console.print(f"Written to {output}. Read some of them before you rely on them.", markup=False)


def _lines(made: Made) -> Iterator[str]:
    yield f"The simplest search finds evidence first for {made.success_at_1:.0%} of the questions."
    if made.num_parametric is not None:
        yield f"The model answers {made.num_parametric} of them without documents (parametric)."
    if made.num_calls:
        cost = "an unknown amount" if made.spent_usd is None else f"${made.spent_usd:.4f}"
        yield f"{counted(made.num_calls, 'call')} of the model, {cost}."


async def _make(
    corpus: Corpus, home: Home, order: SynthesisOrder, embedder: Embedder | None, progress: Progress
) -> Made:
    settings = ServingSettings()
    name = _choose_model(settings, order)
    if name is None:
        return await make_questions(
            corpus, order.number, order.seed, embedder=embedder, progress=progress
        )
    models = build_models(settings, home.rates)
    cache = ReplyCache(order.output.with_name(f"{order.output.name}.replies"))
    try:
        asker = Asker(models.get(name), cache, Spending(order.max_usd))
        await asker.check()
        return await make_questions(corpus, order.number, order.seed, asker, embedder, progress)
    finally:
        await models.close()


def _choose_model(settings: ServingSettings, order: SynthesisOrder) -> str | None:
    names = list(list_backends(settings))
    if order.model is not None and order.model not in names:
        there = f"there is {', '.join(names)}" if names else "the settings name no model server"
        raise SufficeError(f"There is no model {order.model!r}; {there}.")
    if not order.uses_model:
        return None
    return order.model or next(iter(names), None)


def _load_embedder(settings: RetrievalSettings) -> Embedder | None:
    """Return the embedder of the settings if it is on this machine; the service may be on another.

    Without it, questions are compared by their words alone.
    """
    from serving.service import load_embedder  # noqa: PLC0415 - takes a second

    try:
        return load_embedder(settings, settings.embedder)
    except EmbedderUnavailableError:
        return None
