"""Planning: which model answers, from how much context, with what effort, under a budget.

The answer that was asked for comes first. Where it does not fit, something is given up, one thing
after the other: further samples, thinking, long answers, the better model, and last of all context.
What is planned holds: the most it can cost is within the budget. (Verification comes later, and
stops where the budget does.)
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from serving.errors import BudgetTooSmallError, PromptTooLongError
from serving.generation import Generator, Thinking, thinking_room
from serving.money import to_usd
from serving.profiles import Verification

# Seams between texts that were counted apart.
SPARE_TOKENS = 8
# Less context answers nothing.
LEAST_CONTEXT_TOKENS = 64
SHORT_ANSWER_TOKENS = 256
# Share of the window that an answer may take unless the request says how long it may be.
ANSWER_SHARE = 0.25
_MS_PER_SECOND = 1000
# Given up last.
CONTEXT = "context"


@dataclass(frozen=True, slots=True)
class Budget:
    """What an answer may take at most; None: as much as it takes.

    Attributes:
        max_prompt_tokens: of the prompt of the answer.
        max_cost_usd: of all calls of models, in dollars.
        max_latency_ms: until the answer is complete, in milliseconds.
        max_steps: calls of models.
    """

    max_prompt_tokens: int | None = None
    max_cost_usd: float | None = None
    max_latency_ms: float | None = None
    max_steps: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How a question is answered.

    Attributes:
        generator: who answers.
        thinking: whether and how long it thinks; None leaves it to the server.
        samples: answers it writes, of which one is given.
        verify: what is done about unsupported statements.
        answer_tokens: longest answer.
        num_choices: answers that are given.
        context_tokens: most tokens of the passages; None: any.
        prompt_tokens: most tokens of the prompt; None: any.
        given_up: what was asked for and does not fit.
    """

    generator: Generator
    thinking: Thinking | None
    samples: int
    verify: Verification
    answer_tokens: int
    num_choices: int = 1
    context_tokens: int | None = None
    prompt_tokens: int | None = None
    given_up: tuple[str, ...] = ()

    @property
    def answer_room(self) -> int:
        """Most tokens that one answer may have, with the thinking."""
        return self.answer_tokens + thinking_room(self.thinking)

    @property
    def completion_tokens(self) -> int:
        """Most tokens that all answers to the prompt may have together."""
        return max(self.samples, self.num_choices) * self.answer_room


@dataclass(frozen=True, slots=True)
class Needs:
    """What is known of a question before it is answered.

    Attributes:
        window: most tokens of prompt and answer of each generator, by its name; None: not known.
        fixed_tokens: of the prompt without new passages, as each generator counts, by its name.
        context_tokens: of the passages that were found.
        spent_usd: on the way to here.
        spent_seconds: on the way to here.
        spent_steps: on the way to here.
        has_fixed_answer: whether the request says how long the answer may be.
    """

    window: Mapping[str, int | None]
    fixed_tokens: Mapping[str, int] = field(default_factory=dict)
    context_tokens: int = 0
    spent_usd: float = 0.0
    spent_seconds: float = 0.0
    spent_steps: int = 0
    has_fixed_answer: bool = False


def make_plan(wish: Plan, cheaper: Sequence[Generator], needs: Needs, budget: Budget) -> Plan:
    """Return the first plan that leaves room for the context, or the one that leaves most.

    Args:
        wish: what was asked for.
        cheaper: generators that may stand in, in this order.
        needs: of the question.
        budget: that must hold.

    Raises:
        BudgetTooSmallError: nothing fits; the message says what would.
        PromptTooLongError: the question, the history and the instructions fill the window.
    """
    limit = wish.context_tokens
    wanted = needs.context_tokens if limit is None else min(limit, needs.context_tokens)
    best, most, least = wish, -1.0, wish
    for plan in _concessions(wish, cheaper, is_answer_fixed=needs.has_fixed_answer):
        fitted = _fit_answer(plan, needs)
        room = _room(fitted, needs, budget)
        if room >= wanted:
            return _limit(fitted, needs, room)
        if room > most:
            best, most = fitted, room
        least = fitted
    if most >= min(LEAST_CONTEXT_TOKENS, wanted):
        return _limit(replace(best, given_up=(*best.given_up, CONTEXT)), needs, most)
    raise _refuse(least, needs, budget)


def _concessions(
    wish: Plan, cheaper: Sequence[Generator], *, is_answer_fixed: bool
) -> Iterator[Plan]:
    """Yield plans that ask for less and less."""
    plan = wish
    yield plan
    if plan.samples > 1:
        plan = replace(plan, samples=1, given_up=(*plan.given_up, "samples"))
        yield plan
    if plan.thinking is not None and plan.thinking.is_on:
        plan = replace(plan, thinking=Thinking(is_on=False), given_up=(*plan.given_up, "thinking"))
        yield plan
    if not is_answer_fixed and plan.answer_tokens > SHORT_ANSWER_TOKENS:
        given_up = (*plan.given_up, "answer_tokens")
        plan = replace(plan, answer_tokens=SHORT_ANSWER_TOKENS, given_up=given_up)
        yield plan
    for generator in cheaper:
        thinking = plan.thinking if generator.can_think else None  # it cannot be told not to
        given_up = (*plan.given_up, "model")
        yield replace(plan, generator=generator, thinking=thinking, given_up=given_up)


def _fit_answer(plan: Plan, needs: Needs) -> Plan:
    """Shorten an answer that nobody asked to be so long, where the window is small."""
    window = needs.window[plan.generator.name]
    if window is None or needs.has_fixed_answer:
        return plan
    longest = max(1, int(ANSWER_SHARE * window))
    return replace(plan, answer_tokens=min(plan.answer_tokens, longest))


def _room(plan: Plan, needs: Needs, budget: Budget) -> float:
    """Return how many tokens of passages a plan leaves room for; below 0: it fits in no way."""
    generator = plan.generator
    fixed = needs.fixed_tokens[generator.name] + SPARE_TOKENS
    rooms = [float("inf")]
    if (window := needs.window[generator.name]) is not None:
        rooms.append(window - plan.answer_room - fixed)
    if budget.max_prompt_tokens is not None:
        rooms.append(budget.max_prompt_tokens - fixed)
    if budget.max_steps is not None and needs.spent_steps + 1 > budget.max_steps:
        rooms.append(-1)
    if budget.max_cost_usd is not None:
        rooms.append(_room_by_cost(plan, budget.max_cost_usd - needs.spent_usd) - fixed)
    if budget.max_latency_ms is not None and generator.rates is not None:
        left = budget.max_latency_ms / _MS_PER_SECOND - needs.spent_seconds
        rooms.append(generator.rates.prompt_tokens_within(left, plan.answer_room) - fixed)
    return min(rooms)


def _room_by_cost(plan: Plan, usd: float) -> float:
    """Return the longest prompt that a sum of money pays for, beside the answers."""
    price = plan.generator.price
    if price is None:
        return float("inf") if plan.generator.counter is None else -1.0
    return price.prompt_tokens_within(usd, plan.completion_tokens)


def _limit(plan: Plan, needs: Needs, room: float) -> Plan:
    """Keep a plan to the room that there is for passages."""
    if room == float("inf"):
        return plan
    tokens = int(room)
    return replace(
        plan,
        context_tokens=tokens if plan.context_tokens is None else min(plan.context_tokens, tokens),
        prompt_tokens=needs.fixed_tokens[plan.generator.name] + SPARE_TOKENS + tokens,
    )


def _refuse(plan: Plan, needs: Needs, budget: Budget) -> Exception:
    generator = plan.generator
    fixed = needs.fixed_tokens[generator.name] + SPARE_TOKENS
    least = fixed + min(LEAST_CONTEXT_TOKENS, needs.context_tokens)
    window = needs.window[generator.name]
    answer = plan.answer_room
    if window is not None and least + answer > window:
        return PromptTooLongError(
            f"Instructions, history and question have {fixed:,} tokens and the answer may have "
            f"{answer:,}; the window of {generator.name!r} has {window:,}. Shorten them, or lower "
            "max_tokens.",
            "messages",
        )
    reasons = []
    if budget.max_prompt_tokens is not None and least > budget.max_prompt_tokens:
        reasons.append(
            f"max_prompt_tokens is {budget.max_prompt_tokens:,}, an answer needs {least:,}"
        )
    if budget.max_steps is not None and needs.spent_steps + 1 > budget.max_steps:
        reasons.append(
            f"max_steps is {budget.max_steps}, the answer is step {needs.spent_steps + 1}"
        )
    if budget.max_cost_usd is not None:
        reasons += _refuse_cost(plan, needs, budget.max_cost_usd, least)
    if budget.max_latency_ms is not None and generator.rates is not None:
        seconds = needs.spent_seconds + generator.rates.seconds(least, answer)
        if (milliseconds := seconds * _MS_PER_SECOND) > budget.max_latency_ms:
            reasons.append(
                f"max_latency_ms is {budget.max_latency_ms:g}, the quickest answer may take "
                f"{milliseconds:.0f}"
            )
    return BudgetTooSmallError(
        f"Nothing fits the budget: {'; '.join(reasons)}. Raise it, lower max_tokens, or shorten "
        "the question."
    )


def _refuse_cost(plan: Plan, needs: Needs, max_usd: float, least_tokens: int) -> list[str]:
    price = plan.generator.price
    if price is None and plan.generator.counter is not None:
        return [
            f"max_cost_usd needs a price, and {plan.generator.name!r} has none: give it one in "
            "SERVING_BACKENDS_FILE, or set SERVING_LLM_GPU_USD_PER_HOUR and run `suffice cost "
            "calibrate`"
        ]
    nano = price.nano_usd(least_tokens, plan.completion_tokens) if price else 0
    usd = needs.spent_usd + to_usd(nano)
    return [f"max_cost_usd is {max_usd:g}, an answer may cost {usd:.6f}"] if usd > max_usd else []
