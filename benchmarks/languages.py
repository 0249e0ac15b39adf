"""One set of questions in twelve languages: what the mix finds where the embedder is lost.

Usage: python -m benchmarks.languages DATA [--cache FILE]
DATA holds XQuAD in each language. For each the passages are embedded by the default embedder and
indexed with the analyzer of the language; both arms find and score as in benchmarks.fusion. The
weight of the dense score is that of the default profile as it is (power 0), and by several powers
of the share of the query that is in the embedder's vocabulary. Writes languages.json and
languages.md to benchmarks/results.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from benchmarks.fusion import (
    RESULTS,
    cached_tools,
    default_cache,
    difference,
    find,
    interval,
    rank_units,
)
from benchmarks.judged_sets import load_articles
from eval.measures import measure_queries
from ingest.chunker import Chunker
from retrieval.embedding import Embedder
from retrieval.fusion import convex_combination
from retrieval.languages import Language
from retrieval.profiles import RetrievalProfile
from retrieval.vocabulary import COVERAGE_POWER

LANGUAGES: dict[str, Language] = {
    "en": "english",
    "es": "spanish",
    "ro": "romanian",
    "de": "german",
    "tr": "turkish",
    "vi": "none",
    "hi": "hindi",
    "zh": "none",
    "el": "greek",
    "ru": "russian",
    "ar": "arabic",
    "th": "none",
}
POWERS = (0, 1, 2, 3, 4)


def main() -> None:
    """Measure all languages and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=default_cache())
    arguments = parser.parse_args()
    with cached_tools(arguments.cache) as (embedder, chunker):
        figures = {code: measure(arguments.data, code, chunker, embedder) for code in LANGUAGES}
    (RESULTS / "languages.json").write_text(json.dumps(figures, indent=2) + "\n")
    (RESULTS / "languages.md").write_text(to_markdown(figures))


def measure(data: Path, code: str, chunker: Chunker, embedder: Embedder) -> dict[str, Any]:
    """Return the figures of one language."""
    judged = load_articles(f"xquad/{code}")(data, chunker)
    found = find(judged, embedder, LANGUAGES[code])
    coverage = {query_id: arms.coverage for query_id, arms in found.items()}
    weights = {
        "dense": dict.fromkeys(coverage, 1.0),
        "lexical": dict.fromkeys(coverage, 0.0),
        **{
            f"power {power}": {
                query_id: RetrievalProfile().dense_weight * share**power
                for query_id, share in coverage.items()
            }
            for power in POWERS
        },
    }
    values = {
        name: measure_queries(
            judged.qrels,
            rank_units(
                judged,
                {
                    one: convex_combination(arms.dense, arms.lexical, weight[one])
                    for one, arms in found.items()
                },
            ),
        )["nDCG@10"]
        for name, weight in weights.items()
    }
    better = max(("dense", "lexical"), key=lambda arm: statistics.fmean(values[arm].values()))
    print(code, len(found), "queries", flush=True)
    return {
        "num_queries": len(found),
        "coverage": round(statistics.median(coverage.values()), 3),
        "nDCG@10": {name: interval(judged, dict(one)) for name, one in values.items()},
        "over_better_arm": {
            name: interval(judged, difference(one, values[better]))
            for name, one in values.items()
            if name.startswith("power")
        },
    }


def to_markdown(figures: dict[str, Any]) -> str:
    """Return the table of all languages."""
    served = f"power {COVERAGE_POWER}"
    names = ["dense", "lexical", *(f"power {power}" for power in POWERS)]
    head = [
        "language",
        "vocabulary",
        *(f"{one} (served)" if one == served else one for one in names),
    ]
    rows = [
        [
            code,
            f"{one['coverage']:.2f}",
            *(f"{one['nDCG@10'][name]['mean']:.3f}" for name in names),
            "{mean:+.3f} [{low:+.3f}, {high:+.3f}]".format(**one["over_better_arm"][served]),
        ]
        for code, one in figures.items()
    ]
    lines = [[*head, "served over the better arm"], ["---"] * (len(head) + 1), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return (
        "# The mix of both searches in twelve languages\n\n"
        "Written by `python -m benchmarks.languages`. nDCG@10 on XQuAD, 240 passages and 1,190 "
        "questions in each language, with the default embedder. Vocabulary: the median share of a "
        "query's letters in its words. The power is that of this share in the weight of the dense "
        f"score; 95 % confidence intervals over articles.\n\n{table}\n"
    )


if __name__ == "__main__":
    main()
