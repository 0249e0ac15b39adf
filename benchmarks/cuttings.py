"""Ways to cut documents, and what is found in the chunks of each, recorded once for good."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from benchmarks.evidence_sets import EvidenceSet
from eval.replay import FORMAT, ReplayLog, record
from eval.temporary_index import snapshot_index
from ingest.chunker import Chunker
from retrieval.analyzer import FINGERPRINT as ANALYZER
from retrieval.embedding import Embedder
from retrieval.sentence_transformer import SentenceTransformerEmbedder
from retrieval.settings import RetrievalSettings
from retrieval.vector_cache import CachingEmbedder, open_cache

CACHE_BYTES = 4 << 30
SIZES = (200, 128, 254, 64)
PEER_TOKENS = 512
R2R_CHARACTERS, R2R_OVERLAP = 1024, 512


@dataclass(frozen=True, slots=True)
class Way:
    """A way to cut documents.

    Attributes:
        name: size, overlap and their unit.
        chunker: cuts so.
        is_served: whether the service can cut so; else only the peers do.
    """

    name: str
    chunker: Chunker
    is_served: bool = True


def ways(embedder: Embedder) -> Iterator[Way]:
    """Yield all ways, first the one that is served, those that tell most first.

    Chunks of 512 tokens are longer than the embedder reads. It cuts them off, as it does in the
    peers' own stacks; lexical search reads all.
    """

    def way(size: int, overlap: int) -> Way:
        return Way(f"{size}/{overlap}", Chunker(size, embedder.token_starts, overlap, size // 4))

    def peers(size: int) -> Way:
        chunker = Chunker(size, embedder.token_starts, 0, size // 4)
        return Way(f"{size}/0", chunker, is_served=False)

    plain = [way(size, 0) for size in SIZES]
    yield plain[0]
    yield peers(PEER_TOKENS)
    yield from plain[1:]
    characters = Chunker(R2R_CHARACTERS, _characters, R2R_OVERLAP)
    yield Way(f"{R2R_CHARACTERS}/{R2R_OVERLAP} characters", characters, is_served=False)
    yield from (way(size, size // 4) for size in SIZES)


def _characters(text: str) -> range:
    """Return each character as a token."""
    return range(len(text))


@contextmanager
def cached_embedder(folder: Path) -> Iterator[Embedder]:
    """Yield the embedder of the settings, which keeps its vectors in a folder between runs."""
    settings = RetrievalSettings()
    embedder = SentenceTransformerEmbedder(
        settings.embedder, settings.device, settings.embedder_precision
    )
    folder.mkdir(parents=True, exist_ok=True)
    with open_cache(folder / "vectors.sqlite", CACHE_BYTES) as vectors:
        yield embedder if vectors is None else CachingEmbedder(embedder, vectors)


class Logs:
    """Replay logs in a folder, recorded where there is none."""

    def __init__(self, folder: Path, embedder: Embedder, language: str) -> None:
        """Set up.

        Args:
            folder: of the logs.
            embedder: of chunks and questions.
            language: of the lexical index.
        """
        self._folder = folder
        self._embedder = embedder
        self._language = language

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self._folder

    def find(self, data: EvidenceSet, way: Way) -> ReplayLog | None:
        """Return the log of a data set cut a way; None when it was not recorded."""
        fingerprint = self._fingerprint(data, way)
        path = self._path(fingerprint)
        return ReplayLog.load(path, fingerprint, data.snapshot.texts)

    def record(self, data: EvidenceSet, way: Way) -> None:
        """Make the log unless it is there."""
        fingerprint = self._fingerprint(data, way)
        if self._path(fingerprint).exists():
            return
        start = perf_counter()
        with snapshot_index(data.snapshot, way.chunker, self._embedder, self._language) as index:
            log = record(index, self._embedder, data.questions, fingerprint)
        self._folder.mkdir(parents=True, exist_ok=True)
        log.save(self._path(fingerprint))
        print(f"{data.name}, cut at {way.name}: {perf_counter() - start:.0f} s", flush=True)

    def _path(self, fingerprint: str) -> Path:
        return self._folder / f"{fingerprint[:16]}.jsonl"

    def _fingerprint(self, data: EvidenceSet, way: Way) -> str:
        digest = hashlib.sha256()
        for part in (
            data.snapshot.fingerprint,
            self._embedder.fingerprint,
            f"{self._language} {ANALYZER} {FORMAT}",
            way.name,
            way.chunker.fingerprint,
            *(f"{one.question_id}\n{one.text}" for one in data.questions),
        ):
            digest.update(part.encode() + b"\0")
        return digest.hexdigest()
