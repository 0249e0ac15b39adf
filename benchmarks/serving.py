"""What the service adds to a model server, and how much of its prompts the prefix cache knows.

Usage, with .venv-vllm (make vllm-env): python -m benchmarks.serving [--cache DIR]
A real vLLM with a tiny model on the CPU answers, so the engine's own time is short and ours shows.
Every figure through the service stands beside that of the same request to the engine alone; both
take turns. DIR keeps the index of 10,000 chunks. Writes serving.json and serving.md to
benchmarks/results.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.chat_client import NEVER_WRITTEN, Streamed, stream, stream_all
from benchmarks.prefix_sharing import measure_sharing
from benchmarks.search import RandomVectors
from benchmarks.service_process import run_service
from benchmarks.synthetic import Collection
from serving.server import run_in_thread
from serving.service import Settings
from suffice.client import Client
from tests.vllm.conftest import API_KEY, BLOCK_TOKENS, MODEL, PYTHON, VllmServer, run_vllm
from tests.vllm.proxy import Proxy, run_proxy

PARTS = ("latency", "sharing")
RESULTS = Path(__file__).resolve().parent / "results"
NUM_CHUNKS = 10_000
NUM_QUESTIONS = 100
CHUNKS_PER_FILE = 40
SHORT, LONG = 16, 500
NUM_LONG = 6
NUM_STREAMS, STREAM_TOKENS = 64, 128
STALLED_SECONDS = 10.0
TOLERATED_SECONDS = 120.0
VLLM_FLAGS = [
    "--max-model-len=8192",
    f"--max-num-seqs={NUM_STREAMS}",
    "--kv-cache-memory-bytes=268435456",
    f"--block-size={BLOCK_TOKENS}",
    "--enable-prompt-tokens-details",
]


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, metavar="DIR")
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all")
    arguments = parser.parse_args()
    path = RESULTS / "serving.json"
    figures = json.loads(path.read_text()) if path.exists() else {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        home = (arguments.cache or folder) / "home"
        num_chunks = _fill(home)
        model = folder / "model"
        script = Path(__file__).parents[1] / "tests" / "vllm" / "make_tiny_model.py"
        subprocess.run([PYTHON, script, model], check=True, capture_output=True)  # noqa: S603
        vllm = stack.enter_context(run_vllm(model, VLLM_FLAGS))
        proxy = stack.enter_context(run_proxy(vllm.root))
        for part in arguments.part or PARTS:
            if part == "latency":
                figures[part] = {
                    "num_chunks": num_chunks,
                    **_measure_latency(home, vllm, proxy),
                }
            else:
                figures[part] = measure_sharing(folder / "sharing", vllm, proxy)
            _write(figures)
    print((RESULTS / "serving.md").read_text())


def _measure_latency(home: Path, vllm: VllmServer, proxy: Proxy) -> dict[str, Any]:
    questions = [query.text for query in Collection(NUM_CHUNKS).queries(NUM_QUESTIONS)]
    prompts = _record_prompts(home, proxy, questions)
    settings = {"SERVING_LLM_URL": vllm.url, "SERVING_LLM_API_KEY": API_KEY}
    with run_service(home, settings) as service:
        url = f"{service.url}/v1"
        return {
            "prompt_tokens": round(statistics.median(one["tokens"] for one in prompts)),
            "first_token": _measure_first_token(url, vllm, questions, prompts),
            "each_token": _measure_each_token(url, vllm, questions, prompts),
            "streams": _measure_streams(url, vllm, questions, prompts),
        }


def _fill(home: Path) -> int:
    """Ingest synthetic chunks with random vectors, unless the home has them already."""
    chunks = (chunk for batch, _ in Collection(NUM_CHUNKS).batches() for chunk in batch)
    settings = Settings.read(home)
    with (
        run_in_thread(settings, RandomVectors(settings.retrieval.embedder)) as url,
        Client(url) as client,
    ):
        num_chunks = sum(one["num_chunks"] for one in client.documents("default"))
        number = 0
        while num_chunks < NUM_CHUNKS:
            parts = [next(chunks).text for _ in range(CHUNKS_PER_FILE)]
            path = home / f"document-{number}.md"
            path.write_text("\n\n".join(f"# Part {i}\n\n{text}" for i, text in enumerate(parts)))
            num_chunks += client.wait(client.upload(path)["id"])["num_chunks"]
            path.unlink()
            number += 1
    return int(num_chunks)


def _record_prompts(home: Path, proxy: Proxy, questions: Sequence[str]) -> list[dict[str, Any]]:
    """Return the requests that the service makes of questions, and the length of their prompts.

    The same home makes the same prompts again: their fences depend on its secret.
    """
    settings = {"SERVING_LLM_URL": proxy.url, "SERVING_LLM_API_KEY": API_KEY}
    prompts = []
    with run_service(home, settings) as service:
        for question in questions:
            streamed = stream(f"{service.url}/v1", None, _ask(question, SHORT))
            request = proxy.exchanges[-1].request
            prompts.append({"messages": request["messages"], "tokens": streamed.prompt_tokens})
    return prompts


def _ask(question: str, max_tokens: int) -> dict[str, Any]:
    return {
        "model": "suffice",
        "messages": [{"role": "user", "content": question}],
        "max_tokens": max_tokens,
        "temperature": 1,
        "stop": [NEVER_WRITTEN],
    }


def _ask_engine(prompt: dict[str, Any], max_tokens: int) -> dict[str, Any]:
    return {**_ask("", max_tokens), "model": MODEL, "messages": prompt["messages"]}


def _measure_first_token(
    url: str, vllm: VllmServer, questions: Sequence[str], prompts: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """All prompts are in the prefix cache, so that the engine's own time is short and even."""
    ours, engine, embedding, stages = [], [], [], []
    with Client(url.removesuffix("/v1")) as client:
        for question, prompt in zip(questions, prompts, strict=True):
            direct = stream(vllm.url, API_KEY, _ask_engine(prompt, SHORT))
            through = stream(url, None, _ask(question, SHORT))
            if through.prompt_tokens != direct.prompt_tokens:
                raise RuntimeError("the service sent another prompt than the one recorded")
            engine.append(direct.first_seconds)
            ours.append(through.first_seconds)
            call = through.suffice["cost"]["calls"][-1]
            timings = through.suffice["timings"]
            stages.append({**timings, "model_seconds": call["first_token_seconds"]})
            embedding.append(client.search(question)["timings"]["embed_seconds"])
    added = [mine - theirs for mine, theirs in zip(ours, engine, strict=True)]
    names = ("retrieval_seconds", "preparation_seconds", "model_seconds")
    return {
        "num_questions": len(added),
        "engine_ms": _percentiles(engine),
        "service_ms": _percentiles(ours),
        "added_ms": _percentiles(added),
        "embedding_ms": _percentiles(embedding),
        "added_without_embedding_ms": _percentiles(
            [more - embed for more, embed in zip(added, embedding, strict=True)]
        ),
        "stages_ms": {name: _percentiles([one[name] for one in stages]) for name in names},
    }


def _measure_each_token(
    url: str, vllm: VllmServer, questions: Sequence[str], prompts: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    added, engine = [], []
    for question, prompt in zip(questions[:NUM_LONG], prompts, strict=False):
        direct = stream(vllm.url, API_KEY, _ask_engine(prompt, LONG))
        through = stream(url, None, _ask(question, LONG))
        engine.append(direct.seconds_per_token)
        added.append(through.seconds_per_token - direct.seconds_per_token)
    return {"engine_ms": _percentiles(engine), "added_ms": _percentiles(added)}


def _measure_streams(
    url: str, vllm: VllmServer, questions: Sequence[str], prompts: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    asked = questions[:NUM_STREAMS]
    direct = asyncio.run(
        stream_all(
            vllm.url,
            API_KEY,
            [_ask_engine(one, STREAM_TOKENS) for one in prompts[:NUM_STREAMS]],
            TOLERATED_SECONDS,
        )
    )
    through = asyncio.run(
        stream_all(url, None, [_ask(one, STREAM_TOKENS) for one in asked], TOLERATED_SECONDS)
    )
    return {"engine": _describe(direct), "service": _describe(through)}


def _describe(streams: Sequence[Streamed | Exception]) -> dict[str, Any]:
    whole = [one for one in streams if isinstance(one, Streamed)]
    tokens = sum(one.completion_tokens for one in whole)
    return {
        "num_streams": len(streams),
        "num_failed": len(streams) - len(whole),
        "num_stalled": sum(one.longest_gap_seconds > STALLED_SECONDS for one in whole),
        "longest_gap_seconds": round(max(one.longest_gap_seconds for one in whole), 2),
        "first_token_ms": _percentiles([one.first_seconds for one in whole]),
        "tokens_per_second": round(tokens / max(one.last_seconds for one in whole)),
    }


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return median and 95th percentile in milliseconds."""
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return {"p50": round(1000 * statistics.median(ordered), 3), "p95": round(1000 * p95, 3)}


def _write(figures: dict[str, Any]) -> None:
    (RESULTS / "serving.json").write_text(json.dumps(figures, indent=2) + "\n")
    parts = ["# What the service adds to a model server"]
    if "latency" in figures:
        parts.append(_describe_latency(figures["latency"]))
    if "sharing" in figures:
        parts.append(_describe_sharing(figures["sharing"]))
    (RESULTS / "serving.md").write_text("\n\n".join(parts) + "\n")


def _describe_latency(latency: dict[str, Any]) -> str:
    first, each, streams = latency["first_token"], latency["each_token"], latency["streams"]
    rows = [
        ("engine alone", first["engine_ms"]),
        ("through the service", first["service_ms"]),
        ("added", first["added_ms"]),
        ("embedding of the query alone", first["embedding_ms"]),
        ("added without it", first["added_without_embedding_ms"]),
        *(
            (f"stage: {name.removesuffix('_seconds')}", ms)
            for name, ms in first["stages_ms"].items()
        ),
        ("each token, engine alone", each["engine_ms"]),
        ("each token, added", each["added_ms"]),
    ]
    lines = [
        f"{latency['num_chunks']:,} chunks, prompts of {latency['prompt_tokens']:,} tokens that "
        "the engine's cache knows; milliseconds to the first token unless said otherwise.",
        "",
        "| | p50 | p95 |",
        "|---|---|---|",
        *(f"| {name} | {ms['p50']:g} | {ms['p95']:g} |" for name, ms in rows),
        "",
        f"{NUM_STREAMS} streams at once, {STREAM_TOKENS} tokens each:",
        "",
        "| | failed | silent for 10 s | longest silence, s | first token p95, ms | tokens/s |",
        "|---|---|---|---|---|---|",
    ]
    for name in ("engine", "service"):
        one = streams[name]
        lines.append(
            f"| {name} | {one['num_failed']} | {one['num_stalled']} | "
            f"{one['longest_gap_seconds']:g} | {one['first_token_ms']['p95']:.0f} | "
            f"{one['tokens_per_second']} |"
        )
    return "\n".join(lines)


def _describe_sharing(sharing: dict[str, Any]) -> str:
    lines = [
        "Share of the prompt tokens that came from the prefix cache, as the server counts, and the "
        "most that could: what each prompt begins with in common with anything read or written "
        "before, in whole blocks. Tokens are means over the prompts.",
        "",
        "| workload | order | prompts | tokens | read anew | cached | most possible |",
        "|---|---|---|---|---|---|---|",
    ]
    for workload, orders in sharing.items():
        for order, one in orders.items():
            lines.append(
                f"| {workload} | {order} | {one['num_prompts']} | {one['prompt_tokens']} | "
                f"{one['uncached_tokens']} | "
                f"{one['cached_share']:.3f} | {one['possible_share']:.3f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
