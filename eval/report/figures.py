"""The plots of the report. Each has a title that says what was found."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes

from eval.counted import counted
from eval.dollars import dollars
from eval.report.canvas import (
    CHOSEN,
    LINES,
    MARKERS,
    SERVED,
    Figure,
    chunk_axis,
    gain_axis,
    new_axes,
    share_axis,
    to_svg,
    token_axis,
    variable,
)
from eval.report.words import count, percent, points
from eval.results import CurvePoint, Result


def draw_more(result: Result) -> list[Figure]:
    """Draw what the result has figures for, beside the front and the loss."""
    drawn = (draw_tokens, draw_curve, draw_marginal_value, draw_chunk_sizes)
    return [figure for draw in drawn if (figure := draw(result)) is not None]


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
    costs = {step.last: step.usd_per_answer for step in steps if step.usd_per_answer is not None}
    figure, rows = new_axes(4.4 if costs else 3.6, rows=2 if costs else 1)
    _draw_gains(rows[0], {step.last: 100 * step.coverage for step in steps}, SERVED, "{:g}".format)
    rows[0].set_ylabel("points added per chunk")
    if costs:
        _draw_gains(rows[1], costs, CHOSEN, dollars)
        rows[1].set_ylabel("$ per added answer")
    chunk_axis(rows[-1], [step.last for step in steps])
    rows[-1].set_xlabel("chunks in the context, k")
    gains = [step for step in steps[1:] if step.coverage > 0] or steps[:1]
    title = " and ".join(
        f"{step.name} adds {points(step.coverage)}" for step in gains[:1] + gains[1:][-1:]
    )
    note = (
        "Evidence that each further chunk of the served search adds, in points of all evidence. "
        "Steps without a gain are not drawn."
    )
    if costs:
        title += f"; one more answer then costs {dollars(list(costs.values())[-1])}"
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


def _draw_gains(
    axes: Axes, by_k: Mapping[int, float], color: str, write: Callable[[float], str]
) -> None:
    gains = {k: gain for k, gain in by_k.items() if gain > 0}
    axes.plot(list(gains), list(gains.values()), "o-", color=color, markersize=5)
    if gains:
        gain_axis(axes, list(gains.values()))
    axes.yaxis.set_major_formatter(lambda value, _: write(value))


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
    budget = min(budgets, key=lambda tokens: abs(tokens - result.chosen.prompt_tokens.mean))
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
            f"Evidence against tokens of context for {counted(len(lines), 'chunk size')}. Within "
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
    served, chosen = result.served, result.chosen
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
        _mark(axes, (one.prompt_tokens_p50, highest * 1.28), "p50", color, is_left=True)
        _mark(axes, (one.prompt_tokens_p95, highest * 1.28), "p95", color, is_left=False)
        axes.set_ylabel("questions")
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


def _mark(axes: Axes, end: tuple[float, float], name: str, color: str, *, is_left: bool) -> None:
    """Draw an upright line, with its name beside its upper end."""
    axes.axvline(end[0], color=color, linewidth=1.4)
    axes.annotate(
        name,
        end,
        xytext=(-4 if is_left else 4, 0),
        textcoords="offset points",
        color=color,
        ha="right" if is_left else "left",
        va="top",
        fontsize=10,
    )


def _by_k(result: Result) -> list[CurvePoint]:
    points_by_k = {point.k: point for point in result.curve if point.k > 0}
    return [points_by_k[k] for k in sorted(points_by_k)]
