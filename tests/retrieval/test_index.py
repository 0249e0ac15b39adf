"""What every `ChunkIndex` must do, on the embedded engine and on Qdrant's own second one.

The second is the local mode of qdrant-client, an independent implementation of the server's API.
With QDRANT_URL set, all of it runs on that server, too; RETRIEVAL_QDRANT_* say how to reach it.
"""

import math
import os
import random
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import models
from rank_bm25 import BM25Okapi

from retrieval.analyzer import get_analyzer
from retrieval.bm25 import RankBM25Store
from retrieval.checksums import CHECKSUM, Audit, audit
from retrieval.chunk_ids import make_chunk_id, to_point_id
from retrieval.chunks import Chunk, Hit
from retrieval.edge import EdgeStore
from retrieval.filters import Comparison
from retrieval.index import ChunkIndex, IndexStore
from retrieval.payload import TOKENS, from_payload, to_payload
from retrieval.qdrant import QdrantStore
from retrieval.qdrant_connection import connect
from retrieval.settings import RetrievalSettings
from tests.fakes import HashEmbedder
from tests.qdrant_local import LocalClient
from tests.qdrant_server import run_qdrant
from tests.rankings import search_dense, search_lexical

EMBEDDER = HashEmbedder()
SERVER = os.environ.get("QDRANT_URL")
ENGINES = ["edge", "local", "wire", "rank_bm25", *(["server"] if SERVER else [])]
OpenStore = Callable[[str], IndexStore]
# Of letters only: a word with digits would be three tokens.
WORDS = ["".join(letters) for letters in product("bcdfgk", "aeiou", "lmnprstvxz")]
REVISION = "a" * 64


def make_chunk(
    text: str, ordinal: int = 0, document: str = "doc", revision: str = REVISION
) -> Chunk:
    name = f"{document} {revision} {ordinal}"
    older_id = str(uuid.uuid5(uuid.NAMESPACE_OID, name))
    return Chunk(
        chunk_id=older_id if ordinal % 2 else make_chunk_id(name),
        document_id=document,
        revision=revision,
        start=ordinal * 1000,
        end=ordinal * 1000 + len(text),
        text=text,
        headings=(),
        page_start=None,
        page_end=None,
        token_count=len(EMBEDDER.token_starts(text)),
        parent_start=0,
        parent_end=ordinal * 1000 + len(text),
    )


def add(index: ChunkIndex, *chunks: Chunk) -> list[Chunk]:
    index.upsert(chunks, EMBEDDER.embed_passages([chunk.passage for chunk in chunks]))
    return list(chunks)


def add_texts(index: ChunkIndex, *texts: str) -> list[Chunk]:
    return add(index, *(make_chunk(text, ordinal) for ordinal, text in enumerate(texts)))


def dense(index: ChunkIndex, query: str, limit: int = 10, **options: Any) -> list[Hit]:
    return search_dense(index, EMBEDDER.embed_query(query), limit, **options)


def texts_of(hits: Sequence[Hit]) -> list[str]:
    return [hit.chunk.text for hit in hits]


def random_corpus(size: int, seed: int) -> list[Chunk]:
    """Return chunks whose words are distributed as in real text: few common ones, many rare."""
    chooser = random.Random(seed)  # noqa: S311 - test data
    weights = [1 / rank for rank in range(1, len(WORDS) + 1)]
    return [
        make_chunk(
            " ".join(chooser.choices(WORDS, weights, k=chooser.randint(5, 60))),
            ordinal,
            document=f"doc{ordinal % 10}",
        )
        for ordinal in range(size)
    ]


def random_queries(number: int, seed: int) -> list[str]:
    chooser = random.Random(seed)  # noqa: S311 - test data
    return [" ".join(chooser.choices(WORDS, k=chooser.randint(1, 5))) for _ in range(number)]


@pytest.fixture(params=ENGINES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Open a store of the language given."""
    stores: list[IndexStore] = []

    def open_one(language: str) -> IndexStore:
        store: IndexStore
        if request.param in {"edge", "rank_bm25"}:
            store = EdgeStore(tmp_path / language, EMBEDDER.dimension, language)
            store = RankBM25Store(store) if request.param == "rank_bm25" else store
        elif request.param == "local":
            store = QdrantStore(LocalClient(":memory:"), EMBEDDER.dimension, language, owner="me")
        elif request.param == "wire":
            server = servers.enter_context(run_qdrant())
            settings = RetrievalSettings(qdrant_url=server.url, qdrant_grpc_port=server.port)
            store = QdrantStore(connect(settings), EMBEDDER.dimension, language, owner="me")
        else:
            client = connect(RetrievalSettings(qdrant_url=SERVER))
            prefix = f"test-{uuid.uuid4()}-"
            store = QdrantStore(client, EMBEDDER.dimension, language, owner="me", prefix=prefix)
        stores.append(store)
        return store

    with ExitStack() as servers, warnings.catch_warnings():
        # Local mode says that it needs no payload indexes.
        warnings.filterwarnings("ignore", message="Payload indexes have no effect")
        yield open_one
        for store in stores:
            for name in store.names() if request.param == "server" else ():
                store.drop(name)
            store.close()


@pytest.fixture
def store(open_store: OpenStore) -> IndexStore:
    return open_store("none")


@pytest.fixture
def index(store: IndexStore) -> ChunkIndex:
    return store.open("default")


def test_an_empty_index_finds_nothing(index: ChunkIndex) -> None:
    assert dense(index, "anything") == []
    assert search_lexical(index, "anything", 10) == []
    assert index.count() == 0
    index.delete("no such document")
    index.compact()
    assert index.count() == 0


def test_upserting_nothing_is_allowed(index: ChunkIndex) -> None:
    index.upsert([], EMBEDDER.embed_passages([]))
    assert index.count() == 0


@pytest.mark.parametrize(
    "chunk",
    [
        pytest.param(make_chunk("plain text"), id="plain"),
        pytest.param(make_chunk("Größe 漢字 🎉 e\u0301 \u202e fin\n\n\ttab "), id="unicode"),
        pytest.param(make_chunk("a\\b 'c' \"d\" %s {x} \x7f"), id="specials"),
        pytest.param(
            Chunk(
                str(uuid.uuid4()), "d", REVISION, 7, 11, "körp", ("Ä > B", "🎉", ""), 3, 4, 9, 5, 99
            ),
            id="headings-pages-and-parent",
        ),
        pytest.param(
            Chunk(
                str(uuid.uuid4()), "d", REVISION, 30, 35, "| 1 |", ("H",), 1, 1, 9, 0, 60, "| Ä |"
            ),
            id="table-header",
        ),
        pytest.param(
            Chunk(str(uuid.uuid4()), "d", REVISION, 30, 35, "| 1 |", (), 1, 1, 9, 0, 60, "| Ä |"),
            id="table-header-without-headings",
        ),
        pytest.param(
            Chunk(
                str(uuid.uuid4()), "d", REVISION, 2**33, 2**33 + 3, "far", ("H",), 1, 1, 2, 0, 2**34
            ),
            id="large-offsets",
        ),
        pytest.param(replace(make_chunk("text"), title="Größe/報告書 🎉"), id="title"),
    ],
)
def test_a_chunk_comes_back_exactly(index: ChunkIndex, chunk: Chunk) -> None:
    add(index, chunk)
    [hit] = dense(index, chunk.passage)
    assert hit.chunk == chunk
    assert hit.score == pytest.approx(1.0, abs=1e-5)


def test_a_chunk_stored_before_there_were_parents_is_its_own() -> None:
    payload = {
        "document_id": "doc",
        "revision": REVISION,
        "start": 7,
        "end": 11,
        "passage": "Outer > Inner\nbody",
        "headings": ["Outer", "Inner"],
        "page_start": 2,
        "page_end": 3,
        "token_count": 4,
    }
    chunk = Chunk("c", "doc", REVISION, 7, 11, "body", ("Outer", "Inner"), 2, 3, 4, 7, 11, "")
    assert from_payload("c", payload) == chunk
    assert from_payload("c", to_payload(chunk, get_analyzer("none"))) == chunk


def test_upsert_replaces_the_chunk_of_the_same_id(index: ChunkIndex) -> None:
    add_texts(index, "old words here")
    add_texts(index, "new text there")
    assert index.count() == 1
    assert search_lexical(index, "old", 10) == []
    assert texts_of(search_lexical(index, "new", 10)) == ["new text there"]
    assert texts_of(dense(index, "old words here")) == ["new text there"]


def test_more_than_one_batch_is_stored(index: ChunkIndex) -> None:
    add_texts(index, *(f"text number{ordinal}" for ordinal in range(600)))
    assert index.count() == 600
    assert texts_of(search_lexical(index, "number0 number300 number599", 3)) == [
        hit.chunk.text
        for hit in sorted(
            search_lexical(index, "number599 number0 number300", 3), key=lambda h: h.chunk.chunk_id
        )
    ]


def test_dense_hits_are_ordered_by_cosine(index: ChunkIndex) -> None:
    chunks = add_texts(index, "cat dog", "cat dog bird fish", "bird fish", "moon")
    query = EMBEDDER.embed_query("cat dog")
    cosines = {chunk.text: float(EMBEDDER.embed_query(chunk.text) @ query) for chunk in chunks}
    hits = dense(index, "cat dog")
    assert texts_of(hits) == sorted(cosines, key=lambda text: -cosines[text])
    assert [hit.score for hit in hits] == pytest.approx(
        sorted(cosines.values(), reverse=True), abs=1e-5
    )
    assert texts_of(dense(index, "cat dog", limit=1)) == ["cat dog"]


def test_lexical_hits_share_a_word_with_the_query(index: ChunkIndex) -> None:
    add_texts(index, "cat", "cat dog and more words", "DOG! (dog)", "moon")
    assert texts_of(search_lexical(index, "Dog", 10)) == ["DOG! (dog)", "cat dog and more words"]
    assert texts_of(search_lexical(index, "cat unknown", 10)) == ["cat", "cat dog and more words"]
    assert texts_of(search_lexical(index, "cat", 1)) == ["cat"]


@pytest.mark.parametrize("query", ["zebra", "", " ", "?!", "zebra giraffe"])
def test_without_a_known_word_lexical_search_finds_nothing(index: ChunkIndex, query: str) -> None:
    add_texts(index, "cat dog", "moon")
    assert search_lexical(index, query, 10) == []


def test_headings_are_found_by_words(index: ChunkIndex) -> None:
    headings = ("Outer", "Inner")
    add(index, Chunk(str(uuid.uuid4()), "d", REVISION, 0, 4, "body", headings, 1, 1, 3, 0, 4))
    assert texts_of(search_lexical(index, "inner", 10)) == ["body"]


def test_titles_are_found_by_words_and_not_embedded(index: ChunkIndex) -> None:
    add(index, replace(make_chunk("net sales"), title="2022 Q3 AAPL"), make_chunk("costs", 1))
    assert texts_of(search_lexical(index, "sales of AAPL in Q3", 10)) == ["net sales"]
    assert texts_of(search_lexical(index, "aapl", 10)) == ["net sales"]
    assert dense(index, "net sales", limit=1)[0].score == pytest.approx(1.0, abs=1e-5)


def test_the_header_of_a_table_is_found_by_words(index: ChunkIndex) -> None:
    header = "| Price |"
    add(index, Chunk(str(uuid.uuid4()), "d", REVISION, 9, 14, "| 7 |", (), 1, 1, 6, 0, 14, header))
    assert texts_of(search_lexical(index, "price", 10)) == ["| 7 |"]


def test_chunks_that_are_also_wanted_come_behind_the_best(index: ChunkIndex) -> None:
    add_texts(index, "cat one", "cat two", "cat three four", "moon")
    everywhere = dense(index, "cat one")
    best, _, third, last = (hit.chunk.chunk_id for hit in everywhere)
    wanted = {last, best, third, str(uuid.uuid4())}
    assert dense(index, "cat one", 1, also=wanted) == [everywhere[n] for n in (0, 2, 3)]
    nothing = Comparison("year", "eq", (2024.0,))
    vector = EMBEDDER.embed_query("cat one")
    assert list(index.rank_dense(vector, 1, also={last}, where=nothing)) == [last]


def test_count_by_document_and_revision(index: ChunkIndex) -> None:
    add(
        index,
        make_chunk("one", 0, "a", "r1"),
        make_chunk("two", 1, "a", "r1"),
        make_chunk("three", 0, "a", "r2"),
        make_chunk("four", 0, "b", "r1"),
    )
    assert index.count() == 4
    assert index.count("a") == 3
    assert index.count("a", "r1") == 2
    assert index.count(revision="r1") == 3
    assert index.count("b", "r2") == 0
    assert index.count("unknown") == 0


def test_count_of_what_a_filter_leaves(index: ChunkIndex) -> None:
    for document, year in (("a", 2023.0), ("b", 2024.0), ("c", 2024.0)):
        chunk = make_chunk(document, 0, document)
        index.upsert([chunk], EMBEDDER.embed_passages([chunk.passage]), {"year": (year,)})
    assert index.count(where=Comparison("year", "eq", (2024.0,))) == 2
    assert index.count("b", where=Comparison("year", "eq", (2024.0,))) == 1
    assert index.count(where=Comparison("year", "lt", (2023.0,))) == 0


def test_contents_counts_each_revision_of_each_document(index: ChunkIndex) -> None:
    assert index.contents() == {}
    chunks = [make_chunk(f"text{n}", n, f"doc{n % 3}", f"r{n % 2}") for n in range(1200)]
    add(index, *chunks)
    index.delete("doc1", keep_revision="r0")
    assert index.contents() == {
        ("doc0", "r0"): 200,
        ("doc0", "r1"): 200,
        ("doc1", "r0"): 200,
        ("doc2", "r0"): 200,
        ("doc2", "r1"): 200,
    }


def test_chunks_are_compared_with_their_checksums(index: ChunkIndex) -> None:
    add_texts(index, "one cat", "two dogs")
    index.set_attributes("doc", {"year": (2024.0,)})  # is not covered
    [points] = index.points()
    assert audit([points]) == Audit({("doc", REVISION): 2}, num_unverified=0)
    other_vector = [replace(points[0], vector=-points[0].vector), points[1]]
    other_end = [points[0], replace(points[1], payload=points[1].payload | {"end": 9})]
    for damaged in (other_vector, other_end):
        assert audit([damaged]) == Audit({("doc", REVISION): 1}, num_unverified=0)
    older = [
        replace(one, payload={k: v for k, v in one.payload.items() if k != CHECKSUM})
        for one in points
    ]
    assert audit([older]) == Audit({("doc", REVISION): 2}, num_unverified=2)


def test_a_store_names_and_finds_what_is_there(store: IndexStore) -> None:
    assert store.names() == set()
    assert store.find("a") is None
    assert store.names() == set()
    for name in ("a", "a~2"):
        add_texts(store.open(name), f"cat in {name}")
    assert store.names() == {"a", "a~2"}
    found = store.find("a~2")
    assert found is not None
    assert texts_of(search_lexical(found, "cat", 10)) == ["cat in a~2"]
    store.drop("a")
    assert store.names() == {"a~2"}
    assert store.find("a") is None


def test_an_index_may_be_made_for_other_vectors_than_the_stores(store: IndexStore) -> None:
    embedder = HashEmbedder(dimension=8)
    index = store.open("small", dimension=8, language="none")
    chunk = make_chunk("cat")
    index.upsert([chunk], embedder.embed_passages(["cat"]))
    [hit] = search_dense(index, embedder.embed_query("cat"), 1)
    assert hit.chunk == chunk


def test_delete_removes_one_document(index: ChunkIndex) -> None:
    add(index, make_chunk("cat one", 0, "a"), make_chunk("cat two", 0, "b"))
    index.delete("a")
    assert texts_of(search_lexical(index, "cat", 10)) == ["cat two"]
    assert texts_of(dense(index, "cat one")) == ["cat two"]
    assert index.count("a") == 0
    index.delete("a")
    assert index.count() == 1


def test_delete_keeps_a_revision(index: ChunkIndex) -> None:
    add(
        index,
        make_chunk("cat old", 0, "a", "old"),
        make_chunk("cat new", 0, "a", "new"),
        make_chunk("cat other", 0, "b", "old"),
    )
    index.delete("a", keep_revision="new")
    assert sorted(texts_of(search_lexical(index, "cat", 10))) == ["cat new", "cat other"]
    index.delete("a", keep_revision="neither")
    assert texts_of(search_lexical(index, "cat", 10)) == ["cat other"]


def test_ties_are_in_the_order_of_ids(index: ChunkIndex) -> None:
    chunks = add(index, *(make_chunk("same text", 0, f"doc{number}") for number in range(20)))
    ids = sorted(chunk.chunk_id for chunk in chunks)
    assert [hit.chunk.chunk_id for hit in dense(index, "same", 20)] == ids
    assert [hit.chunk.chunk_id for hit in search_lexical(index, "same", 20)] == ids


def test_of_more_equal_chunks_than_wanted_those_with_the_lowest_ids_are_found(
    index: ChunkIndex,
) -> None:
    chunks = add(index, *(make_chunk("same text", 0, f"doc{number}") for number in range(200)))
    add(index, make_chunk("same", 0, "first"))
    ids = sorted(chunk.chunk_id for chunk in chunks)
    assert [hit.chunk.chunk_id for hit in dense(index, "same text", 3)] == ids[:3]
    best, *others = [hit.chunk for hit in search_lexical(index, "same", 4)]
    assert best.document_id == "first"
    assert [chunk.chunk_id for chunk in others] == ids[:3]


def test_collections_are_apart(store: IndexStore) -> None:
    add_texts(store.open("a"), "cat in a")
    add_texts(store.open("b"), "cat in b")
    assert texts_of(search_lexical(store.open("a"), "cat", 10)) == ["cat in a"]
    assert texts_of(search_lexical(store.open("b"), "cat", 10)) == ["cat in b"]


def test_a_dropped_collection_is_empty_when_opened_again(store: IndexStore) -> None:
    add_texts(store.open("a"), "cat in a")
    add_texts(store.open("b"), "cat in b")
    store.drop("a")
    store.drop("never opened")
    assert store.open("a").count() == 0
    assert store.open("b").count() == 1
    add_texts(store.open("a"), "a new cat")
    assert texts_of(search_lexical(store.open("a"), "cat", 10)) == ["a new cat"]


def test_a_query_of_stop_words_finds_nothing(open_store: OpenStore) -> None:
    index = open_store("english").open("default")
    add_texts(index, "the cat is on the mat", "running runners ran")
    assert search_lexical(index, "the is on", 10) == []
    assert texts_of(search_lexical(index, "the cats", 10)) == ["the cat is on the mat"]
    assert texts_of(search_lexical(index, "run", 10)) == ["running runners ran"]


@pytest.mark.parametrize("language", ["english", "german", "russian", "turkish", "none"])
def test_every_language_can_be_opened(open_store: OpenStore, language: str) -> None:
    index = open_store(language).open("default")
    add_texts(index, "zebra")
    assert texts_of(search_lexical(index, "zebra", 10)) == ["zebra"]


def test_accents_do_not_matter(index: ChunkIndex) -> None:
    add_texts(index, "café über")
    assert texts_of(search_lexical(index, "cafe uber", 10)) == ["café über"]


def test_vectors_are_those_that_were_put_in(index: ChunkIndex) -> None:
    first, second = add_texts(index, "cat", "dog")
    found = index.vectors([second.chunk_id, str(uuid.uuid4()), first.chunk_id])
    assert found.keys() == {first.chunk_id, second.chunk_id}
    for chunk in (first, second):
        [expected] = EMBEDDER.embed_passages([chunk.passage])
        assert found[chunk.chunk_id] == pytest.approx(expected, abs=1e-6)


def test_tokens_are_those_of_the_analyzer(index: ChunkIndex) -> None:
    chunks = add(index, *random_corpus(300, seed=5))
    expected = {c.chunk_id: index.analyzer.passage_tokens(c.passage) for c in chunks}
    assert dict(index.tokens()) == expected


def test_a_collection_on_a_server_of_the_first_format_answers() -> None:
    """Which had no tokens, and said nothing of its analyzer."""
    client = LocalClient(":memory:")
    vectors = models.VectorParams(size=EMBEDDER.dimension, distance=models.Distance.DOT)
    client.create_collection("default", vectors_config={"dense": vectors})
    for ordinal in range(300):
        chunk = replace(make_chunk(f"running cat{ordinal}s", ordinal), title="Apiary")
        payload = to_payload(chunk, get_analyzer("none"))
        del payload[TOKENS]
        vector = {"dense": EMBEDDER.embed_query(chunk.text).tolist()}
        point_id = to_point_id(chunk.chunk_id)
        point = models.PointStruct(id=point_id, vector=vector, payload=payload)
        client.upsert("default", [point])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Payload indexes have no effect")
        index = QdrantStore(client, EMBEDDER.dimension, "english", owner="me").open("default")
        assert len(search_lexical(index, "run", 1000)) == 300
        assert len(search_lexical(index, "apiary", 1000)) == 300
        # It keeps its language: another setting does not change it.
        reopened = QdrantStore(client, EMBEDDER.dimension, "german", owner="me").open("default")
    assert reopened.analyzer is index.analyzer
    assert len(search_lexical(reopened, "run", 1000)) == 300
    client.close()


def test_many_threads_write_and_read(tmp_path: Path) -> None:
    """Only on the engine: local mode is not made for threads, a server is."""
    store = EdgeStore(tmp_path, EMBEDDER.dimension, "none")
    index = store.open("default")

    def write(writer: int) -> None:
        for ordinal in range(25):
            add(index, make_chunk(f"text{ordinal} {WORDS[writer]}", ordinal, f"doc{writer}"))
            if ordinal % 5 == 4:
                index.delete(f"scratch{writer}")
                add(index, make_chunk("scratch", ordinal, f"scratch{writer}"))

    def read(reader: int) -> int:
        return sum(
            len(dense(index, f"text{n}", 5)) + len(search_lexical(index, WORDS[reader], 5))
            for n in range(25)
        )

    with ThreadPoolExecutor(8) as threads:
        writes = [threads.submit(write, number) for number in range(4)]
        reads = [threads.submit(read, number) for number in range(4)]
        for writing in writes:
            writing.result()
        assert all(reading.result() >= 0 for reading in reads)
    assert [index.count(f"doc{writer}") for writer in range(4)] == [25] * 4
    assert [index.count(f"scratch{writer}") for writer in range(4)] == [1] * 4
    assert len(search_lexical(index, WORDS[2], 100)) == 25
    store.close()


def test_both_adapters_agree_on_a_random_corpus(tmp_path: Path) -> None:
    corpus = random_corpus(400, seed=1)
    edge = EdgeStore(tmp_path, EMBEDDER.dimension, "none")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Payload indexes have no effect")
        oracle = QdrantStore(LocalClient(":memory:"), EMBEDDER.dimension, "none", owner="me")
        indexes: list[ChunkIndex] = [edge.open("default"), oracle.open("default")]
    for index in indexes:
        add(index, *corpus)
        index.delete("doc3")
    for query in random_queries(25, seed=2):
        assert_same_ranking(*(dense(index, query, 360) for index in indexes))
        assert_same_ranking(*(search_lexical(index, query, 360) for index in indexes))
    edge.close()
    oracle.close()


def assert_same_ranking(ours: list[Hit], theirs: list[Hit]) -> None:
    """The same ten, but for chunks whose scores differ by less than rounding."""
    expected = {hit.chunk.chunk_id: hit.score for hit in theirs}
    assert {hit.chunk.chunk_id for hit in ours} == expected.keys()
    assert [hit.score for hit in ours[:10]] == pytest.approx(
        [hit.score for hit in theirs[:10]], rel=1e-4, abs=1e-6
    )
    assert [hit.score for hit in ours] == pytest.approx(
        [expected[hit.chunk.chunk_id] for hit in ours], rel=1e-4, abs=1e-6
    )


class Reference(BM25Okapi):  # type: ignore[misc]
    """rank_bm25 with Lucene's idf, which is never negative."""

    def _calc_idf(self, nd: dict[str, int]) -> None:
        for word, df in nd.items():
            self.idf[word] = math.log(1 + (self.corpus_size - df + 0.5) / (df + 0.5))


def reference_scores(corpus: Sequence[Chunk], query: str) -> dict[str, float]:
    reference = Reference([chunk.text.split() for chunk in corpus], k1=1.2, b=0.75)
    scores = np.asarray(reference.get_scores(sorted(set(query.split()))))
    return {
        chunk.chunk_id: float(score)
        for chunk, score in zip(corpus, scores, strict=True)
        if score > 0
    }


def test_lexical_scores_are_bm25(index: ChunkIndex) -> None:
    corpus = random_corpus(300, seed=3)
    queries = [*random_queries(8, seed=4), " ".join([*3 * [WORDS[7]], WORDS[120]])]

    def check(expected_corpus: Sequence[Chunk]) -> None:
        for query in queries:
            hits = search_lexical(index, query, len(corpus))
            expected = reference_scores(expected_corpus, query)
            assert {hit.chunk.chunk_id: hit.score for hit in hits} == pytest.approx(
                expected, rel=1e-4
            )

    add(index, *corpus)
    check(corpus)
    index.delete("doc0")
    index.delete("doc7")
    remaining = [chunk for chunk in corpus if chunk.document_id not in {"doc0", "doc7"}]
    check(remaining)
    index.compact()
    check(remaining)
    more = [make_chunk(" ".join(WORDS[:120:7]), 0, "late")]
    add(index, *more)
    check([*remaining, *more])
