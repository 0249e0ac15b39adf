"""Shadow indexes: the documents of a service, cut and indexed another way, beside the service."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from eval.progress import Progress, silent
from eval.snapshot import Snapshot
from eval.temporary_index import temporary_index
from ingest.chunker import Chunker
from retrieval.chunks import Chunk
from retrieval.embedding import Embedder
from retrieval.index import BATCH_SIZE, ChunkIndex


@contextmanager
def shadow_index(
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
            chunks = chunker.split(document.document_id, document.revision, document.text)
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
