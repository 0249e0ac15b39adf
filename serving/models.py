"""The models that may write an answer, by name."""

import os
from collections.abc import Mapping
from pathlib import Path

from serving.backends import DEFAULT, Backend, load_backends
from serving.errors import BackendsError, ModelNotFoundError
from serving.extractive import ExtractiveGenerator
from serving.generation import Generator
from serving.pricing import Rates
from serving.served_tokens import ServedTokenCounter
from serving.settings import ServingSettings


class Models:
    """The generators by name; the first one answers unless a request or profile names another."""

    def __init__(self, generators: Mapping[str, Generator]) -> None:
        self._generators = dict(generators)

    def names(self) -> list[str]:
        """Return the names, the default's first."""
        return list(self._generators)

    def get(self, name: str | None) -> Generator:
        """Return a generator; None stands for the default.

        Raises:
            ModelNotFoundError: there is none of this name.
        """
        if name is None:
            return next(iter(self._generators.values()))
        try:
            return self._generators[name]
        except KeyError:
            others = (
                f" or one of {', '.join(self._generators)}" if len(self._generators) > 1 else ""
            )
            raise ModelNotFoundError(
                f"There is no model {name!r}; use 'suffice'{others}."
            ) from None

    async def close(self) -> None:
        """Close all connections."""
        for generator in self._generators.values():
            await generator.close()


def build_models(settings: ServingSettings, rates: Path) -> Models:
    """Return a generator for each backend of the settings, or the extractive one if there is none.

    Args:
        settings: of serving.
        rates: folder of the measured rates, a file for each backend.

    Raises:
        BackendsError: the file of the backends, or one of rates, is no such file.
    """
    generators: dict[str, Generator] = {
        name: _build(name, backend, settings, rates)
        for name, backend in list_backends(settings).items()
    }
    return Models(generators or {"extractive": ExtractiveGenerator(settings.refusal_threshold)})


def list_backends(settings: ServingSettings) -> dict[str, Backend]:
    """Return the backends by name, the one that answers unless another is asked for first.

    Raises:
        BackendsError: their file is no such file.
    """
    backends = {}
    if settings.llm_url is not None:
        backends[DEFAULT] = Backend(
            url=settings.llm_url,
            model=settings.llm_model,
            thinking=settings.llm_thinking,
            gpu_usd_per_hour=settings.llm_gpu_usd_per_hour,
        )
    if settings.backends_file is not None:
        backends |= load_backends(settings.backends_file)
    return backends


def rates_path(rates: Path, name: str) -> Path:
    """Return where the measured rates of a backend are kept, in the folder of all of them."""
    return rates / f"{name}.json"


def _build(name: str, backend: Backend, settings: ServingSettings, rates: Path) -> Generator:
    from serving.openai_server import OpenAIGenerator  # noqa: PLC0415 - aiohttp takes a while

    key = _read_key(name, backend, settings)
    return OpenAIGenerator(
        name,
        backend,
        ServedTokenCounter(
            backend.url, backend.model, key, backend.context_tokens, backend.tokenizer
        ),
        key,
        backend.timeout_seconds or settings.llm_timeout_seconds,
        Rates.load(rates_path(rates, name)),
    )


def _read_key(name: str, backend: Backend, settings: ServingSettings) -> str | None:
    if name == DEFAULT:
        return settings.llm_api_key.get_secret_value() if settings.llm_api_key else None
    if backend.api_key_env is None:
        return None
    key = os.environ.get(backend.api_key_env)
    if not key:
        raise BackendsError(
            f"The backend {name!r} has its key in {backend.api_key_env}, which is not set."
        )
    return key
