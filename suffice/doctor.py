"""Looks at all that a service needs and says what to do about what is missing."""

import asyncio
import importlib.util
import platform
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from eval.counted import counted
from ingest.errors import IngestError
from ingest.home import Home
from ingest.settings import IngestSettings
from retrieval.errors import RetrievalError
from retrieval.settings import LATE_INTERACTION, RetrievalSettings
from serving.errors import ServingError
from serving.settings import ServingSettings
from suffice.client import Client
from suffice.errors import ServiceError
from suffice.settings import SufficeSettings

if TYPE_CHECKING:
    from ingest.inspection import Problem

MINIMUM_PYTHON = (3, 11)
MINIMUM_FREE_BYTES = 2 * 1024**3
RERANKER_SECONDS = 10
# What is kept and cannot be compared with anything.
WITHOUT_CHECKSUMS = ("the engine's lists of words and short vectors", "rows of the databases")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Attributes:
        part: which.
        ok: whether it is well, or was mended.
        message: what was seen or is to be done.
        mended: what was wrong and is mended, each in words.
    """

    part: str
    ok: bool
    message: str
    mended: tuple[str, ...] = ()


def examine(settings: SufficeSettings, *, repair: bool = False) -> Iterator[Finding]:
    """Look at one part after the other.

    Args:
        settings: where the home folder is.
        repair: mend what of the store does not agree.
    """
    mended: list[str] = []
    checks: dict[str, Callable[[], str]] = {
        "python": _check_python,
        "disk": lambda: _check_disk(settings.home),
        "embedder": lambda: _check_embedder(RetrievalSettings()),
        "gpu": _check_gpu,
        "qdrant": lambda: _check_qdrant(RetrievalSettings()),
        "reranker": lambda: _check_reranker(RetrievalSettings()),
        "model": lambda: _check_models(ServingSettings(), Home(settings.home).rates),
        "shadow": lambda: _check_shadow(ServingSettings(), Home(settings.home)),
        "store": lambda: _check_store(settings, mended if repair else None),
    }
    for part, check in checks.items():
        try:
            message = check()
            yield Finding(part, True, message, tuple(mended))
        except EXPECTED_ERRORS as error:
            yield Finding(part, False, str(error), tuple(mended))


class UnhealthyError(Exception):
    """Something is not as a service needs it; the message says what to do."""


EXPECTED_ERRORS = (
    UnhealthyError,
    IngestError,
    RetrievalError,
    ServingError,
    ServiceError,
    OSError,
)


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
    from retrieval.sentence_transformer import find_model  # noqa: PLC0415 - torch takes seconds

    return f"{settings.embedder} in {find_model(settings.embedder)}"


def _check_gpu() -> str:
    from retrieval.sentence_transformer import device_name  # noqa: PLC0415 - torch takes seconds

    device = device_name()
    if device == "cpu":
        return "none; the embedder runs on the CPU, which is enough for the default one"
    return device


def _check_qdrant(settings: RetrievalSettings) -> str:
    if settings.qdrant_url is None:
        if importlib.util.find_spec("qdrant_edge") is None:
            raise UnhealthyError("The embedded engine is missing: pip install qdrant-edge-py.")
        return "embedded (set RETRIEVAL_QDRANT_URL to use a server)"
    from retrieval.qdrant_connection import connect  # noqa: PLC0415 - takes a second

    connect(settings).close()
    return f"server at {settings.qdrant_url}"


def _check_reranker(settings: RetrievalSettings) -> str:
    from serving.service import build_reranker  # noqa: PLC0415 - torch takes seconds

    with ExitStack() as closing:
        reranker = build_reranker(settings, closing)
        if reranker is None:
            if settings.reranker == LATE_INTERACTION:
                return "late interaction, by the embedder"
            return "none; hits stay as the search orders them (see RETRIEVAL_RERANKER)"
        scores = list(reranker.score("bees", ["Bees sleep."], monotonic() + RERANKER_SECONDS))
    if not scores:
        raise UnhealthyError(
            f"The reranker {reranker.name} gave no score within {RERANKER_SECONDS} s."
        )
    place = f" at {settings.reranker_url}" if settings.reranker_url else ""
    return f"{reranker.name}{place}"


def _check_models(settings: ServingSettings, rates: Path) -> str:
    if settings.llm_url is None and settings.backends_file is None:
        return "none; answers are extracted (set SERVING_LLM_URL to have them written)"
    from serving.models import build_models  # noqa: PLC0415 - takes a second

    models = build_models(settings, rates)

    async def ask() -> list[str]:
        names = []
        try:
            for name in models.names():
                generator = models.get(name)
                await generator.check()
                names.append(f"{name}: {await generator.model_name()}")
        finally:
            await models.close()
        return names

    return ", ".join(asyncio.run(ask()))


def _check_shadow(settings: ServingSettings, home: Home) -> str:
    name = settings.shadow_profile
    if name is None:
        return "none; each question is answered once (see SERVING_SHADOW_PROFILE)"
    from serving.service import build_profiles  # noqa: PLC0415 - torch takes seconds
    from serving.shadow import find_candidate  # noqa: PLC0415

    find_candidate(name, build_profiles(RetrievalSettings(), home))
    return f"{name} answers a share of {settings.shadow_share:g} of the questions once more"


def _check_store(settings: SufficeSettings, mended: list[str] | None) -> str:
    """Compare the catalog with files and index; a running service is asked instead.

    Args:
        settings: where the home folder is.
        mended: takes what was mended; None: nothing is to be mended.
    """
    if not settings.home.exists():
        return f"{settings.home} does not exist yet; the first start makes it"
    home = Home(settings.home)
    url = home.service_url()
    if url is not None:
        if mended is not None:
            raise UnhealthyError(f"Stop the service at {url} first; then repair {settings.home}.")
        with Client(url) as client:
            client.health()
        return f"{settings.home} is in use by the service at {url}"
    problems: list[str] = []
    unverified = Counter[str]()
    with home:
        for problem in _inspect(home, IngestSettings(), unverified):
            if mended is None:
                problems.append(f"{problem.what} `suffice doctor --repair` {problem.remedy}")
            else:
                problem.mend()
                mended.append(f"{problem.what} Repair {problem.remedy}")
    if problems:
        raise UnhealthyError(" ".join(problems))
    left = [f"{counted(number, one)} of earlier versions" for one, number in (+unverified).items()]
    return (
        f"{settings.home}: catalog, index and files agree (not verified: "
        f"{', '.join([*left, *WITHOUT_CHECKSUMS])})"
    )


def _inspect(home: Home, settings: IngestSettings, unverified: Counter[str]) -> Iterator["Problem"]:
    from ingest.catalog import open_catalog  # noqa: PLC0415 - takes half a second
    from ingest.database import find_damage  # noqa: PLC0415
    from ingest.inspection import inspect  # noqa: PLC0415
    from serving.service import build_store  # noqa: PLC0415 - torch takes seconds

    for url, name, loss in (
        (settings.database_url, "catalog", "upload the documents again"),
        (
            ServingSettings().database_url or settings.database_url,
            "serving",
            "make the keys again; usage and traces are lost with it",
        ),
    ):
        path = home.database(name)
        if url is None and path.exists() and (damage := find_damage(path)):
            raise UnhealthyError(
                f"{path} is damaged: {damage}. Put a copy of it back, or move it away and {loss}."
            )
    with (
        closing(open_catalog(settings, home)) as catalog,
        closing(build_store(RetrievalSettings(), home, catalog)) as store,
    ):
        yield from inspect(home, catalog, store, unverified)
