"""A sweep: the evidence in the context of every question under each of many profiles, by replay.

What profiles share is done once: the ranking of all that search alike, and the packing of all that
pack the same ranking, of which every number of chunks and every budget is a stage.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from eval.progress import Progress, silent
from eval.questions import Fact, Question
from eval.replay import Replay
from eval.snapshot import Snapshot
from eval.spans import RetrievedSpan, score_spans
from retrieval.chunks import Hit
from retrieval.packing import (
    MAX_BLANK,
    Excerpts,
    LabelTokens,
    Packer,
    PackingPolicy,
    Passage,
    TextOf,
)
from retrieval.profiles import RetrievalProfile

Values = NDArray[np.float32]
"""(profiles, questions)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the context of one question holds.

    Attributes:
        recall: share of the evidence, in [0, 1].
        sufficient: 1 when all facts are there, else 0.
        tokens: of the passages with their labels.
        num_chunks: in the passages.
    """

    recall: float
    sufficient: float
    tokens: int
    num_chunks: int


@dataclass(frozen=True, slots=True)
class Sweep:
    """What was measured; each array is (profiles, questions), see `Evidence`."""

    recall: Values
    sufficient: Values
    tokens: Values
    num_chunks: Values


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """How the tokens of a context are counted.

    Attributes:
        count: of a text, by the model that reads the prompt.
        label: that the prompt adds to each passage, by the id of its document.
        frame: of the prompt without passages, by its question.
    """

    count: Callable[[str], int]
    label: LabelTokens
    frame: Callable[[str], int]


def sweep(
    replay: Replay,
    questions: Sequence[Question],
    profiles: Sequence[RetrievalProfile],
    snapshot: Snapshot,
    tokens: PromptTokens,
    *,
    default_k: int,
    progress: Progress = silent,
) -> Sweep:
    """Measure all profiles on all questions.

    Args:
        replay: of a log with these questions.
        questions: answerable, anchored.
        profiles: to be measured.
        snapshot: that was searched.
        tokens: how they are counted.
        default_k: most hits of a profile that does not say.
        progress: told of `settings` after each question.

    Raises:
        EvalError: a profile looks deeper than the log was recorded.
    """
    measuring = _Measuring(replay, snapshot, tokens)
    stages = [_Stage.of(profile, default_k, replay) for profile in profiles]
    arrays = {
        name: np.zeros((len(profiles), len(questions)), np.float32)
        for name in ("recall", "sufficient", "tokens", "num_chunks")
    }
    for column, question in enumerate(questions):
        evidence = list(measuring.measure(question, stages))
        for name, values in arrays.items():
            values[:, column] = [getattr(one, name) for one in evidence]
        progress("settings", column + 1, len(questions))
    return Sweep(**arrays)


def sweep_plain(
    replay: Replay,
    questions: Sequence[Question],
    profile: RetrievalProfile,
    snapshot: Snapshot,
    tokens: PromptTokens,
    *,
    default_k: int,
) -> Sweep:
    """Measure a profile whose hits are not packed: each stands there as it is, with its label.

    Hits are taken until one does not fit into the budget of the profile; see `sweep` for the rest.
    """
    names = snapshot.names
    limit = profile.packing.max_tokens
    arrays = np.zeros((4, 1, len(questions)), np.float32)
    for column, question in enumerate(questions):
        top_k = profile.most_hits(None, default_k)
        spans: list[RetrievedSpan] = []
        num_tokens = 0
        for hit in replay.search(question.question_id, profile, top_k).hits:
            chunk = hit.chunk
            size = tokens.count(chunk.passage) + tokens.label(chunk.document_id)
            if limit is not None and num_tokens + size > limit:
                break
            num_tokens += size
            name = names[chunk.document_id]
            spans.append(RetrievedSpan(name, chunk.start, chunk.end, size))
        found = score_spans(question.facts, spans)
        arrays[:, 0, column] = (found.recall, found.sufficient, num_tokens, len(spans))
    return Sweep(*arrays)


@dataclass(frozen=True, slots=True)
class _Stage:
    """A profile, and the part of it that decides about the ranking.

    Attributes:
        front: a profile that ranks the same chunks, as many as are ever asked for.
        num_asked: hits to ask for. It decides what is reranked; without that all have the same.
    """

    profile: RetrievalProfile
    top_k: int
    front: RetrievalProfile
    num_asked: int

    @classmethod
    def of(cls, profile: RetrievalProfile, default_k: int, replay: Replay) -> "_Stage":
        top_k = profile.most_hits(None, default_k)
        depth = max(top_k, profile.num_candidates)
        # Those that search alike shall be equal, and found by a key that is quickly compared.
        front = RetrievalProfile(
            mode=profile.mode,
            num_candidates=depth,
            fusion=profile.fusion,
            dense_weight=profile.dense_weight,
            rrf_k=profile.rrf_k,
            rerank=profile.rerank and replay.reranking is not None,
        )
        return cls(profile, top_k, front, top_k if front.rerank else depth)

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for all that rank alike."""
        front = self.front
        return (
            front.mode,
            front.num_candidates,
            front.fusion,
            front.dense_weight,
            front.rrf_k,
            front.rerank,
            self.num_asked,
        )

    def num_hits(self, scores: Sequence[float]) -> int:
        """Return how many hits of a ranking the profile keeps."""
        profile = self.profile
        kept = self.top_k if profile.rule is None else min(profile.rule(scores), self.top_k)
        if profile.min_score is not None:
            kept = min(kept, sum(score >= profile.min_score for score in scores))
        return min(kept, len(scores))


class _Measuring:
    """Measures question after question; what chunks say and how long they are is remembered."""

    def __init__(self, replay: Replay, snapshot: Snapshot, tokens: PromptTokens) -> None:
        self._replay = replay
        self._names = snapshot.names
        texts = snapshot.texts
        self._text_of: TextOf = lambda document_id, revision: texts.get((document_id, revision))
        self._excerpts = Excerpts(self._text_of, tokens.count, cache(tokens.label))

    def measure(self, question: Question, stages: Sequence[_Stage]) -> Iterator[Evidence]:
        """Yield what each profile finds, in their order."""
        walks: dict[tuple[str, ...], _Walk] = {}
        rankings: dict[tuple[object, ...], tuple[list[float], _Walk]] = {}
        for stage in stages:
            if stage.key not in rankings:
                result = self._replay.search(question.question_id, stage.front, stage.num_asked)
                ids = tuple(hit.chunk.chunk_id for hit in result.hits)
                if ids not in walks:
                    walks[ids] = _Walk(question.facts, result.hits, self._excerpts, self._names)
                rankings[stage.key] = (list(result.final_ranking.values()), walks[ids])
            scores, walk = rankings[stage.key]
            yield walk.evidence(stage.num_hits(scores), stage.profile.packing)


@dataclass(frozen=True, slots=True)
class _State:
    """A context on its way."""

    passages: Sequence[Passage]
    evidence: Evidence


class _Walk:
    """The contexts that the first 0, 1, 2, ... hits make, without a budget and within each."""

    def __init__(
        self,
        facts: Sequence[Fact],
        hits: Sequence[Hit],
        excerpts: Excerpts,
        names: Mapping[str, str],
    ) -> None:
        self._facts = facts
        self._hits = hits
        self._names = names
        self._gold = [
            (span.document, span.start - MAX_BLANK, span.end + MAX_BLANK)
            for fact in facts
            for span in fact
            if span.start is not None and span.end is not None
        ]
        self._excerpts = excerpts
        self._packer = Packer(excerpts)
        self._states = [_State((), Evidence(0.0, 0.0, 0, 0))]
        self._within: dict[int, tuple[Packer, list[_State]]] = {}

    def evidence(self, num_hits: int, policy: PackingPolicy) -> Evidence:
        """Return what the context of the first hits holds, packed by a policy."""
        num_hits = min(num_hits, len(self._hits))
        if policy.expand:
            return self._expanded(num_hits, policy.max_tokens)
        self._advance(self._packer, self._states, num_hits)
        if policy.max_tokens is None:
            return self._states[num_hits].evidence
        return self._budgeted(num_hits, policy.max_tokens)

    def _budgeted(self, num_hits: int, max_tokens: int) -> Evidence:
        """Go on alone from where the budget is spent first; up to there nothing is different."""
        if max_tokens not in self._within:
            fitting = 0
            while fitting < num_hits and self._states[fitting + 1].evidence.tokens <= max_tokens:
                fitting += 1
            if fitting == num_hits:
                return self._states[num_hits].evidence
            packer = self._packer.fork(self._states[fitting].passages, max_tokens)
            self._within[max_tokens] = (packer, self._states[: fitting + 1])
        packer, states = self._within[max_tokens]
        self._advance(packer, states, num_hits)
        return states[num_hits].evidence

    def _advance(self, packer: Packer, states: list[_State], num_hits: int) -> None:
        while len(states) <= num_hits:
            if packer.is_full:
                states += [states[-1]] * (num_hits + 1 - len(states))
                return
            hit = self._hits[len(states) - 1]
            before = packer.passages
            packer.add(hit)
            if packer.passages is before:  # dropped
                states.append(states[-1])
            else:
                states.append(_State(packer.passages, self._next(packer, hit, states[-1].evidence)))

    def _next(self, packer: Packer, hit: Hit, before: Evidence) -> Evidence:
        """Measure a context with one more hit."""
        if self._may_hold(hit):
            recall, sufficient = self._score(packer.passages)
        else:
            recall, sufficient = before.recall, before.sufficient
        return Evidence(recall, sufficient, packer.num_tokens, before.num_chunks + 1)

    def _may_hold(self, hit: Hit) -> bool:
        """Tell whether a chunk, with the space up to its neighbours, may hold evidence."""
        chunk = hit.chunk
        name = self._names[chunk.document_id]
        return any(
            document == name and chunk.start < end and start < chunk.end
            for document, start, end in self._gold
        )

    def _expanded(self, num_hits: int, max_tokens: int | None) -> Evidence:
        packer = Packer(self._excerpts, max_tokens)
        for hit in self._hits[:num_hits]:
            packer.add(hit)
        packer.expand()
        recall, sufficient = self._score(packer.passages)
        num_chunks = sum(len(one.hits) for one in packer.passages)
        return Evidence(recall, sufficient, packer.num_tokens, num_chunks)

    def _score(self, passages: Sequence[Passage]) -> tuple[float, float]:
        spans = [
            RetrievedSpan(self._names[one.document_id], one.start, one.end, one.num_tokens)
            for one in passages
        ]
        scores = score_spans(self._facts, spans)
        return scores.recall, scores.sufficient
