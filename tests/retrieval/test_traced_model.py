"""Recorded models: the same vectors, or none."""

from typing import Any

import pytest
import torch

from retrieval.embedding import Task
from retrieval.traced_model import TOKENS, VECTORS, LateRecording, TracedModel, trace

MIN_COSINE = 0.9999
Features = dict[str, Any]


class MeanOfTokens(torch.nn.Module):
    """A model as small as can be: the mean of the vectors of a text's tokens, by task."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = torch.nn.Embedding(100, 8)

    def forward(self, features: Features, task: str) -> Features:
        vectors = self.tokens(features["input_ids"])
        mask = features["attention_mask"].unsqueeze(-1).to(vectors.dtype)
        mean = (vectors * mask).sum(1) / mask.sum(1)
        return {**features, VECTORS: mean if task == "query" else -mean, TOKENS: vectors}


class OtherwiseForOne(MeanOfTokens):
    """Decides by the number of texts, which a recording does not."""

    def forward(self, features: Features, task: str) -> Features:
        features = super().forward(features, task)
        if len(features["input_ids"]) == 1:
            features[VECTORS] = -features[VECTORS]
        return features


class Unrecordable(MeanOfTokens):
    """Gives something else than tensors."""

    def forward(self, features: Features, task: str) -> Features:
        features = super().forward(features, task)
        return {**features, VECTORS: object()}


def features_of(*lengths: int) -> Features:
    """Return what a model reads of texts with so many tokens."""
    texts = [torch.arange(length) + 7 * number for number, length in enumerate(lengths)]
    padded = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
    masks = [torch.ones(length, dtype=torch.long) for length in lengths]
    mask = torch.nn.utils.rnn.pad_sequence(masks, batch_first=True)
    return {"input_ids": padded, "attention_mask": mask, "modality": "text"}


EXAMPLES = [features_of(9, 3), features_of(3)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("task", ["query", "document"])
@pytest.mark.parametrize("lengths", [(3,), (9,), (1, 2, 3, 4), (9, 9, 9), (1, 40)])
@torch.inference_mode()
def test_a_recording_gives_the_vectors_of_the_model(
    task: Task, lengths: tuple[int, ...], dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    model = MeanOfTokens().to(dtype)
    traced = trace(model, task, EXAMPLES, MIN_COSINE)
    assert traced is not None
    features = features_of(*lengths)
    expected = model(features, task=task)
    for name in (VECTORS, TOKENS):
        torch.testing.assert_close(traced(features)[name], expected[name])


@pytest.mark.parametrize("kind", [OtherwiseForOne, Unrecordable])
@torch.inference_mode()
def test_a_model_that_cannot_be_recorded_is_not(kind: type[MeanOfTokens]) -> None:
    assert trace(kind(), "query", EXAMPLES, MIN_COSINE) is None


@torch.inference_mode()
def test_longer_texts_are_left_to_the_model() -> None:
    """Which may do otherwise with them."""
    model = OtherwiseForOne()
    traced = TracedModel(model, "query", features_of(9, 3))
    longer, other = features_of(10), features_of(9)
    torch.testing.assert_close(traced(longer)[VECTORS], model(longer, task="query")[VECTORS])
    torch.testing.assert_close(traced(other)[VECTORS], -model(other, task="query")[VECTORS])


def test_a_recording_is_made_once_when_enough_texts_came() -> None:
    traced = TracedModel(MeanOfTokens(), "document", features_of(9, 3))
    made = iter([traced])
    recording = LateRecording(lambda: next(made), 10)
    assert [recording(number) for number in (4, 5, 0, 1, 3, 20)] == [None] * 3 + [traced] * 3
