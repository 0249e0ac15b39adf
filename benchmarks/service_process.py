"""A service in a process of its own on a temporary home folder, and what it takes. Linux only."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ingest.home import Home

START_SECONDS = 600.0
SAMPLE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class ServiceProcess:
    """A running service.

    Attributes:
        url: where it listens.
        process: the service itself; parsers, OCR and the optimiser of the index run below it.
    """

    url: str
    process: "subprocess.Popen[bytes]"

    def is_alive(self) -> bool:
        """Tell whether it still runs."""
        return self.process.poll() is None

    def cpu_seconds(self) -> float:
        """Return the processor time of all its processes that run now."""
        ticks = 0
        for process in _tree(self.process.pid):
            fields = _read(f"/proc/{process}/stat").rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:13]))  # user and system time
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> dict[str, float]:
        """Return the resident memory of the service, of all processes below it, and their sum.

        Pages that they share count for each of them. `mapped` is what of the sum are files, which
        the system takes back when it needs the room.
        """
        (own, mapped), *below = map(_resident_and_mapped_mb, _tree(self.process.pid))
        others = sum(resident for resident, _ in below)
        mapped += sum(files for _, files in below)
        return {"service": own, "others": others, "sum": own + others, "mapped": mapped}


@contextmanager
def run_service(
    home: Path | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[ServiceProcess]:
    """Start a service with its usual settings, and end it with the context.

    Args:
        home: its folder; None: a temporary one.
        settings: others than the usual ones.
    """
    with tempfile.TemporaryDirectory() as folder:
        home = home or Path(folder)
        environment = {**os.environ, "SUFFICE_HOME": str(home), **(settings or {})}
        command = [sys.executable, "-m", "suffice", "serve", "--port", "0"]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603
        try:
            yield ServiceProcess(_wait_for_address(home, process), process)
        finally:
            process.terminate()
            process.wait()


class PeakMemory:
    """Looks at the memory of a service again and again, as long as the context lasts.

    Attributes:
        peaks_mb: the most that each figure of `ServiceProcess.memory_mb` was.
    """

    def __init__(self, service: ServiceProcess) -> None:
        self.peaks_mb: dict[str, float] = {}
        self._service = service
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """End."""
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(SAMPLE_SECONDS) and self._service.is_alive():
            for name, memory in self._service.memory_mb().items():
                self.peaks_mb[name] = round(max(memory, self.peaks_mb.get(name, 0.0)))


def _wait_for_address(home: Path, process: "subprocess.Popen[bytes]") -> str:
    deadline = time.monotonic() + START_SECONDS
    while (url := Home(home).read_address()) is None:
        if process.poll() is not None:
            raise RuntimeError(f"The service ended with {process.returncode} instead of starting.")
        if time.monotonic() > deadline:
            raise TimeoutError("The service did not start.")
        time.sleep(0.1)
    return url


def _tree(process: int) -> list[int]:
    """Return a process and all below it that still run."""
    try:
        # Each thread has the children that it started.
        tasks = list(Path(f"/proc/{process}/task").iterdir())
    except FileNotFoundError:
        return []
    children = [int(child) for task in tasks for child in _read(f"{task}/children").split()]
    return [process, *(one for child in children for one in _tree(child))]


def _resident_and_mapped_mb(process: int) -> tuple[float, float]:
    fields = _read(f"/proc/{process}/statm").split() or ["0"] * 3
    resident, mapped = (int(field) * os.sysconf("SC_PAGE_SIZE") / 1e6 for field in fields[1:3])
    return resident, mapped


def _read(path: str) -> str:
    """Return a file of /proc; empty when the process or thread has ended."""
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
