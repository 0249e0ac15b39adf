"""A sweep: the evidence in the context of every question under each of many profiles, by replay.

What profiles share is done once: the ranking of all that search alike, the walk along it, and what
becomes of chunks with those near them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eval.gold import Gold
from eval.progress import Progress, silent
from eval.questions import Question
from eval.replay import Replay
from eval.snapshot import Snapshot
from eval.spans import RetrievedSpan, score_spans
from eval.walk import Amounts, Walk
from ingest.sections import make_heads_in
from retrieval.analyzer import get_analyzer
from retrieval.chunks import Chunk
from retrieval.profiles import RetrievalProfile
from retrieval.sentence_ranking import SentenceRanker, count_within
from retrieval.stitching import LabelTokens, Stitcher

Values = NDArray[np.float32]
"""(profiles, questions)."""


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
        EmbedderFailedError: a profile compares vectors of sentences, and the embedder failed.
    """
    rows: defaultdict[_Front, list[int]] = defaultdict(list)
    for row, profile in enumerate(profiles):
        rows[_Front.of(profile, profile.most_hits(None, default_k), replay)].append(row)
    amounts = {
        front: Amounts([profiles[row] for row in same], default_k) for front, same in rows.items()
    }
    order = [row for same in rows.values() for row in same]
    measuring = _Measuring(replay, snapshot, tokens)
    arrays = np.zeros((4, len(profiles), len(questions)), np.float32)
    for column, question in enumerate(questions):
        arrays[:, order, column] = measuring.measure(question, amounts).T
        progress("settings", column + 1, len(questions))
    return Sweep(*arrays)


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
        in_sentences: whether the sentences of the hits are packed.
    """

    profile: RetrievalProfile
    num_asked: int
    in_sentences: bool

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
        return cls(front, top_k if front.rerank else depth, profile.packing.sentences)


class _Measuring:
    """Measures question after question; what chunks say and how long they are is remembered."""

    def __init__(self, replay: Replay, snapshot: Snapshot, tokens: PromptTokens) -> None:
        self._replay = replay
        self._revisions = {one.name: (one.document_id, one.revision) for one in snapshot.documents}
        self._texts = {(one.document_id, one.revision): one.text for one in snapshot.documents}
        self._tokens = tokens
        heads_in = make_heads_in(lambda *revision: self._texts.get(revision))
        self._ranker = SentenceRanker(get_analyzer(snapshot.language), heads_in, replay.embedder)

    @cached_property
    def _chunks(self) -> Stitcher:
        return self._stitcher(self._replay.log.chunks.values())

    @cached_property
    def _sentences(self) -> Stitcher:
        chunks = self._replay.log.chunks.values()
        sentences = chain.from_iterable(map(self._ranker.sentences, chunks))
        return self._stitcher(sentences, are_cut=False)

    def _stitcher(self, chunks: Iterable[Chunk], *, are_cut: bool = True) -> Stitcher:
        texts = self._texts
        return Stitcher(
            chunks,
            lambda *revision: texts[revision].text if revision in texts else None,
            self._tokens.count,
            cache(self._tokens.label),
            are_cut=are_cut,
        )

    def measure(self, question: Question, amounts: Mapping[_Front, Amounts]) -> Values:
        """Return what each profile finds, in their order: (profiles, 4), see `Evidence`."""
        gold = Gold(question.facts, self._revisions)
        found = []
        for front, of_front in amounts.items():
            ranked = self._replay.rank(question.question_id, front.profile, front.num_asked)
            ranking = ranked.final_ranking
            chunks = [self._replay.log.chunks[one] for one in islice(ranking, front.num_asked)]
            scores = list(ranking.values())
            if front.in_sentences:
                found.append(self._measure_sentences(question, chunks, of_front, scores, gold))
            else:
                found.append(Walk(chunks, self._chunks, gold).measure(of_front, scores))
        return np.concatenate(found)

    def _measure_sentences(
        self,
        question: Question,
        chunks: Sequence[Chunk],
        amounts: Amounts,
        scores: Sequence[float],
        gold: Gold,
    ) -> Values:
        """Return what contexts of sentences hold: (profiles, 4); other hits, another order."""
        found = np.zeros((len(amounts.packings), 4), np.float32)
        query = self._replay.log.records[question.question_id].query
        rankings: defaultdict[tuple[int, float], list[int]] = defaultdict(list)
        for row, (num, packing) in enumerate(
            zip(amounts.num_hits(scores).tolist(), amounts.packings, strict=True)
        ):
            rankings[num, packing.sentence_dense_weight].append(row)
        for (num, dense_weight), rows in rankings.items():
            scored = self._ranker.score(query, chunks[:num], dense_weight)
            packings = [amounts.packings[row] for row in rows]
            sentence_scores = [score for score, _ in scored]
            walk = Walk([sentence for _, sentence in scored], self._sentences, gold)
            found[rows] = walk.fill(
                [count_within(sentence_scores, one.sentence_margin) for one in packings],
                [one.max_tokens for one in packings],
            )
        return found
