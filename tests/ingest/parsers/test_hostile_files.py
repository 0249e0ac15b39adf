"""Files of many kinds and states, some made to break parsers: parsed or refused, nothing else."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from ingest.errors import UnreadableFileError, UnsupportedTypeError
from ingest.parsers.media_types import detect_media_type
from ingest.parsers.pool import ParserPool

pytestmark = pytest.mark.data

MAX_BYTES = 300_000


@pytest.fixture(scope="module")
def files(data_dir: Path) -> list[Path]:
    folder = data_dir / "hostile_dev" / "documents"
    if not folder.is_dir():
        pytest.skip(f"no hostile files at {folder}")
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in found if path.stat().st_size <= MAX_BYTES][::2]


def outcome(pool: ParserPool, path: Path) -> str:
    try:
        with path.open("rb") as file:
            media_type = detect_media_type(file, path.name)
        text = pool.parse(path, media_type, max_pages=500, timeout_seconds=10)
    except UnsupportedTypeError:
        return "unsupported"
    except UnreadableFileError as error:
        return error.code
    assert all(text.text[h.start : h.end].strip() for h in text.headings), path
    assert list(text.page_starts) == sorted(text.page_starts), path
    return "parsed"


def test_every_file_is_parsed_or_refused(files: list[Path]) -> None:
    with closing(ParserPool(max_workers=2)) as pool, ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(lambda path: outcome(pool, path), files))
    counts = Counter(outcomes)
    assert counts["crashed"] == 0
    assert counts["parsed"] > len(files) / 2
    broken = [path for path, code in zip(files, outcomes, strict=True) if code == "damaged"]
    assert {path.suffix for path in broken} <= {".pdf"}
