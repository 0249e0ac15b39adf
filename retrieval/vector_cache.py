"""Vectors of passages that were embedded before, so that none is embedded twice.

Kept are the SHA-256 of a passage with its embedder's fingerprint, and the vector; never text. An
entry does not tell which document it came from: so that nothing of a deleted document stays, a
deletion empties the cache.
"""

import hashlib
import logging
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import numpy as np

from retrieval.embedding import Embedder, Matrix, TokenVectors

# SQLite takes up to 32,766 parameters; an index page is found for each, so more gain nothing.
LOOKUP_SIZE = 500
# What an entry takes besides its vector: key, row id and both in the index.
ENTRY_BYTES = 100
logger = logging.getLogger(__name__)

Key = bytes


class VectorCache:
    """A bounded SQLite file. Losing it costs time only, so its faults are logged, never raised."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Open the file, or begin a new one when it is damaged.

        Args:
            path: the file.
            max_bytes: what the entries may take; the oldest leave first.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._lock = Lock()
        try:
            self._connection = self._connect()
        except sqlite3.DatabaseError:
            logger.warning("vector cache begun anew: the file was damaged", exc_info=True)
            remove(path)
            self._connection = self._connect()

    def get(self, keys: Sequence[Key]) -> dict[Key, Matrix]:
        """Return the vectors of those keys that are known; a damaged one is not."""
        found: dict[Key, Matrix] = {}
        try:
            with self._lock:
                for start in range(0, len(keys), LOOKUP_SIZE):
                    some = keys[start : start + LOOKUP_SIZE]
                    marks = ",".join("?" * len(some))
                    rows = self._connection.execute(
                        "SELECT key, vector, checksum FROM vectors "  # noqa: S608
                        f"WHERE key IN ({marks})",
                        some,
                    )
                    found |= {
                        key: np.frombuffer(vector, np.float32)
                        for key, vector, checksum in rows
                        if checksum in {None, zlib.crc32(vector)}
                    }
        except sqlite3.Error:
            logger.warning("vector cache not read", exc_info=True)
        return found

    def put(self, vectors: Mapping[Key, Matrix]) -> None:
        """Remember vectors, and forget the oldest beyond the limit."""
        try:
            with self._lock, self._connection:
                rows = ((key, vector.tobytes()) for key, vector in vectors.items())
                # A damaged one is replaced.
                self._connection.executemany(
                    "INSERT OR REPLACE INTO vectors (key, vector, checksum) VALUES (?, ?, ?)",
                    [(key, vector, zlib.crc32(vector)) for key, vector in rows],
                )
                self._forget_oldest(max(vector.nbytes for vector in vectors.values()))
        except sqlite3.Error:
            logger.warning("vector cache not written", exc_info=True)

    def clear(self) -> None:
        """Forget everything, on disk, too.

        Raises:
            OSError: the file cannot be removed.
            sqlite3.Error: a new file cannot be made.
        """
        with self._lock:
            self._connection.close()
            remove(self._path)
            self._connection = self._connect()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=10, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA secure_delete=ON")
            # Row ids grow with time: the lowest is the oldest.
            connection.execute(
                "CREATE TABLE IF NOT EXISTS vectors "
                "(id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, vector BLOB NOT NULL, "
                "checksum INTEGER)"
            )
            columns = {row[1] for row in connection.execute("PRAGMA table_info(vectors)")}
            if "checksum" not in columns:  # an earlier version made the file
                connection.execute("ALTER TABLE vectors ADD COLUMN checksum INTEGER")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _forget_oldest(self, vector_bytes: int) -> None:
        max_entries = self._max_bytes // (vector_bytes + ENTRY_BYTES)
        [(first, last)] = self._connection.execute("SELECT min(id), max(id) FROM vectors")
        if last - first >= max_entries:
            self._connection.execute("DELETE FROM vectors WHERE id <= ?", (last - max_entries,))


def remove(path: Path) -> None:
    """Remove a cache file with what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


class CachingEmbedder:
    """An `Embedder` that looks up passages before it embeds them."""

    def __init__(self, embedder: Embedder, cache: VectorCache) -> None:
        self._embedder = embedder
        self._cache = cache
        self.name = embedder.name
        self.fingerprint = embedder.fingerprint
        self.dimension = embedder.dimension
        self.max_tokens = embedder.max_tokens

    def embed_passages(self, texts: Sequence[str]) -> Matrix:
        """Embed each distinct passage that was never embedded, see `Embedder`."""
        keys = [self._key(text) for text in texts]
        passages = dict(zip(keys, texts, strict=True))
        known = self._cache.get(list(passages))
        if new := passages.keys() - known.keys():
            known |= self._embed({key: passages[key] for key in passages if key in new})
        rows = [known[key] for key in keys]
        return np.stack(rows) if rows else np.zeros((0, self.dimension), np.float32)

    def embed_query(self, text: str) -> Matrix:
        """Embed a query, see `Embedder`."""
        return self._embedder.embed_query(text)

    def embed_passage_tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        """Embed the tokens of passages, see `Embedder`."""
        return self._embedder.embed_passage_tokens(texts)

    def embed_query_tokens(self, text: str) -> TokenVectors:
        """Embed the tokens of a query, see `Embedder`."""
        return self._embedder.embed_query_tokens(text)

    def token_starts(self, text: str) -> list[int]:
        """Return where each token begins, see `Embedder`."""
        return self._embedder.token_starts(text)

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has, see `Embedder`."""
        return self._embedder.count_tokens(text)

    def vocabulary_coverage(self, text: str) -> float:
        """Return how much of a text the model's vocabulary has, see `Embedder`."""
        return self._embedder.vocabulary_coverage(text)

    def _embed(self, passages: Mapping[Key, str]) -> dict[Key, Matrix]:
        vectors = dict(
            zip(passages, self._embedder.embed_passages(list(passages.values())), strict=True)
        )
        self._cache.put(vectors)
        return vectors

    def _key(self, text: str) -> Key:
        return hashlib.sha256(f"{self.fingerprint}\n{text}".encode()).digest()


@contextmanager
def open_cache(path: Path, max_bytes: int) -> Iterator[VectorCache | None]:
    """Yield the cache in a file; without room for one there is none, and no file."""
    if max_bytes == 0:
        remove(path)
        yield None
        return
    cache = VectorCache(path, max_bytes)
    try:
        yield cache
    finally:
        cache.close()
