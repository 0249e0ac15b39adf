"""Moving the embedded index of a home folder to a Qdrant server."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from eval.progress import Progress
from ingest.catalog import open_catalog
from ingest.home import Home
from ingest.settings import IngestSettings
from retrieval.edge import EdgeIndex, EdgeStore
from retrieval.migration import Contents, copy, measure
from retrieval.qdrant import QdrantStore, open_store
from retrieval.settings import RetrievalSettings


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
    home: Home, ingest: IngestSettings, retrieval: RetrievalSettings, progress: Progress
) -> Iterator[Moved]:
    """Copy each collection to the server that the settings name, and read it back.

    Args:
        home: with the index.
        ingest: settings that name the catalog.
        retrieval: settings that name the server.
        progress: told how many chunks of each collection are there.

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
                yield _move(name, source, server, progress)


def _move(name: str, source: EdgeIndex, server: QdrantStore, progress: Progress) -> Moved:
    num_chunks = source.count()
    progress(name, 0, num_chunks)
    target = server.open(name, dimension=source.dimension, language=source.language)
    sent = copy(source, target, lambda done: progress(name, done, num_chunks))
    return Moved(name, sent, measure(target.points()))
