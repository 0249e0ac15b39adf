"""The hint is the smallest k that misses little of what more chunks would find."""

import json
from collections.abc import Sequence

import pytest

from eval.chunk_count import COVERAGE_TOKENS, evaluate_chunk_count
from eval.errors import NoQuestionsError
from eval.intervals import cluster_t_interval
from eval.questions import Question, Span
from eval.spans import RetrievedSpan

MAX_K = 6
TOKENS = 100
SIZE = 10


def asks(rank: int, *, cluster: str = "a", weight: float = 1.0) -> Question:
    """Make a question whose only evidence is the chunk at a rank, from 1; at 0 there is none."""
    span = Span("doc", "x" * SIZE, (rank - 1) * SIZE, rank * SIZE)
    facts = ((span,),) if rank else ()
    return Question(f"q{rank}", f"rank {rank}", "en", cluster, facts, (), "human", (), weight)


def retrieve(question: str, top_k: int) -> list[RetrievedSpan]:
    return [RetrievedSpan("doc", i * SIZE, (i + 1) * SIZE, TOKENS) for i in range(top_k)]


def test_points_are_means_over_answerable_questions() -> None:
    report = evaluate_chunk_count([asks(1), asks(2), asks(0)], retrieve, MAX_K, default_k=4)
    assert report.num_questions == 2
    assert [point.k for point in report.points] == [1, 2, 3, 4, 5, 6]
    assert [point.recall for point in report.points] == [1 / 2, 1, 1, 1, 1, 1]
    assert [point.sufficient for point in report.points] == [1 / 2, 1, 1, 1, 1, 1]
    assert [point.tokens for point in report.points] == [k * TOKENS for k in range(1, 7)]
    third = report.points[2]
    assert third.precision == pytest.approx(1 / 3)
    assert third.iou == pytest.approx(SIZE / (3 * SIZE + SIZE - SIZE))


def test_smallest_and_best_k() -> None:
    # Recall is 97/100 from k = 2 on and 1 from k = 5 on.
    questions = [asks(2)] * 97 + [asks(5)] * 3
    report = evaluate_chunk_count(questions, retrieve, MAX_K, default_k=4)
    assert (report.smallest_k, report.best_k) == (2, 5)
    questions = [asks(2)] * 96 + [asks(5)] * 4
    assert evaluate_chunk_count(questions, retrieve, MAX_K, default_k=4).smallest_k == 5


def test_tokens_saved() -> None:
    report = evaluate_chunk_count([asks(2)], retrieve, MAX_K, default_k=1)
    assert report.tokens(report.smallest_k) == 2 * TOKENS
    assert report.share_saved(MAX_K) == 1 - 2 / 6
    assert report.share_saved(report.default_k) == 1 - 2 / 1


def test_coverage_at_each_budget() -> None:
    report = evaluate_chunk_count([asks(2), asks(3)], retrieve, MAX_K, default_k=1)
    # 256 tokens hold two chunks of 100, 512 hold five.
    assert dict(report.coverage) == {256: 1 / 2, **dict.fromkeys(COVERAGE_TOKENS[1:], 1)}


def test_the_interval_is_over_clusters() -> None:
    questions = [asks(2, cluster=f"c{i}") for i in range(97)]
    questions += [asks(5, cluster="c0")] * 2 + [asks(5, cluster="c1")]
    report = evaluate_chunk_count(questions, retrieve, MAX_K, default_k=4)
    assert (report.smallest_k, report.best_k) == (2, 5)
    differences = [0.0] * 97 + [-1.0] * 3
    expected = cluster_t_interval(differences, [question.cluster for question in questions])
    assert report.recall_difference == expected


def test_weights_enter_the_means() -> None:
    questions = [asks(1, weight=3), asks(2)]
    report = evaluate_chunk_count(questions, retrieve, MAX_K, default_k=4)
    assert report.points[0].recall == 3 / (3 + 1)


def test_each_question_is_retrieved_once() -> None:
    calls: list[tuple[str, int]] = []

    def count(question: str, top_k: int) -> Sequence[RetrievedSpan]:
        calls.append((question, top_k))
        return retrieve(question, top_k)

    evaluate_chunk_count([asks(1), asks(0), asks(2)], count, MAX_K, default_k=4)
    assert calls == [("rank 1", MAX_K), ("rank 2", MAX_K)]


def test_short_and_long_rankings() -> None:
    short = evaluate_chunk_count([asks(1)], lambda _, __: retrieve("", 2), MAX_K, default_k=4)
    assert [point.tokens for point in short.points] == [100, 200, 200, 200, 200, 200]
    long = evaluate_chunk_count([asks(1)], lambda _, __: retrieve("", 99), MAX_K, default_k=4)
    assert long.coverage[8192] == 1
    assert long.tokens(MAX_K) == 600


def test_nothing_retrieved_saves_nothing() -> None:
    report = evaluate_chunk_count([asks(1)], lambda _, __: [], MAX_K, default_k=4)
    assert (report.smallest_k, report.points[0].recall, report.share_saved(MAX_K)) == (1, 0, 0)


def test_progress_after_each_question() -> None:
    steps: list[tuple[str, int, int]] = []
    evaluate_chunk_count(
        [asks(1), asks(2)],
        retrieve,
        MAX_K,
        default_k=4,
        progress=lambda *step: steps.append(step),
    )
    assert steps == [("questions", 1, 2), ("questions", 2, 2)]


def test_json_says_that_nothing_is_certified() -> None:
    report = evaluate_chunk_count([asks(2), asks(1, cluster="b")], retrieve, MAX_K, default_k=4)
    found = json.loads(json.dumps(report.to_json()))
    assert found["certified"] is False
    assert "winner's curse" in found["note"]
    assert found["smallest_k"] == found["best_k"] == 2
    assert found["tokens_at_smallest_k"] == 2 * TOKENS
    assert found["tokens_at_default_k"] == 4 * TOKENS
    assert found["tokens_at_max_k"] == MAX_K * TOKENS
    assert found["share_saved_of_default_k"] == 1 - 2 / 4
    assert found["recall_difference"] == {"mean": 0, "low": 0, "high": 0, "num_clusters": 2}
    assert list(found["coverage"]) == ["256", "512", "1024", "2048", "4096", "8192"]
    assert set(found["points"][0]) == {
        *("k", "recall", "precision", "iou", "fact_hit", "sufficient", "tokens"),
    }


def test_one_cluster_has_no_interval() -> None:
    report = evaluate_chunk_count([asks(2)], retrieve, MAX_K, default_k=4)
    assert report.to_json()["recall_difference"] is None


def test_only_unanswerable_questions() -> None:
    with pytest.raises(NoQuestionsError, match="No question is answerable"):
        evaluate_chunk_count([asks(0)], retrieve, MAX_K, default_k=4)


@pytest.mark.parametrize("default_k", [0, MAX_K + 1])
def test_default_k_must_be_on_the_curve(default_k: int) -> None:
    with pytest.raises(ValueError, match="must be from 1 to max_k = 6"):
        evaluate_chunk_count([asks(1)], retrieve, MAX_K, default_k=default_k)
