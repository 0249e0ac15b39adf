"""A judge is checked before it judges, sees words alone, and what it fails at is bounded."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from eval.asking import Asker
from eval.canaries import CANARIES
from eval.errors import DatasetError, JudgeError, ModelLostError
from eval.judging import Bounds, Judge, are_related, strip_style
from eval.questions import Question
from eval.reply_cache import ReplyCache
from retrieval.chunks import Hit
from retrieval.packing import Passage
from serving.context import ContextItem
from serving.grounding import SentenceSupport, Support
from tests.eval.grader import Grader
from tests.eval.towers import log, make_generator, question, reply, steps_of
from tests.serving.upstream import Upstream, error_reply

T = TypeVar("T")


@pytest.fixture
def grader(upstream: Upstream) -> Grader:
    upstream.respond = grader = Grader()
    return grader


def run(upstream: Upstream, folder: Path, use: Callable[[Judge], Awaitable[T]]) -> T:
    async def run() -> T:
        generator = make_generator(upstream.url, "judge", "mistral-small-4")
        judge = Judge(Asker(generator, ReplyCache(folder / "replies")))
        try:
            return await use(judge)
        finally:
            await generator.close()

    return asyncio.run(run())


def check(upstream: Upstream, folder: Path, answering: str = "Qwen/Qwen3-8B") -> float:
    async def use(judge: Judge) -> float:
        await judge.check(folder / "judge.json", [answering])
        assert judge.accuracy is not None
        return judge.accuracy

    return run(upstream, folder, use)


def grade(upstream: Upstream, folder: Path, asked: Question, *answers: str) -> list[Bounds]:
    async def use(judge: Judge) -> list[Bounds]:
        return [await judge.grade(asked, answer) for answer in answers]

    return run(upstream, folder, use)


def test_there_are_canaries_of_every_grade() -> None:
    assert len(CANARIES) >= 30
    grades = [canary.grade for canary in CANARIES]
    assert {one: grades.count(one) >= 6 for one in (0.0, 0.5, 1.0)} == dict.fromkeys(
        (0.0, 0.5, 1.0), True
    )
    assert len({(one.question, one.answer) for one in CANARIES}) == len(CANARIES)


def test_canaries_are_asked_anew_in_every_run(
    upstream: Upstream, grader: Grader, tmp_path: Path
) -> None:
    for num_runs in (1, 2):
        assert check(upstream, tmp_path) == 1.0
        assert len(upstream.requests) == num_runs * len(CANARIES)
    assert {request["temperature"] for request in upstream.requests} == {0}
    assert {request["seed"] for request in upstream.requests} == {0}
    assert not (tmp_path / "replies").exists()


@pytest.mark.parametrize(("blind", "is_another"), [(2, False), (3, True)])
def test_a_judge_that_grades_otherwise_than_before_is_refused(
    upstream: Upstream, grader: Grader, tmp_path: Path, blind: int, is_another: bool
) -> None:
    # From 30 of 30, with 2 right and 2 wrong ones added: 2 SE = 2 sqrt(32/34 * 2/34 / 34) = 0.081,
    # so 2 of 30 are within it and 3 are not.
    check(upstream, tmp_path)
    grader.blind = blind
    if not is_another:
        assert check(upstream, tmp_path) == 28 / 30
        return
    with pytest.raises(JudgeError, match="grades 90% of 30 fixed cases right, and 100% when"):
        check(upstream, tmp_path)


def test_a_judge_that_grades_badly_is_refused(
    upstream: Upstream, grader: Grader, tmp_path: Path
) -> None:
    grader.blind = 10
    with pytest.raises(JudgeError, match="grades 67% of 30 plain cases right; 70% are needed"):
        check(upstream, tmp_path)
    assert not (tmp_path / "judge.json").exists()


def test_what_is_no_grade_is_not_graded_wrong(
    upstream: Upstream, grader: Grader, tmp_path: Path
) -> None:
    grader.mute = 12  # of 30; with the judge that says nothing in 40 % of the cases
    assert check(upstream, tmp_path) == 1.0
    grader.mute = 16
    with pytest.raises(JudgeError, match="said to 16 of 30 plain cases something that is no grade"):
        check(upstream, tmp_path)


@pytest.mark.parametrize("answering", ["mistral-small-4", "mistralai/Mixtral-8x7B-Instruct-v0.1"])
def test_a_judge_of_the_family_that_answers_is_refused(
    upstream: Upstream, grader: Grader, tmp_path: Path, answering: str
) -> None:
    with pytest.raises(JudgeError, match="models of a family prefer their own answers"):
        check(upstream, tmp_path, answering)
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("Qwen/Qwen3-8B", "qwen2.5:7b", True),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama3.2", True),
        ("gpt-5.2-mini", "openai/gpt-oss-20b", True),
        ("Qwen/Qwen3-8B", "gemma3:12b", False),
        ("acme-7b", "acme-70b-chat", True),
        ("acme-7b", "zenith-7b", False),
        ("deepseek-r1-distill-qwen-7b", "Qwen3-8B", True),
        ("42", "43", False),
        ("42", "42", True),
    ],
)
def test_families(one: str, other: str, expected: bool) -> None:
    assert are_related(one, other) == are_related(other, one) == expected


def test_a_damaged_record_is_named(upstream: Upstream, grader: Grader, tmp_path: Path) -> None:
    (tmp_path / "judge.json").write_text("[]")
    with pytest.raises(DatasetError, match=r"judge\.json is damaged"):
        check(upstream, tmp_path)


def test_grades(upstream: Upstream, grader: Grader, tmp_path: Path) -> None:
    right, wrong = f"It has {steps_of(7):,} steps.", "It has 12 steps."
    assert grade(upstream, tmp_path, question(7), right, wrong, right) == [
        Bounds(1.0, 1.0),
        Bounds(0.0, 0.0),
        Bounds(1.0, 1.0),
    ]
    assert len(upstream.requests) == 2  # the same answer once


def test_without_right_answers_the_evidence_is_the_reference(
    upstream: Upstream, grader: Grader, tmp_path: Path
) -> None:
    grade(upstream, tmp_path, replace(question(7), answers=()), "Many.")
    assert f"Reference: {question(7).facts[0][0].text}\n" in grader.prompts[0]


def test_a_reply_that_is_no_verdict_may_have_been_any(
    upstream: Upstream, grader: Grader, tmp_path: Path
) -> None:
    grader.garbage = 3
    answers = [f"It has {number} steps." for number in range(30)]

    async def use(judge: Judge) -> tuple[list[Bounds], float]:
        graded = [await judge.grade(question(7), answer) for answer in answers]
        return graded, judge.tally.failure_rate

    graded, failure_rate = run(upstream, tmp_path, use)
    assert graded.count(Bounds(0.0, 1.0)) == 10
    assert graded.count(Bounds(0.0, 0.0)) == 20
    assert failure_rate == 1 / 3


@pytest.mark.parametrize("grade_", ["true", '"1"', "0.7", "null", "[1]"])
def test_other_grades_are_none(upstream: Upstream, tmp_path: Path, grade_: str) -> None:
    upstream.respond = lambda _: reply(f'{{"grade": {grade_}}}', 40)
    assert grade(upstream, tmp_path, question(7), "x") == [Bounds(0.0, 1.0)]


def test_faithfulness_is_the_share_of_claims_that_stand_in_what_they_cite(
    upstream: Upstream, grader: Grader, tmp_path: Path
) -> None:
    item = ContextItem(1, _passage("The tower has 70 steps."), "tower.md")
    text = "It has 70 steps [1]. It has 80 rooms [1]. It is old. Thanks!"
    starts = [text.index("It has 70"), text.index("It has 80"), text.index("It is"), 53]
    ends = [*starts[1:], len(text)]
    supports = [Support.SUPPORTED] * 3 + [Support.NO_CLAIM]
    numbers: list[tuple[int, ...]] = [(1,), (1,), (), ()]
    sentences = [SentenceSupport(*one) for one in zip(starts, ends, supports, numbers, strict=True)]
    low_high = run(upstream, tmp_path, lambda judge: judge.faithfulness(text, sentences, [item]))
    assert low_high == Bounds(1 / 3, 1 / 3)
    assert len(grader.prompts) == 2  # what cites nothing is not asked for
    grader.garbage = 1
    (tmp_path / "replies").unlink()
    low_high = run(upstream, tmp_path, lambda judge: judge.faithfulness(text, sentences, [item]))
    assert low_high == Bounds(0.0, 2 / 3)
    assert run(upstream, tmp_path, lambda judge: judge.faithfulness(text, [], [item])) is None


def _passage(text: str) -> Passage:
    some = next(iter(log().chunks.values()))
    return Passage("id", "1", 0, len(text), text, (), "", (Hit(some, 1.0, {}),), 9)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("## Steps\n\n- **Ten** steps [1].\n- _Oak_ [2][3]", "Steps Ten steps . Oak"),
        ("1. `a_b` and snake_case_name", "a_b and snake_case_name"),
        ("```python\nx = 2 * 3 * 4\n```", "x = 2 * 3 * 4"),
        ("See [the *guide*](https://example.org).", "See the guide."),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a b 1 2"),
        ("2*3*4 is __24__", "2*3*4 is 24"),
        ("> quoted\n~~gone~~", "quoted gone"),
    ],
)
def test_style_is_not_seen(answer: str, expected: str) -> None:
    assert strip_style(answer) == expected
    assert strip_style(strip_style(answer)) == expected


def test_length_does_not_change_what_is_asked(
    upstream: Upstream, grader: Grader, tmp_path: Path
) -> None:
    long = f"It has {steps_of(7):,} steps." + " It is a fine tower." * 100
    assert grade(upstream, tmp_path, question(7), long) == [Bounds(1.0, 1.0)]
    (request,) = upstream.requests
    assert "Length, style and language do not count" in request["messages"][0]["content"]
    assert request["max_tokens"] == 64
    assert long in request["messages"][1]["content"]


def test_a_judge_that_is_away_stops_the_run(upstream: Upstream, tmp_path: Path) -> None:
    upstream.respond = lambda _: error_reply(500, "Out of memory.", "InternalServerError")
    with pytest.raises(ModelLostError, match="the same command goes on from there"):
        grade(upstream, tmp_path, question(7), "x")
