"""Real files of many kinds, sound and broken: what becomes of each, how long does it take?

Usage: python -m benchmarks.hostile FOLDER
All files below the folder are uploaded to a service with its usual settings, as many at a time as
it works on, so that the seconds of a file are its own. Writes `results/hostile.md`, with names and
reasons, and `results/hostile.json`. Exit code 1 when the service dies, or a file takes longer than
`MAX_SECONDS`. Linux only.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.service_process import PeakMemory, run_service
from ingest.settings import IngestSettings
from suffice.client import Client
from suffice.errors import ServiceError

RESULTS = Path(__file__).parent / "results"
OUTCOMES = ("searchable", "partial", "failed", "refused")
MAX_SECONDS = 60.0
NUM_SLOWEST = 10


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a file.

    Attributes:
        file: its path in the folder.
        outcome: one of `OUTCOMES`; refused when the service did not accept it.
        code, reason: why it is not searchable as a whole.
        seconds: from the upload until the state was final.
    """

    file: str
    outcome: str
    seconds: float
    code: str = ""
    reason: str = ""

    @property
    def kind(self) -> str:
        """The suffix of its name."""
        return Path(self.file).suffix.removeprefix(".").lower() or "none"


def main() -> int:
    """Measure, write the results, and return the exit code."""
    folder = Path(sys.argv[1])
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    num_uploads = IngestSettings().concurrent_jobs
    started = time.monotonic()
    with (
        run_service() as service,
        PeakMemory(service) as memory,
        Client(service.url) as client,
        ThreadPoolExecutor(num_uploads) as threads,
    ):
        endings = list(threads.map(lambda path: ingest(client, folder, path), files))
        is_alive = service.is_alive()
    longest = max(ending.seconds for ending in endings)
    summary = {
        "files": len(endings),
        **Counter(ending.outcome for ending in endings),
        "minutes": round((time.monotonic() - started) / 60, 1),
        "longest_seconds": longest,
        "peak_memory_mb": memory.peaks_mb,
        "service_lived": is_alive,
    }
    report = {**summary, "endings": [asdict(ending) for ending in endings]}
    (RESULTS / "hostile.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    (RESULTS / "hostile.md").write_text(as_markdown(endings))
    print(json.dumps(summary, indent=2))
    return 0 if is_alive and longest <= MAX_SECONDS else 1


def ingest(client: Client, folder: Path, path: Path) -> Ending:
    """Upload a file and wait for its end."""
    file = str(path.relative_to(folder))
    started = time.monotonic()
    try:
        document = client.wait(client.upload(path, external_id=file)["id"])
    except ServiceError as error:
        if error.status is None:
            raise
        code, reason = str(error.status), str(error)
        return Ending(file, "refused", round(time.monotonic() - started, 1), code, reason)
    fault = document["error"] or {"code": "", "reason": ""}
    seconds = round(time.monotonic() - started, 1)
    return Ending(file, document["status"], seconds, fault["code"], fault["reason"])


def as_markdown(endings: Sequence[Ending]) -> str:
    """Return three tables: the outcomes of each kind, what is not searchable, the slowest files."""
    counts = Counter((ending.kind, ending.outcome) for ending in endings)
    kinds = sorted({ending.kind for ending in endings})
    outcomes = [[kind, *(counts[kind, outcome] for outcome in OUTCOMES)] for kind in kinds]
    totals = ["all", *(sum(counts[kind, outcome] for kind in kinds) for outcome in OUTCOMES)]
    others = [
        [ending.file, ending.outcome, ending.code, ending.reason]
        for ending in sorted(endings, key=lambda ending: (ending.outcome, ending.code, ending.file))
        if ending.outcome != "searchable"
    ]
    slowest = sorted(endings, key=lambda ending: ending.seconds, reverse=True)[:NUM_SLOWEST]
    sections = [
        "# Real files of many kinds, sound and broken",
        "Written by `python -m benchmarks.hostile FOLDER`; see docs/benchmarks.md.",
        "## Outcomes",
        table(["kind", *OUTCOMES], [*outcomes, totals]),
        "## Not searchable, or not all of it",
        table(["file", "outcome", "code", "reason"], others),
        f"## The slowest {NUM_SLOWEST}",
        table(["file", "outcome", "seconds"], [[e.file, e.outcome, e.seconds] for e in slowest]),
    ]
    return "\n\n".join(sections) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown."""
    cells = [header, ["---"] * len(header), *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in cells)


if __name__ == "__main__":
    sys.exit(main())
