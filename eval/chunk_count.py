"""A first hint how many chunks suffice, from retrieval alone; nothing about it is certified."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from eval.errors import NoQuestionsError
from eval.intervals import MeanInterval, cluster_t_interval
from eval.progress import Progress, silent
from eval.questions import Question
from eval.spans import RetrievedSpan, SpanScores, coverage_at, score_spans

MAX_K = 20
# How far the mean recall may stay below the best.
TOLERANCE = 0.03
COVERAGE_TOKENS = (256, 512, 1024, 2048, 4096, 8192)
NOTE = (
    "Uncertified hint: smallest_k was chosen and measured on the same questions, so its recall is "
    "likely overstated (winner's curse), and it is about retrieval, not about answers. Confirm it "
    "on questions that had no part in the choice."
)

Retrieve = Callable[[str, int], Sequence[RetrievedSpan]]
"""(question, top_k) -> at most top_k spans, best first."""


@dataclass(frozen=True, slots=True)
class ChunkCountPoint:
    """Means over the questions when `k` chunks are retrieved, all in [0, 1] but `tokens`.

    Attributes:
        recall: share of the evidence in the context (evidence coverage).
        sufficient: share of questions with all facts in the context.
        tokens: mean length of the context.
    """

    k: int
    recall: float
    precision: float
    iou: float
    fact_hit: float
    sufficient: float
    tokens: float


@dataclass(frozen=True, slots=True)
class ChunkCountReport:
    """The curve over k and the hint.

    Attributes:
        num_questions: answerable questions, which the means are over.
        points: for k = 1, 2, ...
        coverage: T -> mean Coverage@T, T in tokens.
        best_k: the smallest k with the highest mean recall.
        smallest_k: the smallest k with a mean recall at most `TOLERANCE` below that.
        default_k: the k that is served now.
        recall_difference: smallest_k minus best_k, a 95 % interval over clusters; None with fewer
            than two clusters.
    """

    num_questions: int
    points: tuple[ChunkCountPoint, ...]
    coverage: Mapping[int, float]
    best_k: int
    smallest_k: int
    default_k: int
    recall_difference: MeanInterval | None

    def tokens(self, k: int) -> float:
        """Return the mean length of a context of k chunks, in tokens."""
        return self.points[k - 1].tokens

    def share_saved(self, k: int) -> float:
        """Return which share of the context of k chunks smallest_k saves; below 0 if it is more."""
        return 1 - self.tokens(self.smallest_k) / self.tokens(k) if self.tokens(k) else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON types."""
        max_k = len(self.points)
        return {
            "certified": False,
            "note": NOTE,
            "num_questions": self.num_questions,
            "smallest_k": self.smallest_k,
            "best_k": self.best_k,
            "max_k": max_k,
            "default_k": self.default_k,
            "tolerance": TOLERANCE,
            "tokens_at_smallest_k": self.tokens(self.smallest_k),
            "tokens_at_default_k": self.tokens(self.default_k),
            "tokens_at_max_k": self.tokens(max_k),
            "share_saved_of_default_k": self.share_saved(self.default_k),
            "share_saved_of_max_k": self.share_saved(max_k),
            "recall_difference": self.recall_difference and asdict(self.recall_difference),
            "coverage": {str(max_tokens): value for max_tokens, value in self.coverage.items()},
            "points": [asdict(point) for point in self.points],
        }


def evaluate_chunk_count(
    questions: Sequence[Question],
    retrieve: Retrieve,
    max_k: int = MAX_K,
    *,
    default_k: int,
    progress: Progress = silent,
) -> ChunkCountReport:
    """Measure the evidence in the first 1, 2, ... max_k chunks of each answerable question.

    Each question is retrieved once: the first k of a ranking are what top_k = k would return.

    Args:
        questions: anchored.
        retrieve: the search to be judged.
        max_k: largest k, 1 or more.
        default_k: the k to compare with, from 1 to max_k.
        progress: told of `questions` after each.

    Raises:
        NoQuestionsError: no question is answerable.
        ValueError: default_k is out of its range.
    """
    if not 1 <= default_k <= max_k:
        raise ValueError(f"default_k is {default_k}, but must be from 1 to max_k = {max_k}")
    answerable = [question for question in questions if question.answerable]
    if not answerable:
        raise NoQuestionsError("No question is answerable from these documents.")
    curves = []
    for done, question in enumerate(answerable, start=1):
        curves.append(_curve(question, retrieve(question.text, max_k)[:max_k], max_k))
        progress("questions", done, len(answerable))
    return _report(answerable, curves, default_k)


@dataclass(frozen=True, slots=True)
class _Curve:
    """One question: scores and tokens for k = 1, 2, ..., and Coverage@T for each T."""

    scores: list[SpanScores]
    tokens: list[int]
    coverage: list[float]


def _curve(question: Question, ranking: Sequence[RetrievedSpan], max_k: int) -> _Curve:
    prefixes = [ranking[:k] for k in range(1, max_k + 1)]
    return _Curve(
        [score_spans(question.facts, prefix) for prefix in prefixes],
        [sum(span.token_count for span in prefix) for prefix in prefixes],
        [coverage_at(question.facts, ranking, max_tokens) for max_tokens in COVERAGE_TOKENS],
    )


def _report(
    questions: Sequence[Question], curves: Sequence[_Curve], default_k: int
) -> ChunkCountReport:
    weights = [question.weight for question in questions]
    points = tuple(_points(curves, weights))
    coverage = np.average([curve.coverage for curve in curves], axis=0, weights=weights)
    best = max(points, key=lambda point: point.recall)
    smallest = next(point for point in points if point.recall >= best.recall - TOLERANCE)
    differences = [
        curve.scores[smallest.k - 1].recall - curve.scores[best.k - 1].recall for curve in curves
    ]
    return ChunkCountReport(
        num_questions=len(questions),
        points=points,
        coverage=dict(zip(COVERAGE_TOKENS, coverage.tolist(), strict=True)),
        best_k=best.k,
        smallest_k=smallest.k,
        default_k=default_k,
        recall_difference=cluster_t_interval(
            differences, [question.cluster for question in questions]
        ),
    )


def _points(curves: Sequence[_Curve], weights: Sequence[float]) -> Iterator[ChunkCountPoint]:
    names = [field.name for field in fields(SpanScores)]
    for k in range(1, len(curves[0].scores) + 1):
        scores = [[getattr(curve.scores[k - 1], name) for name in names] for curve in curves]
        means = np.average(scores, axis=0, weights=weights).tolist()
        tokens = np.average([curve.tokens[k - 1] for curve in curves], weights=weights)
        yield ChunkCountPoint(k=k, tokens=float(tokens), **dict(zip(names, means, strict=True)))
