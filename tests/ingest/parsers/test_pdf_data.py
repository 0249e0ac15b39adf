"""Real annual reports, papers and filings: the words of each page against another reader's."""

import json
import statistics
from pathlib import Path

import pytest

from benchmarks.parsing import recall
from ingest.parsers.pdf import parse_pdf

pytestmark = pytest.mark.data
# Every fourth file: all of them take a minute and are measured by benchmarks/parsing.py.
STEP = 4


@pytest.mark.parametrize("name", ["uda_pdf", "kgrag_sec10q"])
def test_words_of_each_page(data_dir: Path, name: str) -> None:
    folder = data_dir / name
    if not folder.is_dir():
        pytest.skip(f"no data at {folder}")
    lines = (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    references = {record["_id"]: record["text"] for record in map(json.loads, lines)}
    recalls = []
    for path in sorted((folder / "documents").glob("*.pdf"))[::STEP]:
        text = parse_pdf(path.read_bytes(), 1000)
        ends = [*text.page_starts[1:], len(text.text)]
        for number, (start, end) in enumerate(zip(text.page_starts, ends, strict=True), start=1):
            reference = references.get(f"{path.name}#p{number}")
            if reference is not None:
                recalls.append(recall(reference, text.text[start:end]))
    recalls.sort()
    assert statistics.median(recalls) >= 0.99
    assert recalls[len(recalls) // 20] >= 0.90
