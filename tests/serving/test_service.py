"""The composition root builds the reranker that the settings name."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from retrieval.calibration import Calibration
from retrieval.errors import CalibrationError, RerankerUnavailableError
from retrieval.reranking import Reranking
from retrieval.settings import RetrievalSettings
from serving.service import open_service
from tests.fakes import HashEmbedder
from tests.serving.application import make_settings

CALIBRATION = Calibration(
    reranker="late_interaction/hash-embedder",
    slope=2.0,
    intercept=-1.0,
    num_pairs=10,
    num_relevant=3,
    fitted_on=date(2026, 11, 26),
)


def open_reranking(home: Path, **retrieval: Any) -> Reranking | None:
    settings = replace(
        make_settings(home), retrieval=RetrievalSettings.model_construct(**retrieval)
    )
    with open_service(settings, embedder=HashEmbedder()) as service:
        return service.searcher.reranking


def test_there_is_no_reranker_by_default(tmp_path: Path) -> None:
    assert open_reranking(tmp_path) is None


def test_late_interaction_with_its_calibration(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    CALIBRATION.save(path)
    reranking = open_reranking(
        tmp_path / "home",
        reranker="late_interaction",
        reranker_calibration=path,
        rerank_depth=7,
        rerank_seconds=2.5,
    )
    assert reranking is not None
    assert (reranking.depth, reranking.max_seconds) == (7, 2.5)
    [[score]] = reranking.reranker.score("moon", ["moon"], deadline=0.0)
    assert score == pytest.approx(CALIBRATION.probabilities([1.0])[0])


def test_model_of_a_server(tmp_path: Path) -> None:
    reranking = open_reranking(tmp_path, reranker_url="http://127.0.0.1:9/v1", reranker="judge")
    assert reranking is not None
    assert reranking.reranker.name == "judge"


def test_model_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(RerankerUnavailableError, match="RETRIEVAL_RERANKER must be"):
        open_reranking(tmp_path, reranker="/no/such/folder")


def test_calibration_without_a_reranker_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    CALIBRATION.save(path)
    with pytest.raises(CalibrationError, match=r"no reranker.* Set RETRIEVAL_RERANKER"):
        open_reranking(tmp_path, reranker_calibration=path)


def test_calibration_of_another_reranker_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    CALIBRATION.model_copy(update={"reranker": "another"}).save(path)
    with pytest.raises(CalibrationError, match="fitted to 'another'"):
        open_reranking(tmp_path, reranker="late_interaction", reranker_calibration=path)
