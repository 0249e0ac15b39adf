"""What goes through the service of what an engine on a GPU gives alone, and what answers cost.

Usage: python -m benchmarks.serving_gpu http://localhost:8000/v1 [--streams N ...] [--rounds N]
A vLLM listens there, started with VLLM_SERVER_DEV_MODE=1 and --enable-prompt-tokens-details, and
for the figures of a model that is not at hand with --load-format dummy: random weights are as fast
as others, and hardly ever end an answer early. The questions are those
of examples; a round asks all of them once, each stream the next one as soon as it has its answer.
Both sides are sent the same prompts: those that the service made of the questions. They take
turns, each with an empty prefix cache, for two sizes of context and each number of streams.
Goodput is what vLLM's own benchmark calls so: answers in time, in each second. Writes
serving_gpu.json to benchmarks/results after each round.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx

from benchmarks.chat_client import NEVER_WRITTEN, Streamed, stream_in_turn
from benchmarks.service_process import ServiceProcess, run_service
from suffice.client import Client
from tests.vllm.conftest import API_KEY
from tests.vllm.proxy import run_proxy

RESULTS = Path(__file__).resolve().parent / "results"
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SIDES = ("engine", "service")
# Tokens of the context; the instructions come on top.
SIZES = {"1,000 tokens": 850, "4,000 tokens": 3850}
TOP_K = 50  # enough to fill the larger one
NUM_RECORDING = 16
TOLERATED_SECONDS = 120.0
# An answer is in time with this much to the first token, and for each further one.
FIRST_SECONDS, EACH_SECONDS = 2.0, 0.05


@dataclass(frozen=True, slots=True)
class Case:
    """What a round does: `size` is one of `SIZES`."""

    size: str
    num_streams: int


@dataclass(frozen=True, slots=True)
class Side:
    """Who is asked: `bodies` has the requests for each size, one for each question."""

    url: str
    key: str | None
    bodies: dict[str, list[dict[str, Any]]]


class Clients:
    """Processes that ask, so that the measuring does not wait for itself."""

    def __init__(self, num_processes: int) -> None:
        self._num_processes = num_processes
        self._pool = ProcessPoolExecutor(num_processes, get_context("fork"))
        self._pool.submit(int).result()  # forks them all, before there are threads

    def ask(
        self, side: Side, size: str, num_streams: int
    ) -> tuple[list[Streamed | Exception], float]:
        """Ask all questions once; return the answers, and the seconds all took together."""
        bodies = side.bodies[size]
        number = min(self._num_processes, num_streams)
        shares = [len(range(i, num_streams, number)) for i in range(number)]
        started = time.perf_counter()
        parts = self._pool.map(
            _ask_in_turn,
            [side.url] * number,
            [side.key] * number,
            [bodies[i::number] for i in range(number)],
            shares,
        )
        answers = [answer for part in parts for answer in part]
        return answers, time.perf_counter() - started

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown()


def main() -> None:
    """Measure, and write the results."""
    arguments = _parse_arguments()
    root = arguments.engine.removesuffix("/v1")
    clients = Clients(arguments.processes)
    with tempfile.TemporaryDirectory() as folder:
        home = arguments.home or Path(folder)
        _wait(root)
        recorded = _record(home, root, arguments, clients)
        service_bodies = {
            size: [_ask(question, SIZES[size], arguments.max_tokens) for question in prompts]
            for size, prompts in recorded.items()
        }
        engine_bodies = {size: list(prompts.values()) for size, prompts in recorded.items()}
        settings = {"SERVING_LLM_URL": arguments.engine, "SERVING_LLM_API_KEY": API_KEY}
        with run_service(home, settings) as service:
            sides = {
                "engine": Side(arguments.engine, API_KEY, engine_bodies),
                "service": Side(f"{service.url}/v1", None, service_bodies),
            }
            cases = [Case(size, number) for size in SIZES for number in arguments.streams]
            _measure(arguments, clients, sides, cases, service)
        clients.close()


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", help="address of vLLM, up to and including /v1")
    parser.add_argument("--streams", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3600, help="no round begins after these")
    parser.add_argument("--questions", type=int, help="only so many of them")
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--usd-per-hour", type=float, default=2.5, help="of the GPU")
    parser.add_argument("--processes", type=int, default=max(1, (os.cpu_count() or 1) // 4))
    parser.add_argument("--home", type=Path, metavar="DIR", help="keeps the index")
    parser.add_argument("--gpu", default="", help="its name, for the record")
    parser.add_argument("--out", type=Path, default=RESULTS / "serving_gpu.json")
    return parser.parse_args()


def _fill(url: str) -> None:
    """Ingest the bundled documents, unless the service has them already."""
    with Client(url) as client:
        documents = [client.upload(path) for path in sorted((EXAMPLES / "library").iterdir())]
        for document in documents:
            client.wait(document["id"])


def _wait(root: str) -> None:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{root}/health").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise TimeoutError(f"No vLLM is ready at {root}.")


def _record(
    home: Path, root: str, arguments: argparse.Namespace, clients: Clients
) -> dict[str, dict[str, dict[str, Any]]]:
    """Ingest; return for each size the requests that the service makes of the questions.

    The same home makes the same prompts again: their fences depend on its secret.
    """
    lines = (EXAMPLES / "questions.jsonl").read_text().splitlines()
    questions = [one["question"] for one in map(json.loads, lines) if one["answerable"]]
    questions = questions[: arguments.questions]
    recorded: dict[str, dict[str, dict[str, Any]]] = {}
    with run_proxy(root) as proxy:
        settings = {"SERVING_LLM_URL": proxy.url, "SERVING_LLM_API_KEY": API_KEY}
        with run_service(home, settings) as service:
            _fill(service.url)
            for size, tokens in SIZES.items():
                bodies = [_ask(question, tokens, arguments.max_tokens) for question in questions]
                side = Side(f"{service.url}/v1", None, {size: bodies})
                clients.ask(side, size, NUM_RECORDING)
                requests = [exchange.request for exchange in proxy.exchanges]
                asked = {_question(request): request for request in requests}
                recorded[size] = {one: asked[one] for one in questions if one in asked}
                proxy.exchanges.clear()
    return recorded


def _question(request: dict[str, Any]) -> str:
    return str(request["messages"][-1]["content"]).rpartition("\n\nQuestion: ")[2]


def _ask(question: str, context_tokens: int, max_tokens: int) -> dict[str, Any]:
    return {
        "model": "suffice",
        "messages": [{"role": "user", "content": question}],
        "max_tokens": max_tokens,
        "temperature": 1,
        "stop": [NEVER_WRITTEN],
        "suffice": {"top_k": TOP_K, "max_context_tokens": context_tokens},
    }


def _ask_in_turn(
    url: str, key: str | None, bodies: Sequence[dict[str, Any]], num_streams: int
) -> list[Streamed | Exception]:
    return asyncio.run(stream_in_turn(url, key, bodies, num_streams, TOLERATED_SECONDS))


def _measure(
    arguments: argparse.Namespace,
    clients: Clients,
    sides: dict[str, Side],
    cases: Iterable[Case],
    service: ServiceProcess,
) -> None:
    started = time.monotonic()
    cases = list(cases)
    rounds: dict[tuple[Case, str], list[dict[str, float]]] = defaultdict(list)
    for number in range(arguments.rounds):
        for case in cases:
            if time.monotonic() - started > arguments.seconds:
                break
            for side in SIDES if number % 2 == 0 else reversed(SIDES):
                _reset_cache(arguments.engine)
                before = service.cpu_seconds()
                answers, seconds = clients.ask(sides[side], case.size, case.num_streams)
                busy = service.cpu_seconds() - before
                figures = _describe(answers, seconds, busy)
                rounds[case, side].append(figures)
                print(number + 1, case.size, case.num_streams, side, figures, flush=True)
            written = _write(arguments, cases, rounds)
    print(_table(written))


def _reset_cache(engine: str) -> None:
    response = httpx.post(f"{engine.removesuffix('/v1')}/reset_prefix_cache")
    if response.is_error:
        raise RuntimeError("vLLM has no /reset_prefix_cache: start it with VLLM_SERVER_DEV_MODE=1")


def _describe(
    all_answers: Sequence[Streamed | Exception], seconds: float, busy: float
) -> dict[str, float]:
    answers = [answer for answer in all_answers if isinstance(answer, Streamed)]
    if failed := [answer for answer in all_answers if isinstance(answer, Exception)]:
        print(f"{len(failed)} failed, such as: {failed[0]!r}")
    details = [answer.usage.get("prompt_tokens_details") or {} for answer in answers]
    first = sorted(answer.first_seconds for answer in answers)
    in_time = [
        one
        for one in answers
        if one.first_seconds <= FIRST_SECONDS and one.seconds_per_token <= EACH_SECONDS
    ]
    each = statistics.median(answer.seconds_per_token for answer in answers)
    return {
        "num_answers": len(answers),
        "num_failed": len(failed),
        "prompt_tokens": sum(answer.prompt_tokens for answer in answers),
        "cached_tokens": sum(one.get("cached_tokens") or 0 for one in details),
        "completion_tokens": sum(answer.completion_tokens for answer in answers),
        "seconds": round(seconds, 2),
        "answers_per_second": round(len(answers) / seconds, 3),
        "goodput": round(len(in_time) / seconds, 3),
        "tokens_per_second": round(sum(one.completion_tokens for one in answers) / seconds, 1),
        "first_token_p50_ms": round(1000 * statistics.median(first), 1),
        "first_token_p95_ms": round(1000 * first[int(0.95 * len(first))], 1),
        "each_token_p50_ms": round(1000 * each, 2),
        "service_cpu_ms_per_answer": round(1000 * busy / len(answers), 1),
    }


def _write(
    arguments: argparse.Namespace,
    cases: Sequence[Case],
    rounds: dict[tuple[Case, str], list[dict[str, float]]],
) -> dict[str, Any]:
    figures = {
        "gpu": arguments.gpu,
        "model": httpx.get(f"{arguments.engine}/models", headers=_KEY).json()["data"][0]["id"],
        "max_tokens": arguments.max_tokens,
        "usd_per_hour": arguments.usd_per_hour,
        "in_time": {"first_token_seconds": FIRST_SECONDS, "each_token_seconds": EACH_SECONDS},
        "cases": [
            {
                "context": case.size,
                "num_streams": case.num_streams,
                **_compare(rounds, case, arguments.usd_per_hour),
                "rounds": {side: rounds[case, side] for side in SIDES},
            }
            for case in cases
            if rounds[case, "service"]
        ],
    }
    arguments.out.write_text(json.dumps(figures, indent=2) + "\n")
    return figures


_KEY = {"Authorization": f"Bearer {API_KEY}"}


def _compare(
    rounds: dict[tuple[Case, str], list[dict[str, float]]], case: Case, usd_per_hour: float
) -> dict[str, Any]:
    """Return medians over the rounds of each side, and of the ratios with their least and most."""
    sides = {side: rounds[case, side] for side in SIDES}
    compared: dict[str, Any] = {}
    for side, own in sides.items():
        compared[side] = {name: statistics.median(one[name] for one in own) for name in own[0]}
        rate = compared[side]["answers_per_second"]
        compared[side]["usd_per_1000_answers"] = round(1000 * usd_per_hour / 3600 / rate, 4)
    for name in ("answers_per_second", "goodput", "tokens_per_second"):
        pairs = zip(sides["service"], sides["engine"], strict=True)
        ratios = [mine[name] / theirs[name] for mine, theirs in pairs if theirs[name]]
        if ratios:
            compared[f"{name}_ratio"] = {
                "median": round(statistics.median(ratios), 3),
                "least": round(min(ratios), 3),
                "most": round(max(ratios), 3),
            }
    return compared


def _table(figures: dict[str, Any]) -> str:
    lines = [
        "| context | streams | side | answers/s | goodput | tokens/s | first token p50, p95, ms |"
        " each token, ms | USD per 1,000 | ratio | service CPU ms |",
        "|" + "---|" * 11,
    ]
    for case in figures["cases"]:
        for side in SIDES:
            one, ratio = case[side], case["answers_per_second_ratio"]
            spread = f"{ratio['median']:g} ({ratio['least']:g} to {ratio['most']:g})"
            lines.append(
                f"| {case['context']} ({one['prompt_tokens'] / one['num_answers']:.0f}) | "
                f"{case['num_streams']} | {side} | {one['answers_per_second']:g} | "
                f"{one['goodput']:g} | {one['tokens_per_second']:g} | "
                f"{one['first_token_p50_ms']:g}, {one['first_token_p95_ms']:g} | "
                f"{one['each_token_p50_ms']:g} | {one['usd_per_1000_answers']:g} | "
                f"{spread if side == 'service' else ''} | {one['service_cpu_ms_per_answer']:g} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
