"""Whole clusters are drawn, the same ones each time."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from eval.questions import Question
from eval.split import split_by_cluster

QUESTION = Question("", "Why?", "", "", (), (), "human", (), 1.0)
CLUSTERS = st.lists(st.text(max_size=3), max_size=30)


def questions(clusters: list[str]) -> list[Question]:
    return [
        replace(QUESTION, question_id=str(number), cluster=cluster)
        for number, cluster in enumerate(clusters)
    ]


@given(CLUSTERS, st.integers(), st.floats(0.01, 0.99))
def test_clusters_stay_whole_and_no_side_is_empty(
    clusters: list[str], seed: int, share: float
) -> None:
    given_questions = questions(clusters)
    split = split_by_cluster(given_questions, seed, share)
    tune, certify = ({one.cluster for one in side} for side in (split.tune, split.certify))
    assert not tune & certify
    assert sorted((*split.tune, *split.certify), key=given_questions.index) == given_questions
    if len(set(clusters)) > 1:
        assert tune
        assert certify


@given(CLUSTERS, st.integers())
def test_side_does_not_depend_on_order(clusters: list[str], seed: int) -> None:
    split = split_by_cluster(questions(clusters), seed)
    backwards = split_by_cluster(questions(clusters)[::-1], seed)
    assert backwards.tune == split.tune[::-1]


def test_share_is_about_what_was_asked_for() -> None:
    split = split_by_cluster(questions([str(number) for number in range(2000)]))
    assert 0.37 < len(split.tune) / 2000 < 0.43  # 0.4, within 3 standard deviations of 0.011


def test_a_cluster_keeps_its_side_when_others_come() -> None:
    few = split_by_cluster(questions([str(number) for number in range(50)]))
    many = split_by_cluster(questions([str(number) for number in range(100)]))
    assert {one.cluster for one in few.tune} <= {one.cluster for one in many.tune}


def test_another_seed_draws_anew() -> None:
    given_questions = questions([str(number) for number in range(100)])
    assert split_by_cluster(given_questions, 0) != split_by_cluster(given_questions, 1)


def test_one_cluster_cannot_be_split() -> None:
    split = split_by_cluster(questions(["a", "a"]))
    assert sorted(map(len, (split.tune, split.certify))) == [0, 2]
