"""Looks at all that a service needs and says what to do about what is missing."""

import asyncio
import importlib.util
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.home import Home
from ingest.settings import IngestSettings
from retrieval.errors import RetrievalError, StoreLockedError
from retrieval.settings import RetrievalSettings
from serving.errors import ServingError
from serving.settings import ServingSettings
from suffice.client import Client
from suffice.errors import ServiceError
from suffice.settings import SufficeSettings

MINIMUM_PYTHON = (3, 11)
MINIMUM_FREE_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: whether it is well, and what was seen or is to be done."""

    part: str
    ok: bool
    message: str


def examine(settings: SufficeSettings) -> Iterator[Finding]:
    """Look at one part after the other."""
    checks: dict[str, Callable[[], str]] = {
        "python": _check_python,
        "disk": lambda: _check_disk(settings.home),
        "embedder": lambda: _check_embedder(RetrievalSettings()),
        "gpu": _check_gpu,
        "qdrant": lambda: _check_qdrant(RetrievalSettings()),
        "model": lambda: _check_model(ServingSettings()),
        "store": lambda: _check_store(settings, IngestSettings()),
    }
    for part, check in checks.items():
        try:
            yield Finding(part, True, check())
        except (UnhealthyError, RetrievalError, ServingError, ServiceError, OSError) as error:
            yield Finding(part, False, str(error))


class UnhealthyError(Exception):
    """Something is not as a service needs it; the message says what to do."""


def _check_python() -> str:
    if sys.version_info < MINIMUM_PYTHON:
        raise UnhealthyError(
            f"Python {platform.python_version()} is too old; install 3.11 or newer."
        )
    return f"Python {platform.python_version()}"


def _check_disk(home: Path) -> str:
    folder = next(parent for parent in (home, *home.absolute().parents) if parent.exists())
    free = shutil.disk_usage(folder).free
    if free < MINIMUM_FREE_BYTES:
        raise UnhealthyError(
            f"Only {free / 1024**3:.1f} GiB are free for {home}; make room for at least 2 GiB."
        )
    return f"{free / 1024**3:.0f} GiB free for {home}"


def _check_embedder(settings: RetrievalSettings) -> str:
    from retrieval.embedding import find_model  # noqa: PLC0415 - torch takes seconds

    return f"{settings.embedder} in {find_model(settings.embedder)}"


def _check_gpu() -> str:
    from retrieval.embedding import device_name  # noqa: PLC0415 - torch takes seconds

    device = device_name()
    if device == "cpu":
        return "none; the embedder runs on the CPU, which is enough for the default one"
    return device


def _check_qdrant(settings: RetrievalSettings) -> str:
    if settings.qdrant_url is None:
        if importlib.util.find_spec("qdrant_edge") is None:
            raise UnhealthyError("The embedded engine is missing: pip install qdrant-edge-py.")
        return "embedded (set RETRIEVAL_QDRANT_URL to use a server)"
    from retrieval.qdrant import connect  # noqa: PLC0415 - takes a second

    key = settings.qdrant_api_key
    connect(settings.qdrant_url, key.get_secret_value() if key else None).close()
    return f"server at {settings.qdrant_url}"


def _check_model(settings: ServingSettings) -> str:
    if settings.llm_url is None:
        return "none; answers are extracted (set SERVING_LLM_URL to have them written)"
    from serving.openai_server import OpenAIGenerator  # noqa: PLC0415 - takes a second

    key = settings.llm_api_key
    generator = OpenAIGenerator(
        settings.llm_url,
        settings.llm_model,
        key.get_secret_value() if key else None,
        settings.llm_timeout_seconds,
    )

    async def ask() -> str:
        await generator.check()
        name = await generator.model_name()
        await generator.close()
        return name

    return f"{asyncio.run(ask())} at {settings.llm_url}"


def _check_store(settings: SufficeSettings, ingest: IngestSettings) -> str:
    """Compare the catalog with files and index; a running service is asked instead."""
    if not settings.home.exists():
        return f"{settings.home} does not exist yet; the first start makes it"
    home = Home(settings.home)
    url = home.service_url()
    if url is not None:
        with Client(url) as client:
            client.health()
        return f"{settings.home} is in use by the service at {url}"
    from ingest.inspection import inspect  # noqa: PLC0415 - SQLAlchemy takes half a second

    try:
        with home:
            problems = inspect(
                home, ingest.database_url, has_index=RetrievalSettings().qdrant_url is None
            )
    except StoreLockedError as error:
        raise UnhealthyError(str(error)) from error
    if problems:
        raise UnhealthyError(" ".join(problems))
    return f"{settings.home}: catalog and files agree"
