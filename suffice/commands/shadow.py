"""`suffice eval shadow`."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.table import Table

from eval.counted import counted
from suffice.errors import SufficeError
from suffice.options import Json, Url, console, escape, print_json, service

if TYPE_CHECKING:
    from eval.pairs import PairedMeasure, ShadowComparison


def shadow(json_output: Json = False, url: Url = None) -> None:
    """Compare a candidate profile with what is served, on what people asked meanwhile."""
    from eval.pairs import compare_pairs  # noqa: PLC0415 - heavy, see cli.py

    with service(url) as client:
        comparisons = compare_pairs(client.shadow_pairs())
    if json_output:
        print_json({"comparisons": [asdict(one) for one in comparisons]})
        return
    if not comparisons:
        raise SufficeError(
            "Nothing was answered twice yet. Set SERVING_SHADOW_PROFILE and SERVING_SHADOW_SHARE, "
            "start the service anew, and come back when people have asked something."
        )
    for comparison in comparisons:
        _print(comparison)


def _print(comparison: "ShadowComparison") -> None:
    console.print(
        f"[bold]{escape(comparison.candidate)}[/] beside {escape(comparison.profile)}, collection "
        f"{escape(comparison.collection)}: {counted(comparison.num_pairs, 'answer')} to "
        f"{counted(comparison.num_questions, 'question')}, {comparison.same_share:.0%} the same."
    )
    table = Table("mean", "served", "candidate", "difference", "95 % interval", box=None)
    for name, measure in comparison.measures.items():
        table.add_row(
            name.replace("_", " "),
            f"{measure.served:,.4g}",
            f"{measure.shadow:,.4g}",
            f"{measure.shadow - measure.served:+,.4g}",
            _interval(measure),
        )
    console.print(table)


def _interval(measure: "PairedMeasure") -> str:
    found = measure.difference
    return "" if found is None else f"{found.low:+,.4g} to {found.high:+,.4g}"
