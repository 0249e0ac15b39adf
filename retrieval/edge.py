"""The embedded index: Qdrant's engine in this process, one shard per index.

On disk an index is a folder with numbered generations of its shard and a file `current.json`
that names the live one. Compaction writes the next generation in another process and swaps.
"""

import json
import logging
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import Any

import numpy as np
import qdrant_edge as edge

from retrieval.analyzer import FINGERPRINT, get_analyzer
from retrieval.attributes import Attributes, Kind
from retrieval.checksums import is_undamaged, with_checksum
from retrieval.chunk_ids import to_chunk_id, to_point_id
from retrieval.chunks import Chunk
from retrieval.embedding import Matrix
from retrieval.errors import IndexUnavailableError, StoreLockedError
from retrieval.filters import Compound, Filter
from retrieval.index import (
    BATCH_SIZE,
    MAX_KEYS,
    NO_ATTRIBUTES,
    Ranking,
    ShouldStop,
    make_ranking,
    never,
    rank_best,
)
from retrieval.migration import Point
from retrieval.payload import (
    KEYS,
    TOKENS,
    VALUES,
    VECTOR,
    attribute_fields,
    attributes_payload,
    from_payload,
    order_field,
    query_text,
    read_keys,
    to_payload,
    token,
)
from retrieval.shard import (
    EXACT_SEARCH,
    copy_shard,
    create_shard,
    dense_search,
    index_attribute,
)
from retrieval.whole_files import write_whole

# A big shard that was never optimised takes half a minute to open (100k chunks: 24-32 s, then 0.5).
COMPACT_AFTER_CHUNKS = 10_000
COMPACTION_TIMEOUT_SECONDS = 1800
# A compaction that is to stop does within this time.
STOPPING_SECONDS = 0.2
HELPER_DEATH_SECONDS = 10
STATE_FILE = "current.json"
logger = logging.getLogger(__name__)
_REPAIR = "Stop the service and run `suffice doctor --repair`, which makes it anew."


class EdgeStore:
    """Indexes as folders below one root."""

    is_shared = False

    def __init__(self, root: Path, dimension: int = 0, language: str = "none") -> None:
        """Set up.

        Args:
            root: where the folders are.
            dimension: of the vectors of new indexes, for `open`.
            language: of the texts of new indexes, for `open`.
        """
        self._root = root
        self._dimension = dimension
        self._language = language
        self._indexes: dict[str, EdgeIndex] = {}
        self._changing: dict[str, Lock] = {}
        self._lock = Lock()

    def open(
        self, name: str, *, dimension: int | None = None, language: str | None = None
    ) -> "EdgeIndex":
        """Return an index, see `IndexStore`."""
        with self._lock:
            if (index := self._indexes.get(name)) is not None:
                return index
        # One that is analysed anew takes a minute to open, in which the others answer.
        with self._change(name):
            return self._load(name, dimension or self._dimension, language or self._language)

    def find(self, name: str) -> "EdgeIndex | None":
        """Return an index if there is one, see `IndexStore`."""
        with self._lock:
            if (index := self._indexes.get(name)) is not None:
                return index
        with self._change(name):  # one that is just being dropped must not be made again
            is_there = (self._root / name / STATE_FILE).exists()
            return self._load(name, self._dimension, self._language) if is_there else None

    def names(self) -> set[str]:
        """Return the names of all folders, see `IndexStore`."""
        return {path.name for path in self._root.glob("*") if path.is_dir()}

    def drop(self, name: str) -> None:
        """Remove an index, see `IndexStore`."""
        with self._change(name):
            self._close(name)
            if (folder := self._root / name).exists():
                shutil.rmtree(folder)

    def release(self, name: str) -> None:
        """Close an index, see `IndexStore`."""
        with self._change(name):
            self._close(name)

    def to_compact(self) -> set[str]:
        """Return those with deleted chunks, and open ones that grew, see `IndexStore`."""
        with self._lock:
            indexes = dict(self._indexes)
        names = {name for name, index in indexes.items() if index.needs_compaction()}
        for name in self.names() - indexes.keys():
            state = _State.read(self._root / name)
            if state and state.must_be_rewritten:
                names.add(name)
        return names

    def check(self) -> None:
        """Do nothing, see `IndexStore`: the engine is in this process."""

    def close(self) -> None:
        """Close all shards."""
        for name in list(self._changing):
            with self._change(name):
                self._close(name)

    def _load(self, name: str, dimension: int, language: str) -> "EdgeIndex":
        if (index := self._indexes.get(name)) is None:
            index = EdgeIndex(self._root / name, dimension, language)
            with self._lock:
                self._indexes[name] = index
        return index

    def _change(self, name: str) -> Lock:
        """Return what is held while an index is opened or closed."""
        with self._lock:
            return self._changing.setdefault(name, Lock())

    def _close(self, name: str) -> None:
        with self._lock:
            index = self._indexes.pop(name, None)
        if index is not None:
            index.close()


class EdgeIndex:
    """One collection. The engine holds the GIL in each call, so one lock costs no parallelism."""

    is_remote = False

    def __init__(self, folder: Path, dimension: int, language: str) -> None:
        """Open the live generation, or create the first.

        One that another analyzer made is analysed anew first; the vectors stay.

        Raises:
            StoreLockedError: another process has it open.
            IndexUnavailableError: it does not open, or could not be analysed anew.
        """
        self._folder = folder
        self._lock = Lock()
        self._compaction = Lock()
        self._recorded: list[edge.UpdateOperation] | None = None
        self._is_closed = False
        # What the shard was made with outlives a change of the settings: see `Library` for that.
        self._state = _State.read(folder) or _State(dimension, language, analyzer=FINGERPRINT)
        self.analyzer = get_analyzer(self._state.language)
        self._shard = self._open()
        if self._state.is_outdated:
            logger.info("analysing anew", extra={"collection": folder.name})
            try:
                self.compact()
            except IndexUnavailableError:
                self.close()
                raise

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        return self._state.dimension

    @property
    def language(self) -> str:
        """Stemmer and stop words, or `none`."""
        return self._state.language

    def upsert(
        self, chunks: Sequence[Chunk], vectors: Matrix, attributes: Attributes = NO_ATTRIBUTES
    ) -> None:
        """Add chunks, see `ChunkIndex`."""
        self._index_attributes(attributes)
        more = attributes_payload(attributes)
        for start in range(0, len(chunks), BATCH_SIZE):
            batch = chunks[start : start + BATCH_SIZE]
            rows = vectors[start : start + BATCH_SIZE]
            points = [
                edge.Point(
                    to_point_id(chunk.chunk_id),
                    {VECTOR: row.tolist()},
                    with_checksum(to_payload(chunk, self.analyzer), row) | more,
                )
                for chunk, row in zip(batch, rows, strict=True)
            ]
            with self._engine():
                self._apply(edge.UpdateOperation.upsert_points(points))

    def delete(self, document_id: str, *, keep_revision: str | None = None) -> None:
        """Remove the chunks of a document, see `ChunkIndex`."""
        keep: list[edge.ConditionType] = []
        if keep_revision is not None:
            keep.append(_equals("revision", keep_revision))
        doomed = edge.Filter(must=[_equals("document_id", document_id)], must_not=keep)
        self._erase(doomed, edge.UpdateOperation.delete_points_by_filter(doomed))

    def set_attributes(self, document_id: str, attributes: Attributes) -> None:
        """Replace what filters see of a document, see `ChunkIndex`."""
        self._index_attributes(attributes)
        meant = edge.Filter(must=[_equals("document_id", document_id)])
        payload = attributes_payload(attributes)
        self._erase(meant, edge.UpdateOperation.set_payload_by_filter(meant, payload))

    def attribute_kinds(self) -> Mapping[str, Collection[Kind]]:
        """Return the keys that filters know, see `ChunkIndex`."""
        with self._engine():
            hits = self._shard.facet(edge.FacetRequest(KEYS, limit=MAX_KEYS)).hits
        return read_keys(str(hit.value) for hit in hits)

    def rank_dense(
        self,
        vector: Matrix,
        limit: int,
        *,
        also: Collection[str] = (),
        where: Filter | None = None,
    ) -> Ranking:
        """Search by similarity, see `ChunkIndex`."""
        nearest = edge.Query.Nearest(vector.tolist(), using=VECTOR)
        only = None if where is None else _to_filter(where)
        scored = []
        if also:
            these = edge.Filter(must=[edge.HasIdCondition(set(map(to_point_id, also)))])
            scored = [_request(nearest, len(also), these, EXACT_SEARCH)]

        def rank(num_hits: int) -> list[Ranking]:
            # In one call the second search costs next to nothing.
            return self._rank(_request(nearest, num_hits, only, dense_search(num_hits)), *scored)

        best, *others = rank_best(rank, limit)
        return best | others[0] if also else best

    def rank_lexical(self, query: str, limit: int, *, where: Filter | None = None) -> Ranking:
        """Search by words, see `ChunkIndex`."""
        words = edge.TextQuery(TOKENS, query_text(query, self.analyzer))
        only = None if where is None else _to_filter(where)
        [ranking] = rank_best(lambda num: self._rank(_request(words, num, only)), limit)
        return ranking

    def fetch(self, chunk_ids: Iterable[str]) -> dict[str, Chunk]:
        """Return chunks by id, see `ChunkIndex`."""
        wanted = [to_point_id(one) for one in chunk_ids]
        with self._engine():
            # All of it: leaving out the tokens takes the engine longer than reading them.
            records = self._shard.retrieve(wanted, with_payload=True, with_vector=False)
        # Each reading of an attribute makes a new object.
        chunks = (from_payload(to_chunk_id(record.id), record.payload or {}) for record in records)
        return {chunk.chunk_id: chunk for chunk in chunks}

    def count(
        self,
        document_id: str | None = None,
        revision: str | None = None,
        *,
        where: Filter | None = None,
    ) -> int:
        """Count chunks, see `ChunkIndex`."""
        wanted = {"document_id": document_id, "revision": revision}
        conditions: list[edge.ConditionType] = [
            _equals(key, value) for key, value in wanted.items() if value is not None
        ]
        if where is not None:
            conditions.append(_to_filter(where))
        return self._count(edge.Filter(must=conditions))

    def contents(self) -> dict[tuple[str, str], int]:
        """Count chunks by document and revision, see `ChunkIndex`."""
        pages = self._scroll("document_id", "revision")
        payloads = (record.payload or {} for records in pages for record in records)
        return dict(Counter((one["document_id"], one["revision"]) for one in payloads))

    def vectors(self, chunk_ids: Iterable[str]) -> dict[str, Matrix]:
        """Return vectors by id, see `ChunkIndex`."""
        wanted = [to_point_id(one) for one in chunk_ids]
        with self._engine():
            records = self._shard.retrieve(wanted, with_payload=True, with_vector=True)
        points = map(_to_point, records)
        return {point.id: point.vector for point in points if is_undamaged(point)}

    def tokens(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the tokens of all chunks, see `ChunkIndex`."""
        for records in self._scroll(TOKENS):
            yield from ((to_chunk_id(r.id), (r.payload or {})[TOKENS].split()) for r in records)

    def points(self) -> Iterator[list[Point]]:
        """Yield all points, see `ChunkIndex`."""
        for records in self._scroll(with_vectors=True):
            yield [_to_point(record) for record in records]

    def indexed_fields(self) -> set[str]:
        """Return the payload fields that are indexed, see `retrieval.migration`."""
        with self._engine():
            return set(self._shard.info().payload_schema)

    def compact(self, should_stop: ShouldStop = never) -> None:
        """Rewrite the shard without deleted chunks if there are any, see `ChunkIndex`.

        Searches and updates go on meanwhile; updates are repeated on the new shard. When many
        chunks were added, a copy is optimised, because an unoptimised shard is slow to open.
        """
        with self._compaction:
            if self._is_closed or not self.needs_compaction():
                return
            current = self._folder / str(self._state.generation)
            target = self._folder / str(self._state.generation + 1)
            snapshot = self._folder / "snapshot"
            # What the dying helper of a killed service wrote after this one was opened.
            _remove_other_folders(self._folder, keep=current.name)
            try:
                with self._engine():
                    self._shard.flush()
                    deletions = self._state.deletions
                    copy_shard(current, snapshot)
                    self._recorded = []
                if deletions or self._state.is_outdated:
                    language = [self._state.language] if self._state.is_outdated else []
                    self._run("rewrite", snapshot, str(target), *language, should_stop=should_stop)
                else:
                    self._run("optimise", snapshot, should_stop=should_stop)
                    snapshot.rename(target)
                self._swap(target, deletions)
            finally:
                with self._lock:
                    self._recorded = None
                    live = str(self._state.generation)
                _remove_other_folders(self._folder, keep=live)

    def close(self) -> None:
        """Write what is in memory and release the files."""
        with self._compaction, self._lock:
            self._is_closed = True
            self._shard.flush()
            self._shard.close()

    def _open(self) -> edge.EdgeShard:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / str(self._state.generation)
        try:
            if (self._folder / STATE_FILE).exists():
                shard = edge.EdgeShard.load(str(path))
            else:
                # The state is written last, so without it this folder is half a shard.
                shutil.rmtree(path, ignore_errors=True)
                shard = create_shard(path, self._state.dimension)
                self._state.write(self._folder)
        except Exception as error:  # the engine raises nothing more specific
            if "WouldBlock" in str(error):
                raise StoreLockedError(
                    f"The index in {self._folder} is open in another process. Stop that process "
                    "or use its address with --url."
                ) from error
            raise IndexUnavailableError(
                f"The index does not open. {_REPAIR}", f"{path}: {error}"
            ) from error
        _remove_other_folders(self._folder, keep=path.name)
        return shard

    @contextmanager
    def _engine(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except Exception as error:  # the engine raises nothing more specific
                raise IndexUnavailableError(
                    "The index does not answer. Try again; if it goes on, see the log of the "
                    "service.",
                    f"{self._folder}: {error}",
                ) from error

    def _erase(self, affected: edge.Filter, operation: edge.UpdateOperation) -> None:
        """Change chunks so that what they held is erased by the next compaction."""
        if not self._count(affected):
            return
        # One step: a compaction in between would count the deletion, but copy what it deletes.
        with self._engine():
            state = self._state.with_deletion()
            state.write(self._folder)
            self._state = state
            self._apply(operation)

    def _index_attributes(self, attributes: Attributes) -> None:
        with self._engine():
            known = self._shard.info().payload_schema.keys()
            for field in sorted(attribute_fields(attributes) - known):
                self._apply(index_attribute(field))

    def _apply(self, operation: edge.UpdateOperation) -> None:
        """Change the shard, and remember the change for the one that a compaction writes."""
        self._shard.update(operation)
        if self._recorded is not None:
            self._recorded.append(operation)

    def _rank(self, *requests: edge.QueryRequest) -> list[Ranking]:
        with self._engine():
            answers = self._shard.query_batch(edge.QueryBatchRequest(list(requests)))
        return [
            make_ranking([to_chunk_id(p.id) for p in points], [p.score for p in points])
            for points in answers
        ]

    def _count(self, condition: edge.Filter) -> int:
        with self._engine():
            return self._shard.count(edge.CountRequest(filter=condition, exact=True))

    def _scroll(self, *fields: str, with_vectors: bool = False) -> Iterator[list[edge.Record]]:
        """Yield all chunks in batches, with some fields of their payload; none named: with all."""
        offset: edge.PointId | None = None
        while True:
            page = edge.ScrollRequest(
                offset, BATCH_SIZE, with_payload=list(fields) or True, with_vector=with_vectors
            )
            with self._engine():
                records, offset = self._shard.scroll(page)
            yield records
            if offset is None:
                break

    def needs_compaction(self) -> bool:
        """Tell whether chunks were deleted, or so many added that it opens slowly."""
        if self._state.must_be_rewritten:
            return True
        return self.count() - self._state.compacted_chunks > COMPACT_AFTER_CHUNKS

    def _run(self, step: str, shard: Path, *arguments: str, should_stop: ShouldStop) -> None:
        """Run a step of `retrieval.shard` in a process of its own."""
        command = [sys.executable, "-m", "retrieval.shard", step, str(shard)]
        command += [str(self._state.dimension), *arguments]
        deadline = monotonic() + COMPACTION_TIMEOUT_SECONDS
        with subprocess.Popen(  # noqa: S603 - our own module with our own paths
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as helper:
            while True:
                try:
                    _, output = helper.communicate(timeout=STOPPING_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    if should_stop() or monotonic() > deadline:
                        helper.kill()
        if helper.returncode != 0:
            raise IndexUnavailableError(
                "The index could not be rewritten. See the log of the service.",
                f"{self._folder}: exit code {helper.returncode} "
                f"{output.decode(errors='replace')[-500:]}",
            )

    def _swap(self, target: Path, deletions: int) -> None:
        shard = edge.EdgeShard.load(str(target))
        with self._engine():
            try:
                for operation in self._recorded or ():
                    shard.update(operation)
                shard.flush()
                state = self._state.compacted(
                    chunks=shard.info().points_count,
                    deletions_left=self._state.deletions - deletions,
                )
                state.write(self._folder)
            except BaseException:
                shard.close()
                raise
            old, self._shard, self._state = self._shard, shard, state
            old.close()
        logger.info("compacted", extra={"collection": self._folder.name})


@dataclass(frozen=True, slots=True)
class _State:
    """What `current.json` says: how the shard was made, which is live, and what happened since."""

    dimension: int
    language: str
    generation: int = 1
    compacted_chunks: int = 0
    deletions: int = 0
    analyzer: str = ""  # fingerprint; missing in what version 0.1 wrote first

    @classmethod
    def read(cls, folder: Path) -> "_State | None":
        path = folder / STATE_FILE
        try:
            return cls(**json.loads(path.read_text())) if path.exists() else None
        except (ValueError, TypeError) as error:
            raise IndexUnavailableError(
                f"The index is damaged. {_REPAIR}", f"{path}: {error}"
            ) from error

    def write(self, folder: Path) -> None:
        write_whole(folder / STATE_FILE, json.dumps(asdict(self)).encode())

    @property
    def is_outdated(self) -> bool:
        """Whether the tokens are those of another analyzer."""
        return self.analyzer != FINGERPRINT

    @property
    def must_be_rewritten(self) -> bool:
        """Whether something in the shard should not be there any more."""
        return self.deletions > 0 or self.is_outdated

    def with_deletion(self) -> "_State":
        return replace(self, deletions=self.deletions + 1)

    def compacted(self, chunks: int, deletions_left: int) -> "_State":
        return replace(
            self,
            generation=self.generation + 1,
            compacted_chunks=chunks,
            deletions=deletions_left,
            analyzer=FINGERPRINT,
        )


def _to_point(record: edge.Record) -> Point:
    return Point(to_chunk_id(record.id), _vector(record), record.payload or {})


def _vector(record: edge.Record) -> Matrix:
    vectors: Any = record.vector
    return np.asarray(vectors[VECTOR], np.float32)


def _request(
    query: edge.Query | edge.TextQuery,
    limit: int,
    only: edge.Filter | None,
    params: edge.SearchParams | None = None,
) -> edge.QueryRequest:
    return edge.QueryRequest(
        query=query, limit=limit, filter=only, params=params, with_payload=False
    )


def _to_filter(where: Filter) -> edge.Filter:
    if isinstance(where, Compound):
        parts: list[edge.ConditionType] = [_to_filter(part) for part in where.filters]
        return edge.Filter(must=parts) if where.operator == "and" else edge.Filter(should=parts)
    if where.is_order:
        kind, bound = where.bound
        order = edge.RangeFloat(**{where.operator: bound})
        return edge.Filter(must=[edge.FieldCondition(order_field(where.key, kind), range=order)])
    tokens = [token(where.key, value) for value in where.values]
    # For one value, MatchAny takes twice as long as MatchValue.
    match = edge.MatchValue(tokens[0]) if len(tokens) == 1 else edge.MatchAny(tokens)
    equal: list[edge.ConditionType] = [edge.FieldCondition(VALUES, match=match)]
    return edge.Filter(must_not=equal) if where.is_negated else edge.Filter(must=equal)


def _equals(key: str, value: Any) -> edge.FieldCondition:
    return edge.FieldCondition(key, match=edge.MatchValue(value))


def _remove_other_folders(folder: Path, keep: str) -> None:
    for path in folder.iterdir():
        if path.is_dir() and path.name != keep:
            _remove_folder(path)


def _remove_folder(path: Path) -> None:
    """Remove a folder, in which the helper of a killed service may write for another moment."""
    deadline = monotonic() + HELPER_DEATH_SECONDS
    while path.exists():
        try:
            shutil.rmtree(path)
        except OSError:
            if monotonic() > deadline:
                raise
            sleep(STOPPING_SECONDS)
