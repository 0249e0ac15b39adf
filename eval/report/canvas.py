"""Plots as pieces of a page, or files of their own: drawn by matplotlib, in the page's colours.

A plot is drawn with stand-in colours, which become the variables of the page's stylesheet, so that
it follows the reader's choice of light or dark. Text stays text, in the page's font. The same input
gives the same bytes.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from math import ceil, floor, log10
from pathlib import Path
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator, PercentFormatter

from eval.errors import ReportError

INK, MUTED, GRID, PAPER = "#000001", "#000002", "#000003", "#000004"
SERVED, CHOSEN = "#000011", "#000012"
LINES = ("#000012", "#000011", "#000013", "#000014", "#000015", "#000016")
MARKERS = "osD^vP"
_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    PAPER: "paper",
    SERVED: "served",
    CHOSEN: "chosen",
    "#000013": "third",
    "#000014": "fourth",
    "#000015": "fifth",
    "#000016": "sixth",
}
# Inches: on a phone of 390 pixels the text of a plot is then as large as small print.
WIDTH = 4.8
_MOST_TICKS = 6
# Amounts that are at most so many times as large as others are on a narrow scale.
_NARROW = 30
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GRID,
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 11,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "lines.linewidth": 2,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.color": GRID,
    "ytick.labelcolor": MUTED,
}


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


def variable(color: str) -> str:
    """Return the name of the page's variable that stands for a colour."""
    return _VARIABLES[color]


def new_axes(height: float, rows: int = 1) -> tuple[MatplotlibFigure, list[Axes]]:
    """Return an empty figure of so many plots below each other with one x-axis.

    Args:
        height: in inches.
        rows: number of plots.
    """
    with mpl.rc_context(_STYLE):
        figure = MatplotlibFigure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)  # so that text is as long for the layout as in the file
        grid = figure.subplots(rows, 1, sharex=True, squeeze=False)
        return figure, list(grid[:, 0])


def to_svg(figure: MatplotlibFigure, name: str, alt: str) -> Markup:
    """Return a figure as an element of a page.

    Args:
        figure: made by `new_axes`.
        name: unique in the page; ids begin with it.
        alt: what the figure shows, for those who do not see it.
    """
    svg = _draw(figure, name)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    # Only in tags: what is written in the plot stays as it is.
    svg = re.sub(r"<[^>]+>", lambda tag: _for_page(tag.group(), name), svg)
    root = f'<svg role="img" aria-label="{Markup.escape(alt)}" '
    return Markup(re.sub(r"<svg [^>]*?(?=viewBox)", lambda _: root, svg, count=1))  # noqa: S704


def save_svg(figure: MatplotlibFigure, path: Path) -> None:
    """Write a figure to a file of its own, in the colours of the light page.

    Args:
        figure: made by `new_axes`.
        path: of an SVG file.

    Raises:
        ReportError: it cannot be written there.
    """
    light = Path(__file__).with_name("style.css").read_text("utf-8").partition("@media")[0]
    colors = dict(re.findall(r"--(\w+): (#\w+)", light))
    svg = _draw(figure, path.name, facecolor=PAPER)
    for color, name in _VARIABLES.items():
        svg = svg.replace(color, colors[name])
    try:
        path.write_text(svg, encoding="utf-8")
    except OSError as error:
        raise ReportError(
            f"The plot cannot be written to {path}: {error.strerror or error}."
        ) from error


def _draw(figure: MatplotlibFigure, salt: str, **options: Any) -> str:
    file = StringIO()
    with mpl.rc_context(_STYLE | {"svg.hashsalt": salt}):
        # Else `savefig` draws all of it once more, only to lay it out.
        if (layout := figure.get_layout_engine()) is not None:
            layout.execute(figure)
            figure.set_layout_engine("none")
        figure.savefig(file, format="svg", metadata={"Date": None}, **options)
    return file.getvalue()


def _for_page(tag: str, name: str) -> str:
    for color, replacement in _VARIABLES.items():
        tag = tag.replace(color, f"var(--{replacement})")
    return re.sub(r"""( id="|url\(#|href="#)""", rf"\g<1>{name}-", tag)


def share_axis(axes: Axes) -> None:
    """Let the y-axis show shares in percent, none and all at the most."""
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -0.01), min(high, 1.01))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None, symbol=" %"))


def token_axis(axes: Axes, tokens: Sequence[float], unit: int = 125) -> None:
    """Let the x-axis show tokens: in doublings of a unit where they are far apart."""
    least, most = min(tokens), max(tokens)
    if least >= 1 and most / least >= 3:  # noqa: PLR2004
        axes.set_xscale("log")
        doublings = [unit * 2.0**power for power in range(-7, 20)]
        fitting = [size for size in doublings if least * 0.9 <= size <= most * 1.1]
        _ticks(axes, fitting[:: ceil(len(fitting) / _MOST_TICKS) or 1])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(_MOST_TICKS))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def chunk_axis(axes: Axes, ks: Sequence[int]) -> None:
    """Let the x-axis show a number of chunks, at 1, 2, 5, 10, 20, ..."""
    axes.set_xscale("log")
    decades = range(floor(log10(min(ks))), ceil(log10(max(ks))) + 1)
    ticks = (step * 10**decade for decade in decades for step in (1, 2, 5))
    _ticks(axes, (tick for tick in ticks if min(ks) <= tick <= max(ks)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def gain_axis(axes: Axes, values: Sequence[float]) -> None:
    """Let the y-axis show amounts above 0: powers of 10, between them 2 and 5 where few are."""
    axes.set_yscale("log")
    is_narrow = max(values) < _NARROW * min(values)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if is_narrow else (1,)))
    axes.yaxis.set_minor_locator(NullLocator())


def _ticks(axes: Axes, ticks: Iterable[float]) -> None:
    axes.set_xticks(list(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
