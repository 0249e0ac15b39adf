"""One system in a process of its own: `python -m benchmarks.systems.worker SYSTEM FOLDER`.

FOLDER holds `texts.json` and `queries.json` (lists of strings) and their vectors, `texts.npy` and
`queries.npy` (rows of unit norm, float32), so that every system has the same. The process ingests
and prints a line of JSON; then it reads the number of a query from each line of standard input and
prints what it found, positions in the list of texts, best first. Whatever a library prints goes to
standard error.
"""

import contextlib
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
TOP_K = 10
Search = Callable[[str, Matrix], list[int]]
"""(query, its vector) -> positions of the ten best texts."""


class Given:
    """An embedding model that knows its texts already."""

    def __init__(self, texts: list[str], vectors: Matrix) -> None:
        self._rows = dict(zip(texts, vectors, strict=True))

    def __call__(self, text: str) -> Matrix:
        """Return the vector of a text: (dimension,)."""
        vector: Matrix = self._rows[text]
        return vector

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return len(next(iter(self._rows.values())))


def main() -> None:
    """Ingest, then answer."""
    system, folder = sys.argv[1], Path(sys.argv[2])
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        texts, queries = (json.loads((folder / f"{n}.json").read_text()) for n in NAMES)
        text_vectors, query_vectors = (np.load(folder / f"{n}.npy") for n in NAMES)
        embed = Given([*texts, *queries], np.concatenate([text_vectors, query_vectors]))
        ingest = importlib.import_module(f"benchmarks.systems.{system}").ingest
        before = resident_bytes()
        started = time.perf_counter()
        search: Search = ingest(texts, embed)
        say(answers, seconds=time.perf_counter() - started)
        for line in sys.stdin:
            number = int(line)
            started = time.perf_counter()
            found = search(queries[number], query_vectors[number])
            seconds = time.perf_counter() - started
            say(answers, seconds=seconds, found=found, bytes=resident_bytes() - before)


NAMES = ("texts", "queries")


def say(answers: Any, **values: Any) -> None:
    """Print a line of JSON at once."""
    print(json.dumps(values), file=answers, flush=True)


def resident_bytes() -> int:
    """Return the memory of this process that is its own (RssAnon), Linux only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no RssAnon")


if __name__ == "__main__":
    main()
