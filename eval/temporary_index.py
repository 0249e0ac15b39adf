"""Indexes that are gone after the evaluation."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from eval.progress import Progress, silent
from eval.snapshot import Snapshot
from ingest.chunker import Chunker
from retrieval.chunks import Chunk
from retrieval.edge import EdgeStore
from retrieval.embedding import Embedder
from retrieval.index import BATCH_SIZE, ChunkIndex


@contextmanager
def temporary_index(dimension: int, language: str) -> Iterator[ChunkIndex]:
    """Open an empty embedded index in a temporary folder; both end with the block.

    Args:
        dimension: length of the vectors.
        language: stemmer and stop words, see `RetrievalSettings.language`.
    """
    with (
        TemporaryDirectory(prefix="suffice-eval-") as folder,
        closing(EdgeStore(Path(folder), dimension, language)) as store,
    ):
        yield store.open("evaluation")


@contextmanager
def snapshot_index(
    snapshot: Snapshot,
    chunker: Chunker,
    embedder: Embedder,
    language: str,
    progress: Progress = silent,
    *,
    with_headings: bool = True,
) -> Iterator[ChunkIndex]:
    """Index a snapshot in a temporary folder that is gone with the block.

    Nothing is parsed; with an embedder that remembers nothing is embedded twice. The chunks have
    the ids that the service would give them.

    Args:
        snapshot: the documents.
        chunker: cuts them.
        embedder: of the chunks.
        language: of the lexical index, see `RetrievalSettings.language`.
        progress: told of `documents` after each.
        with_headings: without, chunks are the same but for the headings above their texts.
    """
    with temporary_index(embedder.dimension, language) as index:
        batch: list[Chunk] = []
        for done, document in enumerate(snapshot.documents, start=1):
            chunks = chunker.split(
                document.document_id, document.revision, document.text, document.title
            )
            batch += chunks if with_headings else [replace(one, headings=()) for one in chunks]
            while len(batch) >= BATCH_SIZE:
                _add(index, embedder, batch[:BATCH_SIZE])
                del batch[:BATCH_SIZE]
            progress("documents", done, len(snapshot.documents))
        _add(index, embedder, batch)
        yield index


def _add(index: ChunkIndex, embedder: Embedder, chunks: list[Chunk]) -> None:
    if chunks:
        index.upsert(chunks, embedder.embed_passages([chunk.passage for chunk in chunks]))
