"""What chunks are made with: embedder, chunker and analyzer. Every collection keeps its own.

A collection goes on with the embedder it was made with when the settings change, until it is
reindexed; only how its documents are cut follows the settings at once. Its language is its own: the
settings say what a new collection gets when nobody names one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock

from ingest.chunker import Chunker
from ingest.documents import Collection
from ingest.settings import IngestSettings
from retrieval.embedding import Embedder
from retrieval.errors import CollectionMismatchError, EmbedderUnavailableError

LoadEmbedder = Callable[[str], Embedder]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the chunks of a collection are made with.

    Attributes:
        language: of the lexical index.
    """

    embedder: Embedder
    chunker: Chunker
    language: str

    def describe(self, name: str, index_name: str) -> Collection:
        """Return the catalog's record of a collection made so."""
        return Collection(
            name=name,
            index_name=index_name,
            embedder=self.embedder.name,
            embedder_fingerprint=self.embedder.fingerprint,
            analyzer=self.language,
            chunker_fingerprint=self.chunker.fingerprint,
        )


class Recipes:
    """The recipe of the settings, and those of collections that were made with other settings.

    Attributes:
        current: what new collections are made with, unless another language is named.
    """

    def __init__(
        self, settings: IngestSettings, language: str, embedder: Embedder, load: LoadEmbedder
    ) -> None:
        """Set up.

        Args:
            settings: how texts are cut.
            language: of new collections.
            embedder: of the settings.
            load: loads another embedder by name, see `find_model`.
        """
        self._settings = settings
        self._load = load
        self._loaded: dict[str, Embedder | EmbedderUnavailableError] = {}
        self._loading = Lock()
        self.current = self._make(embedder, language)

    def in_language(self, language: str | None) -> Recipe:
        """Return the recipe of the settings for texts of a language; None: that of the settings."""
        return self.current if language is None else replace(self.current, language=language)

    def of(self, collection: Collection) -> Recipe:
        """Return what a collection is made with; its embedder is loaded at the first need.

        Raises:
            CollectionMismatchError: that embedder is not to be had any more.
        """
        if collection.embedder_fingerprint == self.current.embedder.fingerprint:
            return self.in_language(collection.analyzer)
        embedder = self._embedder(collection.embedder)
        if isinstance(embedder, EmbedderUnavailableError):
            raise _mismatch(collection, f"which cannot be loaded: {embedder}") from embedder
        if embedder.fingerprint != collection.embedder_fingerprint:
            raise _mismatch(collection, "and what has this name now makes other vectors.")
        return self._make(embedder, collection.analyzer)

    def outdated(self, collection: Collection) -> list[str]:
        """Return which of `embedder` and `chunker` are not those of the settings."""
        wanted = self.current
        made = {
            "embedder": collection.embedder_fingerprint == wanted.embedder.fingerprint,
            "chunker": collection.chunker_fingerprint == wanted.chunker.fingerprint,
        }
        return [part for part, is_current in made.items() if not is_current]

    def _make(self, embedder: Embedder, language: str) -> Recipe:
        chunker = Chunker.for_embedder(self._settings, embedder.max_tokens, embedder.token_starts)
        return Recipe(embedder, chunker, language)

    def _embedder(self, name: str) -> Embedder | EmbedderUnavailableError:
        if name == self.current.embedder.name:
            return self.current.embedder
        with self._loading:  # two requests load it once
            if name not in self._loaded:
                try:
                    self._loaded[name] = self._load(name)
                except EmbedderUnavailableError as error:
                    # Remembered: asking the model hub may take long, and every search would.
                    self._loaded[name] = error
            return self._loaded[name]


def _mismatch(collection: Collection, reason: str) -> CollectionMismatchError:
    return CollectionMismatchError(
        f"Collection {collection.name!r} was embedded with {collection.embedder!r}, {reason} "
        f"Run `suffice reindex {collection.name}` to embed it with the model of the settings, or "
        "bring the old model back and restart the service."
    )
