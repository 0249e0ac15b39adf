"""The client of /v1/rerank keeps its contract against a real vLLM."""

import math
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from retrieval.cross_encoder import CrossEncoderReranker
from retrieval.errors import RerankerFailedError
from retrieval.served_reranker import ServedReranker
from tests.vllm.conftest import API_KEY, MODEL, VllmServer

pytestmark = pytest.mark.vllm
QUERY = "who keeps the lamp"
PASSAGES = ["the keeper lights the lamp", "bees make honey", "tides follow the moon"]


def score(
    server: VllmServer,
    passages: Sequence[str] = PASSAGES,
    model: str | None = None,
    key: str = API_KEY,
) -> list[float]:
    reranker = ServedReranker(server.url, model, key)
    try:
        [scores] = reranker.score(QUERY, passages, time.monotonic() + 60)
    finally:
        reranker.close()
    return scores


@pytest.mark.parametrize("model", [None, MODEL])
def test_scores_are_those_of_the_cross_encoder(
    reranking_vllm: VllmServer, tiny_cross_encoder: Path, model: str | None
) -> None:
    """The server gives the sigmoid of what the same model gives here, in the same order."""
    local = CrossEncoderReranker(str(tiny_cross_encoder), device="cpu")
    [logits] = local.score(QUERY, PASSAGES, deadline=math.inf)
    expected = [1 / (1 + math.exp(-logit)) for logit in logits]
    assert score(reranking_vllm, model=model) == pytest.approx(expected, abs=0.01)
    assert len({round(one, 3) for one in expected}) == len(PASSAGES)


def test_wrong_key(reranking_vllm: VllmServer) -> None:
    with pytest.raises(RerankerFailedError, match="RETRIEVAL_RERANKER_API_KEY"):
        score(reranking_vllm, key="wrong")


def test_unknown_model(reranking_vllm: VllmServer) -> None:
    with pytest.raises(RerankerFailedError, match=r"404.*does not exist"):
        score(reranking_vllm, model="nope")


def test_passage_that_is_too_long_is_refused_and_not_cut(reranking_vllm: VllmServer) -> None:
    with pytest.raises(RerankerFailedError, match=r"answered 400.*64"):
        score(reranking_vllm, ["the lamp " * 100])
