"""How well lexical search ranks in twelve languages, and what the analysis of text costs.

Usage: python -m benchmarks.lexical DATA
DATA holds the folders `xquad` (one data set in BEIR layout for each language) and `scifact`. Each
document is one chunk of the embedded index. Writes benchmarks/results/lexical.json and lexical.md.
"""

import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import numpy as np

from eval.beir import load_dataset
from eval.measures import measure_rankings
from eval.temporary_index import temporary_index
from retrieval.analyzer import FINGERPRINT, Analyzer
from retrieval.chunks import Chunk

RESULTS = Path(__file__).parent / "results"
DEPTH = 100
DATASETS = {
    "xquad/ar": "arabic",
    "xquad/de": "german",
    "xquad/el": "greek",
    "xquad/en": "english",
    "xquad/es": "spanish",
    "xquad/hi": "hindi",
    "xquad/ro": "romanian",
    "xquad/ru": "russian",
    "xquad/th": "none",
    "xquad/tr": "turkish",
    "xquad/vi": "none",
    "xquad/zh": "none",
    "scifact": "english",
}


def main() -> None:
    """Measure all data sets."""
    data = Path(sys.argv[1])
    rows = {name: _measure(data / name, language) for name, language in DATASETS.items()}
    report = {"analyzer": FINGERPRINT, "python": platform.python_version(), "datasets": rows}
    (RESULTS / "lexical.json").write_text(json.dumps(report, indent=2) + "\n")
    (RESULTS / "lexical.md").write_text(_table(rows))
    print(_table(rows))


def _measure(folder: Path, language: str) -> dict[str, str | float]:
    dataset = load_dataset(folder)
    passages = {document.document_id: document.passage for document in dataset.documents()}
    ids = {str(uuid5(NAMESPACE_OID, name)): name for name in passages}
    chunks = [_make_chunk(chunk_id, passages[name]) for chunk_id, name in ids.items()]
    with temporary_index(dimension=1, language=language) as index:
        index.upsert(chunks, np.ones((len(chunks), 1), np.float32))
        rankings = {
            query.query_id: [ids[one] for one in index.rank_lexical(query.text, DEPTH)]
            for query in dataset.queries
        }
    measured = measure_rankings(dataset.qrels, rankings)
    analyzer = Analyzer(language)
    mean_characters = sum(map(len, passages.values())) / len(passages)
    passage_ms = _cpu_ms(analyzer.passage_tokens, list(passages.values()))
    query_ms = _cpu_ms(analyzer.query_tokens, [query.text for query in dataset.queries])
    print(f"{folder.name}: {measured}", file=sys.stderr)
    return {
        "language": language,
        "ndcg_at_10": round(measured["nDCG@10"], 4),
        "recall_at_10": round(measured["R@10"], 4),
        "ms_per_1000_characters": round(1000 * passage_ms / mean_characters, 3),
        "ms_per_query": round(query_ms, 4),
    }


def _make_chunk(chunk_id: str, text: str) -> Chunk:
    return Chunk(chunk_id, "document", "", 0, len(text), text, (), None, None, 0, 0, len(text))


def _cpu_ms(analyse: Callable[[str], object], texts: Sequence[str]) -> float:
    """Return the milliseconds of CPU time for each text, none of them seen before."""
    started = time.process_time()
    for text in texts:
        analyse(text)
    return (time.process_time() - started) * 1000 / len(texts)


def _table(rows: dict[str, dict[str, str | float]]) -> str:
    lines = [
        "| data set | language | nDCG@10 | R@10 | ms/1000 characters | ms/query |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(str(value) for value in row.values()) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
