"""A real vLLM on the CPU, serving a tiny model with random weights."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.cross_encoders import save_cross_encoder

API_KEY = "secret"
MODEL = "tiny"
CONTEXT_TOKENS = 2048
LONG_CONTEXT_TOKENS = 32768
BLOCK_TOKENS = 32
START_SECONDS = 180
PYTHON = Path(__file__).parents[2] / ".venv-vllm" / "bin" / "python"

# One process fewer, no fixed cores, no compilation at the first request, nothing sent anywhere.
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "TORCHDYNAMO_DISABLE": "1",
}
FLAGS = ["--enforce-eager", "--max-num-seqs=8", "--kv-cache-memory-bytes=67108864"]
GENERATOR_FLAGS = [
    f"--max-model-len={CONTEXT_TOKENS}",
    f"--block-size={BLOCK_TOKENS}",
    "--enable-prompt-tokens-details",
    "--reasoning-parser=qwen3",
    '--default-chat-template-kwargs={"enable_thinking": false}',
    '--structured-outputs-config={"backend": "xgrammar", "disable_any_whitespace": true}',
]
# An answer that is to be broken off must not end by itself while a busy machine does other things.
MORTAL_FLAGS = [*GENERATOR_FLAGS, f"--max-model-len={LONG_CONTEXT_TOKENS}"]
RERANKER_FLAGS = ["--runner=pooling"]


@dataclass(frozen=True, slots=True)
class VllmServer:
    """A running vLLM; its process leads a group that holds the engine, too."""

    root: str
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """What SERVING_LLM_URL would be."""
        return f"{self.root}/v1"

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all its processes."""
        os.killpg(self.process.pid, number)

    def kill_engine(self) -> None:
        """Kill the process that computes, and leave the one that listens."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for child in children.read_text().split():
            if b"EngineCore" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(int(child), signal.SIGKILL)

    def metric(self, name: str) -> float:
        """Read a counter or gauge."""
        for line in httpx.get(f"{self.root}/metrics").text.splitlines():
            if line.startswith(f"{name}{{"):
                return float(line.rsplit(" ", 1)[1])
        raise KeyError(name)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where models and logs are; skips where there is no vLLM."""
    if not PYTHON.exists():
        pytest.skip("no vLLM here; `make vllm-env` installs it")
    return tmp_path_factory.mktemp("vllm")


@pytest.fixture(scope="session")
def tiny_model(folder: Path) -> Path:
    """The folder of the model that writes."""
    model = folder / "model"
    script = Path(__file__).with_name("make_tiny_model.py")
    subprocess.run([PYTHON, script, model], check=True, capture_output=True)
    return model


@pytest.fixture(scope="session")
def vllm(tiny_model: Path) -> Iterator[VllmServer]:
    """The server that the tests share; none may stop it."""
    with run_vllm(tiny_model) as server:
        yield server


@pytest.fixture(scope="module")
def mortal_vllm(tiny_model: Path) -> Iterator[VllmServer]:
    """A server of one module, whose last test may kill it; it can write for half a minute."""
    with run_vllm(tiny_model, MORTAL_FLAGS) as server:
        yield server


@pytest.fixture
def narrow_vllm(tiny_model: Path) -> Iterator[VllmServer]:
    """A server for one test, which may stop it; it takes one request at a time."""
    with run_vllm(tiny_model, [*MORTAL_FLAGS, "--max-num-queued-reqs=1"]) as server:
        yield server


@pytest.fixture(scope="session")
def tiny_cross_encoder(folder: Path) -> Path:
    """The folder of the model that judges pairs."""
    return save_cross_encoder(folder / "cross-encoder")


@pytest.fixture(scope="session")
def reranking_vllm(tiny_cross_encoder: Path) -> Iterator[VllmServer]:
    """A server of /v1/rerank."""
    with run_vllm(tiny_cross_encoder, RERANKER_FLAGS) as server:
        yield server


@contextmanager
def run_vllm(model: Path, flags: Sequence[str] = GENERATOR_FLAGS) -> Iterator[VllmServer]:
    """Start a server on a free port, wait until it is ready, and kill it at the end."""
    port = _free_port()
    command = [
        *(str(PYTHON), "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)),
        *("--served-model-name", MODEL, "--host", "127.0.0.1", "--port", str(port)),
        *("--api-key", API_KEY, *FLAGS, *flags),
    ]
    log = model.parent / f"vllm-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **ENVIRONMENT},
            start_new_session=True,
        )
    server = VllmServer(f"http://127.0.0.1:{port}", process)
    try:
        _wait(server, log)
        yield server
    finally:
        if process.poll() is None:
            server.signal(signal.SIGKILL)
        process.wait()


def _wait(server: VllmServer, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            if httpx.get(f"{server.root}/health").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    pytest.fail(f"vLLM did not start:\n{log.read_text(errors='replace')[-3000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
