"""Profiles: JSON that comes back, names, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from retrieval.adaptive import LargestGap, Threshold
from retrieval.errors import ProfileError, ProfileNotFoundError
from retrieval.packing import Order, PackingPolicy
from retrieval.profiles import Fusion, Mode, ProfileStore, RetrievalProfile

PROFILE = RetrievalProfile(
    mode=Mode.HYBRID,
    num_candidates=80,
    fusion=Fusion.RECIPROCAL_RANK,
    rrf_k=10,
    top_k=4,
    rule=LargestGap(k_max=8, extra=2),
    packing=PackingPolicy(max_tokens=900, order=Order.STABLE),
)
DEFAULT = RetrievalProfile(dense_weight=0.7)


@pytest.fixture
def store(tmp_path: Path) -> ProfileStore[RetrievalProfile]:
    return ProfileStore(tmp_path / "profiles", DEFAULT)


def test_a_saved_profile_comes_back(store: ProfileStore[RetrievalProfile]) -> None:
    store.save("wide", PROFILE)
    assert store.get("wide") == PROFILE
    assert store.names() == ["default", "wide"]
    store.save("wide", DEFAULT)
    assert store.get("wide") == DEFAULT
    store.delete("wide")
    assert store.names() == ["default"]


def test_the_default_is_what_the_settings_say(store: ProfileStore[RetrievalProfile]) -> None:
    assert store.get("default") == DEFAULT
    with pytest.raises(ProfileError, match="RETRIEVAL_"):
        store.save("default", PROFILE)
    with pytest.raises(ProfileNotFoundError):
        store.delete("default")


@pytest.mark.parametrize("name", ["", "Wide", "../catalog", "a/b", ".", "x" * 65, "wide.json"])
def test_a_name_that_is_none_is_refused(store: ProfileStore[RetrievalProfile], name: str) -> None:
    for call in (store.get, store.delete, lambda name: store.save(name, PROFILE)):
        with pytest.raises(ProfileError, match=r"^.{2,90} is no profile name"):
            call(name)


def test_an_unknown_name_is_told_with_the_known_ones(store: ProfileStore[RetrievalProfile]) -> None:
    store.save("wide", PROFILE)
    with pytest.raises(ProfileNotFoundError, match=r"'deep'.*default, wide"):
        store.get("deep")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no JSON", "Invalid JSON"),
        ("{}x", "Invalid JSON"),
        ('{"dense_weight": 2}', "dense_weight: .*less than or equal to 1"),
        ('{"weight": 0.5}', "weight: Extra inputs are not permitted"),
        ('{"top_k": 0}', "top_k"),
    ],
)
def test_a_damaged_file_is_refused_by_its_field(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(ProfileError, match=message):
        RetrievalProfile.load(path)


@pytest.mark.parametrize(
    "fields",
    [
        {"num_candidates": 0},
        {"num_candidates": 2.5},
        {"dense_weight": -0.1},
        {"dense_weight": float("nan")},
        {"min_score": float("inf")},
        {"rule": {"family": "threshold", "threshold": float("nan")}},
        {"rule": {"family": "margin_to_best", "margin": float("inf")}},
        {"mode": "both"},
        {"fusion": "sum"},
        {"rrf_k": -1},
        {"top_k": 201},
        {"rule": {"family": "guess"}},
        {"rule": {"family": "threshold"}},
        {"rule": {"family": "fixed_count", "k_min": 3, "k_max": 2}},
        {"packing": {"max_tokens": 0}},
        {"dense_weight": "0.5"},
        {"min_score": True},
        {"rule": {"family": "threshold", "threshold": True}},
        {"rule": {"family": "fixed_count", "k_max": "3"}},
        {"packing": {"max_tokens": "100"}},
        {"packing": {"sentences": "yes"}},
        {"packing": {"sentences": True, "sentence_margin": False}},
    ],
)
def test_values_out_of_range_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RetrievalProfile(**fields)


@pytest.mark.parametrize(
    ("profile", "asked", "expected"),
    [
        (RetrievalProfile(), None, 10),
        (RetrievalProfile(top_k=4), None, 4),
        (RetrievalProfile(top_k=4), 7, 7),
        (RetrievalProfile(rule=Threshold(threshold=0.5, k_max=30)), None, 30),
        (RetrievalProfile(rule=Threshold(threshold=0.5, k_max=30), top_k=4), None, 4),
        (RetrievalProfile(rule=Threshold(threshold=0.5, k_max=3000)), None, 200),
    ],
)
def test_most_hits_are_what_is_asked_for_then_top_k_then_the_rule(
    profile: RetrievalProfile, asked: int | None, expected: int
) -> None:
    assert profile.most_hits(asked, default=10) == expected


def test_a_profile_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        PROFILE.top_k = 7
