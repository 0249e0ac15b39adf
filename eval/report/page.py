"""The page of the report: `page.html` filled with a result.

Whatever a result holds is escaped, by the template engine and without exception: names of questions
and settings come from files that anyone may have written. The page forbids itself scripts and the
network.
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from eval.counted import counted
from eval.decisions.sequence import Mode
from eval.dollars import dollars
from eval.errors import ReportError
from eval.intervals import MeanInterval
from eval.report import words
from eval.report.bars import draw_blame, draw_loss
from eval.report.figures import draw_more
from eval.report.fronts import draw_answers, draw_front
from eval.report.groups import compare_groups
from eval.results import AnsweredSetting, Decision, Measured, Quality, Result, Verdict

_FOLDER = Path(__file__).parent
_VERDICTS = {
    Verdict.CERTIFIED: "Certified",
    Verdict.NOT_CERTIFIED: "Not certified",
    Verdict.INFEASIBLE: "Infeasible",
}
_WORDS: dict[str, Callable[..., str]] = {
    "percent": words.percent,
    "percent_interval": words.percent_interval,
    "points": words.points,
    "signed_points": words.signed_points,
    "change_interval": words.change_interval,
    "count": words.count,
    "counted": counted,
    "count_interval": words.count_interval,
    "signed_count": words.signed_count,
    "signed_count_interval": words.signed_count_interval,
    "usd": dollars,
    "signed_usd": words.signed_usd,
    "signed_seconds": words.signed_seconds,
    "p_value": words.p_value,
    "share": words.share,
}


class _Amount(NamedTuple):
    name: str
    write: Callable[[float], str]
    now: float
    new: float


class _Saved(NamedTuple):
    name: str
    tokens: MeanInterval
    usd_per_1000: float | None


def render_report(result: Result) -> str:
    """Return the report: one HTML document, the same for the same result."""
    served, chosen = result.served, result.chosen
    front, figures = draw_front(result), draw_more(result)
    answers = draw_answers(result)
    if answers is not None:
        figures.insert(0, front if result.decision.quality is Quality.ANSWERS else answers)
        front = answers if result.decision.quality is Quality.ANSWERS else front
    return _template().render(
        result=result,
        decision=result.decision,
        served=served,
        chosen=chosen,
        changed=chosen.name != served.name,
        verdict=_VERDICTS[result.decision.verdict],
        rival="the best of them" if result.decision.mode is Mode.BEST else "what is served now",
        settings=sorted(result.settings, key=lambda one: -one.prompt_tokens.mean),
        answers_of={one.name for one in result.answers.settings} if result.answers else set(),
        labels={one.name: one.label for one in result.settings},
        amounts=_amounts(result),
        saved=_saved(result.decision),
        groups=compare_groups(result),
        num_questions=_num_questions(result),
        front=front,
        loss=draw_loss(result),
        blame=draw_blame(result),
        figures=figures,
        style=Markup((_FOLDER / "style.css").read_text("utf-8")),  # noqa: S704 - our own
    )


def write_report(result: Result, path: Path) -> None:
    """Write the report to a file.

    Raises:
        ReportError: it cannot be written there.
    """
    page = render_report(result)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ReportError(
            f"The report cannot be written to {path}: {error.strerror or error}. "
            "Choose another place with --output."
        ) from error


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= _WORDS
    return environment.get_template("page.html")


def _num_questions(result: Result) -> int:
    """Return how many questions the decision rests on."""
    if result.answers is not None and result.decision.quality is Quality.ANSWERS:
        return len(result.answers.question_ids)
    return len(result.question_ids)


def _amounts(result: Result) -> list[dict[str, str]]:
    """Return the figures to see first, in words: name, now and new.

    Where there are answers, tokens and dollars are theirs, as in the decision.
    """
    served, chosen = result.served, result.chosen
    coverage = (served.coverage.mean, chosen.coverage.mean)
    rows = [_Amount("Evidence in the context", words.percent, *coverage)]
    now = new = None
    if result.answers is not None:
        now, new = (result.answers.setting(one.name) for one in (served, chosen))
    if now is not None and new is not None:
        quality = ("Quality of the answers", words.percent, now.quality.mean, new.quality.mean)
        rows = [_Amount(*quality), *_sent(now, new, "1,000 answers"), *rows]
    else:
        shares = (served.sufficient.mean, chosen.sufficient.mean)
        rows.append(_Amount("Questions with all their evidence", words.percent, *shares))
        rows = [*_sent(served, chosen, "Reading 1,000 prompts"), *rows]
    return [
        {"name": one.name, "now": one.write(one.now), "new": one.write(one.new)} for one in rows
    ]


def _saved(decision: Decision) -> _Saved | None:
    """Return what a prompt has fewer tokens than today, or more; None: nothing was chosen."""
    tokens, usd = decision.tokens_saved, decision.usd_saved_per_1000
    if tokens is None:
        return None
    if tokens.mean < 0:
        tokens = MeanInterval(-tokens.mean, -tokens.high, -tokens.low, tokens.num_clusters)
        return _Saved("Dearer by, per prompt", tokens, abs(usd) if usd else None)
    return _Saved("Saved per prompt", tokens, usd if usd and usd > 0 else None)


def _sent(
    now: Measured | AnsweredSetting, new: Measured | AnsweredSetting, paid: str
) -> Iterator[_Amount]:
    """Yield the tokens of prompts and, if it is known, what is paid."""
    yield _Amount(
        "Prompt tokens, mean", words.count, now.prompt_tokens.mean, new.prompt_tokens.mean
    )
    if now.usd_per_1000 is not None and new.usd_per_1000 is not None:
        yield _Amount(paid, dollars, now.usd_per_1000, new.usd_per_1000)
