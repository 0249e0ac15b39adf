"""The report renders for every result, shows its text as text, and is the same each time."""

import json
from collections.abc import Callable
from functools import cache
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eval.answer_scores import Fault
from eval.decisions.pvalues import PairedTest
from eval.decisions.sequence import Mode
from eval.errors import ReportError
from eval.intervals import MeanInterval
from eval.report.figures import draw_marginal_value
from eval.report.page import render_report, write_report
from eval.results import Quality, Result, Verdict
from tests.tunings import LABELLED, make_answered, make_answers, make_result, with_faults

HOSTILE = """<script>alert(1)</script>"'><img src=x onerror=alert(1)>&lt;{{ 7 * 7 }}$x_1$\\1"""
CHOICES = ("created", "verdict", "test", "mode", "profile", "quality")
FREE_KEYS = ("dropped", "by_kind", "coverage_at", "groups", "invalid", "not_measured")
SHARES = st.floats(0, 1)
TOKENS = st.integers(0, 10**6)


class Elements(HTMLParser):
    """The elements of a page with their attributes' names, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, list[str]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, [name for name, _ in attrs]))

    def handle_data(self, data: str) -> None:
        self.text += data


EXAMPLES = pytest.mark.parametrize("make", [make_result, make_answered])


@cache
def page_of_example(make: Callable[[], Result] = make_result) -> str:
    return render_report(make())


def with_text(value: Any, change: Callable[[str], str], key: str = "") -> Any:
    """Return a result's JSON with all free text changed."""
    if isinstance(value, dict):
        names = {name: change(name) if key in FREE_KEYS else name for name in value}
        return {
            names[name]: inner if name in CHOICES else with_text(inner, change, name)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [with_text(inner, change) for inner in value]
    return change(value) if isinstance(value, str) else value


def rewritten(result: Result, change: Callable[[str], str]) -> Result:
    fields = with_text(json.loads(result.model_dump_json()), change)
    return Result.model_validate_json(json.dumps(fields))


def intervals(values: st.SearchStrategy[float]) -> st.SearchStrategy[dict[str, Any]]:
    three = st.lists(values, min_size=3, max_size=3).map(sorted)
    return three.map(lambda x: {"mean": x[1], "low": x[0], "high": x[2], "num_clusters": 2})


@st.composite
def answers(draw: st.DrawFn, names: list[str]) -> dict[str, Any]:
    """Draw answers of some settings."""
    fields: dict[str, Any] = json.loads(make_answers().model_dump_json())
    num_questions = draw(st.integers(0, 3))
    answered = draw(st.lists(st.sampled_from(names), unique=True))
    fields["question_ids"] = [str(number) for number in range(num_questions)]
    fields["race"]["invalid"] = {name: "cut" for name in names if name not in answered}
    fields["settings"] = [
        fields["settings"][0]
        | {
            "name": name,
            "quality": draw(intervals(SHARES)),
            "change": draw(st.none() | intervals(st.floats(-1, 1))),
            "prompt_tokens": draw(intervals(st.floats(0, 1e6))),
            "usd_per_1000": draw(st.none() | st.floats(0, 1e6)),
            "f1": draw(st.none() | SHARES),
            "faults": draw(st.dictionaries(st.sampled_from(Fault), st.integers(0, 9))),
            "flaw": draw(st.none() | st.just("cut")),
            "items": draw(st.lists(SHARES, min_size=num_questions, max_size=num_questions)),
        }
        for name in answered
    ]
    stages = fields["stages"]
    stages[0]["usd_per_1000"] = draw(st.none() | st.floats(-1e6, 1e6))
    fields["stages"] = draw(st.sampled_from([[], stages]))
    for optional in ("judge", "noise"):
        if draw(st.booleans()):
            fields[optional] = None
    return fields


@st.composite
def results(draw: st.DrawFn) -> Result:
    """Draw any numbers, few of each, and any text."""
    fields = json.loads(make_result().model_dump_json())
    num_questions = draw(st.integers(0, 4))
    names = [str(number) for number in range(num_questions)]
    fields |= {"question_ids": names, "clusters": names, "warnings": [], "stages": []}
    groups = st.lists(st.sampled_from(names), min_size=1, unique=True) if names else st.nothing()
    fields["groups"] = draw(st.dictionaries(st.text(max_size=5), groups, max_size=3))
    if draw(st.booleans()):
        fields["not_measured"] = {}
    fields["settings"] = fields["settings"][: draw(st.integers(1, 3))]
    usd = draw(st.none() | st.floats(0, 1e6))
    for one in fields["settings"]:
        one["coverage"] = draw(intervals(st.floats(-0.5, 1.5)))
        one["prompt_tokens"] = draw(intervals(st.floats(0, 1e6)))
        one["prompt_tokens_p50"] = one["prompt_tokens_p95"] = draw(st.floats(0, 1e6))
        one["usd_per_1000"] = usd
        one["item_coverage"] = draw(
            st.lists(SHARES, min_size=num_questions, max_size=num_questions)
        )
        one["item_tokens"] = draw(st.lists(TOKENS, min_size=num_questions, max_size=num_questions))
    fields["curve"] = [
        {
            "k": k,
            "coverage": draw(intervals(SHARES)),
            "prompt_tokens": draw(st.floats(0, 1e6)),
            "sufficient": draw(SHARES),
        }
        for k in draw(st.lists(st.integers(1, 200), max_size=4))
    ]
    budgets = st.dictionaries(st.sampled_from(["0", "1", "256", "8192"]), SHARES)
    fields["coverage_at"] = draw(st.dictionaries(st.text(max_size=5), budgets, max_size=8))
    fields["loss"] = {name: draw(SHARES) for name in ("not_retrieved", "cut_now", "cut_chosen")}
    fields["decision"] |= {
        "verdict": draw(st.sampled_from(Verdict)),
        "chosen": draw(st.sampled_from([one["name"] for one in fields["settings"]])),
        "test": draw(st.sampled_from(PairedTest)),
        "mode": draw(st.sampled_from(Mode)),
        **draw(st.sampled_from([{"min_coverage": None}, {"min_coverage": 0.8, "eps": None}])),
        "questions_needed": draw(st.none() | TOKENS),
        "tokens_saved": draw(st.none() | intervals(st.floats(-1e6, 1e6))),
        "tested": draw(st.sampled_from([[], fields["decision"]["tested"]])),
        "quality": draw(st.sampled_from(Quality)),
    }
    fields["answers"] = draw(st.none() | answers([one["name"] for one in fields["settings"]]))
    suffix = draw(st.text(st.characters(codec="utf-8"), max_size=20))
    return Result.model_validate_json(json.dumps(with_text(fields, lambda text: text + suffix)))


@settings(max_examples=3, suppress_health_check=list(HealthCheck))
@given(results())
def test_any_result_renders_and_needs_nothing_else(result: Result) -> None:
    page = render_report(result)
    found = Elements(page)
    assert {"script", "link", "img", "iframe", "form"}.isdisjoint(tag for tag, _ in found.elements)
    assert {"src", "srcset", "onerror"}.isdisjoint(n for _, names in found.elements for n in names)
    assert "@import" not in page
    assert page.count("<svg") == sum(
        names[:2] == ["role", "aria-label"] for _, names in found.elements
    )


@EXAMPLES
def test_text_stays_text_wherever_it_stands(make: Callable[[], Result]) -> None:
    hostile = rewritten(make(), lambda text: text + HOSTILE)
    expected, found = Elements(page_of_example(make)), Elements(render_report(hostile))
    assert found.elements == expected.elements
    shown = [
        *(hostile.collection, hostile.decision.statement, *hostile.warnings),
        *(name for one in hostile.settings for name in (one.name, one.label)),
        *(text for stage in hostile.stages for text in (stage.name, stage.statement)),
        *(text for pair in hostile.questions.dropped.items() for text in pair),
        *(text for pair in hostile.not_measured.items() for text in pair),
        *hostile.questions.by_kind,
        *hostile.fingerprints.model_dump(exclude_none=True).values(),
    ]
    if hostile.answers is not None and hostile.answers.judge is not None:
        shown += [hostile.answers.judge.model, *hostile.answers.race.invalid.values()]
        shown += [text for one in hostile.answers.stages for text in (one.name, one.statement)]
    assert [text for text in shown if text not in found.text] == []


@EXAMPLES
def test_same_result_gives_the_same_bytes(make: Callable[[], Result]) -> None:
    assert render_report(make()) == page_of_example(make)


def test_answers_stand_first_when_they_decided() -> None:
    page = unescape(page_of_example(make_answered))
    served, chosen = (make_answers().setting(name) for name in ("served", "c"))
    assert served is not None
    assert chosen is not None
    now, new = (100 * one.quality.mean for one in (served, chosen))
    title = f"{new:.1f}\xa0% quality instead of {now:.1f}\xa0%"
    assert page.index(title) < page.index("of the evidence instead of")
    assert "Judge</dt><dd><code>mistral-small-4" in page
    assert "93.0\xa0% of 30" in page
    assert "28 of 1,410, 2.0\xa0%" in page
    assert "700 of 1,092" in page
    assert page.count("A/A 1.7\xa0points") == 3  # beside each change
    assert "+$0.25" in page
    assert "+3.10" in page
    assert "99.7\xa0% of the chunks are the same" in page
    assert page.count("The model server read 2,048 of 4,310 tokens") == 2


def test_labels_of_people_are_told() -> None:
    answers = make_answers()
    assert "Graded by a model, uncalibrated" in page_of_example(make_answered)
    served, *others = answers.settings
    labelled = [served.model_copy(update={"labelled": LABELLED}), *others]
    result = make_result({"answers": answers.model_copy(update={"settings": labelled})})
    page = unescape(render_report(result))
    assert "Graded by a model, corrected by labels of people" in page
    assert "89.0\xa0% says the judge; by 60 labels 86.1\xa0%, 81.2 to 91.0\xa0%" in page


def test_without_answers_nothing_is_said_of_them() -> None:
    assert "The answers" not in page_of_example()


@pytest.mark.parametrize(
    ("decision", "says"),
    [
        ({}, "suffice eval apply ."),
        ({"chosen": "served"}, "what is served now is what was chosen"),
        (
            {"verdict": "not_certified", "chosen": "served", "questions_needed": 1480},
            "Make about 1,480 more questions",
        ),
        ({"verdict": "not_certified", "chosen": "served"}, "No number of questions is known"),
        (
            {"verdict": "infeasible", "chosen": "served", "min_coverage": 0.97},
            "The search misses 6.0\xa0% of the evidence",
        ),
        ({"verdict": "infeasible", "chosen": "served"}, "Ask for less, or allow longer prompts"),
    ],
)
def test_says_what_to_do_next(decision: dict[str, Any], says: str) -> None:
    result = make_result(**decision)
    page = unescape(render_report(result))
    assert says in page
    assert result.decision.statement in page


def test_what_is_dearer_is_not_said_to_be_saved() -> None:
    more = MeanInterval(-800.0, -900.0, -700.0, 80)
    page = unescape(
        render_report(
            make_result(min_coverage=0.9, eps=None, tokens_saved=more, usd_saved_per_1000=-0.12)
        )
    )
    assert "Saved per prompt" not in page
    assert (
        "<dt>Dearer by, per prompt, with its 95\xa0% interval</dt>\n"
        "<dd>800<small>700 to 900 tokens, $0.12 per 1,000 questions</small></dd>"
    ) in page


def test_on_average_no_error_rate_is_told() -> None:
    surely, on_average = (
        unescape(render_report(make_result(min_coverage=0.8, on_average=on_average, tested=[])))
        for on_average in (False, True)
    )
    assert "Asked for: 80.0\xa0% of the evidence; error rate 5.0\xa0%." in surely
    assert (
        "Asked for: 80.0\xa0% of the evidence, on average over tunings like this one." in on_average
    )
    assert "error rate of 5.0\xa0%" in surely
    assert "error rate of 5.0\xa0%" not in on_average
    assert "No setting was tested" not in on_average


def test_says_what_to_set_where_documents_must_be_cut_anew() -> None:
    page = page_of_example()  # served: chunks of 512 tokens, chosen: of 128
    set_before = page.index("INGEST_CHUNK_TOKENS=128 INGEST_CHUNK_OVERLAP_TOKENS=0")
    assert set_before < page.index("suffice reindex handbook")


def test_small_dollars_are_written_like_others() -> None:
    # $0.007 for each further chunk and 20, 10 and 10 points: $0.035 and $0.07 for one more answer.
    result = make_result()
    price = (result.served.usd_per_1000 or 0) / 1000 / result.served.prompt_tokens.mean
    shares = [0.5, 0.7, 0.8, 0.9]
    curve = [
        result.curve[0].model_copy(
            update={
                "k": k,
                "coverage": MeanInterval(share, share, share, 80),
                "prompt_tokens": k * 0.007 / price,
                "sufficient": share,
            }
        )
        for k, share in enumerate(shares, 1)
    ]
    figure = draw_marginal_value(result.model_copy(update={"curve": curve}))
    assert figure is not None
    assert figure.title.endswith("one more answer then costs $0.07")
    assert ">$0.05<" in figure.svg
    assert "mathdefault" not in figure.svg


def test_titles_say_what_was_found() -> None:
    page = unescape(page_of_example())
    served, chosen = (make_result().setting(name) for name in ("served", "c"))
    assert (
        f"{chosen.prompt_tokens.mean:,.0f} tokens instead of {served.prompt_tokens.mean:,.0f}: "
        f"{100 * chosen.coverage.mean:.1f}\xa0% of the evidence instead of "
        f"{100 * served.coverage.mean:.1f}\xa0%"
    ) in page
    assert f"at most {chosen.prompt_tokens_p95:,.0f} tokens" in page
    assert "6.0\xa0% of the evidence is never found; 3.4\xa0% is found and cut off" in page


def test_answers_without_a_verdict_are_not_called_wrong() -> None:
    found = with_faults({Fault.NONE: 180, Fault.READER: 24, Fault.UNJUDGED: 36})
    page = unescape(render_report(found))
    title = "10.0\xa0% of the answers are wrong, most of them: misread, 10.0\xa0%"
    assert title in page
    assert "15.0\xa0% not judged" in page
    unknown = render_report(with_faults({Fault.NONE: 180, Fault.UNJUDGED: 60}))
    assert "No answer is known to be wrong" in unknown
    assert "not judged" not in render_report(make_answered()).partition("<figcaption>")[0]


def test_where_answers_decided_their_prompts_are_the_amounts() -> None:
    result = make_answered()
    assert result.answers is not None
    served, chosen, *others = result.answers.settings
    read = [
        one.model_copy(
            update={
                "prompt_tokens": MeanInterval(tokens, tokens, tokens, 80),
                "usd_per_1000": dollars,
            }
        )
        for one, tokens, dollars in ((served, 7321.0, 9.87), (chosen, 1234.0, 6.54))
    ]
    answers = result.answers.model_copy(update={"settings": [*read, *others]})
    page = Elements(render_report(result.model_copy(update={"answers": answers}))).text
    amounts = page[page.index("Quality of the answers") : page.index("Saved per prompt")]
    assert "7,321→1,234" in amounts
    assert "$9.87→$6.54" in amounts


def test_without_a_price_no_dollars() -> None:
    fields = json.loads(make_result(usd_saved_per_1000=None).model_dump_json())
    for one in fields["settings"]:
        one["usd_per_1000"] = None
    page = Elements(render_report(Result.model_validate_json(json.dumps(fields)))).text
    assert "$" not in page.replace("$ per 1,000", "")


def test_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "report.html"
    with pytest.raises(ReportError, match=r"missing/report\.html: No such file or directory"):
        write_report(make_result(), path)


def test_a_line_below_none_is_neither_drawn_nor_told() -> None:
    assert "Dotted: 3.0\xa0points below" in unescape(page_of_example())
    assert "Dotted:" not in unescape(render_report(make_result(eps=0.99)))
