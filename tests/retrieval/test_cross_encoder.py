"""Cross-encoders, on a real one that is tiny and has random weights."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from sentence_transformers import CrossEncoder

from retrieval.cross_encoder import CPU_BATCH, CrossEncoderReranker
from retrieval.errors import RerankerUnavailableError
from retrieval.reranking import Outcome, Reranking
from tests.cross_encoders import WINDOW, find_embedder, save_cross_encoder
from tests.retrieval.test_reranking import make_hits

SPECIAL_TOKENS = 3
QUERY = "who keeps the lamp"
PASSAGES = ["the keeper lights the lamp", "bees make honey", "", "tides follow the moon"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_cross_encoder(tmp_path_factory.mktemp("cross-encoder")))


@pytest.fixture(scope="module")
def reranker(model: str) -> CrossEncoderReranker:
    return CrossEncoderReranker(model, device="cpu")


def score(
    reranker: CrossEncoderReranker, passages: Sequence[str], query: str = QUERY
) -> list[float]:
    return [one for batch in reranker.score(query, passages, deadline=math.inf) for one in batch]


def test_scores_are_the_logits_of_the_model(reranker: CrossEncoderReranker, model: str) -> None:
    passages = PASSAGES * 3
    expected = CrossEncoder(model, device="cpu").predict(
        [(QUERY, passage) for passage in passages], activation_fn=torch.nn.Identity()
    )
    scores = score(reranker, passages)
    assert scores == pytest.approx(list(expected), abs=1e-4)
    assert len({round(one, 4) for one in scores}) == len(PASSAGES)


@pytest.mark.parametrize("words", [("moon", "bees"), ("bees", "moon")], ids=" then ".join)
def test_passage_longer_than_the_window_scores_as_its_best_piece(
    reranker: CrossEncoderReranker, words: tuple[str, str]
) -> None:
    halves = [f"{word} " * (WINDOW // 2) for word in words]
    scores = score(reranker, halves)
    assert scores[0] != pytest.approx(scores[1], abs=1e-3)
    assert score(reranker, ["".join(halves)]) == pytest.approx([max(scores)], abs=1e-4)


def test_of_a_query_half_a_window_is_read(reranker: CrossEncoderReranker) -> None:
    num_read = (WINDOW - SPECIAL_TOKENS) // 2
    read, longer = score(reranker, PASSAGES, "lamp " * num_read), "lamp " * num_read + "moon " * 99
    assert score(reranker, PASSAGES, longer) == pytest.approx(read, abs=1e-4)
    assert score(reranker, PASSAGES, longer[10:]) != pytest.approx(read, abs=1e-4)


def test_work_ends_when_time_is_up(reranker: CrossEncoderReranker) -> None:
    hits = make_hits(*range(40))
    reranked = Reranking(reranker, 40, max_seconds=1e-6).rerank(QUERY, hits)
    assert reranked.hits == hits
    assert reranked.outcome is Outcome.OUT_OF_TIME
    assert reranked.reason == f"1e-06 s were enough for {CPU_BATCH} of 40 passages."


def test_nothing_to_score(reranker: CrossEncoderReranker) -> None:
    assert score(reranker, []) == []


def test_embedder_is_no_reranker() -> None:
    """sentence-transformers would load it, with a head of random weights."""
    with pytest.raises(RerankerUnavailableError, match="BertModel was not made to judge"):
        CrossEncoderReranker(str(find_embedder()), device="cpu")


def test_model_with_several_scores_is_no_reranker(tmp_path: Path) -> None:
    folder = str(save_cross_encoder(tmp_path, num_labels=3))
    with pytest.raises(RerankerUnavailableError, match="gives 3 scores"):
        CrossEncoderReranker(folder, device="cpu")


@pytest.mark.parametrize("name", ["nobody/no-such-model", "/no/such/folder", "not a name!"])
def test_model_that_is_not_there(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(RerankerUnavailableError, match="RETRIEVAL_RERANKER must be"):
        CrossEncoderReranker(name)


def test_folder_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no model here")
    with pytest.raises(RerankerUnavailableError, match="RETRIEVAL_RERANKER must be"):
        CrossEncoderReranker(str(tmp_path))
