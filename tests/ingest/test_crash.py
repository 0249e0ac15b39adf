"""A service killed at any point of a job: restarted, it ends every job, and each only once.

One helper process imports everything and forks a service for each point, because the imports take
seconds. What a service stops at is a real method of it, held just before or after its work.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ingest.catalog import Catalog
from ingest.files import FileStore
from ingest.parsers.pool import ParserPool
from ingest.pipeline import Pipeline
from retrieval.edge import EdgeIndex, EdgeStore
from tests.fakes import HashEmbedder
from tests.ingest.conftest import Shelf, service_on, thing
from tests.rankings import search_dense, search_lexical

# All scenarios run in one fixture; a busy machine takes minutes for them.
pytestmark = pytest.mark.timeout(900)
NUM_DOCUMENTS = 3
LONG = "\n\n".join(f"Paragraph {n} tells of {thing(n)} in long.txt." for n in range(900))
OLD, NEW = "The xyzzy is blue.", "The plugh is red."
# point -> (class, method, which call of it, hold before or after its work)
POINTS: dict[str, tuple[type[Any], str, int, str]] = {
    "queued": (ParserPool, "parse", 2, "before"),
    "embedding": (HashEmbedder, "embed_passages", 3, "before"),
    "activating": (EdgeIndex, "upsert", 1, "after"),
    "removed-old": (EdgeIndex, "delete", 1, "after"),
    "compacting": (EdgeIndex, "compact", 1, "before"),
    "compacted": (EdgeIndex, "compact", 1, "after"),
    "tidied": (Pipeline, "discard_work", 1, "after"),
    "uploading": (FileStore, "keep", 3, "before"),
}
STOPPED = "sigterm"
# The same of a reindexing.
REINDEXING_POINTS: dict[str, tuple[type[Any], str, int, str]] = {
    "reindexing-embedding": (HashEmbedder, "embed_passages", 2, "before"),
    "reindexing-put-in": (EdgeIndex, "upsert", 2, "after"),
    "reindexing-noted": (Catalog, "add_reindexed", 1, "after"),
    "reindexing-swapping": (Catalog, "swap_index", 1, "before"),
    "reindexing-swapped": (Catalog, "swap_index", 1, "after"),
    "reindexing-removed-old": (EdgeStore, "drop", 2, "after"),
}


def hold(point: str, reached: Callable[[], object]) -> None:
    """Make this process stop for good at a point."""
    owner, method, number, when = (POINTS | REINDEXING_POINTS)[point]
    original = getattr(owner, method)
    calls = iter(range(1, 1000))

    def held(*args: Any, **options: Any) -> Any:
        is_here = next(calls) == number
        if is_here and when == "before":
            reached()
            time.sleep(600)
        answer = original(*args, **options)
        if is_here and when == "after":
            reached()
            time.sleep(600)
        return answer

    setattr(owner, method, held)


def upload_all(shelf: Shelf) -> None:
    shelf.add("replaced.txt", NEW)
    shelf.add("long.txt", LONG)
    shelf.add("third.txt", "The third text.")


def make_template(home: Path) -> dict[str, Any]:
    """Make a home with a searchable document, to start from."""
    with service_on(home, HashEmbedder()) as service:
        shelf = Shelf(service.library, service.searcher, home)
        return {"status": shelf.add_and_wait("replaced.txt", OLD).status}


def make_reindexing_template(home: Path) -> dict[str, Any]:
    """Make a home whose documents were embedded with another model, to start from."""
    with service_on(home, HashEmbedder("old-model", "hash-0")) as service:
        shelf = Shelf(service.library, service.searcher, home)
        upload_all(shelf)
        documents = shelf.library.list_documents(None, None, None, 10)
        return {document.filename: shelf.wait(document).status for document in documents}


def reindex(shelf: Shelf) -> None:
    shelf.library.reindex("default")


def run_until(home: Path, point: str) -> None:
    """Start a service, kill it at the point."""
    act = upload_all if point in POINTS else reindex
    readable, writable = os.pipe()
    if (process := os.fork()) == 0:
        with service_on(home, HashEmbedder()) as service:
            hold(point, lambda: os.write(writable, b"!"))
            act(Shelf(service.library, service.searcher, home))
            time.sleep(600)
    os.close(writable)
    os.read(readable, 1)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def run_until_stopped(home: Path) -> dict[str, Any]:
    """Start a service whose embedder is slow, stop it with SIGTERM in the middle."""
    readable, writable = os.pipe()

    class SlowEmbedder(HashEmbedder):
        def embed_passages(self, texts: Any) -> Any:
            os.write(writable, b"!")
            time.sleep(0.5)
            return super().embed_passages(texts)

    if (process := os.fork()) == 0:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with service_on(home, SlowEmbedder()) as service:
            upload_all(Shelf(service.library, service.searcher, home))
            time.sleep(600)
    os.close(writable)
    for _ in range(NUM_DOCUMENTS):
        os.read(readable, 1)
    started = time.monotonic()
    os.kill(process, signal.SIGTERM)
    _, code = os.waitpid(process, 0)
    return {"code": code, "seconds": time.monotonic() - started}


def restart(home: Path, missing: bool) -> dict[str, Any]:
    """Start a service on what is left and report what becomes of it."""
    before = sum(path.stat().st_size for path in home.glob("work/*.f32"))
    with service_on(home, HashEmbedder()) as service:
        shelf = Shelf(service.library, service.searcher, home)
        if missing:  # the upload under way was never acknowledged
            shelf.add("third.txt", "The third text.")
        documents = shelf.library.list_documents(None, None, None, 10)
        documents = [shelf.wait(document) for document in documents]
        shelf.wait_until_gone("xyzzy")
        index = shelf.index()
        embedder = HashEmbedder()
        nearest = [
            search_dense(index, embedder.embed_query(hit.chunk.passage), 1)[0].chunk == hit.chunk
            for n in (0, 450, 899)
            for hit in search_lexical(index, thing(n), 2)
        ]
        return {
            "statuses": {document.filename: document.status for document in documents},
            "num_chunks": sum(document.num_chunks or 0 for document in documents),
            "indexed": index.count(),
            "found": [shelf.find(word) for word in ("xyzzy", "plugh", thing(899), "third")],
            "nearest": nearest,
            "work": shelf.work(),
            "num_files": len([path for path in home.glob("files/*/*") if path.is_file()]),
            "num_texts": len(list(home.glob("texts/*"))),
            "kept_bytes": before,
        }


def restart_reindexing(home: Path) -> dict[str, Any]:
    """Start a service on what is left of a reindexing and report what becomes of it."""
    with service_on(home, HashEmbedder()) as service:
        shelf = Shelf(service.library, service.searcher, home)
        while (state := shelf.state()).reindexing is not None:
            time.sleep(0.05)
        index = shelf.index()
        documents = shelf.library.list_documents(None, None, None, 10)
        return {
            "outdated": state.outdated,
            "found": [shelf.find(word) for word in ("plugh", thing(899), "third")],
            "contents": sorted(index.contents().values()),
            "num_chunks": sorted(document.searchable_chunks for document in documents),
            "indexes": sorted(path.name for path in (home / "index").iterdir()),
        }


def in_child(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run in a process of its own, since one process is one service at a time."""
    readable, writable = os.pipe()
    if os.fork() == 0:
        with os.fdopen(writable, "w") as report:
            try:
                report.write(json.dumps(work()))
            except BaseException:  # noqa: BLE001 - the parent tells what happened
                json.dump({"error": traceback.format_exc()}, report)
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as report:
        content = report.read()
    _, status = os.wait()
    answer: dict[str, Any] = json.loads(content or f'{{"error": "wait status {status}"}}')
    return answer


def main(root: Path) -> None:
    """Run all scenarios, print one line of JSON for each."""
    in_child(partial(make_template, root / "template"))
    for point in (*POINTS, STOPPED):
        home = Path(shutil.copytree(root / "template", root / point))
        stopped = run_until_stopped(home) if point == STOPPED else {}
        if point in POINTS:
            run_until(home, point)
        report = in_child(partial(restart, home, missing=point == "uploading"))
        print(json.dumps({"point": point, **stopped, **report}), flush=True)  # noqa: T201
    in_child(partial(make_reindexing_template, root / "old"))
    for point in REINDEXING_POINTS:
        home = Path(shutil.copytree(root / "old", root / point))
        run_until(home, point)
        report = in_child(partial(restart_reindexing, home))
        print(json.dumps({"point": point, **report}), flush=True)  # noqa: T201


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    root = tmp_path_factory.mktemp("crashes")
    script = (
        "import sys, pathlib; from tests.ingest import test_crash;"
        "test_crash.main(pathlib.Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(root)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        timeout=800,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line.pop("point"): line for line in lines}


@pytest.mark.parametrize("point", [*POINTS, STOPPED])
def test_every_job_ends_after_a_restart(reports: dict[str, dict[str, Any]], point: str) -> None:
    report = reports[point]
    assert "error" not in report, report["error"]
    assert report["statuses"] == {
        "replaced.txt": "searchable",
        "long.txt": "searchable",
        "third.txt": "searchable",
    }
    assert report["found"] == [[], ["replaced.txt"], ["long.txt"], ["third.txt"]]
    assert report["indexed"] == report["num_chunks"]
    assert report["nearest"] == [True] * 3
    assert report["work"] == []
    assert (report["num_files"], report["num_texts"]) == (NUM_DOCUMENTS, NUM_DOCUMENTS)


@pytest.mark.parametrize("point", REINDEXING_POINTS)
def test_a_reindexing_goes_on_after_a_restart(
    reports: dict[str, dict[str, Any]], point: str
) -> None:
    report = reports[point]
    assert "error" not in report, report["error"]
    assert report["outdated"] == []
    assert report["found"] == [["replaced.txt"], ["long.txt"], ["third.txt"]]
    assert report["contents"] == report["num_chunks"]
    assert report["indexes"] == ["default~2"]


def test_a_stopped_service_ends_soon_and_keeps_what_it_embedded(
    reports: dict[str, dict[str, Any]],
) -> None:
    assert reports[STOPPED]["code"] == 0
    # Far below the time that its jobs would take; a busy machine takes its time, too.
    assert reports[STOPPED]["seconds"] < 60
    assert reports[STOPPED]["kept_bytes"] > 0


def test_kills_at_random_moments_lose_double_and_leave_nothing() -> None:
    """The short form of a benchmark, which kills more than a hundred times."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.crash", "3"],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        timeout=600,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["wrong"] == []
    assert (report["kills"], done.returncode) == (3, 0)
    assert report["calls"]["uploads"] > 0
