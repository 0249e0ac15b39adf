"""`suffice eval shadow` as a user types it, against a service that answers all questions twice."""

import time
from pathlib import Path

import pytest

from serving.service import open_service
from tests.fakes import HashEmbedder
from tests.serving.application import (
    DIMENSION,
    WAIT_SECONDS,
    Application,
    make_settings,
    serve,
)
from tests.serving.documents import BEES
from tests.suffice.terminal import Suffice

QUESTIONS = ("How many kilograms of honey does one hive give?", "What calms angry bees?")


def ask(application: Application) -> None:
    for question in QUESTIONS:
        assert application.ask(question).is_success
        deadline = time.monotonic() + WAIT_SECONDS
        while not application.service.shadow.is_idle:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_the_candidate_is_compared_with_what_is_served(
    tmp_path: Path, offline: Suffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(tmp_path / "home", shadow_profile="small", shadow_share=1.0)
    with (
        open_service(settings, HashEmbedder(dimension=DIMENSION)) as service,
        serve(service) as application,
    ):
        monkeypatch.setenv("SUFFICE_URL", application.url)
        empty = offline("eval", "shadow")
        assert empty.code == 1
        assert "SERVING_SHADOW_PROFILE" in empty.err
        application.ingest("bees.md", BEES)
        application.http.put("/v1/profiles/small", json={"top_k": 1})
        ask(application)
        outcome = offline("eval", "shadow")
        assert outcome.code == 0
        assert "small beside default, collection default: 2 answers to 2 questions" in outcome.out
        [found] = offline("eval", "shadow", "--json").json()["comparisons"]
        assert found["measures"]["citations"]["difference"]["num_clusters"] == 2
        application.http.put("/v1/collections/default/profile", json={"profile": "small"})
        ask(application)  # what serves is no candidate
        assert offline("eval", "shadow", "--json").json()["comparisons"] == [found]
