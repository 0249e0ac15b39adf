"""The plot of a break-even: dollars a day over questions a day, a panel for each kind of answer."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FuncFormatter

from eval.break_even import Comparison
from eval.report.canvas import CHOSEN, INK, LINES, new_axes, save_svg

_NUM_POINTS = 600
_PANEL_INCHES = 3.4
_LEGEND_INCHES = 0.9
# How far to look beyond the first and the last break-even.
_BEYOND = 10


def draw_break_even(comparisons: Sequence[Comparison], path: Path) -> None:
    """Write an SVG file.

    Raises:
        ReportError: it cannot be written there.
    """
    figure, panels = new_axes(_PANEL_INCHES * len(comparisons) + _LEGEND_INCHES, len(comparisons))
    questions = _questions(comparisons)
    groups = _group_by_price(comparisons)
    for axes, comparison in zip(panels, comparisons, strict=True):
        _draw(axes, comparison, groups, questions)
    panels[-1].set_xlabel("questions a day")
    handles, labels = panels[0].get_legend_handles_labels()
    small = {"fontsize": 8, "labelcolor": INK, "frameon": False}
    figure.legend(handles, labels, loc="outside lower center", ncols=2, **small)
    save_svg(figure, path)


def _questions(comparisons: Sequence[Comparison]) -> Sequence[int]:
    """Return numbers of questions around those at which something changes."""
    apis = (api.break_even for one in comparisons for api in one.apis.values())
    firsts = [even.first for even in apis if even is not None]
    ends = [*firsts, *(one.own.questions_per_gpu for one in comparisons)]
    low, high = max(1, min(ends) / _BEYOND), _BEYOND * max(ends)
    return [int(one) for one in np.unique(np.geomspace(low, high, _NUM_POINTS).round())]


def _group_by_price(comparisons: Sequence[Comparison]) -> list[list[str]]:
    """Return the names of the APIs, those that cost the same together, the cheapest first."""
    groups = defaultdict(list)
    for name in comparisons[0].apis:
        groups[tuple(one.apis[name].usd for one in comparisons)].append(name)
    return [groups[usd] for usd in sorted(groups)]


def _draw(
    axes: Axes, comparison: Comparison, groups: Sequence[Sequence[str]], questions: Sequence[int]
) -> None:
    colors = [color for color in LINES if color != CHOSEN]
    for number, names in enumerate(groups):
        color, style = colors[number % len(colors)], "-" if number < len(colors) else "--"
        api = comparison.apis[names[0]]
        spent = [one * api.usd for one in questions]
        axes.plot(questions, spent, style, color=color, linewidth=1.4, label=", ".join(names))
        if api.break_even is not None:
            first = api.break_even.first
            axes.plot([first], [first * api.usd], "o", color=color, markersize=6, zorder=3)
    own = [comparison.own.usd_per_day(one) for one in questions]
    axes.plot(questions, own, color=CHOSEN, linewidth=2.6, label="own GPUs", zorder=2.5)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"${value:,.10g}"))
    axes.set_ylabel("dollars a day")
    axes.set_title(comparison.label.replace(": ", "\n"), fontsize=9, color=INK, loc="left")
