"""The profile of a certified setting says on what questions it was shown, and by which test."""

from pathlib import Path
from typing import Any

import pytest

from eval.decisions.pvalues import PairedTest
from serving.profiles import AnsweringProfile
from suffice.certified_profile import save_profile
from tests.tunings import make_result


@pytest.mark.parametrize(
    ("by_kind", "says_so"),
    [
        ({"synthetic-rule": 200, "human": 40}, True),
        ({"synthetic-rule": 40, "human": 200}, False),
        ({"synthetic-llm": 240}, False),
    ],
)
def test_a_certificate_shown_with_questions_of_rules_says_so(
    tmp_path: Path, by_kind: dict[str, int], says_so: bool
) -> None:
    counts = make_result().questions.model_copy(update={"by_kind": by_kind})
    result = make_result({"questions": counts})
    path = tmp_path / "profile.json"
    save_profile(path, AnsweringProfile(), result)
    certificate = AnsweringProfile.load(path).certificate
    assert certificate is not None
    suffix = " Shown with questions made by rules." if says_so else ""
    assert certificate.statement == result.decision.statement + suffix


@pytest.mark.parametrize(
    ("decision", "test", "delta"),
    [
        ({}, "t_plus_one", 0.05),
        ({"min_coverage": 0.8, "eps": None}, "wsr", 0.05),
        (
            {"min_coverage": 0.8, "eps": None, "on_average": True},
            "conformal_risk_control",
            None,
        ),
    ],
)
def test_a_certificate_names_the_test_that_was_made(
    tmp_path: Path, decision: dict[str, Any], test: str, delta: float | None
) -> None:
    path = tmp_path / "profile.json"
    result = make_result(test=PairedTest.T_PLUS_ONE, **decision)
    save_profile(path, AnsweringProfile(), result)
    certificate = AnsweringProfile.load(path).certificate
    assert certificate is not None
    assert (certificate.test, certificate.delta) == (test, delta)
    shown = (result.decision.eps, result.decision.min_coverage)
    assert (certificate.eps, certificate.min_coverage) == shown
