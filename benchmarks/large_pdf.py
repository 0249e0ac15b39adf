"""A PDF of thousands of pages through a running service: how much memory, how long?

Usage: python -m benchmarks.large_pdf [PAGES]
Pages have ten lines, a chunk each. Prints JSON with the peak memory of the service, of the
processes that it starts, and of all together. Linux only.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.long_pdf import long_pdf
from benchmarks.service_process import PeakMemory, run_service
from suffice.client import Client

LINES_PER_PAGE = 10


def main() -> None:
    """Measure and print."""
    num_pages = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    with (
        tempfile.TemporaryDirectory() as folder,
        run_service() as service,
        Client(service.url) as client,
    ):
        path = Path(folder) / "long.pdf"
        path.write_bytes(long_pdf(num_pages, LINES_PER_PAGE))
        idle = service.memory_mb()
        started = time.monotonic()
        with PeakMemory(service) as memory:
            document = client.wait(client.upload(path)["id"])
        report = {
            "file_mb": round(path.stat().st_size / 1e6, 1),
            "status": document["status"],
            "pages": document["progress"]["pages"],
            "chunks": document["num_chunks"],
            "minutes": round((time.monotonic() - started) / 60, 1),
            "idle_memory_mb": {name: round(size) for name, size in idle.items()},
            "peak_memory_mb": memory.peaks_mb,
        }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
