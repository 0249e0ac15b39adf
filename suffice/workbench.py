"""The workbench: a collection, cut and searched beside its service as the service would."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache

from eval.extras import Extra
from eval.progress import Progress
from eval.questions import Question
from eval.replay import Replay, ReplayLog, record
from eval.results import Cut
from eval.sweep import PromptTokens
from eval.temporary_index import snapshot_index
from eval.tuning import Cutting
from ingest.chunker import MIN_MAX_TOKENS, Chunker
from ingest.home import Home
from retrieval.analyzer import FINGERPRINT as ANALYZER
from retrieval.bm25 import RankBM25Index
from retrieval.embedding import Embedder
from retrieval.reranking import Reranking
from retrieval.settings import Lexical, RetrievalSettings
from retrieval.vector_cache import CachingEmbedder, open_cache
from serving.context import count_label
from serving.generation import Generator
from serving.markers import make_nonce
from serving.prompt import write_prompt
from serving.service import build_reranking
from suffice.errors import SufficeError
from suffice.snapshots import ServedCollection
from suffice.tuning_order import TuningOrder

_SIZES = re.compile(r"structure-2/max=(\d+)/overlap=(\d+)/min=(\d+)")
# Two digits, as most passages of a prompt have.
_LABEL_NUMBER = 88


@dataclass(frozen=True, slots=True)
class Workbench:
    """What is needed to search a collection as its service does.

    Attributes:
        served: the collection.
        embedder: of its vectors, which remembers those of the service.
        reranking: of the settings.
        lexical: what ranks by words, see `RetrievalSettings.lexical`.
        closing: closes what is made here.
    """

    served: ServedCollection
    embedder: Embedder
    reranking: Reranking | None
    lexical: Lexical
    closing: ExitStack

    def cuttings(
        self, order: TuningOrder, questions: Sequence[Question], progress: Progress
    ) -> Iterator[Cutting]:
        """Yield a replay for each way to cut the documents, first the one that is served.

        Raises:
            SufficeError: a chunk size cannot be tried.
        """
        for chunker in self._chunkers(order):
            step = _named(progress, f"chunks of {chunker.max_tokens}")
            cut = Cut(
                max_tokens=chunker.max_tokens,
                overlap_tokens=chunker.overlap_tokens,
                min_tokens=chunker.min_tokens,
                fingerprint=chunker.fingerprint,
            )
            yield Cutting(cut, self._replay(chunker, order, questions, step))

    def without_headings(
        self, order: TuningOrder, questions: Sequence[Question], progress: Progress
    ) -> Replay | None:
        """Return a replay of the served chunks without headings, if that is asked for.

        None: it is not, or no document has any.

        Raises:
            SufficeError: the documents are cut in different ways.
        """
        if Extra.HEADINGS not in order.stages:
            return None
        if not any(document.text.headings for document in self.served.snapshot.documents):
            return None
        chunker = _served_chunker(self.served, self.embedder)
        step = _named(progress, "without headings")
        return self._replay(chunker, order, questions, step, with_headings=False)

    def _replay(
        self,
        chunker: Chunker,
        order: TuningOrder,
        questions: Sequence[Question],
        progress: Progress,
        *,
        with_headings: bool = True,
    ) -> Replay:
        fingerprint = self._fingerprint(chunker, questions, with_headings=with_headings)
        path = order.output / "logs" / f"{fingerprint[:16]}.jsonl"
        log = ReplayLog.load(path, fingerprint, self.served.snapshot.texts)
        if log is None:
            with snapshot_index(
                self.served.snapshot,
                chunker,
                self.embedder,
                self.served.fingerprints["analyzer"],
                progress,
                with_headings=with_headings,
            ) as index:
                searched = RankBM25Index(index) if self.lexical == "rank_bm25" else index
                log = record(searched, self.embedder, questions, fingerprint, progress)
            log.save(path)
        replay = Replay(log, self.embedder, self.reranking)
        self.closing.callback(replay.close)
        return replay

    def _chunkers(self, order: TuningOrder) -> list[Chunker]:
        served = _served_chunker(self.served, self.embedder)
        chunkers = {served.fingerprint: served}
        for size in (served.max_tokens, *order.chunk_tokens):
            if not MIN_MAX_TOKENS <= size <= self.embedder.max_tokens:
                raise SufficeError(
                    f"Chunks of {size} tokens cannot be tried: {self.embedder.name} reads "
                    f"{MIN_MAX_TOKENS} to {self.embedder.max_tokens}."
                )
            for overlap in (0, *order.overlaps):
                chunker = Chunker(
                    size, self.embedder.token_starts, min(overlap, size // 2), size // 4
                )
                chunkers.setdefault(chunker.fingerprint, chunker)
        return list(chunkers.values())

    def _fingerprint(
        self, chunker: Chunker, questions: Sequence[Question], *, with_headings: bool
    ) -> str:
        digest = hashlib.sha256()
        for part in (
            self.served.snapshot.fingerprint,
            self.embedder.fingerprint,
            f"{self.served.fingerprints['analyzer']} {ANALYZER}",
            self.lexical,
            chunker.fingerprint if with_headings else f"{chunker.fingerprint} without headings",
            *(f"{one.question_id}\n{one.text}" for one in questions),
        ):
            digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
        return digest.hexdigest()


@contextmanager
def open_workbench(
    home: Home, served: ServedCollection, load: Callable[[RetrievalSettings, str], Embedder]
) -> Iterator[Workbench]:
    """Load what is needed; all of it is closed with the block.

    Args:
        home: with the vector cache; made where the service has another one.
        served: the collection.
        load: loads its embedder by name.

    Raises:
        SufficeError: the embedder on this machine makes other vectors.
        EmbedderUnavailableError: it cannot be loaded.
    """
    settings = RetrievalSettings()
    home.create()
    with open_cache(home.vectors, settings.vector_cache_bytes) as vectors, ExitStack() as closing:
        embedder = load(settings, served.embedder)
        if embedder.fingerprint != served.fingerprints["embedder"]:
            raise SufficeError(
                f"The collection {served.name!r} was embedded with {served.embedder}, and what has "
                "this name on this machine makes other vectors. Run this command where the service "
                "runs, with its RETRIEVAL_* settings."
            )
        if vectors is not None:
            embedder = CachingEmbedder(embedder, vectors)
        yield Workbench(
            served,
            embedder,
            build_reranking(settings, embedder, closing),
            settings.lexical,
            closing,
        )


def _served_chunker(served: ServedCollection, embedder: Embedder) -> Chunker:
    """Return the chunker that a collection was cut with."""
    sizes = _SIZES.fullmatch(served.fingerprints["chunker"])
    if sizes is None:
        raise SufficeError(
            f"The documents of {served.name!r} are cut in different ways. Run `suffice reindex "
            f"{served.name}` first."
        )
    longest, overlap, shortest = map(int, sizes.groups())
    return Chunker(longest, embedder.token_starts, overlap, shortest)


def count_tokens(
    served: ServedCollection, embedder: Embedder, generator: Generator
) -> PromptTokens:
    """Return how a prompt is counted by the model that reads it; without one, by the embedder."""
    nonce = make_nonce(b"", served.name)
    counter = generator.counter
    if counter is None:
        count = embedder.count_tokens
        frame = cache(count)
    else:
        count = counter.count_text

        @cache
        def frame(question: str) -> int:
            return counter.count_messages(write_prompt(question, (), (), (), nonce), None)

    def label(document_id: str) -> int:
        return count_label(count, _LABEL_NUMBER, served.filenames[document_id], nonce)

    return PromptTokens(count, label, frame)


def _named(progress: Progress, addition: str) -> Progress:
    """Return a progress whose steps have an addition to their names."""

    def tell(step: str, done: int, total: int, note: str = "") -> None:
        progress(f"{step}, {addition}", done, total, note)

    return tell
