"""Pairs of answers become mean differences, in which a question asked often counts as one."""

from typing import Any

import pytest

from eval.intervals import question_t_interval
from eval.pairs import compare_pairs


def pair(number: int, question: str, saved: int, **other: Any) -> dict[str, Any]:
    served = {
        "prompt_tokens": 1000,
        "completion_tokens": 50,
        "usd": 0.01,
        "seconds": 2.0,
        "grounded": 1.0,
        "citations": 3,
    }
    return {
        "id": number,
        "collection": "laws",
        "question": question,
        "profile": "tuned",
        "profile_digest": "1",
        "candidate": "small",
        "candidate_digest": "2",
        "is_same": number % 2 == 0,
        "served": served,
        "shadow": {**served, "prompt_tokens": 1000 - saved},
        **other,
    }


def test_the_mean_difference_has_an_interval_over_questions() -> None:
    saved = [400, 410, 420, 500]
    questions = ["a", "a", "b", "c"]
    rows = [pair(i, q, s) for i, (q, s) in enumerate(zip(questions, saved, strict=True))]
    [found] = compare_pairs(rows)
    assert (found.num_pairs, found.num_questions, found.same_share) == (4, 3, 0.5)
    tokens = found.measures["prompt_tokens"]
    assert (tokens.served, tokens.shadow) == (1000, 567.5)
    assert tokens.difference == question_t_interval([-one for one in saved], questions)
    assert tokens.difference is not None
    assert tokens.difference.mean == -432.5
    assert tokens.difference.low < -432.5 < tokens.difference.high
    usd = found.measures["usd"].difference
    assert usd is not None
    assert (usd.low, usd.high) == (0, 0)


def test_what_nobody_knows_the_price_of_is_not_free() -> None:
    unknown = pair(1, "a", 10)
    unknown["shadow"]["usd"] = None
    [found] = compare_pairs([unknown])
    assert "usd" not in found.measures
    [found] = compare_pairs([unknown, pair(2, "b", 10)])
    assert (found.measures["usd"].served, found.measures["usd"].shadow) == (0.01, 0.01)
    assert found.measures["prompt_tokens"].shadow == 990


def test_one_question_has_no_interval() -> None:
    [found] = compare_pairs([pair(1, "a", 10), pair(2, "a", 20)])
    assert found.measures["prompt_tokens"].difference is None
    assert found.measures["prompt_tokens"].shadow == pytest.approx(985)


def test_a_changed_candidate_is_another_one_and_the_latest_comes_first() -> None:
    rows = [pair(1, "a", 10), pair(2, "b", 20, candidate_digest="3"), pair(3, "c", 5)]
    rows.append(pair(4, "d", 7, candidate_digest="3"))
    newest, older = compare_pairs(rows)
    assert newest.measures["prompt_tokens"].shadow == 1000 - 13.5
    assert older.measures["prompt_tokens"].shadow == 1000 - 7.5
    assert compare_pairs([]) == []
