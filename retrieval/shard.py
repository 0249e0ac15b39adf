"""Making, copying, optimising and rewriting Qdrant Edge shards; imports nothing heavy.

Run as a program, because the engine holds the GIL for as long as it optimises:
`python -m retrieval.shard optimise SHARD DIMENSION`, or
`python -m retrieval.shard rewrite SHARD DIMENSION TARGET [LANGUAGE]`.
"""

import ctypes
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from retrieval.analyzer import get_analyzer
from retrieval.payload import ATTRIBUTES, KEYS, TOKENS, VALUES, VECTOR, searched_tokens

PAGE_SIZE = 256
# Candidates that are compared by their whole vectors: so many for each hit (1.5 find all that 4
# find), and at least so many for chunks that differ in a number only.
OVERSAMPLING = 2.0
MIN_COMPARED = 128
# For few chunks: half the time.
EXACT_SEARCH = edge.SearchParams(exact=True)
_PR_SET_PDEATHSIG = 1
_ZEROS = bytes(1 << 16)


def dense_search(limit: int) -> edge.SearchParams:
    """Return how to search for so many chunks."""
    oversampling = max(OVERSAMPLING, MIN_COMPARED / limit)
    rescoring = edge.QuantizationSearchParams(rescore=True, oversampling=oversampling)
    return edge.SearchParams(quantization=rescoring)


def create_shard(path: Path, dimension: int) -> edge.EdgeShard:
    """Create an empty shard for chunks.

    The text index scores with BM25 (k1 1.2, b 0.75) and takes the tokens as they are.

    Args:
        path: folder, which must not hold a shard yet.
        dimension: length of the vectors.
    """
    path.mkdir(parents=True, exist_ok=True)
    shard = edge.EdgeShard.create(str(path), _config(dimension))
    for field, schema in (
        ("document_id", edge.KeywordIndexParams(memory=edge.Memory.Cached)),
        ("revision", edge.KeywordIndexParams(memory=edge.Memory.Cached)),
        (TOKENS, _text_index()),
    ):
        shard.update(edge.UpdateOperation.create_field_index(field, schema))
    for field in (KEYS, VALUES):
        shard.update(index_attribute(field))
    return shard


def index_attribute(field: str) -> edge.UpdateOperation:
    """Index a field of the attributes; without an index a filter reads every chunk from disk."""
    is_text = field in {KEYS, VALUES}
    schema = edge.KeywordIndexParams() if is_text else edge.FloatIndexParams()
    return edge.UpdateOperation.create_field_index(field, schema)


def _text_index() -> edge.TextIndexParams:
    return edge.TextIndexParams(
        tokenizer=edge.TokenizerType.Whitespace,
        lowercase=False,
        ascii_folding=False,
        stemmer=edge.DisabledStemmer(),
        stopwords=edge.StopwordsSet(languages=set(), custom=set()),
        scoring=edge.TextScoringParams(),
    )


def copy_shard(source: Path, target: Path) -> None:
    """Copy a shard that was flushed, without the holes in its files.

    With a single chunk these have 240 MB, of which 1 MB was ever written.

    Args:
        source: folder of the shard.
        target: folder to make.
    """
    shutil.copytree(source, target, copy_function=_copy_without_zeros)


def _copy_without_zeros(source: str, target: str) -> None:
    with Path(source).open("rb") as old, Path(target).open("wb") as new:
        while block := old.read(len(_ZEROS)):
            if block == _ZEROS[: len(block)]:
                new.seek(len(block), os.SEEK_CUR)
            else:
                new.write(block)
        new.truncate()  # to here, which may be behind what was written


def optimise_shard(path: Path, dimension: int) -> None:
    """Optimise a closed shard in place, and let it have what new ones have."""
    shard = edge.EdgeShard.load(str(path), _config(dimension))
    shard.optimize()
    shard.close()


def rewrite_shard(source: Path, target: Path, dimension: int, language: str | None) -> None:
    """Copy the live points of a closed shard into a new, optimised one.

    Args:
        source: folder of the shard.
        target: folder to make.
        dimension: length of the vectors.
        language: of the analyzer for the tokens; None keeps them.
    """
    old = edge.EdgeShard.load(str(source))
    new = create_shard(target, dimension)
    for field in old.info().payload_schema.keys() - new.info().payload_schema.keys():
        if field.startswith(ATTRIBUTES):
            new.update(index_attribute(field))
    offset: edge.PointId | None = None
    while True:
        records, offset = old.scroll(
            edge.ScrollRequest(limit=PAGE_SIZE, offset=offset, with_payload=True, with_vector=True)
        )
        points = [
            edge.Point(record.id, record.vector or {}, _analyse(record.payload or {}, language))
            for record in records
        ]
        if points:
            new.update(edge.UpdateOperation.upsert_points(points))
        if offset is None:
            break
    new.flush()
    new.optimize()
    new.close()
    old.close()


def _config(dimension: int) -> edge.EdgeConfig:
    """Return how vectors are kept.

    - m=0 means no graph: every vector is compared, with any filter, and optimising takes seconds
      instead of minutes.
    - Vectors of 4 bits a number (TurboQuant) are compared first, an eighth of the bytes; the best
      of them again by the whole vectors, see `dense_search`.
    - Payloads and ids are read into memory when the shard is opened, so that no hit is read from
      disk; the system may take that memory back. Words and what filters look up stay the process's
      own: with these as well, searches take longer.
    - With one search thread the engine searches in the thread that calls, which holds Python's
      global lock in any case; to wake another one costs more than it gains.
    """
    bits = edge.TurboQuantBitSize.Bits4
    vector = edge.EdgeVectorParams(
        size=dimension,
        distance=edge.Distance.Dot,
        quantization_config=edge.TurboQuantQuantizationConfig(bits=bits),
    )
    graph = edge.HnswIndexConfig(m=0, ef_construct=100, full_scan_threshold=10_000)
    return edge.EdgeConfig(
        vectors={VECTOR: vector},
        hnsw_config=graph,
        payload_memory=edge.Memory.Cached,
        id_tracker_memory=edge.Memory.Cached,
        max_search_threads=1,
    )


def _analyse(payload: dict[str, Any], language: str | None) -> dict[str, Any]:
    if language is None:
        return payload
    return payload | {TOKENS: searched_tokens(payload, get_analyzer(language))}


def _die_with_parent() -> None:
    # A service that was killed and started again must not find its old helper writing there.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    _die_with_parent()
    step, shard, dimension, *target_and_language = sys.argv[1:]
    if step == "optimise":
        optimise_shard(Path(shard), int(dimension))
    else:
        target, *language = target_and_language
        rewrite_shard(Path(shard), Path(target), int(dimension), language[0] if language else None)
