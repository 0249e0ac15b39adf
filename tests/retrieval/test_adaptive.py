"""Rules that tell from scores how many hits to keep."""

from collections.abc import Callable
from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from retrieval.adaptive import (
    FixedCount,
    LargestGap,
    MarginToBest,
    Rule,
    SoftmaxMass,
    TailDeviation,
    Threshold,
)

ADAPTER: TypeAdapter[Rule] = TypeAdapter(Rule)
# Few distinct values, so that there are ties.
SCORES = st.lists(
    st.one_of(st.integers(-4, 8).map(lambda n: n / 8), st.floats(-1, 1)), max_size=60
).map(lambda scores: sorted(scores, reverse=True))
LIMITS = st.tuples(st.integers(1, 60), st.integers(1, 60)).map(sorted)
# From a parameter in [0, 1] that grows with the context to a rule.
FAMILIES: dict[str, Callable[[float, int, int], Rule]] = {
    "fixed_count": lambda more, low, high: FixedCount(
        k_min=low, k_max=low + round(more * (high - low))
    ),
    "threshold": lambda more, low, high: Threshold(threshold=1 - 2 * more, k_min=low, k_max=high),
    "margin_to_best": lambda more, low, high: MarginToBest(margin=more, k_min=low, k_max=high),
    "tail_deviation": lambda more, low, high: TailDeviation(
        deviations=3 - 6 * more, k_min=low, k_max=high
    ),
    "softmax_mass": lambda more, low, high: SoftmaxMass(
        mass=0.001 + 0.999 * more, k_min=low, k_max=high
    ),
    "largest_gap": lambda more, low, high: LargestGap(
        extra=round(20 * more), k_min=low, k_max=high
    ),
}
EXAMPLE = [0.9, 0.8, 0.5, 0.45, 0.1]


@pytest.mark.parametrize(
    ("rule", "k"),
    [
        pytest.param(FixedCount(k_max=3), 3, id="fixed count"),
        pytest.param(Threshold(threshold=0.5), 3, id="the threshold itself is kept"),
        pytest.param(Threshold(threshold=0.95), 1, id="nothing above: k_min"),
        pytest.param(MarginToBest(margin=0.125), 2, id="margin"),
        pytest.param(MarginToBest(margin=0), 1, id="no margin"),
        pytest.param(SoftmaxMass(mass=0.5, temperature=1e-3), 1, id="cold softmax"),
        pytest.param(SoftmaxMass(mass=0.61, temperature=1e6), 4, id="hot softmax: 0.2 each"),
        pytest.param(SoftmaxMass(mass=1), 5, id="all of the mass"),
        pytest.param(LargestGap(), 4, id="gap of 0.35"),
        pytest.param(LargestGap(k_max=3), 2, id="gap of 0.35 is below k_max"),
        pytest.param(LargestGap(extra=1), 5, id="gap and one more"),
    ],
)
def test_rule(rule: Rule, k: int) -> None:
    assert rule(EXAMPLE) == k


def test_softmax_mass_is_that_of_the_formula() -> None:
    weights = [exp(score / 0.25) for score in EXAMPLE]
    share = (weights[0] + weights[1]) / sum(weights)
    assert SoftmaxMass(mass=share - 1e-9, temperature=0.25)(EXAMPLE) == 2
    assert SoftmaxMass(mass=share + 1e-9, temperature=0.25)(EXAMPLE) == 3


def test_tail_is_the_ranks_from_20_to_50() -> None:
    # Mean 0.2 and deviation 0.1 of ranks 20 to 50; ranks 51 and later would move both.
    scores = [0.9, 0.6] + [0.4] * 17 + [0.3] * 15 + [0.2] + [0.1] * 15 + [-9.0] * 10
    deviation = (30 * 0.1**2 / 30) ** 0.5
    assert TailDeviation(deviations=0.399 / deviation)(scores) == 2
    assert TailDeviation(deviations=0.401 / deviation)(scores) == 1


@pytest.mark.parametrize("num_scores", [1, 5, 20])
def test_without_a_tail_all_are_kept(num_scores: int) -> None:
    assert TailDeviation(deviations=9, k_max=30)([0.5 - i / 100 for i in range(num_scores)]) == 30


def test_ties_stay_together_up_to_k_max() -> None:
    scores = [0.9, 0.5, 0.5, 0.5, 0.5, 0.1]
    assert SoftmaxMass(mass=0.5, temperature=1)(scores) == 5
    assert SoftmaxMass(mass=0.5, temperature=1, k_max=4)(scores) == 4
    assert FixedCount(k_max=3)(scores) == 3


@pytest.mark.parametrize("family", FAMILIES)
def test_query_without_scores_keeps_k_min(family: str) -> None:
    assert FAMILIES[family](1.0, 3, 40)([]) == 3


@pytest.mark.parametrize("family", FAMILIES)
@given(scores=SCORES, limits=LIMITS, parameters=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_context_grows_with_the_parameter_within_the_limits(
    family: str, scores: list[float], limits: list[int], parameters: tuple[float, float]
) -> None:
    k_min, k_max = limits
    less, more = (FAMILIES[family](one, k_min, k_max)(scores) for one in sorted(parameters))
    assert k_min <= less <= more <= k_max


@pytest.mark.parametrize("family", FAMILIES)
@given(scores=SCORES, parameter=st.floats(0, 1))
def test_no_tie_is_split(family: str, scores: list[float], parameter: float) -> None:
    k = FAMILIES[family](parameter, 1, 200)(scores)
    if family != "fixed_count" and k < len(scores):
        assert scores[k] < scores[k - 1]


@pytest.mark.parametrize("family", FAMILIES)
def test_rule_survives_json(family: str) -> None:
    rule = FAMILIES[family](0.4, 2, 30)
    assert ADAPTER.validate_json(ADAPTER.dump_json(rule)) == rule
    assert ADAPTER.dump_python(rule)["family"] == family


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        pytest.param({"family": "guess"}, "guess", id="unknown family"),
        pytest.param({"family": "threshold"}, "threshold", id="parameter missing"),
        pytest.param({"family": "fixed_count", "k": 3}, "k", id="unknown parameter"),
        pytest.param({"family": "fixed_count", "k_min": 5, "k_max": 4}, "above k_max", id="order"),
        pytest.param({"family": "softmax_mass", "mass": 0}, "greater than 0", id="out of range"),
    ],
)
def test_malformed_rule_is_refused(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ADAPTER.validate_python(fields)
