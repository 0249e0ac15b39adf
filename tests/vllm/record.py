"""Record the exchanges that the fast tests replay, from a real vLLM.

Usage, with .venv-vllm (make vllm-env): python -m tests.vllm.record [CASE...]
"""

import asyncio
import subprocess
import sys
import tempfile
from contextlib import aclosing, suppress
from pathlib import Path

from serving.errors import ServingError
from tests.vllm.conftest import GENERATOR_FLAGS, PYTHON, VllmServer, run_vllm
from tests.vllm.exchanges import CASES, Case, make_generator, make_task
from tests.vllm.proxy import Proxy, run_proxy

MAX_REQUESTS = 2
FLAGS = [*GENERATOR_FLAGS, f"--max-num-queued-reqs={MAX_REQUESTS}"]


def main() -> None:
    """Write a file for each case, or each of those that are named."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        script = Path(__file__).with_name("make_tiny_model.py")
        subprocess.run([PYTHON, script, model], check=True, capture_output=True)
        with run_vllm(model, FLAGS) as server, run_proxy(server.root) as proxy:
            for name in sys.argv[1:] or CASES:
                asyncio.run(record(name, CASES[name], server, proxy))
                exchange = proxy.exchanges[-1]
                exchange.save(name)
                print(name, exchange.status, len(exchange.parts))  # noqa: T201


async def record(name: str, case: Case, server: VllmServer, proxy: Proxy) -> None:
    """Ask what a case asks; some need the server in a certain state."""
    if name == "cached":
        await ask(proxy.url, case)
    if name == "killed":
        proxy.on_first_piece = server.kill_engine
    if name != "overload":
        await ask(proxy.url, case)
        return
    long = [asyncio.create_task(ask(server.url, CASES["killed"])) for _ in range(MAX_REQUESTS)]
    while server.metric("vllm:num_requests_running") < MAX_REQUESTS:  # noqa: ASYNC110 - its state
        await asyncio.sleep(0.01)
    await ask(proxy.url, case)
    for one in long:
        one.cancel()
    await asyncio.gather(*long, return_exceptions=True)


async def ask(url: str, case: Case) -> None:
    """Ask through the generator; whether it fails does not matter here."""
    generator = make_generator(url, case.model)
    try:
        with suppress(ServingError):
            async with aclosing(generator.generate(make_task(case))) as events:
                async for _ in events:
                    pass
    finally:
        await generator.close()


if __name__ == "__main__":
    main()
