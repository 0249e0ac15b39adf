"""A model as one call into torch, recorded once, for a CPU.

What Python does between the operations takes a third of the time of a query and a tenth of that of
passages. And each of these hundreds would wait anew for Python's global lock, which the embedded
engine holds for milliseconds, and whoever cuts texts as long as it is not asked for.
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch

from retrieval.embedding import Task

# What a model adds to its features: (texts, dimension), and (texts, tokens, dimension).
VECTORS = "sentence_embedding"
TOKENS = "token_embeddings"
# 1 for each token that is read, 0 for padding: (texts, tokens).
MASK = "attention_mask"
Features = Mapping[str, Any]
_CHATTY = ("sentence_transformers", "transformers")
logger = logging.getLogger(__name__)


def trace(
    model: torch.nn.Module, task: Task, examples: Sequence[Features], min_cosine: float
) -> "TracedModel | None":
    """Return a recording that does to all examples what the model does, or None.

    Args:
        model: of sentence-transformers.
        task: what its texts are.
        examples: what it is given for them; the first is recorded, so it has texts of different
            lengths, the longest of all among them.
        min_cosine: of the vectors of both; what a model decides in Python is not recorded.
    """
    try:
        traced = TracedModel(model, task, examples[0])
        cosines = [
            _lowest_cosine(traced(features)[name], model(dict(features), task=task)[name])
            for features in examples
            for name in (VECTORS, TOKENS)
        ]
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        logger.info("embedding without a recording", extra={"task": task, "reason": str(error)})
        return None
    return traced if min(cosines) >= min_cosine else None


def _lowest_cosine(vectors: torch.Tensor, expected: torch.Tensor) -> float:
    # In fp32: computed in bf16, the cosine of a vector with itself may be 0.992.
    return torch.cosine_similarity(vectors.float(), expected.float(), -1).min().item()


class TracedModel:
    """What a model adds to the features of texts, from a recording of its operations."""

    def __init__(self, model: torch.nn.Module, task: Task, example: Features) -> None:
        """Record what the model does with an example.

        Longer texts are left to the model itself, which may do otherwise with them.
        """
        self._model = model
        self._task = task
        self._names = [name for name, value in example.items() if torch.is_tensor(value)]
        others = {name: value for name, value in example.items() if name not in self._names}
        self._num_tokens = example["input_ids"].shape[1]
        tensors = tuple(example[name] for name in self._names)
        with _quiet():
            self._traced = torch.jit.trace(  # type: ignore[no-untyped-call]
                _OfTensors(model, task, self._names, others).eval(), tensors, check_trace=False
            )

    def __call__(self, features: Features) -> Features:
        """Return the features of some texts with `VECTORS` and `TOKENS`."""
        if features["input_ids"].shape[1] > self._num_tokens:
            whole: Features = self._model(dict(features), task=self._task)
            return whole
        vectors, tokens = self._traced(*(features[name] for name in self._names))
        return {**features, VECTORS: vectors, TOKENS: tokens}


class LateRecording:
    """A recording that is made once so many texts came that it pays. Thread-safe."""

    def __init__(self, make: Callable[[], TracedModel | None], num_texts: int) -> None:
        """Set up; `make` is called once `num_texts` texts came, and others wait for it."""
        self._make = make
        self._num_missing = num_texts
        self._traced: TracedModel | None = None
        self._lock = Lock()

    def __call__(self, num_more: int) -> TracedModel | None:
        """Return the recording for so many texts more, or None if there is none, or none yet."""
        with self._lock:
            if 0 < self._num_missing <= num_more:
                self._traced = self._make()
            self._num_missing -= num_more
            return self._traced


class _OfTensors(torch.nn.Module):
    """A model as a function of tensors alone, which is what can be recorded."""

    def __init__(
        self, model: torch.nn.Module, task: Task, names: list[str], others: Features
    ) -> None:
        super().__init__()
        self._model = model
        self._task = task
        self._names = names
        self._others = others

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = {**self._others, **dict(zip(self._names, tensors, strict=True))}
        features = self._model(features, task=self._task)
        return features[VECTORS], features[TOKENS]


@contextmanager
def _quiet() -> Iterator[None]:
    """Say nothing of deprecated properties, all of which are read while a module is recorded."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.ERROR)
    try:
        # Torch recommends torch.compile instead, which needs a C++ compiler where it runs.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)
