"""A shard of the embedded index with one chunk for each text."""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.systems.worker import Given
from retrieval.chunk_ids import make_chunk_id
from retrieval.chunks import Chunk
from retrieval.edge import EdgeStore
from retrieval.index import BATCH_SIZE
from retrieval.settings import RetrievalSettings


class Shard:
    """Written in batches and optimised, as after a big upload; lasts as long as the object.

    Attributes:
        folder: of the collection.
        index: the open index.
        positions: chunk id -> position of its text.
    """

    def __init__(self, texts: list[str], embed: Given) -> None:
        self._root = tempfile.TemporaryDirectory()
        self.folder = Path(self._root.name) / "default"
        self.store = EdgeStore(Path(self._root.name), embed.dimension, RetrievalSettings().language)
        self.index = self.store.open("default")
        self.positions: dict[str, int] = {}
        for start in range(0, len(texts), BATCH_SIZE):
            batch = texts[start : start + BATCH_SIZE]
            chunks = [_chunk(start + number, text) for number, text in enumerate(batch)]
            self.positions |= {chunk.chunk_id: int(chunk.document_id) for chunk in chunks}
            self.index.upsert(chunks, np.stack([embed(text) for text in batch]))
        self.index.compact()


def _chunk(number: int, text: str) -> Chunk:
    return Chunk(
        chunk_id=make_chunk_id(str(number)),
        document_id=str(number),
        revision="",
        start=0,
        end=len(text),
        text=text,
        headings=(),
        page_start=None,
        page_end=None,
        token_count=0,
        parent_start=0,
        parent_end=len(text),
    )
