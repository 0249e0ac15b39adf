"""Two results are compared question by question, and only if they are about the same ones."""

from typing import Any

import pytest

from eval.comparison import Fallen, compare_results
from eval.decisions.gate import Outcome
from eval.errors import MismatchError
from eval.results import QuestionCounts, Result
from tests.tunings import CLUSTERS, NUM_QUESTIONS, make_result, with_coverage


def counts(**changes: Any) -> QuestionCounts:
    return make_result().questions.model_copy(update=changes)


def test_same_result_has_not_changed() -> None:
    compared = compare_results(make_result(), make_result(), 0.05)
    assert compared.comparison.outcome is Outcome.PASS
    assert compared.base_coverage == compared.new_coverage
    assert (compared.num_questions, compared.num_clusters) == (240, 80)
    assert compared.base_setting == compared.new_setting == "10 chunks of 512 tokens, hybrid"
    assert compared.fallen == ()


def test_clusters_count_the_same_in_evidence_and_tokens() -> None:
    large, small = 180, 60
    settings = [
        one.model_copy(
            update={
                "item_coverage": [1.0] * large + [0.5] * small,
                "item_tokens": [100] * large + [500] * small,
            }
        )
        for one in make_result().settings
    ]
    result = make_result({"settings": settings, "clusters": ["a"] * large + ["b"] * small})
    compared = compare_results(result, result, 0.02)
    assert (compared.base_coverage, compared.base_tokens) == (0.75, 300)
    assert (compared.new_coverage, compared.new_tokens) == (0.75, 300)


def test_settings_are_compared_by_name_and_by_what_is_served() -> None:
    base, new = make_result(), make_result({"reference": "g"})
    assert compare_results(base, new, 0.02).comparison.outcome is Outcome.FAIL
    assert compare_results(base, new, 0.05, "c").comparison.outcome is Outcome.PASS


def test_tokens_of_another_tokenizer_are_told() -> None:
    base = make_result()
    other = base.fingerprints.model_copy(update={"tokenizer": "another"})
    assert compare_results(base, base, 0.02).are_tokens_alike
    assert not compare_results(base, make_result({"fingerprints": other}), 0.02).are_tokens_alike


def test_pairs_are_found_by_id_in_any_order() -> None:
    base = make_result()
    backwards = make_result(
        {
            "settings": [
                one.model_copy(
                    update={
                        "item_coverage": one.item_coverage[::-1],
                        "item_tokens": one.item_tokens[::-1],
                    }
                )
                for one in base.settings
            ],
            "question_ids": base.question_ids[::-1],
            "clusters": base.clusters[::-1],
        }
    )
    compared = compare_results(base, backwards, 0.02)
    assert compared.fallen == ()
    assert compared.base_tokens == compared.new_tokens


def test_clusters_are_those_of_the_base_where_a_changed_document_moved_them() -> None:
    moved = [f"{cluster} 1" if number % 2 else cluster for number, cluster in enumerate(CLUSTERS)]
    scores = [0.0 if question % 3 == 0 else 1.0 for question in range(NUM_QUESTIONS)]
    base = with_coverage([1.0] * NUM_QUESTIONS)
    new = with_coverage(scores).model_copy(update={"clusters": moved})
    compared = compare_results(base, new, 0.02)
    assert compared.comparison.outcome is Outcome.FAIL
    assert (compared.num_questions, compared.num_clusters) == (NUM_QUESTIONS, len(set(CLUSTERS)))


def test_questions_that_fell_most_are_named() -> None:
    base = with_coverage([1.0] * NUM_QUESTIONS)
    scores = [1.0] * NUM_QUESTIONS
    scores[7], scores[200], scores[3] = 0.0, 0.25, 0.5
    assert compare_results(base, with_coverage(scores), 0.02).fallen == (
        Fallen("q-7", 1.0, 0.0),
        Fallen("q-200", 1.0, 0.25),
        Fallen("q-3", 1.0, 0.5),
    )


def test_unclear_says_how_many_questions_would_tell() -> None:
    # Every eighth cluster of three questions loses all: a change of -0.125, and -0.1 is allowed.
    scores = [0.0 if question // 3 % 8 == 0 else 1.0 for question in range(NUM_QUESTIONS)]
    base = with_coverage([1.0] * NUM_QUESTIONS)
    compared = compare_results(base, with_coverage(scores), 0.1)
    assert compared.comparison.outcome is Outcome.INCONCLUSIVE
    assert compared.comparison.clusters_needed is not None
    assert compared.comparison.questions_needed == 3 * compared.comparison.clusters_needed


def test_what_only_one_has_is_counted() -> None:
    new = make_result()
    fewer = make_result(
        {
            "settings": [
                one.model_copy(
                    update={
                        "item_coverage": one.item_coverage[:90],
                        "item_tokens": one.item_tokens[:90],
                    }
                )
                for one in new.settings
            ],
            "question_ids": new.question_ids[:90],
            "clusters": new.clusters[:90],
        }
    )
    compared = compare_results(new, fewer, 0.02)
    assert (compared.num_questions, compared.num_only_base, compared.num_only_new) == (90, 150, 0)


def test_evidence_that_is_gone_counts_as_not_found() -> None:
    base = with_coverage([1.0] * NUM_QUESTIONS)
    gone = {
        name: "the evidence is not in the document any more" for name in base.question_ids[180:]
    }
    kept = [
        one.model_copy(
            update={"item_coverage": one.item_coverage[:180], "item_tokens": one.item_tokens[:180]}
        )
        for one in base.settings
    ]
    changes = {"question_ids": base.question_ids[:180], "clusters": base.clusters[:180]}
    new = make_result({**changes, "settings": kept, "questions": counts(dropped=gone)})
    compared = compare_results(base, new, 0.02)
    assert compared.comparison.outcome is Outcome.FAIL
    assert (compared.num_questions, compared.num_lost, compared.num_only_base) == (240, 60, 0)
    assert (compared.base_coverage, compared.new_coverage) == (1, 0.75)
    assert compared.base_tokens == compared.new_tokens
    assert compared.fallen[0] == Fallen("q-180", 1.0, 0.0)


@pytest.mark.parametrize(
    ("new", "says"),
    [
        (make_result({"questions": counts(sha256="aa" * 32)}), "different files of questions"),
        (
            make_result(
                {
                    "question_ids": [f"other-{number}" for number in range(NUM_QUESTIONS)],
                    "questions": counts(seed=7),
                }
            ),
            r"share no question.*seeds 0 and 7",
        ),
    ],
)
def test_mismatch_is_named(new: Result, says: str) -> None:
    with pytest.raises(MismatchError, match=says):
        compare_results(make_result(), new, 0.02)


def test_setting_that_one_lacks_is_a_mismatch() -> None:
    fewer = make_result({"settings": make_result().settings[:4]})
    with pytest.raises(MismatchError, match=r"new result has no setting 'g'.*served, a, b, c\."):
        compare_results(make_result(), fewer, 0.02, "g")


def test_name_of_another_setting_is_a_mismatch() -> None:
    other = make_result()
    moved = dict(zip("abcdefg", "bcdefga", strict=True))
    renamed = [
        one.model_copy(update={"name": moved.get(one.name, one.name)}) for one in other.settings
    ]
    with pytest.raises(MismatchError, match=r"'c' is '14 chunks .* base and '10 chunks .* new"):
        compare_results(make_result(), make_result({"settings": renamed}), 0.02, "c")
