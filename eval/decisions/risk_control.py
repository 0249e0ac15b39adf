"""The least context whose risk of missing evidence stays below a bound, for new questions."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from eval.decisions.items import Floats, check_range
from eval.decisions.pvalues import RiskTest, risk_p_value


class Verdict(StrEnum):
    """What risk control says.

    Attributes:
        CERTIFIED: the bound holds, as promised.
        NOT_CERTIFIED: the most context may keep the bound, but so few items do not show it.
        INFEASIBLE: even the most context loses more than the bound: retrieval does not find the
            evidence, and no rule for taking less of it will. It is said only where it is shown.
    """

    CERTIFIED = "certified"
    NOT_CERTIFIED = "not_certified"
    INFEASIBLE = "infeasible"


@dataclass(frozen=True, slots=True)
class RiskControl:
    """What risk control says of a family of rules.

    Attributes:
        verdict: see there.
        chosen: row of the losses that has the least context within the bound; None unless the
            verdict is CERTIFIED.
        risks: mean loss of each row on these items.
        p_values: of the rows that were tested, from the most context on; empty for
            `conformal_risk_control`, which has none.
    """

    verdict: Verdict
    chosen: int | None
    risks: tuple[float, ...]
    p_values: tuple[float, ...] = ()

    @property
    def deepest_risk(self) -> float:
        """The mean loss with the most context: the ceiling of retrieval."""
        return self.risks[0]


def conformal_risk_control(losses: Floats, alpha: float, delta: float = 0.05) -> RiskControl:
    """Choose the least context with E[loss of a new item] <= alpha, on average.

    The average is over the items at hand as well: those that were drawn may have been lucky, and
    the risk of the rule chosen from them is then above alpha (conformal risk control, Angelopoulos
    et al., arXiv:2208.02814). Items that certify nothing count as no loss: where even the most
    context has a risk near alpha or above, those that certify a rule are the lucky ones.

    Args:
        losses: (num_rules, num_items) in [0, 1], from most context to least. Each item's loss must
            not fall with less context: true for missed evidence, not for the quality of answers.
        alpha: the bound, in (0, 1).
        delta: the probability that INFEASIBLE is wrong, in (0, 1).

    Raises:
        ValueError: an argument is out of its range, or a loss falls with less context.
    """
    _check(losses, alpha, delta)
    if np.any(np.diff(losses, axis=0) < 0):
        raise ValueError(
            "A loss falls with less context. Conformal risk control promises nothing then; use "
            "learn_then_test."
        )
    # As if the new item were lost as a whole.
    bounds = (losses.sum(axis=1) + 1) / (losses.shape[1] + 1)
    num_within = int(np.sum(bounds <= alpha))
    return _result(losses, num_within, is_infeasible=_is_infeasible(losses, alpha, delta))


def learn_then_test(
    losses: Floats, alpha: float, delta: float, test: RiskTest = RiskTest.WSR, seed: int = 0
) -> RiskControl:
    """Choose the least context whose risk is at most alpha with probability 1 - delta.

    Rules are tested from the most context to the least until one cannot be shown to keep the bound
    (Learn then Test, Angelopoulos et al., arXiv:2110.01052). Losses may fall and rise.

    Args:
        losses: (num_rules, num_items) in [0, 1], from most context to least.
        alpha: the bound, in (0, 1).
        delta: the probability that the items at hand mislead, in (0, 1).
        test: of one rule.
        seed: of the test, see `wsr_risk`.

    Raises:
        ValueError: an argument is out of its range.
    """
    _check(losses, alpha, delta)
    p_values = risk_p_value(test, losses, alpha, delta, seed)
    failures = np.flatnonzero(p_values > delta)
    num_shown = int(failures[0]) if failures.size else len(losses)
    looked_at = tuple(float(p_value) for p_value in p_values[: num_shown + 1])
    is_infeasible = _is_infeasible(losses, alpha, delta, test, seed)
    return _result(losses, num_shown, looked_at, is_infeasible=is_infeasible)


def _is_infeasible(
    losses: Floats, alpha: float, delta: float, test: RiskTest = RiskTest.WSR, seed: int = 0
) -> bool:
    """Tell whether the most context is shown to lose more than alpha, wrongly in delta at most."""
    return bool(risk_p_value(test, 1 - losses[:1], 1 - alpha, delta, seed)[0] <= delta)


def _check(losses: Floats, alpha: float, delta: float) -> None:
    if losses.ndim != 2 or 0 in losses.shape:  # noqa: PLR2004
        raise ValueError(
            f"losses have the shape {losses.shape}, but must have one row or more with one item or "
            "more each"
        )
    check_range("losses", losses, 0, 1)
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}, but must be in (0, 1)")
    if not 0 < delta < 1:
        raise ValueError(f"delta is {delta}, but must be in (0, 1)")


def _result(
    losses: Floats, num_within: int, p_values: tuple[float, ...] = (), *, is_infeasible: bool
) -> RiskControl:
    if num_within:
        verdict = Verdict.CERTIFIED
    elif is_infeasible:
        verdict = Verdict.INFEASIBLE
    else:
        verdict = Verdict.NOT_CERTIFIED
    chosen = num_within - 1 if num_within else None
    return RiskControl(verdict, chosen, tuple(losses.mean(axis=1).tolist()), p_values)
