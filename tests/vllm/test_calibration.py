"""The rates of a real vLLM are measured, with what it says of its prefix cache."""

import asyncio

import pytest

from eval.rates import MeasuredRates, Workload, measure_rates
from serving.backends import Backend
from serving.openai_server import OpenAIGenerator
from serving.served_tokens import ServedTokenCounter
from tests.vllm.conftest import API_KEY, VllmServer

pytestmark = pytest.mark.vllm


def test_all_tokens_of_a_real_server_take_time(vllm: VllmServer) -> None:
    async def measure() -> MeasuredRates:
        counter = ServedTokenCounter(vllm.url, None, API_KEY)
        generator = OpenAIGenerator("default", Backend(url=vllm.url), counter, API_KEY, 30.0)
        try:
            return await measure_rates(generator, Workload((1,), max_seconds=120))
        finally:
            await generator.close()

    names = ("vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total")
    before = [vllm.metric(name) for name in names]
    measured = asyncio.run(measure())
    asked, hit = (vllm.metric(name) - old for name, old in zip(names, before, strict=True))

    assert not any("prefix cache" in note for note in measured.notes)
    # New prompts are not in the cache; the same again are, but for the last block.
    assert 0.35 < hit / asked < 0.5
    for load in measured.rates.loads:
        assert load.latency.decode_tokens_per_second
        assert load.work.decode_tokens_per_second
