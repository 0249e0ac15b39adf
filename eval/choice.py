"""The choice: which setting to serve, by tests on questions that had no part in finding it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, stdtrit  # type: ignore[import-untyped]

from eval.counted import counted
from eval.decisions.items import Floats
from eval.decisions.pvalues import PairedTest
from eval.decisions.risk_control import Verdict as RiskVerdict
from eval.decisions.risk_control import conformal_risk_control, learn_then_test
from eval.decisions.sample_size import in_reach, items_to_show
from eval.decisions.sequence import Mode, certify
from eval.dollars import dollars
from eval.measurements import Measurements
from eval.pareto import pareto_front, thin
from eval.results import Verdict
from serving.pricing import Price

MAX_TESTED = 20
# Of tokens, from the reference down to the least context; the steps are equal ratios.
NUM_LEVELS = 24
# What saves less than 3 % of the tokens is not worth a change.
LEAST_SAVING = 0.97
REFERENCE = 0
# Where the reference finds no more than so many times what may be lost, next to nothing would do.
LEAST_TO_LOSE = 2
# Of the front, what candidates are compared with in mode BEST.
MAX_RIVALS = 20
# Of a single item nobody knows how they differ: as if one in ten changed, for better or worse.
UNKNOWN_DEVIATION = sqrt(0.1)
# A budget holds for so many of the prompts, shown with so much confidence.
QUANTILE, CONFIDENCE = 0.95, 0.95
_THOUSAND = 1000
Ints = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Goal:
    """What is wanted.

    Attributes:
        eps: how much less coverage than the reference is no loss, in (0, 1).
        delta: error rate, in (0, 1/2).
        test: of one setting.
        mode: what a setting is compared with.
        min_coverage: least mean coverage, in (0, 1); None: only not to be worse.
        on_average: whether that is promised on average over all tunings, by
            `conformal_risk_control`, and not with the error rate.
        prompt_limits: budget -> tokens that 95 % of the prompts must fit for it, see `Budget`.
    """

    eps: float = 0.03
    delta: float = 0.05
    test: PairedTest = PairedTest.WSR
    mode: Mode = Mode.REFERENCE
    min_coverage: float | None = None
    on_average: bool = False
    prompt_limits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, and why.

    Attributes:
        verdict: see there.
        chosen: number of the setting; the reference's unless the verdict is CERTIFIED.
        statement: in words.
        candidates: numbers of the settings that were to be tested, in this order.
        tested: number and p-value of those that were.
        questions_needed: more of them, when there are too few; None: no number would tell.
    """

    verdict: Verdict
    chosen: int
    statement: str
    candidates: list[int]
    tested: list[tuple[int, float]]
    questions_needed: int | None = None


class Chooser:
    """Finds candidates on one half of the questions and tests them on the other.

    Settings are numbers of rows of both halves; the reference is row 0.
    """

    def __init__(
        self,
        tune: Measurements,
        held_out: Measurements,
        label: Callable[[int], str],
        price: Price | None,
    ) -> None:
        """Set up.

        Args:
            tune: the half to choose with.
            held_out: the half to test on.
            label: says in words what a setting is.
            price: of the model that reads the prompts; None: nothing is known.
        """
        self._tune = tune
        self._held_out = held_out
        self._label = label
        self._price = price
        self._tokens = tune.means(tune.tokens)
        self._coverage = tune.means(tune.coverage)
        self._num_questions = len(tune.clusters) + len(held_out.clusters)

    def front(self) -> list[int]:
        """Return the settings of the front, by rising tokens."""
        return pareto_front(self._tokens, self._coverage)

    def choose(self, goal: Goal) -> Choice:
        """Choose."""
        allowed = keeping(goal.prompt_limits, self._tune)
        if goal.min_coverage is not None:
            return self._choose_by_coverage(allowed, goal.min_coverage, goal)
        return self._choose_by_reference(allowed, goal)

    def _path(self, allowed: Ints, most: float) -> list[int]:
        """Return settings with less and less context, each the best that takes no more than so.

        Of settings that find the same the one with more context comes first: it is safer, and what
        is cheaper follows. Of those that are equal in both it is the first, which changes least.

        Args:
            allowed: settings to take.
            most: tokens that none may exceed.
        """
        allowed = allowed[self._tokens[allowed] <= most]
        if not allowed.size:
            return []
        path: dict[int, None] = {}
        for level in np.geomspace(most, self._tokens[allowed].min(), NUM_LEVELS):
            fitting = allowed[self._tokens[allowed] <= level * (1 + 1e-9)]
            order = np.lexsort((-fitting, self._tokens[fitting], self._coverage[fitting]))
            path[int(fitting[order[-1]])] = None
        return list(path)

    def _choose_by_reference(self, allowed: Ints, goal: Goal) -> Choice:
        """Test cheaper settings from the reference downwards."""
        least = self._coverage[REFERENCE] - goal.eps
        # What is saved on the mean shall not be paid by those who wait longest.
        allowed = allowed[_have_no_longer_prompts(self._tune.tokens)[allowed]]
        path = self._path(allowed, LEAST_SAVING * self._tokens[REFERENCE])
        candidates = [one for one in path if self._coverage[one] >= least][:MAX_TESTED]
        held_out = self._held_out
        found = float(held_out.means(held_out.coverage[REFERENCE]))
        if candidates and found <= LEAST_TO_LOSE * goal.eps:
            statement = self._state_next_to_nothing(found, goal)
            return Choice(Verdict.NOT_CERTIFIED, REFERENCE, statement, candidates, [])
        rivals: list[int] = []
        if goal.mode is Mode.BEST:
            # The one that found most is the likeliest to hold against all; what is dearer is not
            # wanted. Nor has the reference to be good for another one to be.
            best = max(candidates, key=lambda one: float(self._coverage[one]), default=REFERENCE)
            candidates = [one for one in candidates if self._tokens[one] <= self._tokens[best]]
            rivals = [one for one in thin(self.front(), MAX_RIVALS) if one not in candidates]
        rows = list(dict.fromkeys([REFERENCE, *candidates, *rivals]))
        items = held_out.items(held_out.coverage[rows])
        first = 1 if goal.mode is Mode.BEST else 0  # the reference is not to be tested then either
        tested: list[tuple[int, float]] = []
        if candidates:
            certification = certify(
                items,
                range(first, len(candidates) + 1),
                eps=goal.eps,
                delta=goal.delta,
                test=goal.test,
                mode=goal.mode,
            )
            tested = [(rows[look.candidate], look.p_value) for look in certification.looks]
        certified = [one for one, p_value in tested if one != REFERENCE and p_value <= goal.delta]
        if certified:
            chosen = cheapest(certified, held_out.tokens, self._mean_tokens)
            if chosen == REFERENCE:
                statement = self._state_not_cheaper()
                return Choice(Verdict.NOT_CERTIFIED, REFERENCE, statement, candidates, tested)
            statement = self._state_certified(chosen, len(rows) - 1, goal)
            return Choice(Verdict.CERTIFIED, chosen, statement, candidates, tested)
        needed = self._questions_needed(items, goal) if candidates else None
        statement = self._state_kept(candidates, needed, goal)
        return Choice(Verdict.NOT_CERTIFIED, REFERENCE, statement, candidates, tested, needed)

    def _questions_needed(self, items: Floats, goal: Goal) -> int | None:
        """Return how many more would certify the first candidate, which bars the way to others."""
        return more_for_candidate(items, items, 1, goal, self._num_questions)

    def _choose_by_coverage(self, allowed: Ints, least: float, goal: Goal) -> Choice:
        """Test settings from the most context downwards for the coverage that is asked for."""
        candidates = self._path(allowed, float(self._tokens[allowed].max(initial=0.0)))
        if not candidates:
            statement = "Infeasible: no setting has prompts that are so short."
            return Choice(Verdict.INFEASIBLE, REFERENCE, statement, [], [])
        held_out = self._held_out
        losses = np.clip(1 - held_out.items(held_out.coverage[candidates]), 0, 1)
        if goal.on_average:
            # Another kind of context may find more with less. What was lost by then stays lost.
            control = conformal_risk_control(np.maximum.accumulate(losses), 1 - least, goal.delta)
            surely = "over tunings like this one; this one may hold less"
        else:
            control = learn_then_test(losses, 1 - least, goal.delta)
            surely = f"with error at most {goal.delta:.0%}"
        tested = list(zip(candidates, control.p_values, strict=False))
        chosen = REFERENCE if control.chosen is None else candidates[control.chosen]
        needed = None
        if control.verdict is RiskVerdict.CERTIFIED:
            statement = (
                f"{self._label(chosen)}: {self._state_cost(chosen)}. Its context holds at least "
                f"{least:.0%} of the evidence on average, {surely}."
            )
        elif control.verdict is RiskVerdict.INFEASIBLE:
            statement = (
                f"Infeasible: with the most context, {self._label(candidates[0])}, retrieval finds "
                f"{1 - control.deepest_risk:.0%} of the evidence; {least:.0%} were asked for."
            )
        else:
            needed = more_for_coverage(losses[0], goal, self._num_questions)
            statement = (
                f"Cannot tell yet whether {least:.0%} of the evidence is found: with the most "
                f"context, {self._label(candidates[0])}, it is {1 - control.deepest_risk:.1%} for "
                f"the {counted(losses.shape[1], 'independent item')} at hand."
            )
            statement += more(needed)
        verdict = Verdict(control.verdict.value)
        return Choice(verdict, chosen, statement, candidates, tested, needed)

    def _state_certified(self, chosen: int, num_rivals: int, goal: Goal) -> str:
        rival = "today's"
        if goal.mode is Mode.BEST:
            rival = f"that of any of the {counted(num_rivals, 'setting')} it was compared with"
        return (
            f"{self._label(chosen)}: {self._state_cost(chosen)}. Its evidence coverage is not "
            f"below {rival} by more than {goal.eps:g}, with error at most {goal.delta:.0%}."
        )

    def _state_cost(self, chosen: int) -> str:
        now, tokens = self._mean_tokens(REFERENCE), self._mean_tokens(chosen)
        usd = (now - tokens) * self._price.prompt * _THOUSAND if self._price else None
        return state_cost(now, tokens, usd)

    def _state_not_cheaper(self) -> str:
        return (
            f"Keep {self._label(REFERENCE)} ({self._mean_tokens(REFERENCE):,.0f} tokens): what was "
            "shown to find as much has as long prompts on the questions it was tested on, on the "
            "mean or at the 95th percentile."
        )

    def _state_kept(self, candidates: Sequence[int], needed: int | None, goal: Goal) -> str:
        now = f"{self._label(REFERENCE)} ({self._mean_tokens(REFERENCE):,.0f} tokens)"
        if not candidates:
            limit = " and so short a prompt" if goal.prompt_limits else ""
            return (
                f"Keep {now}: nothing cheaper{limit}, with long prompts no longer than today's, "
                f"comes within {goal.eps:g} of its evidence coverage."
            )
        if needed is None:
            return (
                f"Keep {now}: nothing cheaper was shown to find as much, and if more questions can "
                "show it, it takes far more than anybody writes."
            )
        return f"Cannot tell yet whether less context than {now} suffices.{more(needed)}"

    def _state_next_to_nothing(self, found: float, goal: Goal) -> str:
        return (
            f"Keep {self._label(REFERENCE)}: it finds {found:.1%} of the evidence, so of settings "
            f"that may find {goal.eps:g} less nothing is asked. Look at search and chunks first, "
            "or at whether the questions fit the documents; `suffice search --explain` shows what "
            "is found."
        )

    def _mean_tokens(self, setting: int) -> float:
        return float(self._held_out.means(self._held_out.tokens[setting]))


def state_cost(now: float, tokens: float, usd_saved_per_1000: float | None) -> str:
    """Say what a setting takes instead of the reference.

    Args:
        now: mean tokens of the reference's prompts.
        tokens: of its own.
        usd_saved_per_1000: questions; None: nothing is known of the price.
    """
    if round(tokens) == round(now):
        return f"{tokens:,.0f} tokens, as many as today"
    word = "fewer" if tokens < now else "more"
    share = abs(1 - tokens / now)
    stated = f"{tokens:,.0f} tokens instead of {now:,.0f} ({share:.0%} {word})"
    if not usd_saved_per_1000:
        return stated
    usd = dollars(abs(usd_saved_per_1000))
    if usd_saved_per_1000 > 0:
        return f"{stated}, saves {usd} per 1,000 questions"
    return f"{stated}, costs {usd} more per 1,000 questions"


def cheapest(certified: Sequence[int], tokens: Floats, mean_tokens: Callable[[int], float]) -> int:
    """Return what costs least on the questions that it was tested on; maybe the reference.

    All that is certified holds together, so the prompts of each may be looked at.

    Args:
        certified: rows of the settings.
        tokens: of the prompts, (settings, questions).
        mean_tokens: their mean, of a row.
    """
    are_short = _have_no_longer_prompts(tokens)
    return min((REFERENCE, *(one for one in certified if are_short[one])), key=mean_tokens)


def _have_no_longer_prompts(tokens: Floats) -> NDArray[np.bool_]:
    """Tell of each setting whether its long prompts are no longer than the reference's."""
    longest = np.quantile(tokens, QUANTILE, axis=1)
    are_no_longer: NDArray[np.bool_] = longest <= longest[REFERENCE]
    return are_no_longer


def keeping(prompt_limits: Mapping[str, int], measured: Measurements) -> Ints:
    """Return the settings of which 95 % of the prompts keep to all limits, with 95 % confidence.

    The r-th shortest of n prompts is not below their 95th percentile with that confidence where
    P(Binomial(n, 0.95) < r) is at least as much; of fewer than 59 it is the longest (Conover,
    Practical Nonparametric Statistics, 3.2).
    """
    n = measured.tokens.shape[1]
    r = min(n, int(np.searchsorted(bdtr(np.arange(n), n, QUANTILE), CONFIDENCE)) + 1)
    bounds = np.sort(measured.tokens, axis=1)[:, r - 1]
    return np.flatnonzero(bounds <= min(prompt_limits.values(), default=np.inf))


def more_for_candidate(
    items: Floats, rivals: Floats, candidate: int, goal: Goal, num_questions: int
) -> int | None:
    """Return how many more questions would certify a candidate.

    Args:
        items: (num_rows, num_items), the quality of each as a candidate; the first is the
            reference.
        rivals: the same where it is compared with.
        candidate: its row.
        goal: what is wanted.
        num_questions: of both halves.

    Returns:
        1 or more; None: no number would, or one out of reach.
    """
    against = np.delete(rivals, candidate, axis=0) if goal.mode is Mode.BEST else rivals[:1]
    needed = [
        more_questions(losses, goal.eps, goal.delta, num_questions)
        for losses in against - items[candidate]
    ]
    most = max(one or inf for one in needed)
    return int(most) if most < inf else None


def more_for_coverage(losses: Floats, goal: Goal, num_questions: int) -> int | None:
    """Return how many more questions would show the least coverage of a goal.

    Args:
        losses: of the independent items at hand, on the held-out half.
        goal: with `min_coverage`.
        num_questions: of both halves.

    Returns:
        1 or more; None: no number would, or one out of reach.
    """
    alpha = 1 - (goal.min_coverage or 0)
    if not goal.on_average:
        return more_questions(losses, alpha, goal.delta, num_questions)
    # (n * loss + 1) / (n + 1) <= alpha
    distance = alpha - _least_loss(losses, alpha, goal.delta)
    items = (1 - alpha) / distance if distance > 0 else inf
    return _more_in_reach(items, len(losses), num_questions)


def more_questions(losses: Floats, allowed: float, delta: float, num_questions: int) -> int | None:
    """Return how many more questions would show that a mean loss is small enough.

    Args:
        losses: of the independent items at hand, on the held-out half.
        allowed: largest mean loss, above 0.
        delta: error rate.
        num_questions: of both halves.

    Returns:
        1 or more; None: no number would, or one out of reach.
    """
    distance = allowed - _least_loss(losses, allowed, delta)
    deviation = float(np.std(losses, ddof=1)) if len(losses) > 1 else UNKNOWN_DEVIATION
    items = items_to_show(deviation, distance, delta) if distance > 0 else None
    return _more_in_reach(items or inf, len(losses), num_questions)


def _least_loss(losses: Floats, allowed: float, delta: float) -> float:
    """Return the mean loss that questions are counted for: the one that was seen.

    A larger one than is allowed may be chance, and then it is the least that an interval of these
    few items leaves possible; of a single item that is none.
    """
    loss = float(np.mean(losses))
    if len(losses) == 1:
        return 0.0
    if loss >= allowed:
        error = float(np.std(losses, ddof=1)) / sqrt(len(losses))
        loss -= float(stdtrit(len(losses) - 1, 1 - delta)) * error
    return max(0.0, loss)


def _more_in_reach(items: float, num_items: int, num_questions: int) -> int | None:
    """Return the questions that so many items take more than those at hand, if anybody asks so."""
    needed = items / num_items * num_questions
    if not in_reach(needed, num_questions):
        return None
    return max(1, ceil(needed - num_questions))


def more(needed: int | None) -> str:
    """Say how many questions it takes; None: it is not known, and nothing is said."""
    return "" if needed is None else f" It takes about {counted(needed, 'more question')}."
