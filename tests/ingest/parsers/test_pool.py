import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ingest.errors import UnreadableFileError, UnsupportedTypeError
from ingest.parsers.pool import ParserPool
from ingest.texts import CanonicalText, Heading


@pytest.fixture
def pool() -> Iterator[ParserPool]:
    pool = ParserPool(max_workers=2)
    yield pool
    pool.close()


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.md"
    path.write_text("# Título\n\nText\n", encoding="utf-8")
    return path


@pytest.fixture
def hanging(tmp_path: Path) -> Path:
    """A file whose reading never ends."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    # Someone must hold it open for writing, or opening it would wait instead.
    os.open(path, os.O_RDWR)
    return path


def parse(pool: ParserPool, path: Path, timeout_seconds: float = 60) -> CanonicalText:
    return pool.parse(path, "text/markdown", max_pages=10, timeout_seconds=timeout_seconds)


def children() -> list[int]:
    path = Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/children")
    return [int(pid) for pid in path.read_text(encoding="ascii").split()]


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} lives on")


def test_text_and_headings_come_back(pool: ParserPool, good: Path) -> None:
    assert parse(pool, good) == CanonicalText(
        "# Título\n\nText\n", headings=(Heading(0, 8, 1, "Título"),)
    )


def test_domain_errors_come_back(pool: ParserPool, tmp_path: Path) -> None:
    path = tmp_path / "bad.pdf"
    path.write_bytes(b"%PDF-1.7")
    with pytest.raises(UnreadableFileError, match="damaged") as caught:
        pool.parse(path, "application/pdf", max_pages=10, timeout_seconds=60)
    assert caught.value.code == "damaged"
    with pytest.raises(UnsupportedTypeError, match="image/gif"):
        pool.parse(path, "image/gif", max_pages=10, timeout_seconds=60)


def test_missing_file_is_the_callers_fault(pool: ParserPool, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        parse(pool, tmp_path / "missing")


def test_hanging_parser_is_killed_and_replaced(pool: ParserPool, good: Path, hanging: Path) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        parse(pool, hanging, timeout_seconds=0.3)
    assert caught.value.code == "timeout"
    assert parse(pool, good).text.startswith("# T")


def test_hanging_parser_harms_no_other_file(pool: ParserPool, good: Path, hanging: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        stuck = threads.submit(parse, pool, hanging, 1.0)
        others = [threads.submit(parse, pool, good) for _ in range(10)]
        assert all(other.result().text.startswith("# T") for other in others)
        assert isinstance(stuck.exception(), UnreadableFileError)


def test_worker_killed_between_files_is_replaced(good: Path) -> None:
    pool = ParserPool(max_workers=1)
    before = set(children())
    parse(pool, good)
    (worker,) = set(children()) - before
    os.kill(worker, signal.SIGKILL)
    assert parse(pool, good).text.startswith("# T")
    pool.close()


def test_parser_that_dies_on_a_file_is_a_crash(tmp_path: Path) -> None:
    pool = ParserPool(max_workers=1, max_memory_bytes=512 * 1024**2)
    path = tmp_path / "big.txt"
    with path.open("wb") as file:
        file.truncate(1024**3)
    with pytest.raises(UnreadableFileError) as caught:
        pool.parse(path, "text/plain", max_pages=10, timeout_seconds=60)
    assert caught.value.code == "crashed"
    pool.close()


def test_workers_start_when_needed_and_end_with_the_pool(good: Path) -> None:
    before = set(children())
    pool = ParserPool(max_workers=2)
    assert set(children()) == before
    parse(pool, good)
    (worker,) = set(children()) - before
    assert os.getsid(worker) == worker  # so no Ctrl-C in the terminal of the service reaches it
    assert parse(pool, good).text.startswith("# T")
    assert set(children()) - before == {worker}
    pool.close()
    assert set(children()) == before
    with pytest.raises(RuntimeError, match="closed"):
        parse(pool, good)


def test_workers_die_with_a_killed_parent(good: Path) -> None:
    program = (
        "import subprocess, sys, time; from pathlib import Path\n"
        "from ingest.parsers.pool import ParserPool\n"
        "pool = ParserPool(1)\n"
        f"pool.parse(Path({str(good)!r}), 'text/markdown', max_pages=1, timeout_seconds=60)\n"
        "print(pool._idle.queue[0]._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, encoding="ascii"
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert Path(f"/proc/{worker}").exists()
        parent.kill()
    wait_for_end(worker)


def test_workers_do_without_heavy_imports_and_parsers_that_no_file_needs() -> None:
    program = (
        "import sys, ingest.parsers.worker\n"
        "heavy = {'torch', 'fastapi', 'qdrant_edge', 'numpy', 'pypdf', 'pptx', 'mammoth'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, encoding="ascii", check=True
    )
    assert done.stdout == "[]\n"
