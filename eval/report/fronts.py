"""Plots of what is good against tokens, each setting a point."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from eval.counted import counted
from eval.decisions.sequence import Mode
from eval.dollars import dollars
from eval.intervals import MeanInterval
from eval.pareto import pareto_front
from eval.report.canvas import (
    CHOSEN,
    INK,
    MUTED,
    PAPER,
    SERVED,
    Figure,
    new_axes,
    share_axis,
    to_svg,
    token_axis,
)
from eval.report.words import count, percent, points
from eval.results import Quality, Result, Verdict


@dataclass(frozen=True, slots=True)
class _Point:
    """A setting on a plot of something good against tokens.

    Attributes:
        share: of the good, from 0 to 1.
        usd_per_1000: None: not known.
    """

    name: str
    tokens: MeanInterval
    share: MeanInterval
    usd_per_1000: float | None


@dataclass(frozen=True, slots=True)
class _Plot:
    """How a plot of something good against tokens is named.

    Attributes:
        name: unique in the page.
        axis: of the good.
        of_it: as in `80 % of the evidence`.
    """

    name: str
    axis: str
    of_it: str


def draw_front(result: Result) -> Figure:
    """Evidence against tokens, of all settings."""
    plot = _Plot("front", "evidence in the context", "of the evidence")
    found = [
        _Point(one.name, one.prompt_tokens, one.coverage, one.usd_per_1000)
        for one in result.settings
    ]
    return _draw_points(result, found, plot, Quality.EVIDENCE)


def draw_answers(result: Result) -> Figure | None:
    """Quality of answers against tokens, of the settings that answered."""
    if result.answers is None:
        return None
    plot = _Plot("answers", "quality of the answers", "quality")
    answered = [
        _Point(one.name, one.prompt_tokens, one.quality, one.usd_per_1000)
        for one in result.answers.settings
        if one.flaw is None
    ]
    if not {result.reference, result.decision.chosen} <= {one.name for one in answered}:
        return None
    return _draw_points(result, answered, plot, Quality.ANSWERS)


def _draw_points(
    result: Result, settings: Sequence[_Point], plot: _Plot, quality: Quality
) -> Figure:
    by_name = {one.name: one for one in settings}
    served, chosen = by_name[result.reference], by_name[result.decision.chosen]
    figure, (axes,) = new_axes(4.6)
    tokens = np.array([one.tokens.mean for one in settings])
    shares = np.array([one.share.mean for one in settings])
    front = pareto_front(tokens, shares)
    axes.plot(tokens[front], shares[front], color=MUTED, linewidth=1.2, zorder=2)
    for one in settings:
        if one.name not in {served.name, chosen.name}:
            _cross(axes, one, MUTED, "o", 4)
    _cross(axes, served, SERVED, "s", 8)
    if chosen.name != served.name:
        _cross(axes, chosen, CHOSEN, "o", 9)
    token_axis(axes, tokens.tolist())
    axes.margins(0.12, 0.16)
    axes.autoscale_view()
    bounds = _draw_bounds(axes, result, served) if result.decision.quality is quality else ""
    share_axis(axes)
    _label(axes, served, _priced("served now", served), SERVED, below=True)
    if chosen.name != served.name:
        _label(axes, chosen, _priced("chosen", chosen), CHOSEN, below=False)
    axes.set_xlabel("prompt tokens, mean over questions")
    axes.set_ylabel(plot.axis)
    alt = (
        f"{plot.axis.capitalize()} against prompt tokens for {counted(len(settings), 'setting')}. "
        f"Served now: {_at(served, plot)}."
    )
    if chosen.name != served.name:
        alt += f" Chosen: {_at(chosen, plot)}."
    return Figure(
        name=plot.name,
        title=_title(result, served, chosen, plot),
        svg=to_svg(figure, plot.name, alt),
        note="Each point is a setting, measured on questions that had no part in its choice; "
        "crosses are 95\xa0% intervals over clusters of questions. The line joins "
        f"those that no other one beats in both.{bounds}",
    )


def _draw_bounds(axes: Axes, result: Result, served: _Point) -> str:
    """Draw what a setting must reach; return what to say of it."""
    decision = result.decision
    text = ""
    least = served.share.mean - (decision.eps or 0)
    if decision.mode is Mode.REFERENCE and decision.eps is not None and least > 0:
        axes.axhline(least, color=SERVED, linestyle=":", linewidth=1)
        text += f" Dotted: {points(decision.eps)} below what is served now; above it is no loss."
    if decision.min_coverage is not None:
        axes.axhline(decision.min_coverage, color=INK, linestyle="--", linewidth=1)
        text += f" Dashed: the {percent(decision.min_coverage)} that were asked for."
    return text


def _title(result: Result, served: _Point, chosen: _Point, plot: _Plot) -> str:
    if chosen.name == served.name:
        return {
            Verdict.CERTIFIED: "What is served now is the least that was shown to be good enough",
            Verdict.NOT_CERTIFIED: "No cheaper setting was shown to be good enough",
            Verdict.INFEASIBLE: "No setting does what was asked for",
        }[result.decision.verdict]
    return (
        f"{count(chosen.tokens.mean)} tokens instead of {count(served.tokens.mean)}: "
        f"{percent(chosen.share.mean)} {plot.of_it} instead of {percent(served.share.mean)}"
    )


def _priced(label: str, one: _Point) -> str:
    return label if one.usd_per_1000 is None else f"{label}\n{dollars(one.usd_per_1000)} per 1,000"


def _at(one: _Point, plot: _Plot) -> str:
    return f"{count(one.tokens.mean)} tokens with {percent(one.share.mean)} {plot.of_it}"


def _cross(axes: Axes, one: _Point, color: str, marker: str, size: float) -> None:
    tokens, share = one.tokens, one.share
    low, high = max(share.low, 0), min(share.high, 1)
    is_named = color != MUTED
    axes.errorbar(
        tokens.mean,
        share.mean,
        xerr=[[max(tokens.mean - tokens.low, 0)], [max(tokens.high - tokens.mean, 0)]],
        yerr=[[max(share.mean - low, 0)], [max(high - share.mean, 0)]],
        fmt=marker,
        color=color,
        markersize=size,
        markeredgecolor=PAPER,
        elinewidth=1.6 if is_named else 0.7,
        zorder=4 if is_named else 3,
    )


def _label(axes: Axes, one: _Point, text: str, color: str, *, below: bool) -> None:
    """Write beside a point where the front is not: above left of it, or below right."""
    x, y = one.tokens.mean, one.share.mean
    fraction = axes.transAxes.inverted().transform(axes.transData.transform((x, y)))[0]
    to_right = fraction < 0.4 if not below else fraction < 0.6  # noqa: PLR2004
    axes.annotate(
        text,
        (x, y),
        xytext=(9 if to_right else -9, -14 if below else 10),
        textcoords="offset points",
        ha="left" if to_right else "right",
        va="top" if below else "bottom",
        color=color,
        fontweight="bold",
        bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 1},
        zorder=3.5,
    )
