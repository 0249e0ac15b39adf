"""Plots of where things go wrong, each setting a bar."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure as MatplotlibFigure

from eval.answer_scores import Fault
from eval.report.canvas import (
    CHOSEN,
    GRID,
    LINES,
    MUTED,
    PAPER,
    SERVED,
    Figure,
    new_axes,
    to_svg,
    variable,
)
from eval.report.words import percent
from eval.results import Result

_BLAME = (
    ("right", CHOSEN, Fault.NONE),
    ("misread", LINES[3], Fault.READER),
    ("evidence missing", MUTED, Fault.RETRIEVAL),
    ("refused or not", SERVED, Fault.ABSTENTION),
    ("not judged", GRID, Fault.UNJUDGED),
)
_Parts = Sequence[tuple[str, str, Sequence[float]]]


def draw_loss(result: Result) -> Figure:
    """Where evidence is lost."""
    loss = result.loss
    served, chosen = result.served, result.chosen
    bars = [("served now", loss.cut_now)]
    if chosen.name != served.name:
        bars.append(("chosen", loss.cut_chosen))
    parts = (
        ("in the context", CHOSEN, [1 - loss.not_retrieved - cut for _, cut in bars]),
        ("found, but cut off", SERVED, [cut for _, cut in bars]),
        ("not found", MUTED, [loss.not_retrieved for _ in bars]),
    )
    figure = _draw_bars([label for label, _ in bars], parts, "share of all evidence")
    return Figure(
        name="loss",
        title=f"{percent(loss.not_retrieved)} of the evidence is never found; "
        f"{percent(bars[-1][1])} is found and cut off",
        svg=to_svg(
            figure, "loss", f"Where evidence is lost. {_in_words([one for one, _ in bars], parts)}"
        ),
        note="Not found: beyond what the deepest search finds, so more context does not help; "
        "better search or better cut documents may. Cut off: found, but below what goes into the "
        "context.",
        legend=[(variable(color), part) for part, color, _ in parts],
    )


def draw_blame(result: Result) -> Figure | None:
    """Why answers were wrong."""
    if result.answers is None:
        return None
    served = result.answers.setting(result.reference)
    chosen = result.answers.setting(result.decision.chosen)
    named = {"served now": served, "chosen": chosen if chosen != served else None}
    shown = {label: one for label, one in named.items() if one is not None and one.items}
    if not shown:
        return None
    parts = [
        (part, color, [one.faults.get(fault, 0) / len(one.items) for one in shown.values()])
        for part, color, fault in _BLAME
    ]
    _, *faults, _ = ((shares[-1], part) for part, _, shares in parts)
    title = "No answer is known to be wrong" if any(parts[-1][-1]) else "No answer is wrong"
    if wrong := sum(share for share, _ in faults):
        share, part = max(faults)
        title = f"{percent(wrong)} of the answers are wrong, most of them: {part}, {percent(share)}"
    if not any(parts[-1][-1]):
        parts.pop()
    figure = _draw_bars([*shown], parts, "share of all questions")
    return Figure(
        name="blame",
        title=title,
        svg=to_svg(figure, "blame", f"Why answers are wrong. {_in_words([*shown], parts)}"),
        note="Wrong: quality below one half. Misread: all evidence was in the context. Evidence "
        "missing: some was not. Refused or not: an answer to a question that the documents do not "
        "answer, or none although all evidence was in the context. Not judged: the "
        "judge gave no verdict.",
        legend=[(variable(color), part) for part, color, _ in parts],
    )


def _in_words(bars: Sequence[str], parts: _Parts) -> str:
    return " ".join(
        f"{label.capitalize()}: "
        + ", ".join(f"{percent(shares[row])} {part}" for part, _, shares in parts)
        + "."
        for row, label in enumerate(bars)
    )


def _draw_bars(bars: Sequence[str], parts: _Parts, axis: str) -> MatplotlibFigure:
    """Draw a bar for each name, cut into parts: name, colour, shares of the bars."""
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
                    in_layout=False,  # it stands in its bar, which has room already
                )
        left += shares
    axes.set_yticks(list(rows), list(bars))
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", color=GRID)
    axes.set_xlabel(axis)
    return figure
