"""The page of the report: `page.html` filled with a result.

Whatever a result holds is escaped, by the template engine and without exception: names of questions
and settings come from files that anyone may have written. The page forbids itself scripts and the
network.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from eval.decisions.sequence import Mode
from eval.errors import ReportError
from eval.report import words
from eval.report.figures import draw_front, draw_loss, draw_more
from eval.results import Measured, Result, Verdict

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
    "count_interval": words.count_interval,
    "signed_count": words.signed_count,
    "signed_count_interval": words.signed_count_interval,
    "usd": words.usd,
    "p_value": words.p_value,
}


def render_report(result: Result) -> str:
    """Return the report: one HTML document, the same for the same result."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= _WORDS
    served = result.setting(result.reference)
    chosen = result.setting(result.decision.chosen)
    return environment.get_template("page.html").render(
        result=result,
        decision=result.decision,
        served=served,
        chosen=chosen,
        changed=chosen.name != served.name,
        verdict=_VERDICTS[result.decision.verdict],
        rival="the best setting" if result.decision.mode is Mode.BEST else "what is served now",
        settings=sorted(result.settings, key=lambda one: -one.prompt_tokens.mean),
        labels={one.name: one.label for one in result.settings},
        amounts=_amounts(served, chosen),
        front=draw_front(result),
        loss=draw_loss(result),
        figures=draw_more(result),
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


def _amounts(served: Measured, chosen: Measured) -> list[dict[str, Any]]:
    """Return the figures to see first: name, now, chosen, and the change in words."""
    rows = [
        ("Prompt tokens, mean", words.count, "prompt_tokens"),
        ("Evidence in the context", words.percent, "coverage"),
        ("Questions with all their evidence", words.percent, "sufficient"),
    ]
    amounts = [
        {
            "name": name,
            "now": write(getattr(served, key).mean),
            "new": write(getattr(chosen, key).mean),
        }
        for name, write, key in rows
    ]
    if served.usd_per_1000 is not None and chosen.usd_per_1000 is not None:
        amounts.insert(
            1,
            {
                "name": "Reading 1,000 prompts",
                "now": words.usd(served.usd_per_1000),
                "new": words.usd(chosen.usd_per_1000),
            },
        )
    return amounts
