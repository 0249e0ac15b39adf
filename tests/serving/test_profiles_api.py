"""Profiles over HTTP: saved, named in a request, brought along, refused; and explanations."""

from typing import Any

import pytest

from tests.serving.application import Application, assert_refused

pytestmark = pytest.mark.usefixtures("documents")
QUESTION = "how many kilograms of honey does one hive give each year"


def test_a_saved_profile_is_used_by_name(application: Application) -> None:
    profile = {"mode": "lexical", "top_k": 1}
    saved = application.http.put("/v1/profiles/words", json=profile).json()
    assert saved["mode"] == "lexical"
    assert saved["num_candidates"] == 30
    assert application.http.get("/v1/profiles/words").json() == saved
    assert set(application.http.get("/v1/profiles").json()["profiles"]) == {"default", "words"}
    [hit] = application.search("honey", profile="words")
    assert set(hit["scores"]) == {"lexical"}
    body = application.ask(QUESTION, suffice={"profile": "words"}).json()
    assert body["suffice"]["context"]["chunks"] == 1
    assert application.http.delete("/v1/profiles/words").json() == {
        "name": "words",
        "deleted": True,
    }
    refused = application.http.post("/v1/search", json={"query": "honey", "profile": "words"})
    assert_refused(refused, 404, "profile_not_found", None, "no profile 'words'")


def test_a_request_brings_its_own_and_its_fields_win(application: Application) -> None:
    profile = {"mode": "dense", "top_k": 1}
    [hit] = application.search("honey", profile=profile)
    assert set(hit["scores"]) == {"dense"}
    assert len(application.search("honey", profile=profile, top_k=2)) == 2
    best = application.search("honey", profile=profile, mode="lexical")[0]
    assert set(best["scores"]) == {"lexical"}


def test_a_malformed_profile_is_refused_by_its_field(application: Application) -> None:
    body = {"query": "honey", "profile": {"dense_weight": 2}}
    response = application.http.post("/v1/search", json=body)
    assert_refused(
        response, 400, "invalid_value", "profile.dense_weight", "less than or equal to 1"
    )
    response = application.http.post("/v1/search", json={"query": "honey", "Profile": "words"})
    assert_refused(response, 400, "invalid_value", "Profile", "Extra inputs")
    response = application.http.post("/v1/search", json={"query": "honey", "": 1})
    assert_refused(response, 400, "invalid_value", None, "Extra inputs|JSON object")
    response = application.http.put("/v1/profiles/bad", json={"weight": 2})
    assert_refused(response, 400, "invalid_value", "weight", "Extra inputs")
    response = application.http.put("/v1/profiles/default", json={})
    assert_refused(response, 400, "invalid_profile", None, "choose another name")


def test_a_damaged_profile_takes_no_other_with_it(application: Application) -> None:
    folder = application.service.home.profiles
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "old.json").write_text('{"weight": 0.5}')
    try:
        listed = application.http.get("/v1/profiles").json()
        assert set(listed["profiles"]) == {"default"}
        assert "save it anew. weight: Extra inputs" in listed["damaged"]["old"]
        refused = application.http.post("/v1/search", json={"query": "honey", "profile": "old"})
        assert_refused(refused, 400, "invalid_profile", None, "'old' is damaged")
        assert str(folder) not in refused.text
    finally:
        application.http.delete("/v1/profiles/old").raise_for_status()


def test_explanation_shows_every_candidate(application: Application) -> None:
    response = application.http.post(
        "/v1/search", json={"query": QUESTION, "top_k": 1, "explain": True}
    )
    body = response.json()
    [hit] = body["hits"]
    assert hit["ranks"] == {"dense": 1, "lexical": 1, "fused": 1}
    explanation = body["explain"]
    assert explanation["profile"]["mode"] == "hybrid"
    assert explanation["reranker"] is None
    assert explanation["num_dropped"] == len(explanation["dropped"])
    assert explanation["num_candidates"]["fused"] == 1 + explanation["num_dropped"]
    assert explanation["vocabulary_coverage"] == 1
    assert explanation["words_not_found"] == ["many"]
    assert 0.5 < explanation["relevance"] < 1
    assert explanation["num_searched"] == explanation["num_chunks"]
    assert explanation["num_chunks"] >= explanation["num_candidates"]["fused"]
    first = explanation["dropped"][0]
    assert first["reason"] == "rank 2 is beyond top_k 1"
    assert first["filename"]
    assert first["ranks"]["fused"] == 2


@pytest.mark.parametrize(
    ("options", "not_found"),
    [
        ({}, ["hony"]),
        ({"mode": "lexical"}, ["hony"]),
        ({"mode": "dense"}, []),
        (
            {"filter": {"type": "eq", "key": "document.filename", "value": "ropes.txt"}},
            ["bees", "hony"],
        ),
    ],
)
def test_explanation_tells_which_words_no_searched_chunk_has(
    application: Application, options: dict[str, Any], not_found: list[str]
) -> None:
    body = {"query": "the bees and the hony", "explain": True, **options}
    answer = application.http.post("/v1/search", json=body).json()
    assert answer["explain"]["words_not_found"] == not_found


def test_ranks_are_told_only_when_asked_for(application: Application) -> None:
    assert application.search(QUESTION)[0]["ranks"] is None
