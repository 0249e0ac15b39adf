"""Rules of fusion on several test collections: which ranks best, and which is worse than one arm?

Usage: python -m benchmarks.fusion DATA [--set NAME]... [--cache FILE]
DATA holds the collections that judged_sets.py names; all are measured unless some are named. Their
passages are embedded and indexed; each arm finds its first passages and scores what only the other
found, as in the service; every rule fuses these same scores. Vectors stay in FILE, outside the
repository, so that they are computed once. Writes fusion.json and fusion.md to benchmarks/results.
"""

import argparse
import hashlib
import json
import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from benchmarks.judged_sets import JUDGED_SETS, JudgedSet, Passage
from eval.intervals import question_t_interval
from eval.measures import measure_queries
from eval.temporary_index import temporary_index
from ingest.chunker import Chunker
from ingest.settings import IngestSettings
from retrieval.chunks import Chunk
from retrieval.embedding import Embedder, Matrix
from retrieval.fusion import convex_combination, reciprocal_rank
from retrieval.index import BATCH_SIZE, ChunkIndex, Ranking
from retrieval.languages import Language
from retrieval.profiles import RetrievalProfile
from retrieval.sentence_transformer import SentenceTransformerEmbedder
from retrieval.settings import RetrievalSettings
from retrieval.vector_cache import CachingEmbedder, VectorCache
from retrieval.vocabulary import covered_weight

RESULTS = Path(__file__).resolve().parent / "results"
MAX_CACHE_BYTES = 1 << 30
# Passages of each arm: where a page has several, enough for 100 pages.
DEPTH = 300
MEASURES = ("nDCG@10", "R@10", "R@100")

Scale = Callable[[Ranking], Ranking]
# Measure -> query id -> value.
Values = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Arms:
    """What both arms say of the candidates of one query.

    Attributes:
        coverage: how much of the query the embedder's vocabulary has.
    """

    dense: Ranking
    lexical: Ranking
    coverage: float


Rule = Callable[[Arms], Ranking]


def from_lowest(scores: Ranking) -> Ranking:
    """Scale to 0 for the lowest score of the list and 1 for the highest."""
    lowest, highest = min(scores.values()), max(scores.values())
    return {key: (score - lowest) / ((highest - lowest) or 1.0) for key, score in scores.items()}


def by_best(scores: Ranking) -> Ranking:
    """Scale to 1 for the highest score of the list; below 0 counts as 0."""
    highest = max(scores.values())
    return {key: max(0.0, score) / (highest or 1.0) for key, score in scores.items()}


def by_deviation(scores: Ranking) -> Ranking:
    """Scale to 0 three standard deviations below the mean of the list and 1 three above (DBSF)."""
    mean, deviation = statistics.fmean(scores.values()), statistics.pstdev(scores.values())
    return {key: (score - mean) / ((6 * deviation) or 1.0) + 0.5 for key, score in scores.items()}


def weighted(scale: Scale, dense_weight: float, arms: Arms) -> Ranking:
    """Add scaled scores; what is missing in a list scores 0 there."""
    parts = ((dense_weight, arms.dense), (1 - dense_weight, arms.lexical))
    scaled = [(weight, scale(scores) if scores else {}) for weight, scores in parts]
    return best_first(
        {
            key: sum(weight * scores.get(key, 0.0) for weight, scores in scaled)
            for key in arms.dense.keys() | arms.lexical.keys()
        }
    )


def best_first(scores: Ranking) -> Ranking:
    """Put scores into order, equal ones by their keys."""
    return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))


def reciprocal_ranks(k: int, arms: Arms) -> Ranking:
    """Fuse by ranks."""
    return reciprocal_rank(arms.dense, arms.lexical, 0.5, k)


def convex(dense_weight: float, arms: Arms) -> Ranking:
    """Fuse as the service does, with any weight."""
    weight = covered_weight(dense_weight, arms.coverage)
    return convex_combination(arms.dense, arms.lexical, weight)


ARMS: dict[str, Rule] = {
    "dense": lambda arms: arms.dense,
    "lexical": lambda arms: arms.lexical,
}
CONVEX = {f"convex, {weight}": partial(convex, weight) for weight in (0.5, 0.6, 0.7, 0.8)}
SERVED = f"convex, {RetrievalProfile().dense_weight}"
OVER_BETTER_ARM = "nDCG@10 over the better arm"
RULES: dict[str, Rule] = {
    **ARMS,
    **{f"reciprocal rank, k={k}": partial(reciprocal_ranks, k) for k in (2, 60)},
    **{f"min-max, {w}": partial(weighted, from_lowest, w) for w in (0.5, 0.6)},
    **{f"DBSF, {w}": partial(weighted, by_deviation, w) for w in (0.5, 0.6)},
    **{f"by the best, {w}": partial(weighted, by_best, w) for w in (0.5, 0.6)},
    **CONVEX,
}


def main() -> None:
    """Measure all sets and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--set", action="append", choices=JUDGED_SETS)
    parser.add_argument("--cache", type=Path, default=default_cache())
    arguments = parser.parse_args()
    with cached_tools(arguments.cache) as (embedder, chunker):
        figures = {
            name: measure(JUDGED_SETS[name](arguments.data, chunker), embedder)
            for name in arguments.set or JUDGED_SETS
        }
    (RESULTS / "fusion.json").write_text(json.dumps(figures, indent=2) + "\n")
    (RESULTS / "fusion.md").write_text(to_markdown(figures))


class QueryCachingEmbedder(CachingEmbedder):
    """Looks up queries as well."""

    def __init__(self, embedder: Embedder, cache: VectorCache) -> None:
        super().__init__(embedder, cache)
        self._vectors = cache

    def embed_query(self, text: str) -> Matrix:
        """Embed a query that was never embedded, see `Embedder`."""
        key = hashlib.sha256(f"{self.fingerprint}\nquery\n{text}".encode()).digest()
        known = self._vectors.get([key])
        if key not in known:
            known[key] = super().embed_query(text)
            self._vectors.put(known)
        return known[key]


@contextmanager
def cached_tools(path: Path) -> Iterator[tuple[Embedder, Chunker]]:
    """Yield the default embedder, which keeps its vectors in a file, and the chunker for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(VectorCache(path, MAX_CACHE_BYTES)) as cache:
        embedder = QueryCachingEmbedder(
            SentenceTransformerEmbedder(RetrievalSettings().embedder), cache
        )
        yield (
            embedder,
            Chunker.for_embedder(IngestSettings(), embedder.max_tokens, embedder.token_starts),
        )


def default_cache() -> Path:
    """Return the file that vectors stay in unless another one is named."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "suffice" / "benchmark-vectors.sqlite"


def measure(judged: JudgedSet, embedder: Embedder) -> dict[str, Any]:
    """Return the figures of each rule on one set."""
    found = find(judged, embedder, RetrievalSettings().language)
    values: dict[str, Values] = {}
    for name, rule in RULES.items():
        rankings = {one: rule(arms) for one, arms in found.items()}
        values[name] = measure_queries(judged.qrels, rank_units(judged, rankings))
    better = max(ARMS, key=lambda arm: statistics.fmean(values[arm]["nDCG@10"].values()))
    print(judged.name, len(judged.passages), "passages", len(found), "queries", flush=True)
    return {
        "num_passages": len(judged.passages),
        "num_queries": len(found),
        "num_clusters": len(set(judged.clusters.values())),
        "better_arm": better,
        "rules": {
            name: {
                **{one: interval(judged, dict(rule[one])) for one in MEASURES},
                OVER_BETTER_ARM: interval(
                    judged, difference(rule["nDCG@10"], values[better]["nDCG@10"])
                ),
            }
            for name, rule in values.items()
        },
    }


def find(judged: JudgedSet, embedder: Embedder, language: Language) -> dict[str, Arms]:
    """Index a set and search with each of its queries."""
    chunks = [_chunk(key, one) for key, one in zip(_ids(judged), judged.passages, strict=True)]
    with temporary_index(embedder.dimension, language) as index:
        for start in range(0, len(chunks), BATCH_SIZE):
            batch = chunks[start : start + BATCH_SIZE]
            index.upsert(batch, embedder.embed_passages([chunk.passage for chunk in batch]))
        return {
            query_id: _search(index, embedder, query) for query_id, query in judged.queries.items()
        }


def _search(index: ChunkIndex, embedder: Embedder, query: str) -> Arms:
    """Take the candidates of each arm and let the other score them, see `Searcher.rank`."""
    everything = index.rank_lexical(query, index.count())
    best = dict(islice(everything.items(), DEPTH))
    dense = index.rank_dense(embedder.embed_query(query), DEPTH, also=best)
    lexical = {one: score for one, score in everything.items() if one in dense}
    return Arms(best_first(dense), lexical, embedder.vocabulary_coverage(query))


def rank_units(judged: JudgedSet, rankings: Mapping[str, Ranking]) -> dict[str, list[str]]:
    """Return the units of ranked passages, each where its best passage is."""
    units = dict(zip(_ids(judged), (one.unit for one in judged.passages), strict=True))
    return {
        query_id: list(dict.fromkeys(units[key] for key in ranking))
        for query_id, ranking in rankings.items()
    }


def _ids(judged: JudgedSet) -> list[str]:
    return [
        str(uuid5(NAMESPACE_OID, f"{judged.name} {number}"))
        for number in range(len(judged.passages))
    ]


def _chunk(chunk_id: str, passage: Passage) -> Chunk:
    return Chunk(
        chunk_id=chunk_id,
        document_id="",
        revision="",
        start=0,
        end=len(passage.text),
        text=passage.text,
        headings=(),
        page_start=None,
        page_end=None,
        token_count=0,
        parent_start=0,
        parent_end=len(passage.text),
        title=passage.title,
    )


def difference(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """Return by how much each query's value is higher in the first."""
    return {query_id: value - second[query_id] for query_id, value in first.items()}


def interval(judged: JudgedSet, values: Mapping[str, float]) -> dict[str, float]:
    """Return mean, low and high of the 95 % confidence interval over clusters."""
    clusters = [judged.clusters[query_id] for query_id in values]
    found = question_t_interval(list(values.values()), clusters)
    if found is None:
        raise ValueError(f"{judged.name} has questions of one cluster only.")
    return {key: round(getattr(found, key), 4) for key in ("mean", "low", "high")}


def to_markdown(figures: Mapping[str, Any]) -> str:
    """Return a table of all sets and one of each set."""
    tables = (_table(name, one) for name, one in figures.items())
    return "\n".join(
        (
            "# Rules of fusion\n\nWritten by `python -m benchmarks.fusion`. The number behind "
            "min-max, DBSF, by the best and convex is the weight of the dense score.\n",
            _summary(figures),
            _held_out(figures),
            *tables,
        )
    )


def _summary(figures: Mapping[str, Any]) -> str:
    rows = [["nDCG@10", *figures, "least over the better arm"]]
    for rule in RULES:
        each = [one["rules"][rule] for one in figures.values()]
        least = min(one[OVER_BETTER_ARM]["mean"] for one in each)
        rows.append(
            [_label(rule), *(f"{one['nDCG@10']['mean']:.3f}" for one in each), f"{least:+.3f}"]
        )
    return _rows(rows)


def _held_out(figures: Mapping[str, Any]) -> str:
    """Choose the weight for each set on the others, and tell how it does on that set."""
    rows = [["held out", "best weight on the others", f"{OVER_BETTER_ARM}, held out"]]
    for name in figures:
        others = [one["rules"] for other, one in figures.items() if other != name]
        best = max(
            CONVEX, key=lambda rule: sum(one[rule][OVER_BETTER_ARM]["mean"] for one in others)
        )
        rows.append([name, best, _cell(figures[name]["rules"][best][OVER_BETTER_ARM])])
    return _rows(rows)


def _table(name: str, figures: Mapping[str, Any]) -> str:
    columns = [*MEASURES, OVER_BETTER_ARM]
    rows = [["rule", *columns]]
    for rule, measured in figures["rules"].items():
        rows.append([_label(rule), *(_cell(measured[column]) for column in columns)])
    return (
        f"## {name}\n\n{figures['num_passages']} passages, {figures['num_queries']} queries in "
        f"{figures['num_clusters']} clusters; the better arm is {figures['better_arm']}. The 95 % "
        f"confidence interval is in brackets.\n\n{_rows(rows)}"
    )


def _label(rule: str) -> str:
    return f"**{rule}** (served)" if rule == SERVED else rule


def _cell(interval: Mapping[str, float]) -> str:
    return "{mean:.3f} [{low:.3f}, {high:.3f}]".format_map(interval)


def _rows(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    main()
