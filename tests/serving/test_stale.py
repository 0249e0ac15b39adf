"""A certificate goes stale when what people ask is not what it was made for, over HTTP."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingest.home import Home
from serving.alarms import Alarms
from serving.database import open_database
from serving.service import open_service
from tests.fakes import HashEmbedder
from tests.serving.application import DIMENSION, Application, make_settings, serve
from tests.serving.certified import certified_profile
from tests.serving.documents import BEES, ROPES

QUESTION = "how many kilograms of honey does one hive give each year"
UNKNOWN = "which zeppelin crossed Patagonia"
COLLECTION = "/v1/collections/default/profile"
NUM_FIRST = 20


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """A service with two documents that learns from few answers."""
    home: Path = tmp_path_factory.mktemp("home")
    settings = make_settings(home)
    with (
        open_service(settings, embedder=HashEmbedder(dimension=DIMENSION)) as service,
        open_database(settings.serving, settings.ingest, Home(home)) as database,
    ):
        alarms = Alarms(database, num_first=NUM_FIRST, run_length=50)
        bookkeeper = replace(service.bookkeeper, alarms=alarms)
        with serve(replace(service, alarms=alarms, bookkeeper=bookkeeper)) as application:
            application.ingest("bees.md", BEES)
            application.ingest("ropes.txt", ROPES)
            yield application


@pytest.fixture
def served(application: Application) -> Application:
    """The service with a certified profile, which nothing was observed of."""
    profile = certified_profile(application)
    assert application.http.put("/v1/profiles/tuned", json=profile).status_code == 200
    assert application.http.put(COLLECTION, json={"profile": "tuned"}).json()["alarm"] is None
    return application


def ask(application: Application, question: str, number: int = 1, **options: Any) -> dict[str, Any]:
    """Ask so many times; return the `suffice` object of the last answer."""
    for _ in range(number):
        body = application.ask(question, **options).json()
        application.service.bookkeeper.afterwards.wait()
    extension: dict[str, Any] = body["suffice"]
    return extension


def certificate(application: Application) -> dict[str, Any]:
    """Return the certificate in an answer that is not watched."""
    answer = application.ask(QUESTION, model="suffice/tuned").json()["suffice"]
    found: dict[str, Any] = answer["profile"]["certificate"]
    return found


def num_stale(application: Application) -> float:
    text = application.http.get("/metrics").text
    lines = [one for one in text.splitlines() if one.startswith("suffice_stale_certificates{")]
    return sum(float(line.split()[-1]) for line in lines)


def test_the_same_questions_raise_no_alarm(served: Application) -> None:
    answer = ask(served, QUESTION, NUM_FIRST + 60)
    assert answer["profile"]["certificate"]["certified"]
    assert answer["profile"]["certificate"]["stale"] is False
    assert answer["profile"]["certificate"]["alarm"] is None
    assert num_stale(served) == 0


def test_other_questions_make_the_certificate_stale_until_it_is_served_anew(
    served: Application,
) -> None:
    ask(served, QUESTION, NUM_FIRST)
    answer = ask(served, UNKNOWN, 30)
    stale = answer["profile"]["certificate"]
    assert (stale["certified"], stale["stale"]) == (False, True)
    alarm = stale["alarm"]
    assert alarm["direction"] == "fall"
    assert alarm["stream"] in {"answered", "best_score"}
    assert any("'tuned' is stale" in warning for warning in answer["warnings"])
    [collection] = served.http.get("/v1/collections").json()["collections"]
    assert collection["alarm"] == alarm
    assert num_stale(served) == 1
    again = served.http.put(COLLECTION, json={"profile": "tuned"}).json()
    assert again["alarm"] is None
    assert ask(served, QUESTION)["profile"]["certificate"]["certified"]
    assert num_stale(served) == 0


@pytest.mark.parametrize(
    "otherwise",
    [{"model": "suffice/tuned"}, {"suffice": {"top_k": 1}}, {"suffice": {"profile": "default"}}],
    ids=str,
)
def test_what_is_asked_otherwise_is_not_watched(
    served: Application, otherwise: dict[str, Any]
) -> None:
    ask(served, QUESTION, NUM_FIRST)
    ask(served, UNKNOWN, 30, **otherwise)
    assert certificate(served)["stale"] is False


def test_thumbs_down_make_the_certificate_stale(served: Application) -> None:
    def rate(rating: str, number: int, *, again: bool = False) -> None:
        for _ in range(number):
            body = {"trace_id": ask(served, QUESTION)["trace_id"], "rating": rating}
            for _ in range(1 + again):
                assert served.http.post("/v1/feedback", json=body).status_code == 201
                body["rating"] = "down"
        served.service.bookkeeper.afterwards.wait()

    rate("up", NUM_FIRST)
    rate("up", 30, again=True)  # who changes their mind has been counted
    assert certificate(served)["stale"] is False
    rate("down", 15)
    assert certificate(served)["alarm"]["stream"] == "thumbs"


def test_the_default_stands_in_if_it_is_to(served: Application) -> None:
    ask(served, QUESTION, NUM_FIRST)
    assert ask(served, UNKNOWN, 30)["profile"]["name"] == "tuned"
    service = served.service
    settings = service.settings.serving.model_copy(update={"fall_back_when_stale": True})
    with serve(replace(service, settings=replace(service.settings, serving=settings))) as falling:
        answer = ask(falling, QUESTION)
        assert answer["profile"] == {"name": "default", "certificate": None}
        says = "'default' stands in for 'tuned', whose certificate is stale"
        assert any(says in warning for warning in answer["warnings"])
        found = falling.http.post("/v1/search", json={"query": QUESTION}).json()
        assert any(says in warning for warning in found["warnings"])
        named = ask(falling, QUESTION, model="suffice/tuned")
        assert named["profile"]["name"] == "tuned"
