"""The plots of the report. Each has a title that says what was found."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from eval.decisions.sequence import Mode
from eval.pareto import pareto_front
from eval.report.canvas import (
    CHOSEN,
    GRID,
    INK,
    LINES,
    MARKERS,
    MUTED,
    PAPER,
    SERVED,
    chunk_axis,
    new_axes,
    share_axis,
    to_svg,
    token_axis,
    variable,
)
from eval.report.words import count, percent, points, usd
from eval.results import CurvePoint, Measured, Result, Verdict


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot with what stands around it.

    Attributes:
        name: unique in the page.
        title: what was found.
        svg: the plot, with its description for those who do not see it.
        note: how to read it.
        legend: variable of a colour, what is drawn with it.
    """

    name: str
    title: str
    svg: Markup
    note: str
    legend: Sequence[tuple[str, str]] = ()


def draw_more(result: Result) -> list[Figure]:
    """Draw what the result has figures for, beside the front and the loss."""
    drawn = (draw_tokens, draw_curve, draw_marginal_value, draw_chunk_sizes)
    return [figure for draw in drawn if (figure := draw(result)) is not None]


def draw_front(result: Result) -> Figure:
    """Evidence against tokens, of all settings."""
    served, chosen = _served_and_chosen(result)
    others = [one for one in result.settings if one.name != served.name]
    figure, (axes,) = new_axes(4.6)
    tokens = np.array([one.prompt_tokens.mean for one in result.settings])
    coverage = np.array([one.coverage.mean for one in result.settings])
    front = pareto_front(tokens, coverage)
    axes.plot(tokens[front], coverage[front], color=MUTED, linewidth=1.2, zorder=2)
    for one in others:
        if one.name != chosen.name:
            _cross(axes, one, MUTED, "o", 4)
    _cross(axes, served, SERVED, "s", 8)
    if chosen.name != served.name:
        _cross(axes, chosen, CHOSEN, "o", 9)
    token_axis(axes, tokens.tolist())
    axes.margins(0.12, 0.16)
    axes.autoscale_view()
    bounds = _draw_bounds(axes, result, served)
    share_axis(axes)
    _label(axes, served, _priced("served now", served), SERVED, below=True)
    if chosen.name != served.name:
        _label(axes, chosen, _priced("chosen", chosen), CHOSEN, below=False)
    axes.set_xlabel("prompt tokens, mean over questions")
    axes.set_ylabel("evidence in the context")
    alt = (
        f"Evidence in the context against prompt tokens for {len(result.settings)} settings. "
        f"Served now: {_at(served)}."
    )
    if chosen.name != served.name:
        alt += f" Chosen: {_at(chosen)}."
    return Figure(
        name="front",
        title=_front_title(result, served, chosen),
        svg=to_svg(figure, "front", alt),
        note="Each point is a setting, measured on questions that had no part in its choice; "
        "crosses are 95\xa0% intervals over clusters of questions. The line joins "
        f"those that no other one beats in both.{bounds}",
    )


def _draw_bounds(axes: Axes, result: Result, served: Measured) -> str:
    """Draw what a setting must reach; return what to say of it."""
    decision = result.decision
    text = ""
    if decision.mode is Mode.REFERENCE and decision.min_coverage is None:
        axes.axhline(served.coverage.mean - decision.eps, color=SERVED, linestyle=":", linewidth=1)
        text += f" Dotted: {points(decision.eps)} below what is served now; above it is no loss."
    if decision.min_coverage is not None:
        axes.axhline(decision.min_coverage, color=INK, linestyle="--", linewidth=1)
        text += f" Dashed: the {percent(decision.min_coverage)} that were asked for."
    return text


def _front_title(result: Result, served: Measured, chosen: Measured) -> str:
    if chosen.name == served.name:
        return {
            Verdict.CERTIFIED: "What is served now is the least that was shown to be good enough",
            Verdict.NOT_CERTIFIED: "No cheaper setting was shown to be good enough",
            Verdict.INFEASIBLE: "No setting does what was asked for",
        }[result.decision.verdict]
    return (
        f"{count(chosen.prompt_tokens.mean)} tokens instead of {count(served.prompt_tokens.mean)}: "
        f"{percent(chosen.coverage.mean)} of the evidence instead of "
        f"{percent(served.coverage.mean)}"
    )


def _priced(label: str, one: Measured) -> str:
    return label if one.usd_per_1000 is None else f"{label}\n{usd(one.usd_per_1000)} per 1,000"


def _at(one: Measured) -> str:
    return (
        f"{count(one.prompt_tokens.mean)} tokens with {percent(one.coverage.mean)} of the evidence"
    )


def _cross(axes: Axes, one: Measured, color: str, marker: str, size: float) -> None:
    low, high = max(one.coverage.low, 0), min(one.coverage.high, 1)
    tokens, coverage = one.prompt_tokens, one.coverage
    is_named = color != MUTED
    axes.errorbar(
        tokens.mean,
        coverage.mean,
        xerr=[[max(tokens.mean - tokens.low, 0)], [max(tokens.high - tokens.mean, 0)]],
        yerr=[[max(coverage.mean - low, 0)], [max(high - coverage.mean, 0)]],
        fmt=marker,
        color=color,
        markersize=size,
        markeredgecolor=PAPER,
        elinewidth=1.6 if is_named else 0.7,
        zorder=4 if is_named else 3,
    )


def _label(axes: Axes, one: Measured, text: str, color: str, *, below: bool) -> None:
    """Write beside a point where the front is not: above left of it, or below right."""
    x, y = one.prompt_tokens.mean, one.coverage.mean
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


def draw_curve(result: Result) -> Figure | None:
    """Evidence against the number of chunks."""
    curve = _by_k(result)
    if len(curve) < 2:  # noqa: PLR2004
        return None
    ks = [point.k for point in curve]
    last = curve[-1]
    enough = next(point for point in curve if point.coverage.mean >= 0.9 * last.coverage.mean)
    figure, (axes,) = new_axes(3.6)
    axes.fill_between(
        ks,
        [max(point.coverage.low, 0) for point in curve],
        [min(point.coverage.high, 1) for point in curve],
        color=SERVED,
        alpha=0.18,
        linewidth=0,
    )
    axes.plot(ks, [point.coverage.mean for point in curve], color=SERVED)
    axes.plot(enough.k, enough.coverage.mean, "s", color=SERVED, markersize=7)
    axes.set_ylim(0, 1)
    axes.set_xlabel("chunks in the context, k")
    axes.set_ylabel("evidence in the context")
    share_axis(axes)
    return Figure(
        name="curve",
        title=f"k\xa0=\xa0{enough.k} finds nine tenths of what k\xa0=\xa0{last.k} finds",
        svg=to_svg(
            figure,
            "curve",
            f"Evidence in the context against the number of chunks: "
            f"{percent(curve[0].coverage.mean)} at k = {ks[0]}, "
            f"{percent(enough.coverage.mean)} at {enough.k}, "
            f"{percent(last.coverage.mean)} at {last.k}.",
        ),
        note="The first k chunks of the search that is served now; the band is the 95\xa0% "
        f"interval at each k. The square is at k\xa0=\xa0{enough.k}: a description, not a "
        "recommendation.",
    )


def draw_marginal_value(result: Result) -> Figure | None:
    """What a further chunk adds, and what an answer more costs by it."""
    steps = list(_steps(result))
    if len(steps) < 2:  # noqa: PLR2004
        return None
    priced = [step for step in steps if step.usd_per_answer is not None]
    figure, rows = new_axes(4.4 if priced else 3.6, rows=2 if priced else 1)
    ks = [step.last for step in steps]
    _draw_gains(rows[0], ks, [100 * step.coverage for step in steps], SERVED)
    rows[0].set_ylabel("points added per chunk")
    if priced:
        _draw_gains(
            rows[1],
            [step.last for step in priced],
            [step.usd_per_answer or 0 for step in priced],
            CHOSEN,
        )
        rows[1].set_ylabel("$ per added answer")
        rows[1].yaxis.set_major_formatter(lambda value, _: usd(value))
    chunk_axis(rows[-1], ks)
    rows[-1].set_xlabel("chunks in the context, k")
    gains = [step for step in steps[1:] if step.coverage > 0] or steps[:1]
    title = " and ".join(
        f"{step.name} adds {points(step.coverage)}" for step in gains[:1] + gains[1:][-1:]
    )
    note = (
        "Evidence that each further chunk of the served search adds, in points of all evidence. "
        "Steps without a gain are not drawn."
    )
    if priced:
        title += f"; one more answer then costs {usd(priced[-1].usd_per_answer or 0)}"
        note += (
            " Below: dollars for reading the added tokens, at the price per prompt token of the "
            "served setting, divided by the added share of questions with all their evidence in "
            "the context. A right answer needs that; whether it is right the model decides."
        )
    return Figure(
        name="marginal",
        title=title[0].upper() + title[1:],
        svg=to_svg(
            figure,
            "marginal",
            "What a further chunk adds. "
            + " ".join(f"{step.name}: {points(step.coverage)}." for step in (steps[0], steps[-1])),
        ),
        note=note,
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """From one k to the next.

    Attributes:
        first: the first chunk that is added, from 1.
        last: the last one.
        coverage: added by each of them, in the mean.
        usd_per_answer: for one more question with all its evidence; None: not known, or no gain.
    """

    first: int
    last: int
    coverage: float
    usd_per_answer: float | None

    @property
    def name(self) -> str:
        if self.first == self.last:
            return f"chunk {self.last}"
        return f"each of chunks {self.first} to {self.last}"


def _steps(result: Result) -> Iterator[_Step]:
    curve = _by_k(result)
    served = result.setting(result.reference)
    price = None
    if served.usd_per_1000 is not None and served.prompt_tokens.mean > 0:
        price = served.usd_per_1000 / 1000 / served.prompt_tokens.mean
    if curve:
        yield _Step(1, curve[0].k, curve[0].coverage.mean / curve[0].k, None)
    for before, after in pairwise(curve):
        answers = after.sufficient - before.sufficient
        tokens = after.prompt_tokens - before.prompt_tokens
        yield _Step(
            before.k + 1,
            after.k,
            (after.coverage.mean - before.coverage.mean) / (after.k - before.k),
            price * tokens / answers if price is not None and answers > 0 else None,
        )


def _draw_gains(axes: Axes, ks: Sequence[int], values: Sequence[float], color: str) -> None:
    drawn = [(k, value) for k, value in zip(ks, values, strict=True) if value > 0]
    axes.plot(*zip(*drawn, strict=True) if drawn else ((), ()), "o-", color=color, markersize=5)
    if drawn:
        axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def draw_chunk_sizes(result: Result) -> Figure | None:
    """Evidence within so many tokens, by chunk size."""
    lines = {size: dict(sorted(at.items())) for size, at in result.coverage_at.items() if at}
    budgets = sorted({tokens for at in lines.values() for tokens in at})
    if len(budgets) < 2:  # noqa: PLR2004
        return None
    figure, (axes,) = new_axes(3.6)
    legend = []
    for index, (size, at) in enumerate(lines.items()):
        color = LINES[index % len(LINES)]
        marker = MARKERS[index % len(MARKERS)]
        axes.plot(list(at), list(at.values()), f"{marker}-", color=color, markersize=5)
        legend.append((variable(color), f"chunks of {size} tokens"))
    token_axis(axes, budgets, unit=128)
    axes.set_ylim(0, 1)
    share_axis(axes)
    axes.set_xlabel("tokens of context")
    axes.set_ylabel("evidence within them")
    _, chosen = _served_and_chosen(result)
    budget = min(budgets, key=lambda tokens: abs(tokens - chosen.prompt_tokens.mean))
    there = {size: at[budget] for size, at in lines.items() if budget in at}
    best = max(there, key=lambda size: there[size])
    return Figure(
        name="sizes",
        title=f"Within {count(budget)} tokens, chunks of {best} hold the most evidence: "
        f"{percent(there[best])}"
        if len(there) > 1
        else f"{count(budget)} tokens of context hold {percent(there[best])} of the evidence",
        svg=to_svg(
            figure,
            "sizes",
            f"Evidence against tokens of context for {len(lines)} chunk sizes. Within "
            f"{count(budget)} tokens: "
            + ", ".join(f"{percent(share)} with {size}" for size, share in there.items())
            + ".",
        ),
        note="The search that is served now, over documents cut into chunks of each size; the best "
        "chunks that fit into so many tokens.",
        legend=legend,
    )


def draw_tokens(result: Result) -> Figure | None:
    """How long the prompts are."""
    served, chosen = _served_and_chosen(result)
    shown = [(served, "served now", SERVED)]
    if chosen.name != served.name:
        shown.append((chosen, "chosen", CHOSEN))
    everything = [tokens for one, _, _ in shown for tokens in one.item_tokens]
    if not everything:
        return None
    edges = np.linspace(0, max(*everything, 1) * 1.02, 31).tolist()
    figure, rows = new_axes(3.6, rows=len(shown))
    highest = max(np.histogram(one.item_tokens, edges)[0].max() for one, _, _ in shown)
    for axes, (one, label, color) in zip(rows, shown, strict=True):
        axes.hist(one.item_tokens, edges, color=color, alpha=0.55)
        axes.set_ylim(0, highest * 1.3)
        axes.set_ylabel("questions")
        for value, name, side in (
            (one.prompt_tokens_p50, "p50", "right"),
            (one.prompt_tokens_p95, "p95", "left"),
        ):
            axes.axvline(value, color=color, linewidth=1.4)
            axes.annotate(
                name,
                (value, highest * 1.28),
                xytext=(-4 if side == "right" else 4, 0),
                textcoords="offset points",
                color=color,
                ha=side,
                va="top",
                fontsize=10,
            )
        axes.grid(visible=False, axis="x")
        axes.set_title(label, color=color, fontweight="bold", loc="left")
    token_axis(rows[-1], [0, max(everything)])
    rows[-1].set_xlabel("prompt tokens of a question")
    tail = (
        f", instead of {count(served.prompt_tokens_p95)} now" if chosen.name != served.name else ""
    )
    return Figure(
        name="tokens",
        title=f"95\xa0% of the prompts have at most {count(chosen.prompt_tokens_p95)} tokens{tail}",
        svg=to_svg(
            figure,
            "tokens",
            "Histograms of prompt tokens. "
            + " ".join(
                f"{label.capitalize()}: median {count(one.prompt_tokens_p50)}, "
                f"95th percentile {count(one.prompt_tokens_p95)}."
                for one, label, _ in shown
            ),
        ),
        note="The whole prompt of each held-out question; p50 is the median, p95 the 95th "
        "percentile.",
    )


def draw_loss(result: Result) -> Figure:
    """Where evidence is lost."""
    loss = result.loss
    served, chosen = _served_and_chosen(result)
    bars = [("served now", loss.cut_now)]
    if chosen.name != served.name:
        bars.append(("chosen", loss.cut_chosen))
    parts = (
        ("in the context", CHOSEN, [1 - loss.not_retrieved - cut for _, cut in bars]),
        ("found, but cut off", SERVED, [cut for _, cut in bars]),
        ("not found", MUTED, [loss.not_retrieved for _ in bars]),
    )
    figure, (axes,) = new_axes(0.9 + 0.5 * len(bars))
    left = np.zeros(len(bars))
    rows = range(len(bars))
    for _, color, shares in parts:
        axes.barh(
            list(rows), shares, left=left, color=color, edgecolor=PAPER, linewidth=1.5, height=0.62
        )
        for row, share in zip(rows, shares, strict=True):
            if share >= 0.08:  # noqa: PLR2004 - the figures fit
                axes.text(
                    left[row] + share / 2,
                    row,
                    percent(share),
                    color=PAPER,
                    ha="center",
                    va="center",
                    fontweight="bold",
                )
        left += shares
    axes.set_yticks(list(rows), [label for label, _ in bars])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", color=GRID)
    axes.set_xlabel("share of all evidence")
    return Figure(
        name="loss",
        title=f"{percent(loss.not_retrieved)} of the evidence is never found; "
        f"{percent(bars[-1][1])} is found and cut off",
        svg=to_svg(
            figure,
            "loss",
            "Where evidence is lost. "
            + " ".join(
                f"{label.capitalize()}: "
                + ", ".join(f"{percent(shares[row])} {part}" for part, _, shares in parts)
                + "."
                for row, (label, _) in enumerate(bars)
            ),
        ),
        note="Not found: beyond what the deepest search finds, so more context does not help; "
        "better search or better cut documents may. Cut off: found, but below what goes into the "
        "context.",
        legend=[(variable(color), part) for part, color, _ in parts],
    )


def _served_and_chosen(result: Result) -> tuple[Measured, Measured]:
    return result.setting(result.reference), result.setting(result.decision.chosen)


def _by_k(result: Result) -> list[CurvePoint]:
    points_by_k = {point.k: point for point in result.curve if point.k > 0}
    return [points_by_k[k] for k in sorted(points_by_k)]
