"""Thousands of small files: does each further thousand cost as much as the first?

Usage: python -m benchmarks.many_files [THOUSANDS]
A service of its own process, with the default embedder and the embedded index, is given a thousand
files of one sentence at a time; it is done when the last of them is searchable. Prints JSON: for
each thousand its seconds, the CPU seconds of the service with its parser (which other work on
the machine does not change), their memory afterwards, and what of it are mapped files. Linux only.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from benchmarks.service_process import ServiceProcess, run_service

THOUSAND = 1000
UPLOADERS = 4


def main() -> None:
    """Measure and print."""
    num_thousands = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with run_service() as service:
        thousands = [measure(service, number) for number in range(num_thousands)]
    first, last = thousands[0], thousands[-1]
    report = {
        "files": num_thousands * THOUSAND,
        "rate_of_last_to_first_thousand": round(first["seconds"] / last["seconds"], 3),
        "the_same_in_cpu_seconds": round(first["cpu_seconds"] / last["cpu_seconds"], 3),
        "thousands": thousands,
    }
    print(json.dumps(report, indent=2))


def measure(service: ServiceProcess, number: int) -> dict[str, float]:
    """Ingest one thousand and return the figures."""
    started, cpu_before = time.perf_counter(), service.cpu_seconds()
    with (
        httpx.Client(base_url=service.url, timeout=600) as http,
        ThreadPoolExecutor(UPLOADERS) as threads,
    ):
        names = range(number * THOUSAND, (number + 1) * THOUSAND)
        list(threads.map(lambda name: _upload(http, name), names))
        uploaded = time.perf_counter()
        while any(_has_some(http, status) for status in ("queued", "parsing", "embedding")):
            time.sleep(0.1)
        if _has_some(http, "failed"):
            raise RuntimeError("A document failed.")
    memory_mb = service.memory_mb()
    figures = {
        "seconds": time.perf_counter() - started,
        "upload_seconds": uploaded - started,
        "cpu_seconds": service.cpu_seconds() - cpu_before,
        "memory_mb": memory_mb["sum"],
        "mapped_mb": memory_mb["mapped"],
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


if __name__ == "__main__":
    main()
