"""What is certified is worse by eps in at most delta of all cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.decisions import fixed_sequence, selection_bias
from eval.decisions.pvalues import PairedTest, t_plus_one
from eval.decisions.sequence import Certification, Look, Mode, Stop, certify

NUM_ITEMS = 200


def quality(*num_right: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return a row for each number of items that are right, always the first ones."""
    return (np.arange(NUM_ITEMS) < np.array(num_right)[:, None]).astype(np.float64)


def test_the_last_one_before_the_first_failure_is_certified() -> None:
    # The third row loses 40 of 200 items, the last one none: but it stands behind a failure.
    result = certify(quality(180, 180, 140, 180), range(4), eps=0.1, delta=0.05)
    assert result.certified == 1
    assert [look.candidate for look in result.looks] == [1, 2]
    assert result.stop is Stop.NOT_SHOWN


def test_p_values_are_those_of_the_reference_minus_the_candidate() -> None:
    rows = quality(170, 180)
    result = certify(rows, [1, 0], eps=0.1, delta=0.05, test=PairedTest.T_PLUS_ONE)
    p_value = float(t_plus_one(rows[1] - rows[0], 0.1))
    assert result == Certification(0, (Look(0, p_value),), Stop.END)


def test_the_reference_stays_when_the_first_candidate_fails() -> None:
    result = certify(quality(180, 140), [0, 1], eps=0.1, delta=0.05)
    assert result.certified is None
    assert len(result.looks) == 1


def test_without_candidates_nothing_is_looked_at() -> None:
    assert certify(quality(180), [0], eps=0.1, delta=0.05) == Certification(None, (), Stop.END)


def test_mode_best_compares_with_every_row() -> None:
    # Not worse than the reference, but than the third row, which is in no order.
    rows = quality(140, 140, 180)
    assert certify(rows, [0, 1], eps=0.1, delta=0.05).certified == 1
    best = certify(rows, [0, 1], eps=0.1, delta=0.05, mode=Mode.BEST)
    assert best.certified is None
    assert [look.candidate for look in best.looks] == [0]
    from_best = certify(rows, [2, 0], eps=0.1, delta=0.05, mode=Mode.BEST)
    assert from_best.certified == 2


@pytest.mark.parametrize("mode", Mode)
def test_what_is_uncertain_speaks_against_the_candidate(mode: Mode) -> None:
    worst, best = quality(180, 140), quality(180, 180)
    assert certify(best, [0, 1], eps=0.1, delta=0.05, mode=mode).certified == 1
    assert certify(worst, [0, 1], eps=0.1, delta=0.05, mode=mode, rivals=best).certified != 1
    # As rivals, the same two were no better than the candidate may be.
    assert certify(best, [0, 1], eps=0.1, delta=0.05, mode=mode, rivals=worst).certified == 1


@pytest.mark.parametrize("order", [[], [0, 0], [0, 2], [-1]])
def test_an_order_of_rows_that_are_not_there_is_refused(order: list[int]) -> None:
    with pytest.raises(ValueError, match="order is"):
        certify(quality(10, 10), order, eps=0.1, delta=0.05)


@given(
    num_right=st.lists(st.integers(0, NUM_ITEMS), min_size=1, max_size=6),
    test=st.sampled_from(PairedTest),
    mode=st.sampled_from(Mode),
)
def test_certified_is_never_past_the_first_failure(
    num_right: list[int], test: PairedTest, mode: Mode
) -> None:
    result = certify(
        quality(*num_right), range(len(num_right)), eps=0.1, delta=0.05, test=test, mode=mode
    )
    passed = [look.candidate for look in result.looks if look.p_value <= 0.05]
    failed = [look.candidate for look in result.looks if look.p_value > 0.05]
    assert result.certified == (passed[-1] if passed else None)
    assert failed == ([result.looks[-1].candidate] if result.stop is Stop.NOT_SHOWN else [])


def test_error_rate_holds_where_the_smallest_k_within_eps_of_the_best_mean_fails() -> None:
    figures = fixed_sequence(np.random.default_rng(1), 400, sizes=(200, 800))
    naive = [figure for figure in figures if figure.method == "within eps of the best mean"]
    assert all(figure.error > 0.2 for figure in naive)
    assert all(figure.kept for figure in figures if figure not in naive)
    chosen = {
        figure.items: figure.also["mean_k"] for figure in figures if figure.method == "t_plus_one"
    }
    # From 24, with 10 as the smallest that is good enough.
    assert 10 < chosen[800] < chosen[200] < 24


def test_the_mean_that_a_choice_was_made_by_overstates() -> None:
    biases = {
        figure.method: figure.error
        for figure in selection_bias(np.random.default_rng(1), 400, sizes=(200,))
    }
    assert biases["same questions"] > 0.03
    assert abs(biases["held-out questions"]) < 0.01
