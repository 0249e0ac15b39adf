"""Question in, cited answer out: search, context, generation, citations."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from ingest.library import Library
from retrieval.embedding import Embedder
from retrieval.filters import Filter
from retrieval.packing import Packing, PackingPolicy
from retrieval.profiles import RetrievalProfile
from retrieval.search import Searcher
from serving.citations import Citation, cite
from serving.context import Context, build_context
from serving.generation import Finish, Generator, Sampling, Task, Turn, Usage


@dataclass(frozen=True, slots=True)
class Question:
    """What the caller asks.

    Attributes:
        text: the question.
        history: earlier turns.
        collection: where to look.
        profile: how to look.
        top_k: chunks to retrieve.
        where: filter on the documents to look in.
        packing: how they become the context.
        sampling: how to generate.
    """

    text: str
    history: Sequence[Turn]
    collection: str
    profile: RetrievalProfile
    top_k: int
    where: Filter | None
    packing: PackingPolicy
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What is known when an answer is complete.

    Attributes:
        finish_reason: `stop` or `length`.
        citations: one for each resolved marker, in order.
        usage: tokens.
        packing: what the context was made of, counted by the embedder's tokenizer.
        model: which model wrote the answer.
        warnings: what the search did otherwise than asked, and why.
        timings: seconds of each stage.
    """

    finish_reason: str
    citations: list[Citation]
    usage: Usage
    packing: Packing
    model: str
    warnings: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def is_grounded(self) -> bool:
        """Whether the answer rests on the documents at all."""
        return bool(self.citations)


class Answerer:
    """Answers questions from the library."""

    def __init__(self, library: Library, searcher: Searcher, generator: Generator) -> None:
        self._library = library
        self._searcher = searcher
        self._generator = generator

    async def answer(self, question: Question) -> AsyncIterator[str | Conclusion]:
        """Yield the answer in pieces, then its Conclusion."""
        started = perf_counter()
        context, packing, embedder, warnings = await asyncio.to_thread(self._retrieve, question)
        retrieved = perf_counter()
        pieces: list[str] = []
        finish = Finish("stop", Usage(0, 0))
        task = Task(question.text, context, question.history, question.sampling, embedder)
        async for piece in self._generator.generate(task):
            if isinstance(piece, Finish):
                finish = piece
            else:
                pieces.append(piece)
                yield piece
        yield Conclusion(
            finish_reason=finish.reason,
            citations=await asyncio.to_thread(cite, "".join(pieces), context, self._locate),
            usage=finish.usage,
            packing=packing,
            model=await self._generator.model_name(),
            warnings=warnings,
            timings={
                "retrieval_seconds": retrieved - started,
                "generation_seconds": perf_counter() - retrieved,
            },
        )

    async def check(self) -> None:
        """Raise a ServingError when the model cannot be reached."""
        await self._generator.check()

    async def close(self) -> None:
        """Close the connections to the model; called in the event loop that used them."""
        await self._generator.close()

    def _retrieve(self, question: Question) -> tuple[Context, Packing, Embedder, list[str]]:
        """Return the context, how it was packed, the collection's embedder, and warnings."""
        with self._library.open_index(question.collection) as opened:
            embedder = opened.embedder
            result = self._searcher.search(
                opened.index,
                embedder.embed_query,
                question.text,
                question.profile,
                question.top_k,
                question.where,
            )
        context, packing = build_context(
            self._library,
            result.hits,
            lambda text: len(embedder.token_offsets(text)),
            question.packing,
        )
        return context, packing, embedder, result.warnings

    def _locate(
        self, document_id: str, revision: str, offset: int
    ) -> tuple[int | None, str | None]:
        text = self._library.revision_text(document_id, revision)
        return (None, None) if text is None else (text.page_at(offset), text.place_at(offset))
