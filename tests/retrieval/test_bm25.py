"""Lexical search by rank-bm25: the engine's scores, and never those of a corpus that is gone."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from retrieval import bm25
from retrieval.bm25 import RankBM25Index, RankBM25Store
from retrieval.edge import EdgeStore
from retrieval.errors import CollectionTooLargeError
from retrieval.filters import Comparison
from retrieval.index import ChunkIndex, IndexStore
from tests.rankings import search_dense, search_lexical
from tests.retrieval.test_index import (
    EMBEDDER,
    WORDS,
    add,
    add_texts,
    make_chunk,
    random_corpus,
    random_queries,
    texts_of,
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[IndexStore]:
    store = EdgeStore(tmp_path, EMBEDDER.dimension, "english")
    yield store
    store.close()


def test_scores_are_those_of_the_engine(engine: IndexStore) -> None:
    theirs, ours = engine.open("default"), RankBM25Store(engine).open("default")
    corpus = random_corpus(300, seed=7)
    add(ours, *corpus)
    for query in [*random_queries(10, seed=8), f"{WORDS[3]} {WORDS[3]} the {WORDS[5]}"]:
        expected = theirs.rank_lexical(query, 300)
        assert ours.rank_lexical(query, 300) == pytest.approx(expected, rel=1e-4)
        assert list(ours.rank_lexical(query, 3).values()) == pytest.approx(
            list(expected.values())[:3], rel=1e-4
        )


def test_filters_are_those_of_the_engine(engine: IndexStore) -> None:
    index = RankBM25Store(engine).open("default")
    for year in (2023, 2024):
        chunk = make_chunk(f"a cat of {year}", 0, f"doc{year}")
        index.upsert([chunk], EMBEDDER.embed_passages([chunk.passage]), {"year": (float(year),)})
    everywhere = index.rank_lexical("cat", 10)
    late = index.rank_lexical("cat", 10, where=Comparison("year", "gt", (2023.0,)))
    assert late == {make_chunk("", 0, "doc2024").chunk_id: max(everywhere.values())}


def test_every_change_is_seen_at_once(engine: IndexStore) -> None:
    store = RankBM25Store(engine)
    index = store.open("default")
    assert search_lexical(index, "cat", 10) == []
    add_texts(index, "a cat", "a dog")
    assert texts_of(search_lexical(index, "cats", 10)) == ["a cat"]
    add_texts(index, "a bird")
    assert search_lexical(index, "cats", 10) == []
    index.delete("doc")
    assert search_lexical(index, "dog", 10) == []
    add_texts(store.open("default"), "a cat")
    assert texts_of(search_lexical(index, "cats", 10)) == ["a cat"]


def test_what_changes_while_it_counts_is_seen_next_time(engine: IndexStore) -> None:
    changing = ChangingIndex(engine.open("default"))
    index = RankBM25Index(changing)
    add_texts(index, "a dog")
    changing.changes = [lambda: add_texts(index, "a cat")]
    assert search_lexical(index, "cat", 10) == []
    assert changing.changes == []
    assert texts_of(search_lexical(index, "cat", 10)) == ["a cat"]


class ChangingIndex:
    """A real index that changes after all its tokens were read."""

    def __init__(self, index: ChunkIndex) -> None:
        self.changes: list[Callable[[], object]] = []
        self._index = index

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)

    def tokens(self) -> Iterator[tuple[str, list[str]]]:
        yield from self._index.tokens()
        while self.changes:
            self.changes.pop()()


def test_chunks_without_tokens_do_not_count(engine: IndexStore) -> None:
    index = RankBM25Store(engine).open("default")
    add_texts(index, "...")
    assert search_lexical(index, "cat", 10) == []
    add_texts(index, "...", "a cat")
    found, expected = (i.rank_lexical("cat", 9) for i in (index, engine.open("default")))
    assert found == pytest.approx(expected, rel=1e-4)


def test_a_large_collection_is_refused_with_the_way_out(
    engine: IndexStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bm25, "MAX_CHUNKS", 1)
    index = RankBM25Store(engine).open("default")
    add_texts(index, "a cat")
    assert texts_of(search_lexical(index, "cat", 10)) == ["a cat"]
    add_texts(index, "a cat", "a dog")
    with pytest.raises(CollectionTooLargeError, match="Set RETRIEVAL_LEXICAL=engine"):
        search_lexical(index, "cat", 10)
    assert len(search_dense(index, EMBEDDER.embed_query("cat"), 10)) == 2
