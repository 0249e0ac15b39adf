"""An index that is gone after the evaluation."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from retrieval.edge import EdgeStore
from retrieval.index import ChunkIndex


@contextmanager
def temporary_index(dimension: int, language: str) -> Iterator[ChunkIndex]:
    """Open an empty embedded index in a temporary folder; both end with the block.

    Args:
        dimension: length of the vectors.
        language: stemmer and stop words, see `RetrievalSettings.language`.
    """
    with (
        TemporaryDirectory(prefix="suffice-eval-") as folder,
        closing(EdgeStore(Path(folder), dimension, language)) as store,
    ):
        yield store.open("evaluation")
