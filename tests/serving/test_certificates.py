"""A certified profile serves a collection, and says so only while it is about what is served."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from retrieval.adaptive import FixedCount, LargestGap
from retrieval.packing import PackingPolicy
from serving.profiles import AnsweringProfile
from tests.serving.application import Application, assert_refused, serve
from tests.serving.certified import STATEMENT, certified_profile

pytestmark = pytest.mark.usefixtures("documents")
QUESTION = "how many kilograms of honey does one hive give each year"


def test_a_collection_is_served_with_a_certified_profile(application: Application) -> None:
    http = application.http
    before = application.ask(QUESTION).json()["suffice"]
    assert before["profile"] == {"name": "default", "certificate": None}
    assert http.put("/v1/profiles/tuned", json=certified_profile(application)).status_code == 200
    served = http.put("/v1/collections/default/profile", json={"profile": "tuned"}).json()
    assert served["profile"] == "tuned"
    try:
        after = application.ask(QUESTION).json()["suffice"]
        assert after["context"]["chunks"] == 2
        assert after["context"]["tokens"] < before["context"]["tokens"]
        assert after["profile"] == {
            "name": "tuned",
            "certificate": {
                "certified": True,
                "statement": STATEMENT,
                "created": "2026-11-26",
                "differences": [],
                "stale": False,
                "alarm": None,
            },
        }
        assert after["warnings"] == before["warnings"]
        # What a request names wins.
        named = application.ask(QUESTION, suffice={"profile": "default"}).json()["suffice"]
        assert named["context"] == before["context"]
        assert len(application.search(QUESTION)) == 2
        refused = http.delete("/v1/profiles/tuned")
        assert_refused(refused, 409, "profile_in_use", None, "serves the collection 'default'")
    finally:
        http.put("/v1/collections/default/profile", json={"profile": "default"})
    assert application.ask(QUESTION).json()["suffice"]["profile"]["name"] == "default"
    assert http.delete("/v1/profiles/tuned").status_code == 200


def test_with_another_embedder_it_is_uncertified_and_serves(application: Application) -> None:
    profile = certified_profile(application, embedder="another", model="qwen")
    answer = application.ask(QUESTION, suffice={"profile": profile}).json()["suffice"]
    certificate = answer["profile"]["certificate"]
    assert not certificate["certified"]
    assert certificate["differences"] == ["another embedder", "another model"]
    assert answer["profile"]["name"] is None
    assert answer["context"]["chunks"] == 2
    [warning] = [one for one in answer["warnings"] if "uncertified" in one]
    assert "another embedder and another model" in warning
    profile["certificate"]["collection"] = "books"
    answer = application.ask(QUESTION, suffice={"profile": profile}).json()["suffice"]
    assert "another collection" in answer["profile"]["certificate"]["differences"]


@pytest.mark.parametrize(
    ("changes", "options", "differences"),
    [
        ({}, {}, []),
        ({}, {"top_k": 2}, []),
        ({}, {"top_k": 1}, ["other settings"]),
        ({}, {"max_context_tokens": 50}, ["other settings"]),
        ({}, {"verify": "mark"}, ["other settings"]),
        ({"top_k": 1}, {}, ["other settings"]),
        ({"dense_weight": 0.5}, {}, ["other settings"]),
        ({"answering": {"abstain_below": 0.9}}, {}, ["other settings"]),
    ],
)
def test_it_is_about_the_settings_that_were_measured(
    application: Application,
    changes: dict[str, Any],
    options: dict[str, Any],
    differences: list[str],
) -> None:
    profile = certified_profile(application) | changes
    answer = application.ask(QUESTION, suffice={"profile": profile, **options}).json()["suffice"]
    assert answer["profile"]["certificate"]["differences"] == differences


@pytest.mark.parametrize("factor", [0.4, 0.5, 1, 2, 3])
def test_it_is_about_a_collection_of_about_that_size(
    application: Application, factor: float
) -> None:
    [now] = {
        one["num_documents"]
        for one in application.http.get("/v1/collections").json()["collections"]
        if one["name"] == "default"
    }
    then = int(factor * now)
    profile = certified_profile(application, then)
    answer = application.ask(QUESTION, suffice={"profile": profile}).json()["suffice"]
    noun = "document" if then == 1 else "documents"
    differences = [] if 0.5 <= factor <= 2 else [f"{then} {noun} instead of {now}"]
    assert answer["profile"]["certificate"]["differences"] == differences


def test_profiles_have_the_digest_of_what_is_not_as_by_default() -> None:
    profile = AnsweringProfile(top_k=2, packing=PackingPolicy(max_tokens=300))
    values = b'{"top_k":2,"packing":{"max_tokens":300}}'
    assert profile.digest == profile.settings_digest == sha256(values).hexdigest()


def test_profiles_with_other_rules_have_other_digests() -> None:
    fixed, largest = (
        AnsweringProfile(rule=rule) for rule in (FixedCount(k_max=7), LargestGap(k_max=7))
    )
    assert fixed.digest != largest.digest
    assert fixed.settings_digest != largest.settings_digest


def test_a_limit_of_the_service_is_another_setting(application: Application) -> None:
    service = application.service
    limited = service.settings.serving.model_copy(update={"max_context_tokens": 50})
    with serve(replace(service, settings=replace(service.settings, serving=limited))) as other:
        profile = certified_profile(other)
        answer = other.ask(QUESTION, suffice={"profile": profile}).json()["suffice"]
    assert answer["profile"]["certificate"]["differences"] == ["other settings"]


def test_what_cannot_be_served_is_refused(application: Application) -> None:
    put = application.http.put
    refused = put("/v1/collections/default/profile", json={"profile": "nowhere"})
    assert_refused(refused, 404, "profile_not_found", None, "no profile 'nowhere'")
    refused = put("/v1/collections/nowhere/profile", json={"profile": "default"})
    assert_refused(refused, 404, "collection_not_found", None, "nowhere")
    profile = certified_profile(application)
    profile["certificate"]["eps"] = 2
    refused = put("/v1/profiles/tuned", json=profile)
    assert_refused(refused, 400, "invalid_value", "certificate.eps", "less than 1")
