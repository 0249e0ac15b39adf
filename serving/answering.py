"""Question in, cited answer out: rewrite, search, prepare, generate, cite."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import cache
from threading import Event

from retrieval.analyzer import get_analyzer
from retrieval.errors import EmbedderFailedError
from retrieval.packing import PackingPolicy
from serving.account import Account
from serving.answer_language import differs
from serving.calls import REPLY_TOKENS, Calls
from serving.citations import Citation, Locator, cite, without_indexes, without_lists
from serving.context import Context, Documents
from serving.conversation import (
    QUERY_SCHEMA,
    Query,
    build_rewriting,
    is_follow_up,
    parse_rewriting,
    rewrite,
)
from serving.drafts import Draft, most_common
from serving.errors import BudgetTooSmallError, PromptTooLongError, ServingError
from serving.finding import Find, Found
from serving.generation import Delta, Generator, Turn
from serving.grounding import (
    NO_TIME,
    Grounded,
    SentenceSupport,
    Support,
    is_grounded,
    judge_support,
)
from serving.injection import score_instructions
from serving.memory import ConversationMemory, Exchange
from serving.models import Models
from serving.preparation import Prepared, Preparer
from serving.profiles import Rewriting, Verification
from serving.question import Question
from serving.refusals import no_answer
from serving.stages import Stages
from serving.verification import (
    VERDICT_SCHEMA,
    Verdict,
    build_verification,
    drop_unsupported,
    overrule,
    parse_verdict,
    support_share,
)

# Questions at a time of which the embedder reads sentences: it has the cores for no more, and those
# that wait for it would take the threads of all other requests.
MAX_READERS = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """One of the answers to a question.

    Attributes:
        text: with markers such as `[3]`.
        finish_reason: `stop` or `length`.
        citations: one for each resolved marker, in order.
        sentences: whether each stands in what it cites.
        is_refusal: whether it stands in the place of JSON that was asked for.
    """

    text: str
    finish_reason: str
    citations: list[Citation]
    sentences: list[SentenceSupport]
    is_refusal: bool


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What is known when an answer is complete.

    Attributes:
        answers: as many as were asked for.
        question: that was asked.
        query: what was searched for, and why.
        found: by the search.
        prepared: what the model was given; None: no model was asked.
        account: of the calls.
        warnings: what was done otherwise than asked, and why.
        timings: seconds of each stage.
    """

    answers: list[Answer]
    question: Question
    query: Query
    found: Found
    prepared: Prepared | None
    account: Account
    warnings: list[str]
    timings: Mapping[str, float]

    @property
    def grounded(self) -> Grounded:
        """Whether all answers stand in the documents."""
        return is_grounded(self._sentences)

    @property
    def abstained(self) -> bool:
        """Whether the answers state nothing, such as those that the documents have none."""
        return all(one.support is Support.NO_CLAIM for one in self._sentences)

    @property
    def _sentences(self) -> list[SentenceSupport]:
        return [one for answer in self.answers for one in answer.sentences]

    @property
    def answered_by(self) -> str | None:
        """The model that wrote the answer; None: no model was asked."""
        if self.prepared is None:
            return None
        return self.account.answered_by(self.prepared.plan.generator.name)


@dataclass(slots=True)
class _Run:
    """One answer under way; see `Conclusion`.

    Attributes:
        packing: as the question asks for, as far as that can be had.
    """

    question: Question
    account: Account
    query: Query
    is_remembered: bool
    packing: PackingPolicy
    found: Found | None = None
    prepared: Prepared | None = None
    sentences: list[list[SentenceSupport]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    stages: Stages = field(default_factory=Stages)

    @property
    def calls(self) -> Calls:
        """The calls of models."""
        return Calls(self.account, self.warnings)

    @property
    def known(self) -> Found:
        """What was found; only after the search."""
        if self.found is None:
            raise TypeError("nothing was searched yet")
        return self.found

    @property
    def ready(self) -> Prepared:
        """What the model is given; only after the preparation."""
        if self.prepared is None:
            raise TypeError("nothing was prepared yet")
        return self.prepared

    @property
    def context(self) -> Context:
        """The passages that answers may cite; none before the preparation."""
        return () if self.prepared is None else self.prepared.task.context


class Answerer:
    """Answers questions from documents."""

    def __init__(self, documents: Documents, find: Find, models: Models, secret: bytes) -> None:
        """Set up.

        Args:
            documents: that answers may rest on.
            find: searches them; called in a thread.
            models: that may answer.
            secret: that fences are made from; the same for as long as prompts are to share a
                beginning.
        """
        self._documents = documents
        self._find = find
        self._models = models
        self._memory = ConversationMemory()
        self._preparer = Preparer(documents, models, self._memory, secret)
        self._readers = asyncio.Semaphore(MAX_READERS)

    async def answer(
        self, question: Question, account: Account, *, is_remembered: bool = True
    ) -> AsyncGenerator[Delta | Conclusion, None]:
        """Yield the answers in pieces, then their Conclusion.

        Args:
            question: of the caller.
            account: that the calls of models are entered in, however the answer ends.
            is_remembered: whether a turn may follow, so that its passages are kept for that.
        """
        as_it_is = Query(question.text, "none", "There are no earlier turns.")
        run = _Run(question, account, as_it_is, is_remembered, question.packing)
        try:
            async with aclosing(self._answer(run)) as events:
                async for event in events:
                    yield event
        finally:
            run.stages.end(
                {
                    "model": account.answered_by() or "none",
                    "prompt_tokens": account.usage().prompt_tokens,
                    "completion_tokens": account.usage().completion_tokens,
                    "usd": account.usd(),
                }
            )

    async def _answer(self, run: _Run) -> AsyncGenerator[Delta | Conclusion, None]:
        question = run.question
        policy = question.profile.answering
        if policy.verify is not Verification.OFF and policy.verifier is not None:
            self._models.get(policy.verifier)  # before anything is paid for
        run.query = await self._rewrite(run)
        with run.stages.stage("retrieval"):
            async with run.account.time_limit():
                run.found = await asyncio.to_thread(self._find, question, run.query.text)
        run.warnings += [*run.found.result.warnings, *question.warnings]
        if question.standing is not None and not question.standing.is_certified:
            run.warnings.append(question.standing.warning(question.profile_name))
        if _abstains(question, run.found):
            refusal = no_answer(question.text, question.history)
            drafts = [Draft(refusal, refusal, "stop")] * question.num_choices
            run.sentences = [[] for _ in drafts]
            for choice in range(question.num_choices):
                yield Delta(refusal, choice, is_refusal=question.sampling.is_json)
        else:
            async with aclosing(self._write(run)) as events:
                async for event in events:
                    if isinstance(event, Delta):
                        yield event
                    else:
                        drafts = event
        yield await asyncio.to_thread(self._conclude, run, drafts)

    async def close(self) -> None:
        """Close the connections to the models; called in the event loop that used them."""
        await self._models.close()

    async def _rewrite(self, run: _Run) -> Query:
        """Return the query for a question, which may refer to earlier turns."""
        question = run.question
        policy = question.profile.answering
        if policy.rewrite is Rewriting.OFF or not question.history:
            return run.query
        generator = self._models.get(policy.model)
        if not await asyncio.to_thread(is_follow_up, question.text, question.history):
            return replace(run.query, reason="The question stands alone.")
        has_room = False
        if policy.rewrite is Rewriting.MODEL and generator.uses_tags:
            async with run.account.time_limit():
                has_room = await asyncio.to_thread(
                    self._preparer.leaves_an_answer, question, run.account, generator, REPLY_TOKENS
                )
        if has_room:
            try:
                with run.stages.stage("rewriting"):
                    messages = build_rewriting(question.text, question.history)
                    reply = await run.calls.complete(generator, "rewrite", messages, QUERY_SCHEMA)
                return await asyncio.to_thread(
                    parse_rewriting, reply, question.text, question.history
                )
            except ServingError as error:
                run.warnings.append(
                    f"The question was rewritten by rules, not the model: {error.public}"
                )
        return await asyncio.to_thread(rewrite, question.text, question.history)

    def _route(self, question: Question, found: Found) -> Generator:
        """Return who answers: the strong model where the question is difficult."""
        policy = question.profile.answering
        is_far = _is_below(policy.strong_below, question, found)
        is_long = policy.strong_from_tokens is not None and (
            found.embedder.count_tokens(question.text) >= policy.strong_from_tokens
        )
        is_difficult = policy.strong_model is not None and (is_far or is_long)
        return self._models.get(policy.strong_model if is_difficult else policy.model)

    async def _write(self, run: _Run) -> AsyncGenerator[Delta | list[Draft], None]:
        """Yield the answers in pieces, then as drafts."""
        generator = self._route(run.question, run.known)
        with run.stages.stage("preparation"):
            await self._read_sentences(run, generator)
            run.prepared = await self._prepare(run, generator)
        policy = run.question.profile.answering
        strong = policy.strong_model if policy.escalate else None
        plan = run.prepared.plan
        is_chosen = plan.samples > 1 or strong is not None
        is_open = not is_chosen and plan.verify is not Verification.DROP
        if not is_open and run.question.sampling.top_logprobs is not None:
            run.warnings.append("An answer that is chosen or checked has no log probabilities.")
        drafts: list[Draft] = []
        with run.stages.stage("generation"):
            async with aclosing(self._generate(run, "answer")) as events:
                async for event in events:
                    if not isinstance(event, Delta):
                        drafts = event
                    elif is_open:
                        yield event
                    elif event.thought and not is_chosen:
                        yield replace(event, text="", logprobs=None)
        with run.stages.stage("judgement"):
            drafts = await self._judge(run, drafts, strong)
        if not is_open:
            for choice, draft in enumerate(drafts):
                yield Delta(draft.text, choice, draft.thought if is_chosen else "")
        yield drafts

    async def _read_sentences(self, run: _Run, generator: Generator) -> None:
        """Let the embedder read what the hits say; where it cannot in time, words alone count."""
        if not run.packing.sentence_dense_weight:
            return
        seconds = self._preparer.seconds_to_read(run.question, run.known, run.account, generator)
        is_over = Event()
        try:
            async with asyncio.timeout(seconds), self._readers:
                await asyncio.sleep(0)  # nothing is begun when the time is over
                await asyncio.to_thread(self._preparer.read_sentences, run.known, is_over.is_set)
        except TimeoutError:
            doubt = "max_latency_ms leaves no time for their vectors."
        except EmbedderFailedError as error:
            doubt = error.public
        else:
            return
        finally:
            is_over.set()
        run.packing = run.packing.model_copy(update={"sentence_dense_weight": 0})
        run.warnings.append(f"Sentences were chosen by their words alone: {doubt}")

    async def _prepare(
        self, run: _Run, generator: Generator, most_context_tokens: int | None = None
    ) -> Prepared:
        async with run.account.time_limit():
            prepared = await asyncio.to_thread(
                self._preparer.prepare,
                replace(run.question, packing=run.packing),
                run.known,
                run.account,
                generator,
                most_context_tokens,
            )
        # The strong model, or half a context, may be prepared with the same notes.
        run.warnings += [one for one in prepared.warnings if one not in run.warnings]
        return prepared

    async def _generate(self, run: _Run, purpose: str) -> AsyncGenerator[Delta | list[Draft], None]:
        """Yield what the model writes; a prompt that it finds too long is cut once."""
        prepared = run.ready
        has_started = False
        try:
            async with aclosing(run.calls.write(prepared, purpose)) as events:
                async for event in events:
                    has_started = True
                    yield event
            return
        except PromptTooLongError as error:
            if has_started or not prepared.items:
                raise
            run.warnings.append(
                f"The model found the prompt too long, half the context it got: {error}"
            )
        half = max(1, prepared.packing.tokens_after // 2)
        run.prepared = await self._prepare(run, prepared.plan.generator, half)
        async with aclosing(run.calls.write(run.prepared, purpose)) as events:
            async for event in events:
                yield event

    async def _escalate(self, run: _Run, strong: str, drafts: list[Draft]) -> list[Draft]:
        """Let the strong model answer, if the budget allows; otherwise the drafts stand."""
        weak, told = run.prepared, list(run.warnings)
        better = drafts
        try:
            run.prepared = await self._prepare(run, self._models.get(strong))
            if run.prepared.plan.generator.name != strong:  # one that costs less would stand in
                raise BudgetTooSmallError("the budget has no room for it")
            async with aclosing(self._generate(run, "escalate")) as events:
                async for event in events:
                    if not isinstance(event, Delta):
                        better = event
            if run.account.is_late():  # it was cut, or nobody can judge it any more
                raise BudgetTooSmallError("max_latency_ms passed meanwhile")
        except ServingError as error:
            run.prepared = weak  # what stands cites its passages
            run.warnings[:] = told
            run.warnings.append(
                f"The strong model was not asked, or did not answer: {error.public}"
            )
            return drafts
        return better

    async def _judge(self, run: _Run, drafts: list[Draft], strong: str | None) -> list[Draft]:
        """Choose among samples, ask the strong model where the answer is weak, and verify."""
        plan = run.ready.plan
        drafts = await asyncio.to_thread(_choose_and_judge, run, drafts)
        # Of several answers that all are given, one that stands is what the caller can take.
        is_weak = all(is_grounded(one) is not Grounded.YES for one in run.sentences)
        if strong is not None and plan.generator.name != strong and is_weak:
            drafts = await self._escalate(run, strong, drafts)
            drafts = await asyncio.to_thread(_choose_and_judge, run, drafts)
        if plan.verify is not Verification.OFF:
            run.sentences = await self._verify(run, drafts)
        if plan.verify is Verification.DROP and run.question.sampling.is_json:
            run.warnings.append("Statements are not dropped from JSON: see which are unsupported.")
        elif plan.verify is Verification.DROP:
            refusal = no_answer(run.question.text, run.question.history)
            pairs = zip(drafts, run.sentences, strict=True)
            drafts = [drop_unsupported(draft, sentences, refusal) for draft, sentences in pairs]
            run.sentences = await asyncio.to_thread(_judge, run, drafts)
        return drafts

    async def _verify(self, run: _Run, drafts: list[Draft]) -> list[list[SentenceSupport]]:
        """Let a model judge each claim by the passages it cites, as far as the budget goes."""
        policy = run.question.profile.answering
        plan = run.ready.plan
        name = policy.verifier or policy.strong_model or plan.generator.name
        verifier = self._models.get(name)
        if not verifier.uses_tags:
            return run.sentences
        items = {item.number: item for item in run.context}

        async def look(draft: Draft, sentence: SentenceSupport) -> SentenceSupport:
            if sentence.support is Support.NO_CLAIM:
                return sentence
            statement = draft.text[sentence.start : sentence.end]
            verdicts = []
            for number in sentence.numbers:
                messages = build_verification(statement, items[number].passage.prompt_text)
                reply = await run.calls.complete(verifier, "verify", messages, VERDICT_SCHEMA)
                verdicts.append(parse_verdict(reply))
                if verdicts[-1] is Verdict.SUPPORTED:
                    break
            return overrule(sentence, verdicts)

        looked = [list(sentences) for sentences in run.sentences]
        try:
            for draft, sentences in zip(drafts, looked, strict=True):
                for place, sentence in enumerate(sentences):
                    sentences[place] = await look(draft, sentence)
        except ServingError as error:
            run.warnings.append(f"Not every statement was verified: {error.public}")
        return looked

    def _conclude(self, run: _Run, drafts: list[Draft]) -> Conclusion:
        context = run.context
        locate = _locator(self._documents)
        answers = [
            Answer(
                draft.text,
                draft.finish_reason,
                cite(_with_markers_alone(run, draft), context, locate),
                sentences,
                is_refusal=run.prepared is None and run.question.sampling.is_json,
            )
            for draft, sentences in zip(drafts, run.sentences, strict=True)
        ]
        for item in context:
            if score_instructions(item.passage.text).is_suspicious:
                run.warnings.append(
                    f"Passage [{item.number}] from {item.filename} reads like instructions to a "
                    "model. It was given as data."
                )
        if any(one.reason == NO_TIME for sentences in run.sentences for one in sentences):
            run.warnings.append("max_latency_ms passed before all sentences were judged.")
        if unknown := sum(draft.num_unknown for draft in drafts):
            run.warnings.append(f"{unknown} markers named no passage and were left out.")
        run.warnings += _warn_of_language(run, drafts)
        if run.is_remembered:
            self._remember(run, drafts)
        return Conclusion(
            answers=answers,
            question=run.question,
            query=run.query,
            found=run.known,
            prepared=run.prepared,
            account=run.account,
            warnings=run.warnings,
            timings=run.stages.timings,
        )

    def _remember(self, run: _Run, drafts: list[Draft]) -> None:
        """Keep the passages for the next turn of the conversation."""
        if run.prepared is None or len(drafts) > 1 or not run.prepared.plan.generator.uses_tags:
            return
        question, draft = run.question, drafts[0]
        turns = [*question.history, Turn("user", question.text), Turn("assistant", draft.text)]
        exchange = Exchange(question.text, run.prepared.items, draft.raw)
        if run.prepared.exchanges or not any(turn.role == "user" for turn in question.history):
            exchanges = [*run.prepared.exchanges, exchange]
            self._memory.remember(question.scope, turns, exchanges)


def _locator(documents: Documents) -> Locator:
    """Return what tells places in documents; it reads each of them once."""
    text_of = cache(documents.revision_text)

    def locate(document_id: str, revision: str, offset: int) -> tuple[int | None, str | None]:
        text = text_of(document_id, revision)
        return (None, None) if text is None else (text.page_at(offset), text.place_at(offset))

    return locate


def _warn_of_language(run: _Run, drafts: list[Draft]) -> list[str]:
    """Say so where a model surely answered in another language than it was asked in.

    A refusal is in a language that it was told to use, and JSON may hold quotes alone.
    """
    question = run.question
    if run.prepared is None or not run.ready.plan.generator.uses_tags or question.sampling.is_json:
        return []
    told = [turn.text for turn in question.history if turn.role != "assistant"]
    for draft, sentences in zip(drafts, run.sentences, strict=True):
        has_claim = any(one.support is not Support.NO_CLAIM for one in sentences)
        if has_claim and (languages := differs(draft.text, question.text, told)):
            return [
                "The answer seems to be in {}, and the question in {}. Name the language in the "
                "question, or ask another model.".format(*languages)
            ]
    return []


def _abstains(question: Question, found: Found) -> bool:
    """Tell whether what was found is too little to ask anybody."""
    threshold = question.profile.answering.abstain_below
    return not found.result.hits or _is_below(threshold, question, found)


def _is_below(threshold: float | None, question: Question, found: Found) -> bool:
    """Tell whether even the best hit is less relevant, if that can be compared with a threshold."""
    if threshold is None or found.result.is_degraded:
        return False
    best = found.relevance(question.profile)
    return best is None or best < threshold


def _choose_and_judge(run: _Run, drafts: list[Draft]) -> list[Draft]:
    """Return what is left of the drafts, whose sentences are judged."""
    chosen = [_choose(run, drafts)] if run.ready.plan.samples > 1 else drafts
    run.sentences = _judge(run, chosen)
    return chosen


def _choose(run: _Run, drafts: list[Draft]) -> Draft:
    """Return the answer that most samples agree on, or else the best grounded one."""
    drafts = [draft for draft in drafts if draft.text.strip()] or drafts
    common = most_common([draft.text for draft in drafts])
    if common is not None:
        return drafts[common]
    shares = [support_share(sentences) for sentences in _judge(run, drafts)]
    return drafts[shares.index(max(shares))]


def _judge(run: _Run, drafts: list[Draft]) -> list[list[SentenceSupport]]:
    found = run.known
    analyzer = get_analyzer(found.language)
    evidence = (run.context, analyzer, found.embedder)
    texts = [_with_markers_alone(run, draft) for draft in drafts]
    return [judge_support(text, *evidence, run.account.is_late) for text in texts]


def _with_markers_alone(run: _Run, draft: Draft) -> str:
    """Return an answer, character for character, in which nothing but markers looks like one."""
    blank = without_lists if run.question.sampling.is_json else without_indexes
    return blank(draft.text)
