"""Preparation: what was found becomes a plan, a context and a prompt that fits."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from retrieval.embedding import Embedder
from retrieval.packing import Packing
from serving.account import Account
from serving.context import Context, Documents, num_tokens
from serving.conversation import trim
from serving.errors import BudgetTooSmallError, InvalidRequestError, PromptTooLongError
from serving.finding import Found
from serving.generation import Generator, Message, Task, Turn
from serving.layout import Layout
from serving.markers import make_nonce
from serving.memory import ConversationMemory, Exchange
from serving.models import Models
from serving.planning import CONTEXT, LEAST_CONTEXT_TOKENS, Needs, Plan, make_plan
from serving.profiles import to_thinking
from serving.prompt import without_markers, write_prompt
from serving.question import Question

# Share of the window that earlier turns may take.
HISTORY_SHARE = 0.5
# About what templates put around each of them.
TURN_TOKENS = 5
NUM_TRIES = 4
# Of samples that nobody gave one: greedy ones would all be the same, and vLLM refuses them.
SAMPLE_TEMPERATURE = 0.7
# Of the time that is left, for vectors of sentences, where nobody measured what an answer takes.
READING_SHARE = 0.25
# So close to a limit, the server counts and not its tokenizer here.
CLOSE_TOKENS = 32


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a model is given.

    Attributes:
        plan: who answers, and how.
        task: for the generator; its context has the recalled passages, too.
        packing: of the passages that are new.
        exchanges: earlier turns with their passages.
        items: passages that are new.
        nonce: of the fences.
        prompt_tokens: of the prompt, as the model counts; 0 when no model reads it.
        warnings: what was done otherwise than asked.
    """

    plan: Plan
    task: Task
    packing: Packing
    exchanges: tuple[Exchange, ...]
    items: Context
    nonce: str
    prompt_tokens: int
    warnings: list[str] = field(default_factory=list)

    @property
    def recalled(self) -> Context:
        """Passages of earlier turns."""
        return [item for exchange in self.exchanges for item in exchange.items]


class Preparer:
    """Prepares answers. Its calls may wait for a model server: for a thread, not the event loop."""

    def __init__(
        self, documents: Documents, models: Models, memory: ConversationMemory, secret: bytes
    ) -> None:
        """Set up.

        Args:
            documents: that the passages are from.
            models: that may answer.
            memory: of conversations.
            secret: that nonces are made from.
        """
        self._documents = documents
        self._models = models
        self._memory = memory
        self._secret = secret

    def prepare(
        self,
        question: Question,
        found: Found,
        account: Account,
        generator: Generator,
        most_context_tokens: int | None = None,
    ) -> Prepared:
        """Return what the model is given.

        Args:
            question: of the caller.
            found: by the search.
            account: what was spent already.
            generator: who is to answer.
            most_context_tokens: for less context than the question asks for.

        Raises:
            BudgetTooSmallError: nothing fits the budget.
            PromptTooLongError: the question and what it brings along fill the window.
            InvalidRequestError: the model cannot do what is asked.
        """
        wish = _wish(question, generator, most_context_tokens)
        candidates = [generator]
        if question.budget.max_cost_usd is not None or question.budget.max_latency_ms is not None:
            candidates += self._cheaper(generator)
        history, warnings = _trim(question.history, generator)
        layout = self._lay_out(question, found, generator, history)
        needs = Needs(
            window={one.name: _window(one) for one in candidates},
            spent_usd=account.usd(),
            spent_seconds=account.seconds(),
            spent_steps=len(account.calls),
            has_fixed_answer=question.has_fixed_answer,
        )
        fill = partial(_fill, question, found, wish, candidates, needs, warnings)
        # A prompt that lost its oldest turns begins otherwise than before in any case.
        recalled = () if warnings else self._recall(question, generator)
        recalling = replace(layout, exchanges=recalled)
        if recalling.recalled and recalling.is_worth_recalling(wish.context_tokens):
            with suppress(BudgetTooSmallError, PromptTooLongError):
                prepared = fill(recalling)
                if CONTEXT not in prepared.plan.given_up:
                    return prepared
        return fill(layout)

    def leaves_an_answer(
        self, question: Question, account: Account, generator: Generator, reply_tokens: int
    ) -> bool:
        """Tell whether the budget has room for a short call and the answer after it.

        Args:
            question: of the caller.
            account: what was spent already.
            generator: of both.
            reply_tokens: most of the short call, which reads no more than the answer does.
        """
        budget = question.budget
        if budget.max_steps is not None and budget.max_steps < len(account.calls) + 2:
            return False
        if budget.max_cost_usd is None and budget.max_latency_ms is None:
            return True
        wish = _wish(question, generator, None)
        history, _ = _trim(question.history, generator)
        nonce = make_nonce(self._secret, question.collection)
        fixed = _count(generator, write_prompt(question.text, (), history, (), nonce), wish)
        tokens = 2 * fixed + LEAST_CONTEXT_TOKENS, reply_tokens + wish.completion_tokens
        left = account.seconds_left()
        if left is not None and generator.rates and generator.rates.seconds(*tokens) > left:
            return False
        return account.allows(generator, *tokens)

    def seconds_to_read(
        self, question: Question, found: Found, account: Account, generator: Generator
    ) -> float | None:
        """Return how long the embedder may read sentences beside the answer; None: any time."""
        left = account.seconds_left()
        if left is None:
            return None
        if generator.rates is None:
            return READING_SHARE * left
        context_tokens = sum(hit.chunk.token_count for hit in found.result.hits)
        if question.packing.max_tokens is not None:
            context_tokens = min(context_tokens, question.packing.max_tokens)
        answer_room = _wish(question, generator, None).answer_room
        return left - generator.rates.seconds(context_tokens, answer_room)

    def read_sentences(self, found: Found, is_over: Callable[[], bool]) -> None:
        """Let the embedder read the sentences of the hits, until nobody waits for it any more.

        Raises:
            EmbedderFailedError: the embedder fails.
        """
        chunks = [hit.chunk for hit in found.result.hits]
        try:
            found.ranker.read(found.query, chunks, is_over)
        finally:
            self._documents.forget_late_vectors({(one.document_id, one.revision) for one in chunks})

    def _lay_out(
        self, question: Question, found: Found, generator: Generator, history: Sequence[Turn]
    ) -> Layout:
        """Return the layout of a prompt without the passages of earlier turns."""
        return Layout(
            documents=self._documents,
            hits=found.result.hits,
            count_tokens=_counter(generator, found.embedder),
            policy=question.packing,
            ranker=found.ranker,
            query=found.query,
            nonce=make_nonce(self._secret, question.collection),
            question=question.text,
            history=history,
            exchanges=_pair(history),
            is_json=question.sampling.is_json,
        )

    def _recall(self, question: Question, generator: Generator) -> tuple[Exchange, ...]:
        """Return the earlier turns with their passages, if all of these still answer."""
        if not generator.uses_tags:
            return ()
        exchanges = self._memory.recall(question.scope, question.history)
        passages = [item.passage for exchange in exchanges for item in exchange.items]
        revisions = {(one.document_id, one.revision) for one in passages}
        return exchanges if all(self._documents.is_answering(*one) for one in revisions) else ()

    def _cheaper(self, generator: Generator) -> list[Generator]:
        """Return the generators whose tokens cost less, the dearest of them first."""
        price = generator.price
        if price is None:
            return []
        others = [self._models.get(name) for name in self._models.names()]
        cheaper = [
            (other.price.prompt, other)
            for other in others
            if other.price is not None
            and other.price.prompt <= price.prompt
            and other.price.completion < price.completion
        ]
        return [one for _, one in sorted(cheaper, key=lambda pair: -pair[0])]


def _fill(
    question: Question,
    found: Found,
    wish: Plan,
    candidates: Sequence[Generator],
    needs: Needs,
    warnings: list[str],
    layout: Layout,
) -> Prepared:
    """Pack as much into a layout as the plan allows."""
    items, packing = layout.pack(wish.context_tokens)
    fixed = layout.write(())
    needs = replace(
        needs,
        fixed_tokens={one.name: _count(one, fixed, wish) for one in candidates},
        context_tokens=packing.tokens_after,
    )
    plan = make_plan(wish, candidates[1:], needs, question.budget)
    if plan.context_tokens is not None and plan.context_tokens < packing.tokens_after:
        items, packing = layout.pack(plan.context_tokens + num_tokens(layout.recalled))
    messages = layout.write(items)
    for _ in range(NUM_TRIES):
        excess = _excess(plan, messages)
        if excess <= 0 or not items:
            break
        smaller = max(1, packing.tokens_after - excess)
        items, packing = layout.pack(smaller + num_tokens(layout.recalled))
        messages = layout.write(items)
    sampling = replace(question.sampling, max_tokens=plan.answer_tokens)
    if plan.samples > 1:
        if sampling.temperature == 0:
            note = f"Samples at temperature 0 would all be the same: it was {SAMPLE_TEMPERATURE}."
            warnings = [*warnings, note]
        temperature = sampling.temperature or SAMPLE_TEMPERATURE
        sampling = replace(sampling, num_choices=plan.samples, temperature=temperature)
    context = [*layout.recalled, *items]
    return Prepared(
        plan=plan,
        task=Task(question.text, context, messages, sampling, found.embedder, plan.thinking),
        packing=packing,
        exchanges=layout.exchanges,
        items=items,
        nonce=layout.nonce,
        prompt_tokens=_count(plan.generator, messages, plan),
        warnings=warnings,
    )


def _wish(question: Question, generator: Generator, most_context_tokens: int | None) -> Plan:
    """Return the plan that was asked for."""
    policy = question.profile.answering
    thinking = to_thinking(policy.thinking)
    given_up: tuple[str, ...] = ()
    if thinking is not None and not generator.can_think:
        if thinking.is_on and generator.name == policy.strong_model:
            given_up = ("thinking",)  # nobody who asks knows which question is difficult
        elif thinking.is_on:
            raise InvalidRequestError(
                f"The model {generator.name!r} cannot be told to think. Set SERVING_LLM_THINKING, "
                "or `thinking` of its backend.",
                "suffice.thinking",
            )
        thinking = None
    limits = [limit for limit in (question.packing.max_tokens, most_context_tokens) if limit]
    answer_tokens = question.sampling.max_tokens
    if generator.max_answer_tokens is not None and not question.has_fixed_answer:
        answer_tokens = generator.max_answer_tokens
    return Plan(
        generator=generator,
        thinking=thinking,
        samples=policy.samples,
        verify=policy.verify,
        answer_tokens=answer_tokens,
        num_choices=question.num_choices,
        context_tokens=min(limits, default=None),
        given_up=given_up,
    )


def _pair(history: Sequence[Turn]) -> tuple[Exchange, ...]:
    """Return the exchanges of a history whose passages nobody remembers.

    None, unless questions and answers take turns in it.
    """
    turns = [turn for turn in history if turn.role != "system" and turn.text.strip()]
    questions, answers = turns[::2], turns[1::2]
    roles = {turn.role for turn in questions}, {turn.role for turn in answers}
    if len(questions) != len(answers) or roles != ({"user"}, {"assistant"}):
        return ()
    return tuple(
        Exchange(question.text, (), without_markers(answer.text))
        for question, answer in zip(questions, answers, strict=True)
    )


def _trim(history: Sequence[Turn], generator: Generator) -> tuple[Sequence[Turn], list[str]]:
    """Leave out the oldest turns where they fill the window, and say so."""
    counter, window = generator.counter, _window(generator)
    if counter is None or window is None or not history:
        return history, []

    def count(turns: Sequence[Turn]) -> int:
        text = "\n\n".join(turn.text for turn in turns)
        return counter.count_text(text) + TURN_TOKENS * len(turns)

    kept, note = trim(history, int(HISTORY_SHARE * window), count)
    return kept, [note] if note else []


def _window(generator: Generator) -> int | None:
    return None if generator.counter is None else generator.counter.window()


def _counter(generator: Generator, embedder: Embedder) -> Callable[[str], int]:
    if generator.counter is not None:
        return generator.counter.count_text
    return embedder.count_tokens


def _count(generator: Generator, messages: Sequence[Message], plan: Plan) -> int:
    """Count a prompt; one that no model reads has no tokens."""
    if generator.counter is None:
        return 0
    return generator.counter.count_messages(messages, plan.thinking)


def _excess(plan: Plan, messages: Sequence[Message]) -> int:
    """Return by how many tokens a prompt is too long; counted exactly where it is close."""
    counter = plan.generator.counter
    if counter is None or plan.prompt_tokens is None:
        return 0
    counted = counter.count_messages(messages, plan.thinking)
    if counted > plan.prompt_tokens - CLOSE_TOKENS:
        counted = counter.count_messages(messages, plan.thinking, exactly=True)
    return counted - plan.prompt_tokens
