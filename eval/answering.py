"""Answers as the service would give them, from replayed searches.

The code that serves also answers here: only the search is played back, and the models are asked
through `Asker`, so that settings which make the same prompt share its answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from eval.questions import Question
from eval.replay import Replay
from eval.snapshot import Snapshot
from eval.spans import RetrievedSpan
from ingest.sections import make_heads_in
from ingest.texts import CanonicalText
from retrieval.analyzer import get_analyzer
from retrieval.embedding import Embedder
from retrieval.profiles import RetrievalProfile
from retrieval.sentence_ranking import HeadsIn, SentenceRanker
from serving import question as served
from serving.account import ANSWERS, Account
from serving.answering import Answerer, Conclusion
from serving.context import Context
from serving.finding import Found
from serving.generation import Sampling, TokenCounter
from serving.grounding import SentenceSupport, Support
from serving.models import Models
from serving.planning import Budget
from serving.profiles import AnsweringProfile, AnswerPolicy
from serving.tokens import Usage

# A server that counts exactly reads at least this share of what was sent, but for a few tokens at
# the seams of texts that were counted apart.
EXACT_SHARE = 0.98
SEAM_TOKENS = 8
# A count by bytes is rather too high: of English by half, of code hardly.
ESTIMATED_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Setting:
    """What is tried.

    Attributes:
        cutting: number of the way the documents are cut, from 0: that of its replay.
        profile: how they are searched and packed; one that says so also how to answer.
    """

    cutting: int
    profile: RetrievalProfile


@dataclass(frozen=True, slots=True)
class Serving:
    """What the service that is imitated answers with.

    Attributes:
        models: that may answer, see `Asker`.
        policy: of answers, for profiles that have none.
        embedder: of the collection.
        language: of the collection.
        default_k: most hits of a profile that does not say.
        max_answer_tokens: longest answer.
        max_context_tokens: of a profile that does not say; None: any.
        collection: whose name and secret fences are made from.
        secret: likewise.
        seed: for models whose answers can be repeated.
    """

    models: Models
    policy: AnswerPolicy
    embedder: Embedder
    language: str
    default_k: int
    max_answer_tokens: int
    max_context_tokens: int | None = None
    collection: str = "default"
    secret: bytes = b""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """An answer, and what it was written from.

    Attributes:
        text: with markers such as `[3]`; empty if the model wrote none.
        context: the passages it may rest on.
        spans: where each stands in its document, by its number.
        cited: numbers of the passages that it names, each once.
        sentences: of the text, with the passages each of them rests on.
        num_sent: tokens of the prompt by our count; 0: no model read it.
        usage: tokens of all calls.
        usd: what all calls cost, or would; None: nothing is known of the price.
        num_read: tokens of the prompt that the model has read if these are fewer than were sent,
            because its server cuts prompts without a word; None: all.
        given_up: what was asked for and did not fit into the model's window, such as `context`.
    """

    text: str
    context: Context
    spans: Mapping[int, RetrievedSpan]
    cited: tuple[int, ...]
    sentences: tuple[SentenceSupport, ...]
    num_sent: int
    usage: Usage
    usd: float | None
    num_read: int | None
    given_up: tuple[str, ...]

    @property
    def abstained(self) -> bool:
        """Whether it says nothing but that there is no answer."""
        claims = [one for one in self.sentences if one.support is not Support.NO_CLAIM]
        return bool(self.text.strip()) and not claims

    @property
    def cited_spans(self) -> list[RetrievedSpan]:
        """Where the cited passages stand."""
        return [self.spans[number] for number in self.cited]


class ReplayAnswerer:
    """Answers recorded questions under any setting."""

    def __init__(
        self,
        replays: Sequence[Replay],
        questions: Iterable[Question],
        snapshot: Snapshot,
        filenames: Mapping[str, str],
        serving: Serving,
    ) -> None:
        """Set up.

        Args:
            replays: of the searches, for each way to cut the documents.
            questions: that were recorded.
            snapshot: that was searched.
            filenames: of its documents, by id.
            serving: what answers.
        """
        self.serving = serving
        self._names = snapshot.names
        self._ids = {question.text: question.question_id for question in questions}
        documents = _SnapshotDocuments(snapshot, filenames)
        heads_in = make_heads_in(documents.revision_text)
        finds = [_Playback(replay, self._ids, serving, heads_in) for replay in replays]
        self._answerers = [
            Answerer(documents, find, serving.models, serving.secret) for find in finds
        ]

    async def answer(self, text: str, setting: Setting) -> GivenAnswer:
        """Answer a question.

        Args:
            text: of a recorded question.
            setting: to answer it with.

        Raises:
            MoneySpentError, ModelLostError: see `Asker.generate`.
            ServingError: nothing can be answered like this, as the service would say, too.
        """
        question = self._question(text, setting.profile)
        conclusion: Conclusion | None = None
        answerer = self._answerers[setting.cutting]
        async with aclosing(answerer.answer(question, Account(question.budget))) as events:
            async for event in events:
                if isinstance(event, Conclusion):
                    conclusion = event
        if conclusion is None:
            raise TypeError("an answer ended without a conclusion")
        return self._give(conclusion)

    def _question(self, text: str, profile: RetrievalProfile) -> served.Question:
        serving = self.serving
        if not isinstance(profile, AnsweringProfile):
            profile = AnsweringProfile(**profile.model_dump(), answering=serving.policy)
        max_tokens = profile.packing.max_tokens or serving.max_context_tokens
        return served.Question(
            text=text,
            history=(),
            collection=serving.collection,
            profile=profile,
            top_k=profile.most_hits(None, serving.default_k),
            where=None,
            packing=profile.packing.model_copy(update={"max_tokens": max_tokens}),
            sampling=Sampling(serving.max_answer_tokens, temperature=0.0, seed=serving.seed),
            budget=Budget(),
        )

    def _give(self, conclusion: Conclusion) -> GivenAnswer:
        (answer,) = conclusion.answers
        prepared, account = conclusion.prepared, conclusion.account
        context = () if prepared is None else prepared.task.context
        numbers = (int(citation.marker.strip("[]")) for citation in answer.citations)
        return GivenAnswer(
            text=answer.text,
            context=context,
            spans={
                item.number: RetrievedSpan(
                    self._names[item.passage.document_id],
                    item.passage.start,
                    item.passage.end,
                    item.passage.num_tokens,
                )
                for item in context
            },
            cited=tuple(dict.fromkeys(numbers)),
            sentences=tuple(answer.sentences),
            num_sent=0 if prepared is None else prepared.prompt_tokens,
            usage=account.usage(),
            usd=account.known_usd(),
            num_read=_num_read(conclusion),
            given_up=() if prepared is None else prepared.plan.given_up,
        )


class _SnapshotDocuments:
    """The documents of a snapshot, see `Documents`."""

    def __init__(self, snapshot: Snapshot, filenames: Mapping[str, str]) -> None:
        self._filenames = filenames
        self._texts = {(one.document_id, one.revision): one.text for one in snapshot.documents}

    def filenames(self, document_ids: Iterable[str]) -> Mapping[str, str]:
        """Return the names of documents by id."""
        return {one: self._filenames[one] for one in document_ids if one in self._filenames}

    def revision_text(self, document_id: str, revision: str) -> CanonicalText | None:
        """Return the canonical text of a revision."""
        return self._texts.get((document_id, revision))

    def is_answering(self, document_id: str, revision: str) -> bool:
        """Tell whether the snapshot has a revision."""
        return (document_id, revision) in self._texts

    def forget_late_vectors(self, revisions: Iterable[tuple[str, str]]) -> None:
        """Do nothing: no document leaves a snapshot."""


@dataclass(frozen=True, slots=True)
class _Playback:
    """Plays recorded searches back, see `Find`."""

    replay: Replay
    ids: Mapping[str, str]
    serving: Serving
    heads_in: HeadsIn

    def __call__(self, question: served.Question, query: str) -> Found:
        result = self.replay.search(self.ids[query], question.profile, question.top_k)
        embedder, language = self.serving.embedder, self.serving.language
        ranker = SentenceRanker(get_analyzer(language), self.heads_in, embedder)
        return Found(query, result, embedder, language, ranker)


def _num_read(conclusion: Conclusion) -> int | None:
    """Return how many tokens of the prompt were read, if that is not all of them."""
    prepared = conclusion.prepared
    calls = [call for call in conclusion.account.calls if call.purpose in ANSWERS]
    if prepared is None or not calls or calls[-1].is_estimated:
        return None
    read = calls[-1].usage.prompt_tokens
    least = _least_read(prepared.plan.generator.counter, prepared.prompt_tokens)
    return read if read < least else None


def _least_read(counter: TokenCounter | None, num_sent: int) -> float:
    """Return the tokens that a server reads at least, if it reads all that was sent."""
    if counter is None:
        return 0
    if counter.is_exact:
        return EXACT_SHARE * num_sent - SEAM_TOKENS
    return ESTIMATED_SHARE * num_sent
