"""Hybrid search over a real index."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from retrieval.chunks import Chunk
from retrieval.edge import EdgeStore
from retrieval.index import ChunkIndex
from retrieval.search import Mode, Searcher
from tests.fakes import HashEmbedder
from tests.rankings import search_dense, search_lexical

EMBEDDER = HashEmbedder()
TEXTS = [
    "cats chase mice",
    "a cat sleeps all day",
    "dogs chase cats and dogs bark",
    "mice eat cheese",
    "the moon is far away",
    "tides follow the moon",
    *(f"filler number {n} about cheese" for n in range(30)),
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChunkIndex]:
    store = EdgeStore(Path(tmp_path_factory.mktemp("index")), EMBEDDER.dimension, "english")
    index = store.open("default")
    chunks = [
        Chunk(
            chunk_id=str(uuid.uuid5(uuid.NAMESPACE_OID, text)),
            document_id="doc",
            revision="r",
            start=0,
            end=len(text),
            text=text,
            headings=(),
            page_start=None,
            page_end=None,
            token_count=5,
            parent_start=0,
            parent_end=len(text),
        )
        for text in TEXTS
    ]
    index.upsert(chunks, EMBEDDER.embed_passages(TEXTS))
    yield index
    store.close()


def searcher(num_candidates: int = 5, dense_weight: float = 0.5) -> Searcher:
    return Searcher(EMBEDDER, num_candidates, dense_weight)


@pytest.mark.parametrize("mode", [Mode.DENSE, Mode.LEXICAL])
def test_one_method_ranks_as_its_index_does(index: ChunkIndex, mode: Mode) -> None:
    hits = searcher().search(index, "cats and mice", 4, mode).hits
    if mode is Mode.DENSE:
        expected = search_dense(index, EMBEDDER.embed_query("cats and mice"), 4)
    else:
        expected = search_lexical(index, "cats and mice", 4)
    assert [(hit.chunk, hit.score) for hit in hits] == [(hit.chunk, hit.score) for hit in expected]
    assert [hit.scores for hit in hits] == [{mode.value: hit.score} for hit in expected]


def test_hybrid_hits_know_every_score(index: ChunkIndex) -> None:
    """A candidate of one search is scored by the other, too, however few candidates there are."""
    query = "cats chase the moon cheese"
    dense = {
        hit.chunk.chunk_id: hit.score
        for hit in search_dense(index, EMBEDDER.embed_query(query), len(TEXTS))
    }
    lexical = {hit.chunk.chunk_id: hit.score for hit in search_lexical(index, query, len(TEXTS))}
    for num_candidates in (1, 3, 10):
        hits = searcher(num_candidates).search(index, query, 3).hits
        assert len(hits) == 3
        for hit in hits:
            key = hit.chunk.chunk_id
            assert hit.scores["dense"] == pytest.approx(dense[key], abs=1e-6)
            # Without a common word there is no BM25 score.
            assert hit.scores.get("lexical") == pytest.approx(lexical.get(key))
            assert hit.scores["fused"] == hit.score
            assert hit.score == pytest.approx(
                0.5 * max(0, dense[key]) / max(dense.values())
                + 0.5 * lexical.get(key, 0) / max(lexical.values()),
                abs=1e-5,
            )


def test_hybrid_hits_are_best_first_and_each_once(index: ChunkIndex) -> None:
    hits = searcher(num_candidates=8).search(index, "cats chase mice", len(TEXTS)).hits
    assert hits[0].chunk.text == "cats chase mice"
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    ids = [hit.chunk.chunk_id for hit in hits]
    assert len(set(ids)) == len(ids) == len(TEXTS)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("top_k", [1, 2, 20])
def test_top_k_is_a_prefix_of_a_longer_list(index: ChunkIndex, mode: Mode, top_k: int) -> None:
    search = searcher(num_candidates=36)
    longest = [hit.chunk.text for hit in search.search(index, "cheese mice", 36, mode).hits]
    hits = search.search(index, "cheese mice", top_k, mode).hits
    if mode is Mode.LEXICAL or top_k == 20:
        # Equal scores at the cut may fall either way.
        assert len(hits) == top_k
    else:
        assert [hit.chunk.text for hit in hits] == longest[:top_k]


def test_a_query_without_known_words_is_answered_by_similarity(index: ChunkIndex) -> None:
    hybrid = searcher().search(index, "zebra", 3).hits
    assert [hit.scores.keys() for hit in hybrid] == [{"dense", "fused"}] * 3
    assert searcher().search(index, "zebra", 3, Mode.LEXICAL).hits == []


def test_the_weight_moves_the_ranking(index: ChunkIndex) -> None:
    query = "the moon"
    for weight, mode in ((1.0, Mode.DENSE), (0.0, Mode.LEXICAL)):
        fused = searcher(36, weight).search(index, query, 2).hits
        alone = searcher(36).search(index, query, 2, mode).hits
        assert [hit.chunk.text for hit in fused] == [hit.chunk.text for hit in alone]


def test_timings_tell_embedding_from_searching(index: ChunkIndex) -> None:
    timings = searcher().search(index, "moon", 3).timings
    assert timings.keys() == {"embed_seconds", "search_seconds"}
    assert all(seconds >= 0 for seconds in timings.values())


def test_an_empty_index_gives_no_hits(tmp_path: Path) -> None:
    store = EdgeStore(tmp_path, EMBEDDER.dimension, "english")
    for mode in Mode:
        assert searcher().search(store.open("default"), "cat", 5, mode).hits == []
    store.close()
