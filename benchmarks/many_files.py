"""Thousands of small files: does each further thousand cost as much as the first?

Usage: python benchmarks/many_files.py [THOUSANDS]
A service of its own process, with the default embedder and the embedded index, is given a thousand
files of one sentence at a time; it is done when the last of them is searchable. Prints JSON: for
each thousand its seconds, the CPU seconds of the service with its parser (which other work on
the machine does not change), and their memory afterwards. Linux only.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from ingest.home import Home

THOUSAND = 1000
UPLOADERS = 4
START_SECONDS = 120.0


def main() -> None:
    """Measure and print."""
    num_thousands = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "SUFFICE_HOME": home}
        command = [sys.executable, "-m", "suffice", "serve", "--port", "0"]
        service = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603
        try:
            url = _wait_for_address(Path(home))
            thousands = [measure(url, service.pid, number) for number in range(num_thousands)]
        finally:
            service.terminate()
            service.wait()
    first, last = thousands[0], thousands[-1]
    report = {
        "files": num_thousands * THOUSAND,
        "rate_of_last_to_first_thousand": round(first["seconds"] / last["seconds"], 3),
        "the_same_in_cpu_seconds": round(first["cpu_seconds"] / last["cpu_seconds"], 3),
        "thousands": thousands,
    }
    print(json.dumps(report, indent=2))


def measure(url: str, service: int, number: int) -> dict[str, float]:
    """Ingest one thousand and return the figures."""
    started, cpu_before = time.perf_counter(), _cpu_seconds(service)
    with httpx.Client(base_url=url, timeout=600) as http, ThreadPoolExecutor(UPLOADERS) as threads:
        names = range(number * THOUSAND, (number + 1) * THOUSAND)
        list(threads.map(lambda name: _upload(http, name), names))
        uploaded = time.perf_counter()
        while any(_has_some(http, status) for status in ("queued", "parsing", "embedding")):
            time.sleep(0.1)
        if _has_some(http, "failed"):
            raise RuntimeError("A document failed.")
    figures = {
        "seconds": time.perf_counter() - started,
        "upload_seconds": uploaded - started,
        "cpu_seconds": _cpu_seconds(service) - cpu_before,
        "memory_mb": _memory_mb(service),
    }
    print(f"{number + 1} thousand: {figures}", file=sys.stderr)
    return {name: round(value, 1) for name, value in figures.items()}


def _upload(http: httpx.Client, number: int) -> None:
    content = f"File {number} of many says that the value of item {number} is {number * 7}."
    files = {"file": (f"{number}.txt", content.encode())}
    http.post("/v1/documents", files=files).raise_for_status()


def _has_some(http: httpx.Client, status: str) -> bool:
    params: dict[str, Any] = {"status": status, "limit": 1}
    return bool(http.get("/v1/documents", params=params).raise_for_status().json()["documents"])


def _wait_for_address(home: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while (url := Home(home).read_address()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError("The service did not start.")
        time.sleep(0.1)
    return url


def _processes(parent: int) -> list[int]:
    """Return a process and its children."""
    children: list[str] = []
    for task in Path(f"/proc/{parent}/task").iterdir():  # threads that may have started some
        children += (task / "children").read_text().split()
    return [parent, *(int(child) for child in children)]


def _cpu_seconds(parent: int) -> float:
    ticks = 0
    for process in _processes(parent):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # user and system time
    return ticks / os.sysconf("SC_CLK_TCK")


def _memory_mb(parent: int) -> float:
    pages = [int(Path(f"/proc/{p}/statm").read_text().split()[1]) for p in _processes(parent)]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
