"""Backends: the models that may write an answer, each under a name of its own.

SERVING_LLM_* describe one, called `default`. SERVING_BACKENDS_FILE names a TOML file with a table
for each further one:

    [strong]
    url = "http://gpu-2:8000/v1"
    model = "gpt-oss-120b"
    api_key_env = "STRONG_KEY"
    thinking = "reasoning_effort"
    gpu_usd_per_hour = 2.5
"""

import re
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from serving.errors import BackendsError
from serving.pricing import Price, PriceList, Rates

DEFAULT = "default"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class ThinkingSwitch(StrEnum):
    """How a model is told whether to think."""

    NONE = "none"
    """It cannot be told."""
    TEMPLATE = "enable_thinking"
    """By its chat template: Qwen3 and later, GLM, DeepSeek, Granite."""
    EFFORT = "reasoning_effort"
    """By OpenAI's parameter: gpt-oss and hosted models; `none` and `high` are sent."""


class Backend(BaseModel):
    """One model server.

    Attributes:
        url: OpenAI-compatible, up to and including `/v1`.
        model: model to ask for; None takes the first one the server lists.
        api_key_env: name of the environment variable that holds its key.
        timeout_seconds: longest silence before and within an answer; None: the service's setting.
        context_tokens: window to keep to, where the server tells none or less is wanted.
        tokenizer: the model's tokenizer.json, for faster counting.
        max_answer_tokens: longest answer unless asked for; None: the service's setting.
        thinking: how it is told whether to think.
        price: of a provider.
        gpu_usd_per_hour: of an own server; needs rates, which `suffice cost calibrate` measures.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    url: str = Field(pattern=r"^https?://")
    model: str | None = None
    api_key_env: str | None = None
    timeout_seconds: float | None = Field(default=None, gt=0)
    context_tokens: int | None = Field(default=None, ge=1)
    tokenizer: Path | None = None
    max_answer_tokens: int | None = Field(default=None, ge=1)
    thinking: ThinkingSwitch = ThinkingSwitch.NONE
    price: PriceList | None = None
    gpu_usd_per_hour: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _check_price(self) -> "Backend":
        if self.price is not None and self.gpu_usd_per_hour is not None:
            raise ValueError("give either price or gpu_usd_per_hour")
        return self

    def price_of_tokens(self, rates: Rates | None) -> Price | None:
        """Return what a token costs, as far as it is known."""
        if self.price is not None:
            return Price.of_list(self.price)
        if self.gpu_usd_per_hour is not None and rates is not None:
            return Price.of_gpu(self.gpu_usd_per_hour, rates)
        return None


def load_backends(path: Path) -> dict[str, Backend]:
    """Read the backends of a TOML file, in its order.

    Raises:
        BackendsError: it cannot be read or is no such file; the message names the field.
    """
    try:
        tables: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BackendsError(f"SERVING_BACKENDS_FILE: {path} cannot be read: {error}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BackendsError(f"SERVING_BACKENDS_FILE: {path} is no TOML: {error}.") from None
    backends = {}
    for name, table in tables.items():
        if not _NAME.fullmatch(name) or name in {DEFAULT, "suffice"}:
            raise BackendsError(
                f"{path}: {name!r} cannot be the name of a backend. Use a-z, 0-9, '.', - and _; "
                f"{DEFAULT!r} is the one of SERVING_LLM_URL."
            )
        try:
            backends[name] = Backend.model_validate(table)
        except ValidationError as error:
            problem = error.errors()[0]
            field = ".".join([name, *(str(part) for part in problem["loc"])])
            raise BackendsError(f"{path}, {field}: {problem['msg']}.") from None
    return backends
