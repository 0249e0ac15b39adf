"""A sweep: the evidence in the context of every question under each of many profiles, by replay.

What profiles share is done once: the ranking of all that search alike, and each draft of a context
whatever rankings and budgets lead to it.
"""

import gc
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eval.progress import Progress, silent
from eval.questions import Fact, Question
from eval.replay import Replay
from eval.snapshot import Snapshot
from eval.spans import RetrievedSpan, SpanScores, score_spans
from retrieval.chunks import Chunk
from retrieval.packing import PackingPolicy, expand
from retrieval.profiles import RetrievalProfile
from retrieval.stitching import Draft, LabelTokens, Options, Stitcher

Values = NDArray[np.float32]
"""(profiles, questions)."""


class Evidence(NamedTuple):
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
    stages: defaultdict[_Front, list[_Stage]] = defaultdict(list)
    for row, profile in enumerate(profiles):
        top_k = profile.most_hits(None, default_k)
        stages[_Front.of(profile, top_k, replay)].append(_Stage(row, profile, top_k))
    arrays = np.zeros((4, len(profiles), len(questions)), np.float32)
    rows = [stage.row for same in stages.values() for stage in same]
    with _no_collection():
        for column, question in enumerate(questions):
            evidence = zip(*measuring.measure(question, stages), strict=True)
            arrays[:, rows, column] = np.array(list(evidence), np.float32)
            progress("settings", column + 1, len(questions))
    return Sweep(*arrays)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Look for no garbage meanwhile: a sweep makes no cycles, but so many objects that it slows."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


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


class _Front(NamedTuple):
    """What decides about a ranking.

    Attributes:
        profile: ranks the same chunks, as many as are ever asked for.
        num_asked: hits to ask for. It decides what is reranked; without that all have the same.
    """

    profile: RetrievalProfile
    num_asked: int

    @classmethod
    def of(cls, profile: RetrievalProfile, top_k: int, replay: Replay) -> "_Front":
        depth = max(top_k, profile.num_candidates)
        # Those that search alike shall be equal.
        front = RetrievalProfile(
            mode=profile.mode,
            num_candidates=depth,
            fusion=profile.fusion,
            dense_weight=profile.dense_weight,
            rrf_k=profile.rrf_k,
            rerank=profile.rerank and replay.reranking is not None,
        )
        return cls(front, top_k if front.rerank else depth)


class _Stage(NamedTuple):
    """A profile with its number, and the most hits that it returns."""

    row: int
    profile: RetrievalProfile
    top_k: int

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
        self._revisions = {one.name: (one.document_id, one.revision) for one in snapshot.documents}
        texts = snapshot.texts
        self._stitcher = _RememberingStitcher(
            lambda document_id, revision: texts.get((document_id, revision)),
            tokens.count,
            cache(tokens.label),
        )

    def measure(
        self, question: Question, stages: Mapping[_Front, Sequence[_Stage]]
    ) -> Iterator[Evidence]:
        """Yield what each profile finds, in their order."""
        self._stitcher.forget_drafts()
        gold = _Gold(question.facts, self._revisions)
        for front, same in stages.items():
            result = self._replay.search(question.question_id, front.profile, front.num_asked)
            walk = _Walk([hit.chunk for hit in result.hits], self._stitcher)
            scores = list(result.final_ranking.values())
            for stage in same:
                yield gold.evidence(walk.draft(stage.num_hits(scores), stage.profile.packing))


class _RememberingStitcher(Stitcher):
    """Makes each draft once: the same chunks make the same one in whatever order they come."""

    def forget_drafts(self) -> None:
        """Forget the drafts, but not what was counted."""
        self._drafts: dict[frozenset[str], Draft] = {}
        self._options: dict[tuple[Draft, str], Options] = {}

    def options(self, draft: Draft, chunk: Chunk) -> Options:
        """Return what can become of a draft, see `Stitcher`."""
        key = (draft, chunk.chunk_id)
        options = self._options.get(key)
        if options is None:
            options = self._options[key] = super().options(draft, chunk)
        return options

    def whole(self, draft: Draft, chunk: Chunk) -> Draft:
        """Add a whole chunk, see `Stitcher`."""
        chunk_ids = draft.chunk_ids | {chunk.chunk_id}
        whole = self._drafts.get(chunk_ids)
        if whole is None:
            whole = self._drafts[chunk_ids] = super().whole(draft, chunk)
        return whole


class _Walk:
    """The drafts that the first 0, 1, 2, ... hits make, without a budget and within each."""

    def __init__(self, chunks: Sequence[Chunk], stitcher: Stitcher) -> None:
        self._chunks = chunks
        self._stitcher = stitcher
        self._drafts = [Draft()]
        # Of these and all before; tokens may fall when a chunk fills the gap between two others.
        self._most_tokens = [0]
        self._within: dict[int, list[Draft]] = {}

    def draft(self, num_hits: int, policy: PackingPolicy) -> Draft:
        """Return what the first hits make, packed by a policy."""
        num_hits = min(num_hits, len(self._chunks))
        self._advance(self._drafts, num_hits)
        for draft in self._drafts[len(self._most_tokens) :]:
            self._most_tokens.append(max(self._most_tokens[-1], draft.num_tokens))
        draft = self._budgeted(num_hits, policy.max_tokens)
        if policy.expand:
            ranks = {chunk.chunk_id: rank for rank, chunk in enumerate(self._chunks)}
            draft = expand(self._stitcher, draft, ranks, policy.max_tokens)
        return draft

    def _budgeted(self, num_hits: int, max_tokens: int | None) -> Draft:
        """Go on alone from where the budget is spent first; up to there nothing is different."""
        if max_tokens is None or self._most_tokens[num_hits] <= max_tokens:
            return self._drafts[num_hits]
        if max_tokens not in self._within:
            num_fitting = bisect_right(self._most_tokens, max_tokens)
            self._within[max_tokens] = self._drafts[:num_fitting]
        drafts = self._within[max_tokens]
        self._advance(drafts, num_hits, max_tokens)
        return drafts[min(num_hits, len(drafts) - 1)]

    def _advance(self, drafts: list[Draft], num_hits: int, max_tokens: int | None = None) -> None:
        draft, options = drafts[-1], self._stitcher.options
        for chunk in self._chunks[len(drafts) - 1 : num_hits]:
            if draft.is_full:
                break
            draft = options(draft, chunk).within(max_tokens)
            drafts.append(draft)


class _Gold:
    """The evidence of a question, and what was found of it."""

    def __init__(self, facts: Sequence[Fact], revisions: Mapping[str, tuple[str, str]]) -> None:
        self._facts = facts
        self._places = [
            (span.document, (*revisions[span.document], span.start, span.end))
            for fact in facts
            for span in fact
            if span.document in revisions and span.start is not None and span.end is not None
        ]
        self._evidence: dict[Draft, Evidence] = {}
        self._scores: dict[tuple[RetrievedSpan, ...], SpanScores] = {}

    def evidence(self, draft: Draft) -> Evidence:
        """Return what a draft holds."""
        evidence = self._evidence.get(draft)
        if evidence is None:
            scores = self._score(draft)
            evidence = self._evidence[draft] = Evidence(
                scores.recall, scores.sufficient, draft.num_tokens, len(draft.chunk_ids)
            )
        return evidence

    def _score(self, draft: Draft) -> SpanScores:
        """Score the stretches that hold some of the evidence; the others do not matter."""
        spans = tuple(
            RetrievedSpan(document, one.start, one.end, one.num_tokens)
            for document, place in self._places
            for one in draft.stretches[draft.around(*place)]
        )
        scores = self._scores.get(spans)
        if scores is None:
            scores = self._scores[spans] = score_spans(self._facts, spans)
        return scores
