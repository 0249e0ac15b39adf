"""Parsing of PDFs: words found, pages per second beside the raw libraries, peak memory.

Usage: python -m benchmarks.parsing FOLDER...
Each folder holds `documents/*.pdf` and `corpus.jsonl`, whose ids are `FILE.pdf#pNUMBER` and whose
texts are those of the pages by another reader. Recall is that of a page's words with their
number; running headers and footers are left out of our text and count as lost. PDFium is asked for
the text alone, and for all that our parser asks it: that is the least a parser on it can take. The
clock counts processor time, so that other work on the machine matters less. Prints JSON.
"""

import io
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from pypdf import PdfReader
from pypdfium2 import PdfDocument

from benchmarks.long_pdf import long_pdf
from ingest.parsers.page_characters import Characters
from ingest.parsers.page_rules import read_rules
from ingest.parsers.pdf import parse_pdf

_WORD = re.compile(r"\w+")
_LINE = re.compile(r"\S(?:.*\S)?")
_BROKEN_WORD = re.compile(r"(\w)[-\u00ad\u2010]\s*\n\s*(?=\w)")
_MAX_PAGES = 5000
_LONG_PAGES = 3000
# pypdf takes minutes for all of them.
_PYPDF_EVERY = 5


def main() -> None:
    """Measure each folder, then the memory."""
    results: dict[str, Any] = {Path(one).name: measure(Path(one)) for one in sys.argv[1:]}
    results[f"{_LONG_PAGES} pages"] = measure_memory()
    print(json.dumps(results, indent=2))


def measure(folder: Path) -> dict[str, Any]:
    """Return recall and speed of a folder."""
    references = _references(folder / "corpus.jsonl")
    recalls: list[float] = []
    seconds: defaultdict[str, float] = defaultdict(float)
    pages: Counter[str] = Counter()
    for number, path in enumerate(sorted((folder / "documents").glob("*.pdf"))):
        data = path.read_bytes()
        for name, read in (
            ("pdfium", _read_pdfium),
            ("pdfium_with_places", _read_places),
            ("suffice", _read),
            ("pypdf", _read_pypdf),
        ):
            if name == "pypdf" and number % _PYPDF_EVERY:
                continue
            started = time.process_time()
            texts = read(data)
            seconds[name] += time.process_time() - started
            pages[name] += len(texts)
            if name == "suffice":
                recalls += [
                    recall(references[key], text)
                    for page, text in enumerate(texts, start=1)
                    if (key := f"{path.name}#p{page}") in references
                ]
    recalls.sort()
    return {
        "num_pages": len(recalls),
        "recall_median": round(statistics.median(recalls), 4),
        "recall_5th_percentile": round(recalls[len(recalls) // 20], 4),
        "recall_worst": round(recalls[0], 4),
        "pages_per_second": {name: round(pages[name] / seconds[name], 1) for name in seconds},
        "time_by_pdfium_text_alone": round(seconds["suffice"] / seconds["pdfium"], 2),
        "time_by_pdfium_with_places": round(seconds["suffice"] / seconds["pdfium_with_places"], 2),
        "time_by_pypdf_text_alone": round(
            seconds["suffice"] / pages["suffice"] / (seconds["pypdf"] / pages["pypdf"]), 2
        ),
    }


def recall(reference: str, text: str) -> float:
    """Return the share of the words of a page, with their number, that a text has."""
    expected, found = _words(reference), _words(text)
    return (expected & found).total() / expected.total() if expected else 1.0


def measure_memory() -> dict[str, float]:
    """Return time and peak memory of a process that parses a long file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.pdf"
        path.write_bytes(long_pdf(_LONG_PAGES, lines_per_page=50))
        program = (
            "import pathlib, sys; from ingest.parsers.parse import parse\n"
            f"parse(pathlib.Path(sys.argv[1]), 'application/pdf', {_MAX_PAGES})"
        )
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", program, str(path)], check=True)  # noqa: S603
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        return {
            "file_mb": round(path.stat().st_size / 1e6, 1),
            "seconds": round(time.perf_counter() - started, 1),
            "peak_memory_mb": round(peak * 1024 / 1e6),
        }


def _references(path: Path) -> dict[str, str]:
    records = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {record["_id"]: record["text"] for record in records}


def _words(text: str) -> Counter[str]:
    text = _BROKEN_WORD.sub(r"\1", unicodedata.normalize("NFKC", text))
    return Counter(_WORD.findall(text.casefold()))


def _read(data: bytes) -> list[str]:
    text = parse_pdf(data, _MAX_PAGES)
    ends = [*text.page_starts[1:], len(text.text)]
    return [text.text[start:end] for start, end in zip(text.page_starts, ends, strict=True)]


def _read_pdfium(data: bytes) -> list[str]:
    texts = []
    with PdfDocument(data) as document:
        for page in document:
            text_page = page.get_textpage()
            texts.append(text_page.get_text_range())
            text_page.close()
            page.close()
    return texts


def _read_places(data: bytes) -> list[str]:
    """Ask for texts, the places and types of lines, colours and ruling lines, as a parser must."""
    texts = []
    with PdfDocument(data) as document:
        for page in document:
            text_page = page.get_textpage()
            characters = Characters(text_page)
            lines = [match.span() for match in _LINE.finditer(characters.text)]
            characters.boxes([(start, end - 1) for start, end in lines])
            for start, _ in lines:
                characters.type_size(start)
            characters.is_all_ink(step=10)
            read_rules(page, quarter_turns=0)
            texts.append(characters.text)
            text_page.close()
            page.close()
    return texts


def _read_pypdf(data: bytes) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(data)).pages]


if __name__ == "__main__":
    main()
