"""More questions than can be answered: how long do the accepted and the refused ones wait?

Usage: python -m benchmarks.admission
Questions arrive at random (Poisson) and take a random time (uniform, 0.1 to 0.3 s) as long as no
more run than there are permits, as with a model server that is busy but not overloaded. The rate is
a multiple of what the permits sustain. Writes `results/admission.json`.
"""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from serving.errors import RateLimitedError
from serving.keys import Key, Scope
from serving.permits import Permits
from serving.settings import ServingSettings

RESULTS = Path(__file__).parent / "results" / "admission.json"
KEY = Key("key", "key", frozenset({Scope.READ}), datetime.now(UTC))
MAX_RUNNING = 16
ANSWER_SECONDS = (0.1, 0.3)
MEASURED_SECONDS = 20.0
LOADS = (0.5, 1.0, 2.0, 4.0)


def main() -> None:
    """Measure each load with the waiting room of the settings, and the last one without a bound."""
    settings = ServingSettings.model_construct()
    share = settings.max_waiting / settings.max_concurrent
    figures = {
        "max_running": MAX_RUNNING,
        "max_waiting": round(share * MAX_RUNNING),
        "loads": [
            asyncio.run(measure(load, round(share * MAX_RUNNING), settings.max_wait_seconds))
            for load in LOADS
        ],
        "unbounded": asyncio.run(measure(LOADS[-1], 10**6, 1e6)),
    }
    print(json.dumps(figures, indent=2))
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")


async def measure(load: float, max_waiting: int, max_wait_seconds: float) -> dict[str, float]:
    """Return percentiles in milliseconds, and the share that was refused."""
    permits = Permits(MAX_RUNNING, max_waiting, max_wait_seconds)
    chance = random.Random(7)  # noqa: S311 - no secret
    accepted: list[float] = []
    refused: list[float] = []

    async def ask(answer_seconds: float) -> None:
        started = time.perf_counter()
        try:
            async with permits.hold(KEY):
                await asyncio.sleep(answer_seconds)
            accepted.append(time.perf_counter() - started)
        except RateLimitedError:
            refused.append(time.perf_counter() - started)

    rate = load * MAX_RUNNING / (sum(ANSWER_SECONDS) / 2)
    started, arrival = time.perf_counter(), 0.0
    async with asyncio.TaskGroup() as group:
        while arrival < MEASURED_SECONDS:
            arrival += chance.expovariate(rate)
            await asyncio.sleep(max(0.0, started + arrival - time.perf_counter()))
            group.create_task(ask(chance.uniform(*ANSWER_SECONDS)))
    return {
        "load": load,
        "num_questions": len(accepted) + len(refused),
        "share_refused": round(len(refused) / (len(accepted) + len(refused)), 3),
        "accepted_p50_ms": percentile(accepted, 50),
        "accepted_p95_ms": percentile(accepted, 95),
        "refused_p95_ms": percentile(refused, 95),
        "refused_max_ms": percentile(refused, 100),
    }


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return a percentile in milliseconds; 0 of nothing."""
    return round(1000 * float(np.percentile(seconds, share)), 2) if seconds else 0.0


if __name__ == "__main__":
    main()
