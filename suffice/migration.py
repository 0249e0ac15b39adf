"""Moving the embedded index of a home folder to a Qdrant server."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from ingest.catalog import open_catalog
from ingest.home import Home
from ingest.settings import IngestSettings
from retrieval.edge import EdgeIndex, EdgeStore
from retrieval.migration import Contents, copy, measure
from retrieval.qdrant import QdrantStore, open_store
from retrieval.settings import RetrievalSettings

Progress = Callable[[str, int, int], None]
"""Told a collection's name, how many more chunks are there, and how many there are in all."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A collection that was copied.

    Attributes:
        name: of the collection.
        sent: what the embedded index holds.
        found: what the server holds now.
    """

    name: str
    sent: Contents
    found: Contents

    @property
    def is_same(self) -> bool:
        """Whether nothing is missing, changed or too much."""
        return self.sent == self.found


def move_index(
    home: Home, ingest: IngestSettings, retrieval: RetrievalSettings, on_progress: Progress
) -> Iterator[Moved]:
    """Copy each collection to the server that the settings name, and read it back.

    Raises:
        IndexUnavailableError: the server does not answer; what was copied stays there.
        ForeignIndexError: another service has a collection of this name there.
    """
    with (
        closing(EdgeStore(home.index)) as embedded,
        closing(open_catalog(ingest, home)) as catalog,
        closing(open_store(retrieval, catalog.identity())) as server,
    ):
        for name in sorted(embedded.names()):
            if (source := embedded.find(name)) is not None:
                yield _move(name, source, server, on_progress)


def _move(name: str, source: EdgeIndex, server: QdrantStore, on_progress: Progress) -> Moved:
    num_chunks = source.count()
    on_progress(name, 0, num_chunks)
    target = server.open(name, dimension=source.dimension, language=source.language)
    sent = copy(source, target, lambda number: on_progress(name, number, num_chunks))
    return Moved(name, sent, measure(target.points()))
