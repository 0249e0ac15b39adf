"""The embedded index on disk: nothing acknowledged is lost, nothing deleted stays."""

import json
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import qdrant_edge as edge

from retrieval import edge as edge_module
from retrieval import shard as shard_module
from retrieval.analyzer import FINGERPRINT, get_analyzer
from retrieval.attributes import Attributes
from retrieval.chunks import Chunk
from retrieval.edge import EdgeStore
from retrieval.embedding import Matrix
from retrieval.errors import IndexUnavailableError, StoreLockedError
from retrieval.filters import Comparison
from retrieval.index import ChunkIndex
from retrieval.payload import KEYS, PASSAGE, TOKENS, VALUES, VECTOR, order_field, to_payload
from retrieval.shard import create_shard
from tests.fakes import HashEmbedder
from tests.rankings import search_dense, search_lexical

EMBEDDER = HashEmbedder()
OpenStore = Callable[..., EdgeStore]


def make_chunk(text: str, ordinal: int = 0, document: str = "doc") -> Chunk:
    return Chunk(
        chunk_id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{document} {ordinal}")),
        document_id=document,
        revision="r",
        start=0,
        end=len(text),
        text=text,
        headings=(),
        page_start=None,
        page_end=None,
        token_count=1,
        parent_start=0,
        parent_end=len(text),
    )


def add(index: ChunkIndex, *chunks: Chunk) -> None:
    index.upsert(chunks, EMBEDDER.embed_passages([chunk.passage for chunk in chunks]))


def files_with(folder: Path, word: str) -> list[str]:
    """Return the files below a folder whose bytes contain a word."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and word.encode() in path.read_bytes()
    )


def folders(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "default").iterdir() if path.is_dir())


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[OpenStore]:
    stores = []

    def open_one(dimension: int = EMBEDDER.dimension, language: str = "english") -> EdgeStore:
        stores.append(EdgeStore(tmp_path, dimension, language))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


def test_reopening_keeps_everything(open_store: OpenStore) -> None:
    store = open_store()
    add(store.open("default"), *(make_chunk(f"cat number{n}", n) for n in range(300)))
    add(store.open("default"), make_chunk("a dog", 0, "other"))
    store.open("default").delete("other")
    before = search_lexical(store.open("default"), "cats number7", 300)
    store.close()
    index = open_store().open("default")
    assert index.count() == 300
    assert search_lexical(index, "cats number7", 300) == before
    assert search_dense(index, EMBEDDER.embed_query("number7"), 1)[0].chunk == before[0].chunk
    add(index, make_chunk("still writable", 999))
    assert index.count() == 301


def test_a_store_open_elsewhere_is_locked(open_store: OpenStore) -> None:
    first, second = open_store(), open_store()
    add(first.open("default"), make_chunk("cat"))
    with pytest.raises(StoreLockedError, match="open in another process"):
        second.open("default")
    assert first.open("default").count() == 1
    first.close()
    assert second.open("default").count() == 1


def test_a_closed_index_says_so(open_store: OpenStore) -> None:
    store = open_store()
    index = store.open("default")
    store.drop("default")
    with pytest.raises(IndexUnavailableError):
        search_lexical(index, "cat", 1)
    with pytest.raises(IndexUnavailableError):
        add(index, make_chunk("cat"))


def test_a_dropped_index_is_not_compacted(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    index = store.open("default")
    add(index, make_chunk("cat", 0, "gone"))
    index.delete("gone")
    store.drop("default")
    index.compact()
    assert list(tmp_path.iterdir()) == []


def test_wrong_vectors_are_refused(open_store: OpenStore) -> None:
    index = open_store().open("default")
    with pytest.raises(IndexUnavailableError, match="dimension"):
        index.upsert([make_chunk("cat")], HashEmbedder(dimension=8).embed_passages(["cat"]))


def test_compaction_removes_deleted_text_from_disk(open_store: OpenStore, tmp_path: Path) -> None:
    index = open_store().open("default")
    add(index, *(make_chunk(f"xyzzymarker secret{n}", n, "doomed") for n in range(50)))
    add(index, *(make_chunk(f"plugh harmless{n}", n, "kept") for n in range(50)))
    assert files_with(tmp_path, "xyzzymarker")
    index.delete("doomed")
    index.compact()
    assert files_with(tmp_path, "xyzzymarker") == []
    assert files_with(tmp_path, "secret7") == []
    assert index.count() == 50
    assert len(search_lexical(index, "plugh", 100)) == 50
    assert folders(tmp_path) == ["2"]


def test_what_was_deleted_before_a_crash_is_named(open_store: OpenStore, tmp_path: Path) -> None:
    first = open_store()
    add(first.open("other"), make_chunk("dog"))
    add(first.open("default"), make_chunk("quagga", 0, "old"), make_chunk("cat", 0, "kept"))
    first.open("default").delete("old")
    first.close()  # the process ends before the compaction
    assert files_with(tmp_path, "quagga")
    second = open_store()
    assert second.to_compact() == {"default"}
    second.open("default").compact()
    assert second.to_compact() == set()
    assert files_with(tmp_path, "quagga") == []
    assert second.open("default").count() == 1


def test_compaction_without_deletions_does_nothing(open_store: OpenStore, tmp_path: Path) -> None:
    index = open_store().open("default")
    add(index, make_chunk("cat"))
    index.delete("unknown")
    index.compact()
    assert folders(tmp_path) == ["1"]


def test_a_compacted_index_reopens(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    for generation in (2, 3):
        index = store.open("default")
        add(index, make_chunk("kept", 0, "kept"), make_chunk("gone", 0, "gone"))
        index.delete("gone")
        index.compact()
        assert folders(tmp_path) == [str(generation)]
    store.close()
    assert open_store().open("default").count() == 1


def test_searches_and_writes_go_on_during_compaction(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    index = store.open("default")
    add(index, *(make_chunk(f"cat number{n}", n) for n in range(1500)))
    add(index, make_chunk("xyzzymarker", 0, "doomed"), make_chunk("plughmarker", 0, "later"))
    index.delete("doomed")
    compaction = threading.Thread(target=index.compact)
    compaction.start()
    num_searches = num_written = 0
    while compaction.is_alive():
        assert len(search_lexical(index, "cat", 5)) == 5
        assert search_lexical(index, "xyzzymarker", 5) == []
        add(index, make_chunk(f"meanwhile written{num_written}", num_written, "new"))
        num_written += 1
        if num_written == 3:
            index.delete("later")
        num_searches += 2
    compaction.join()
    assert num_searches > 10
    assert index.count() == 1500 + num_written
    assert index.count("new") == num_written
    assert index.count("later") == 0
    assert files_with(tmp_path, "xyzzymarker") == []
    # Deleted while the compaction ran, so the next one removes it.
    index.compact()
    assert files_with(tmp_path, "plughmarker") == []
    store.close()
    assert open_store().open("default").count("new") == num_written


def test_what_is_deleted_during_a_compaction_is_left_to_the_next(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store()
    index = store.open("default")
    for name in ("kept", "before", "plughmarker"):
        add(index, make_chunk(name, 0, name))
    index.delete("before")

    def delete() -> bool:  # called while the helper rewrites
        index.delete("plughmarker")
        return False

    index.compact(should_stop=delete)
    assert (folders(tmp_path), index.count()) == (["2"], 1)
    assert store.to_compact() == {"default"}
    index.compact()
    assert store.to_compact() == set()
    assert files_with(tmp_path, "plughmarker") == []


def test_compaction_that_is_to_stop_changes_nothing(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    index = store.open("default")
    add(index, *(make_chunk(f"cat number{n}", n) for n in range(1500)))
    index.delete("doc")
    add(index, make_chunk("dog"))
    with pytest.raises(IndexUnavailableError, match=r"could not be rewritten.*exit code -9"):
        index.compact(should_stop=lambda: True)
    assert folders(tmp_path) == ["1"]
    assert store.to_compact() == {"default"}
    index.compact()
    assert (folders(tmp_path), index.count()) == (["2"], 1)


def test_two_compactions_at_once_leave_one_result(open_store: OpenStore, tmp_path: Path) -> None:
    index = open_store().open("default")
    add(index, make_chunk("kept", 0, "kept"), make_chunk("xyzzymarker", 0, "gone"))
    index.delete("gone")
    threads = [threading.Thread(target=index.compact) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert folders(tmp_path) == ["2"]
    assert index.count() == 1


def test_an_index_that_grew_is_compacted(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_module, "COMPACT_AFTER_CHUNKS", 20)
    store = open_store()
    index = store.open("default")
    add(index, *(make_chunk(f"cat {n}", n) for n in range(20)))
    index.compact()
    assert folders(tmp_path) == ["1"]
    add(index, make_chunk("cat", 20))
    index.compact()
    assert folders(tmp_path) == ["2"]
    add(index, *(make_chunk(f"cat {n}", n) for n in range(21, 41)))
    index.compact()
    assert folders(tmp_path) == ["2"]
    store.close()
    add(index := open_store().open("default"), make_chunk("cat", 41))
    index.compact()
    assert folders(tmp_path) == ["3"]
    assert index.count() == 42


def unit_vectors(number: int) -> Matrix:
    rows = np.random.default_rng(number).standard_normal((number, EMBEDDER.dimension))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("is_optimised", [False, True])
def test_search_in_compressed_vectors_finds_what_comparing_all_finds(
    open_store: OpenStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_optimised: bool,
) -> None:
    """The best 30, with their cosines, before the shard is optimised and afterwards."""
    index = open_store().open("default")
    chunks = [make_chunk(f"cat {n}", n) for n in range(2_000)]
    vectors = unit_vectors(len(chunks))
    index.upsert(chunks, vectors)
    if is_optimised:
        monkeypatch.setattr(edge_module, "COMPACT_AFTER_CHUNKS", 0)
        index.compact()
        assert folders(tmp_path) == ["2"]
    num_found = 0
    for query in unit_vectors(20):
        cosines = vectors @ query
        found = index.rank_dense(query, 30)
        num_found += len({chunks[n].chunk_id for n in np.argsort(-cosines)[:30]} & found.keys())
        expected = {chunk.chunk_id: cosine for chunk, cosine in zip(chunks, cosines, strict=True)}
        assert all(found[key] == pytest.approx(expected[key], abs=1e-5) for key in found)
    assert num_found >= 0.99 * 20 * 30


def test_the_best_of_chunks_that_differ_in_a_number_only_is_found(open_store: OpenStore) -> None:
    """A hundred vectors of cosine 0.997 to one another, of which compression leaves few apart."""
    index = open_store().open("default")
    chunks = [make_chunk(f"invoice {n}", n) for n in range(1_000)]
    vectors = unit_vectors(len(chunks))
    vectors[:100] = vectors[0] + 0.08 * vectors[100:200]
    vectors[:100] /= np.linalg.norm(vectors[:100], axis=1, keepdims=True)
    index.upsert(chunks, vectors)
    for query in vectors[:100:5] + 0.05 * unit_vectors(20):
        best = np.argsort(-(vectors @ query))[:3]
        assert list(index.rank_dense(query, 3)) == [chunks[n].chunk_id for n in best]


def test_an_index_without_compressed_vectors_answers_and_gets_them_when_it_grows(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_module, "_config", uncompressed)
    store = open_store()
    chunks = [make_chunk(f"cat {n}", n) for n in range(100)]
    add(store.open("default"), *chunks)
    store.close()
    monkeypatch.undo()
    monkeypatch.setattr(edge_module, "COMPACT_AFTER_CHUNKS", 99)
    index = open_store().open("default")
    before = index.rank_dense(EMBEDDER.embed_query("cat 7"), 10)
    assert not list(tmp_path.rglob("quantized*"))
    index.compact()
    assert list(tmp_path.rglob("quantized*"))
    assert index.rank_dense(EMBEDDER.embed_query("cat 7"), 10) == pytest.approx(before)


def uncompressed(dimension: int) -> edge.EdgeConfig:
    """Return what shards of version 0.1 were first made with."""
    vector = edge.EdgeVectorParams(size=dimension, distance=edge.Distance.Dot)
    graph = edge.HnswIndexConfig(m=0, ef_construct=100, full_scan_threshold=10_000)
    return edge.EdgeConfig(vectors={VECTOR: vector}, hnsw_config=graph)


def test_compaction_keeps_dimension_and_language_of_the_index(
    open_store: OpenStore, tmp_path: Path
) -> None:
    """Documents can be deleted while the settings do not fit their collection."""
    store = open_store(language="english")
    index = store.open("default")
    add(index, make_chunk("running cats", 0, "kept"), make_chunk("gone", 0, "gone"))
    store.close()
    store = open_store(dimension=8, language="german")
    store.open("default").delete("gone")
    store.open("default").compact()
    store.close()
    index = open_store().open("default")
    assert folders(tmp_path) == ["2"]
    assert len(search_lexical(index, "cat", 10)) == 1
    assert len(search_dense(index, EMBEDDER.embed_query("cats"), 10)) == 1


def make_first_format(folder: Path, *texts: str) -> None:
    """Make an index as versions did that left the analysis to the engine."""
    shard = create_shard(folder / "1", EMBEDDER.dimension)
    shard.update(edge.UpdateOperation.delete_field_index(TOKENS))
    word_index = edge.TextIndexParams(
        tokenizer=edge.TokenizerType.Word, lowercase=True, scoring=edge.TextScoringParams()
    )
    shard.update(edge.UpdateOperation.create_field_index(PASSAGE, word_index))
    for ordinal, text in enumerate(texts):
        chunk = make_chunk(text, ordinal)
        payload = to_payload(chunk, get_analyzer("none"))
        del payload[TOKENS]
        vectors = {"dense": EMBEDDER.embed_query(text).tolist()}
        point = edge.Point(chunk.chunk_id, vectors, payload)
        shard.update(edge.UpdateOperation.upsert_points([point]))
    shard.close()
    state = {"dimension": EMBEDDER.dimension, "language": "english", "generation": 1}
    state |= {"compacted_chunks": 0, "deletions": 0}
    (folder / "current.json").write_text(json.dumps(state))


def test_an_index_of_the_first_format_answers_in_its_own_language(
    open_store: OpenStore, tmp_path: Path
) -> None:
    make_first_format(tmp_path / "default", "running cats", "全文検索", "getUserName")
    store = open_store(language="german")
    index = store.open("default")
    assert folders(tmp_path) == ["2"]
    assert len(search_lexical(index, "ran the cat", 10)) == 1
    assert len(search_lexical(index, "検索", 10)) == 1
    assert len(search_lexical(index, "user name", 10)) == 1
    assert len(search_dense(index, EMBEDDER.embed_query("running"), 10)) == 3
    add(index, make_chunk("a late cat", 3))
    assert len(search_lexical(index, "cats", 10)) == 2
    store.close()
    assert open_store().open("default").count() == 4
    assert folders(tmp_path) == ["2"]


def test_an_index_that_is_just_being_dropped_is_not_found(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    store.open("default")
    removing, remove = threading.Event(), shutil.rmtree

    def remove_slowly(path: Path, ignore_errors: bool = False) -> None:
        removing.set()
        time.sleep(0.1)
        remove(path, ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", remove_slowly)
    with ThreadPoolExecutor() as threads:
        dropping = threads.submit(store.drop, "default")
        assert removing.wait(10)
        assert store.find("default") is None
        dropping.result()
    assert store.names() == set()


def test_an_index_of_another_analyzer_is_analysed_anew_at_the_start(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store()
    add(store.open("default"), replace(make_chunk("running cats"), title="2022 Apiary"))
    store.close()
    state_file = tmp_path / "default" / "current.json"
    state = json.loads(state_file.read_text())
    state_file.write_text(json.dumps(state | {"analyzer": "0 snowball 2.0"}))
    store = open_store()
    assert store.to_compact() == {"default"}
    store.open("default")
    assert json.loads(state_file.read_text()) == state | {"generation": 2, "compacted_chunks": 1}
    for word in ("cat", "apiary"):
        assert len(search_lexical(store.open("default"), word, 10)) == 1


def test_an_index_that_cannot_be_analysed_anew_is_left_as_it_is(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_first_format(tmp_path / "default", "running cats")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/bin/false")
        with pytest.raises(IndexUnavailableError, match="could not be rewritten"):
            open_store().open("default")
    assert folders(tmp_path) == ["1"]
    assert len(search_lexical(open_store().open("default"), "cat", 10)) == 1


def test_other_indexes_answer_while_one_is_analysed_anew(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_first_format(tmp_path / "default", "running cats")
    go_on, helper = tmp_path / "go on", tmp_path / "slow"
    helper.write_text(f'#!/bin/sh\nwhile [ ! -e "{go_on}" ]; do sleep 0.01; done\nexit 1\n')
    helper.chmod(0o755)
    store = open_store()
    add(store.open("other"), make_chunk("sleeping dogs"))
    with monkeypatch.context() as patch, ThreadPoolExecutor() as threads:
        patch.setattr(sys, "executable", str(helper))
        opening = threads.submit(store.open, "default")
        try:
            while not (tmp_path / "default" / "snapshot").exists():
                time.sleep(0.01)
            answer = threads.submit(lambda: search_lexical(store.open("other"), "dog", 10))
            assert len(answer.result(timeout=30)) == 1
            assert not opening.done()
        finally:
            go_on.touch()
        with pytest.raises(IndexUnavailableError):
            opening.result()


def test_leftovers_of_an_interrupted_compaction_are_removed(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store()
    add(store.open("default"), make_chunk("cat"))
    store.close()
    for name in ("snapshot", "2"):
        (tmp_path / "default" / name / "segments").mkdir(parents=True)
        (tmp_path / "default" / name / "segments" / "part").write_bytes(b"half")
    (tmp_path / "default" / "current.json.tmp").write_text("{")
    assert open_store().open("default").count() == 1
    assert folders(tmp_path) == ["1"]


def test_leftovers_that_a_dying_helper_still_writes_are_removed(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store()
    add(store.open("default"), make_chunk("cat"))
    store.close()
    segments = tmp_path / "default" / "2" / "segments"
    segments.mkdir(parents=True)
    writing = threading.Event()

    def write_on() -> None:
        deadline = time.monotonic() + 1
        with suppress(FileNotFoundError):
            for number in count():
                (segments / str(number)).write_bytes(b"half")
                writing.set()
                if time.monotonic() > deadline:
                    return

    helper = threading.Thread(target=write_on)
    helper.start()
    writing.wait()
    assert open_store().open("default").count() == 1
    helper.join()
    assert folders(tmp_path) == ["1"]


def test_a_half_made_index_is_made_anew(open_store: OpenStore, tmp_path: Path) -> None:
    (tmp_path / "default" / "1").mkdir(parents=True)
    index = open_store().open("default")
    add(index, make_chunk("cat"))
    assert len(search_lexical(index, "cat", 10)) == 1


def test_a_missing_generation_is_an_error_and_not_an_empty_index(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store()
    add(store.open("default"), make_chunk("cat"))
    store.close()
    (tmp_path / "default" / "1").rename(tmp_path / "elsewhere")
    with pytest.raises(IndexUnavailableError, match="does not open"):
        open_store().open("default")


def test_a_failed_compaction_changes_nothing(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    index = store.open("default")
    add(index, make_chunk("cat", 0, "kept"), make_chunk("gone", 0, "gone"))
    index.delete("gone")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/bin/false")
        with pytest.raises(IndexUnavailableError, match="could not be rewritten"):
            index.compact()
    assert folders(tmp_path) == ["1"]
    # A full disk, at the worst moment: when the new generation is to be made the live one.
    (tmp_path / "default" / "current.json.tmp").symlink_to("/dev/full")
    with pytest.raises(IndexUnavailableError, match="No space left"):
        index.compact()
    (tmp_path / "default" / "current.json.tmp").unlink()
    assert folders(tmp_path) == ["1"]
    add(index, make_chunk("dog", 1, "kept"))
    store.close()
    index = open_store().open("default")
    assert index.count() == 2
    index.compact()
    assert folders(tmp_path) == ["2"]
    assert index.count() == 2


# One process imports everything and then forks, because the imports take seconds.
SCRIPT = """
import os, signal, sys, time
from contextlib import suppress
from itertools import count
from pathlib import Path
from retrieval.edge import EdgeStore
from tests.retrieval.test_edge import EMBEDDER, add, make_chunk


def write(index, report):
    for ordinal in range(100000):
        add(index, make_chunk(f"cat number{ordinal}", ordinal))
        report.write(f"{ordinal}\\n")


def compact(index, report):
    add(index, *(make_chunk(f"cat number{n}", n) for n in range(1000)))
    for ordinal in range(100000):
        add(index, make_chunk("doomed", 0, "doomed"))
        index.delete("doomed")
        report.write("999\\n")
        index.compact()


root, work, seconds = Path(sys.argv[1]), {"write": write, "compact": compact}, sys.argv[2:]
for name, delay in (argument.split("=") for argument in seconds):
    readable, writable = os.pipe()
    if (process := os.fork()) == 0:
        with os.fdopen(writable, "w", buffering=1) as report:
            store = EdgeStore(root / f"{name}={delay}", EMBEDDER.dimension, "english")
            work[name](store.open("default"), report)
    os.close(writable)
    with os.fdopen(readable) as report:
        first = report.readline()
        time.sleep(float(delay))
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        lines = [first.strip(), *report.read().split("\\n")[:-1]]
    print(f"{name}={delay}", lines[-1], flush=True)
"""
KILLS = ["write=0", "write=0.3", "compact=0.05", "compact=0.3", "compact=0.6"]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, int]]:
    """Stores whose process was killed at work, each with the last ordinal it acknowledged."""
    root = tmp_path_factory.mktemp("killed")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(root), *KILLS],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    reports = (line.split() for line in done.stdout.splitlines())
    return {name: (root / name, int(last)) for name, last in reports}


@pytest.mark.parametrize("kill", KILLS)
def test_after_a_kill_every_acknowledged_chunk_is_there(
    killed: dict[str, tuple[Path, int]], kill: str
) -> None:
    root, last = killed[kill]
    store = EdgeStore(root, EMBEDDER.dimension, "english")
    index = store.open("default")
    generation = json.loads((root / "default" / "current.json").read_text())["generation"]
    # The helper that compacts must not outlive its service and write on.
    assert folders(root) == [str(generation)]
    expected = {make_chunk("", ordinal).chunk_id for ordinal in range(last + 1)}
    found = {hit.chunk.chunk_id for hit in search_lexical(index, "cats", 10**6)}
    assert expected <= found
    assert index.count("doc") == len(found)
    index.delete("doc")
    add(index, make_chunk("kept", 0, "kept"))
    index.compact()
    assert index.count() == 1
    assert folders(root) == [str(generation + 1)]
    store.close()


def indexed_fields(root: Path, generation: int) -> set[str]:
    shard = edge.EdgeShard.load(str(root / "default" / str(generation)))
    try:
        return set(shard.info().payload_schema)
    finally:
        shard.close()


def test_compaction_keeps_what_filters_need(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    index = store.open("default")
    chunk = make_chunk("cat", 0, "one")
    attributes: Attributes = {"year": (2024.0,), "lang": ("xyzzymarker",)}
    index.upsert([chunk], EMBEDDER.embed_passages(["cat"]), attributes)
    index.set_attributes("one", {"year": (2025.0,), "lang": ("de",)})
    assert files_with(tmp_path, "xyzzymarker")
    index.compact()
    assert files_with(tmp_path, "xyzzymarker") == []
    assert list(index.rank_lexical("cat", 5, where=Comparison("year", "gt", (2024.0,)))) == [
        chunk.chunk_id
    ]
    store.close()
    assert indexed_fields(tmp_path, 2) >= {KEYS, VALUES, order_field("year", "number")}


def test_a_shard_made_before_there_were_filters_gets_its_indexes(
    open_store: OpenStore, tmp_path: Path
) -> None:
    shard = create_shard(tmp_path / "default" / "1", EMBEDDER.dimension)
    for field in (KEYS, VALUES):
        shard.update(edge.UpdateOperation.delete_field_index(field))
    row = EMBEDDER.embed_query("cat").tolist()
    chunk = make_chunk("cat", 0, "one")
    point = edge.Point(chunk.chunk_id, {VECTOR: row}, to_payload(chunk, get_analyzer("english")))
    shard.update(edge.UpdateOperation.upsert_points([point]))
    shard.close()
    state = {"dimension": EMBEDDER.dimension, "language": "english", "analyzer": FINGERPRINT}
    (tmp_path / "default" / "current.json").write_text(json.dumps(state))
    store = open_store()
    index = store.open("default")
    index.set_attributes("one", {"year": (2024.0,)})
    assert index.attribute_kinds() == {"year": {"number"}}
    assert list(index.rank_lexical("cat", 5, where=Comparison("year", "eq", (2024.0,))))
    store.close()
    assert indexed_fields(tmp_path, 1) >= {KEYS, VALUES, order_field("year", "number")}
