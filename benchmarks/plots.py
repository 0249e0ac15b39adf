"""Draws results: `python -m benchmarks.plots retrieval|growth|context|tuning`.

Reads benchmarks/results/NAME.json and writes NAME.svg beside it; of `tuning`, which shows a part of
context.json, docs/tuning.svg.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

RESULTS = Path(__file__).with_name("results")
DOCS = Path(__file__).parents[1] / "docs"
OURS, OTHERS, SERVED = "#c2410c", "#64748b", "#1d4ed8"
LEAST_SHOWN = 0.8
MEDIAN_PEER = "NVIDIA RAG"


def main() -> None:
    """Draw."""
    name = sys.argv[1]
    source = "context" if name == "tuning" else name
    results = json.loads((RESULTS / f"{source}.json").read_text())
    # Text stays text, and the same input gives the same file.
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 9})
    draw = {
        "retrieval": draw_retrieval,
        "growth": draw_growth,
        "context": draw_context,
        "tuning": draw_tuning,
    }[name]
    figure = draw(results)
    folder = DOCS if name == "tuning" else RESULTS
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")


def draw_retrieval(results: dict[str, Any]) -> Any:
    """Latency and quality of each system as bars."""
    speed, quality = results["speed"]["systems"], results["quality"]["systems"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.6))
    _bars(left, {name: one["p50_ms"] for name, one in speed.items()})
    left.set_xscale("log")
    left.set_title(f"median of a hybrid query, ms, {results['speed']['num_chunks']:,} chunks")
    _bars(right, {name: one["nDCG@10"] for name, one in quality.items()})
    right.set_title(f"nDCG@10, SciFact, {results['quality']['num_documents']:,} documents")
    figure.tight_layout()
    return figure


def draw_growth(results: dict[str, Any]) -> Any:
    """Latency, memory, disk and opening over the number of chunks."""
    sizes = results["sizes"]
    numbers = [one["num_chunks"] for one in sizes]
    figure, axes = plt.subplots(1, 4, figsize=(12, 2.8))
    panels = {
        "hybrid query, ms": ("p50_ms", "p95_ms"),
        "memory, MB": ("memory_mb",),
        "disk, MB": ("disk_mb",),
        "opening, s": ("open_seconds",),
    }
    for axis, (title, keys) in zip(axes, panels.items(), strict=True):
        for key, style in zip(keys, ("-o", "--o"), strict=False):
            axis.plot(numbers, [one[key] for one in sizes], style, color=OURS, label=key[:3])
        axis.set_title(title)
        axis.set_xlabel("chunks")
        axis.margins(y=0.1)
        axis.set_ylim(bottom=0)
        axis.xaxis.set_major_formatter(lambda number, _: f"{number / 1000:g}k")
    axes[0].axvline(results["server_from_chunks"], color=OTHERS, linestyle=":")
    axes[0].legend(frameon=False)
    figure.tight_layout()
    return figure


def draw_context(results: dict[str, Any]) -> Any:
    """Evidence over tokens of context, for each data set; all on questions that were held out."""
    data_sets = results["data_sets"]
    figure, axes = plt.subplots(1, len(data_sets), figsize=(4 * len(data_sets), 4))
    for axis, (name, result) in zip(axes, data_sets.items(), strict=True):
        references = result["references"]
        for one in (True, False):
            points = [
                point
                for point in sorted(result["curves"], key=lambda point: point["num_chunks"])
                if point["is_packed"] is one and point["cut_at"] == result["cut_at"][0]
            ]
            label = "first k of 200 tokens, " + ("packed" if one else "as they are")
            _line(axis, points, "-" if one else ":", color=OURS, alpha=0.5, label=label)
        _line(axis, result["front"], "-", color=OURS, linewidth=2, label="best of all settings")
        for reference, point in references.items():
            color = OURS if reference == "served" else OTHERS
            place = (point["tokens"], point["coverage"]["mean"])
            axis.plot(*place, "o", color=color)
            look = {"textcoords": "offset points", "rotation": -50, "va": "top", "fontsize": 6}
            axis.annotate(reference, place, (1, -2), **look)
        certified = references["served"]["certified"]
        if certified["verdict"] == "certified":
            place = (certified["tokens"], certified["coverage"]["mean"])
            axis.plot(*place, "*", color=OURS, markersize=12, label="certified instead of served")
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(lambda number, _: f"{number:,.0f}")
        axis.set_title(name)
        axis.set_xlabel("tokens of context")
    axes[0].set_ylabel("share of the evidence")
    axes[0].legend(frameon=False, fontsize=7, loc="lower right")
    figure.tight_layout()
    return figure


def draw_tuning(results: dict[str, Any]) -> Any:
    """What a tuning finds: the front, a peer's default, what is certified instead, and others."""
    result = results["data_sets"]["squad2_dev, articles"]
    served, eps = result["references"][MEDIAN_PEER], results["eps"]
    figure, axis = plt.subplots(figsize=(7.2, 3.6))
    front = [one for one in result["front"] if one["coverage"]["mean"] >= LEAST_SHOWN]
    _line(axis, front, "-", color=OURS, linewidth=1.5, label="best of all settings")
    for one in front:
        _cross(axis, one, "o", color=OURS, markersize=3, elinewidth=0.7)
    _cross(axis, served, "s", color=SERVED, markersize=7, label="10 chunks of 512 tokens")
    label = f"certified instead: {1 - served['certified']['tokens'] / served['tokens']:.0%} fewer"
    _cross(axis, served["certified"], "*", color=OURS, markersize=13, label=label)
    peers = {
        name: one
        for name, one in result["references"].items()
        if name not in {MEDIAN_PEER, "adaptive-k", "most coverage"}
    }
    _draw_others(axis, peers)
    loss = served["coverage"]["mean"] - eps
    axis.axhline(loss, color=SERVED, linestyle=":", linewidth=1)
    axis.annotate(
        "below it, a loss",
        (front[0]["tokens"], loss),
        (0, -4),
        color=SERVED,
        va="top",
        textcoords="offset points",
        fontsize=7,
    )
    axis.set_xscale("log")
    axis.set_xticks([125, 250, 500, 1000, 2000, 4000, 8000, 16000])
    axis.minorticks_off()
    axis.xaxis.set_major_formatter(lambda number, _: f"{number:,.0f}")
    axis.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axis.set_xlabel("tokens of context, mean over questions")
    axis.set_ylabel("evidence in the context")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="lower right")
    figure.tight_layout()
    return figure


def _draw_others(axis: Any, references: dict[str, Any]) -> None:
    """Draw references with their names: left, and up and down by turns, as some are close."""
    for number, (name, one) in enumerate(references.items()):
        place = (one["tokens"], one["coverage"]["mean"])
        axis.plot(*place, "o", color=OTHERS, markersize=4)
        side: dict[str, Any] = {"ha": "center", "va": "top", "xytext": (0, -5)}
        if name == "served":
            side = {"ha": "right", "va": "center", "xytext": (-5, 0)}
        elif number % 2:
            side = {"ha": "center", "va": "bottom", "xytext": (0, 5)}
        text = "Suffice, untuned" if name == "served" else name
        axis.annotate(text, place, color=OTHERS, fontsize=7, textcoords="offset points", **side)


def _cross(axis: Axes, one: dict[str, Any], marker: str, **look: Any) -> None:
    coverage = one["coverage"]
    bounds = [[coverage["mean"] - coverage["low"]], [min(coverage["high"], 1) - coverage["mean"]]]
    axis.errorbar(one["tokens"], coverage["mean"], yerr=bounds, fmt=marker, **look)


def _line(axis: Axes, points: list[dict[str, Any]], style: str, **look: Any) -> None:
    coverage = [one["coverage"]["mean"] for one in points]
    axis.plot([one["tokens"] for one in points], coverage, style, **look)


def _bars(axis: Axes, values: dict[str, float]) -> None:
    names = list(values)[::-1]
    colors = [OURS if name == "suffice" else OTHERS for name in names]
    bars = axis.barh(names, [values[name] for name in names], color=colors)
    axis.bar_label(bars, [f"{values[name]:,.4g}" for name in names], padding=3)
    axis.margins(x=0.2)


if __name__ == "__main__":
    main()
