"""The cache of vectors, with an embedder that counts what it embeds."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.embedding import Embedder, Matrix
from retrieval.vector_cache import ENTRY_BYTES, CachingEmbedder, VectorCache, open_cache
from tests.fakes import HashEmbedder

ROOM = 1_000_000
UNIQUE = "occursnowhereelse"


class CountingEmbedder(HashEmbedder):
    def __init__(self, fingerprint: str = "hash-1") -> None:
        super().__init__(fingerprint=fingerprint)
        self.embedded: list[str] = []

    def embed_passages(self, texts: Sequence[str]) -> Matrix:
        self.embedded += texts
        return super().embed_passages(texts)


@contextmanager
def cached(embedder: Embedder, path: Path, max_bytes: int) -> Iterator[Embedder]:
    with open_cache(path, max_bytes) as cache:
        yield embedder if cache is None else CachingEmbedder(embedder, cache)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vectors.sqlite"


@pytest.fixture
def cache(path: Path) -> Iterator[VectorCache]:
    cache = VectorCache(path, ROOM)
    yield cache
    cache.close()


def test_no_passage_is_embedded_twice(cache: VectorCache) -> None:
    counting = CountingEmbedder()
    embedder = CachingEmbedder(counting, cache)
    embedder.embed_passages(["a", "b", "a"])
    embedder.embed_passages(["c", "b"])
    assert counting.embedded == ["a", "b", "c"]


@settings(max_examples=25)
@given(calls=st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=12), max_size=6))
def test_vectors_are_those_of_the_embedder_in_order(
    tmp_path_factory: pytest.TempPathFactory, calls: list[list[str]]
) -> None:
    plain = HashEmbedder()
    path = tmp_path_factory.mktemp("cache") / "vectors.sqlite"
    with cached(plain, path, max_bytes=3 * (64 * 4 + ENTRY_BYTES)) as embedder:
        for texts in calls:
            assert np.array_equal(embedder.embed_passages(texts), plain.embed_passages(texts))


def test_the_rest_is_asked_of_the_embedder(cache: VectorCache) -> None:
    plain = HashEmbedder()
    embedder = CachingEmbedder(plain, cache)
    assert embedder.name == plain.name
    assert embedder.fingerprint == plain.fingerprint
    assert embedder.dimension == plain.dimension
    assert embedder.max_tokens == plain.max_tokens
    assert np.array_equal(embedder.embed_query("a b"), plain.embed_query("a b"))
    assert embedder.token_starts("a b") == [0, 2]
    assert embedder.embed_query_tokens("a b").offsets == [(0, 1), (2, 3)]
    [tokens] = embedder.embed_passage_tokens(["a b"])
    assert np.array_equal(tokens.vectors, plain.embed_query_tokens("a b").vectors)


def test_it_outlives_the_process(path: Path) -> None:
    with cached(HashEmbedder(), path, ROOM) as embedder:
        before = embedder.embed_passages(["a"])
    counting = CountingEmbedder()
    with cached(counting, path, ROOM) as embedder:
        assert np.array_equal(embedder.embed_passages(["a"]), before)
    assert counting.embedded == []


def test_a_vector_with_a_flipped_bit_is_made_anew(path: Path) -> None:
    plain = HashEmbedder()
    right = plain.embed_passages(["a", "b"])
    with cached(HashEmbedder(), path, ROOM) as embedder:
        embedder.embed_passages(["a", "b"])
    content = right[0].tobytes()
    damaged = content[:-1] + bytes([content[-1] ^ 1])
    path.write_bytes(path.read_bytes().replace(content, damaged))
    counting = CountingEmbedder()
    with cached(counting, path, ROOM) as embedder:
        for _ in range(2):
            assert np.array_equal(embedder.embed_passages(["a", "b"]), right)
    assert counting.embedded == ["a"]


def test_a_file_of_before_checksums_is_read(path: Path) -> None:
    with cached(HashEmbedder(), path, ROOM) as embedder:
        embedder.embed_passages(["a"])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ALTER TABLE vectors DROP COLUMN checksum")
    counting = CountingEmbedder()
    with cached(counting, path, ROOM) as embedder:
        embedder.embed_passages(["a", "b"])
    assert counting.embedded == ["b"]


def test_another_embedder_has_its_own_vectors(cache: VectorCache) -> None:
    first, second = CountingEmbedder("hash-1"), CountingEmbedder("hash-2")
    CachingEmbedder(first, cache).embed_passages(["a"])
    CachingEmbedder(second, cache).embed_passages(["a"])
    assert first.embedded == second.embedded == ["a"]


def test_the_oldest_leave_first(path: Path) -> None:
    counting = CountingEmbedder()
    with cached(counting, path, max_bytes=3 * (64 * 4 + ENTRY_BYTES)) as embedder:
        embedder.embed_passages(["a", "b"])
        embedder.embed_passages(["c", "d"])
        embedder.embed_passages(["b", "c", "d"])
        assert counting.embedded == ["a", "b", "c", "d"]
        embedder.embed_passages(["a"])
        assert counting.embedded == ["a", "b", "c", "d", "a"]


def test_the_file_stays_within_the_limit(path: Path) -> None:
    max_bytes = 200 * (64 * 4 + ENTRY_BYTES)
    with cached(HashEmbedder(), path, max_bytes) as embedder:
        for start in range(0, 2000, 100):
            embedder.embed_passages([f"word{n}" for n in range(start, start + 100)])
    # SQLite fills its pages to two thirds at least; the batch that is let in last comes on top.
    assert path.stat().st_size < 2 * max_bytes


def test_no_text_is_on_disk(path: Path) -> None:
    with cached(HashEmbedder(), path, ROOM) as embedder:
        embedder.embed_passages([UNIQUE, "another"])
        files = list(path.parent.iterdir())
        assert path in files
        assert not any(UNIQUE.encode() in file.read_bytes() for file in files)


def test_cleared_it_holds_nothing_and_goes_on(cache: VectorCache, path: Path) -> None:
    counting = CountingEmbedder()
    embedder = CachingEmbedder(counting, cache)
    vector = embedder.embed_passages(["a"])
    assert any(vector.tobytes() in file.read_bytes() for file in path.parent.iterdir())
    cache.clear()
    assert not any(vector.tobytes() in file.read_bytes() for file in path.parent.iterdir())
    embedder.embed_passages(["a"])
    embedder.embed_passages(["a"])
    assert counting.embedded == ["a", "a"]


def test_without_room_there_is_no_file(path: Path) -> None:
    with cached(HashEmbedder(), path, ROOM) as embedder:
        embedder.embed_passages(["a"])
    counting = CountingEmbedder()
    with cached(counting, path, max_bytes=0) as embedder:
        embedder.embed_passages(["a"])
    assert counting.embedded == ["a"]
    assert list(path.parent.iterdir()) == []


def test_a_damaged_file_is_begun_anew(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)
    with cached(HashEmbedder(), path, ROOM) as embedder:
        embedder.embed_passages(["a"])
    counting = CountingEmbedder()
    with cached(counting, path, ROOM) as embedder:
        embedder.embed_passages(["a"])
    assert counting.embedded == []


def test_a_fault_of_the_file_costs_time_only(path: Path) -> None:
    with cached(HashEmbedder(), path, ROOM) as embedder:
        embedder.embed_passages([f"word{n}" for n in range(100)])
    content = bytearray(path.read_bytes())
    content[4096:] = bytes(len(content) - 4096)
    path.write_bytes(content)
    plain = HashEmbedder()
    with cached(plain, path, ROOM) as embedder:
        texts = [f"word{n}" for n in range(5)]
        assert np.array_equal(embedder.embed_passages(texts), plain.embed_passages(texts))
