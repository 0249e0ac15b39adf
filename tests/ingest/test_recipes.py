"""Which embedder, chunker and analyzer a collection is made with."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from ingest.documents import Collection
from ingest.recipes import Recipes
from ingest.settings import IngestSettings
from retrieval.embedding import Embedder
from retrieval.errors import CollectionMismatchError, EmbedderUnavailableError
from tests.fakes import HashEmbedder

SETTINGS = IngestSettings.model_construct(chunk_tokens=100)
NEW, OLD = HashEmbedder("new", "new-1"), HashEmbedder("old", "old-1")


def make_recipes(load: Callable[[str], Embedder]) -> Recipes:
    return Recipes(SETTINGS, "english", NEW, load)


def collection_of(recipes: Recipes, **changes: str) -> Collection:
    return replace(recipes.current.describe("laws", "laws"), **changes)  # type: ignore[arg-type]


def not_asked(name: str) -> Embedder:
    raise AssertionError(name)


@pytest.mark.parametrize("changes", [{}, {"embedder": "the same under another name"}])
def test_equal_vectors_need_no_other_model(changes: dict[str, str]) -> None:
    recipes = make_recipes(not_asked)
    collection = collection_of(recipes, **changes)
    assert recipes.of(collection) == recipes.current
    assert recipes.outdated(collection) == []


def test_outdated_parts_are_named_without_loading_a_model() -> None:
    recipes = make_recipes(not_asked)
    collection = collection_of(
        recipes, embedder_fingerprint="other", chunker_fingerprint="other", analyzer="german"
    )
    assert recipes.outdated(collection) == ["embedder", "chunker"]


def test_the_language_of_the_settings_is_that_of_new_collections_without_one_of_their_own() -> None:
    recipes = make_recipes(not_asked)
    assert recipes.in_language(None).language == "english"
    assert recipes.in_language("german").describe("laws", "laws").analyzer == "german"
    german = collection_of(recipes, analyzer="german")
    assert recipes.of(german).language == "german"
    assert recipes.outdated(german) == []


def test_a_collection_keeps_its_embedder_and_analyzer_but_not_its_chunk_size() -> None:
    recipes = make_recipes({"old": OLD}.__getitem__)
    recipe = recipes.of(
        collection_of(
            recipes,
            embedder="old",
            embedder_fingerprint="old-1",
            analyzer="german",
            chunker_fingerprint="other",
        )
    )
    assert (recipe.embedder, recipe.language, recipe.chunker.max_tokens) == (OLD, "german", 100)
    assert recipe.chunker.tokenize == OLD.token_starts


def test_many_requests_load_a_model_once() -> None:
    entered, loads = threading.Barrier(8), []

    def load(name: str) -> Embedder:
        loads.append(name)
        return OLD

    recipes = make_recipes(load)
    collection = collection_of(recipes, embedder="old", embedder_fingerprint="old-1")

    def ask(_: int) -> Embedder:
        entered.wait()
        return recipes.of(collection).embedder

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(8))) == [OLD] * 8
    assert loads == ["old"]


def test_a_model_that_is_gone_is_asked_for_once() -> None:
    loads = []

    def load(name: str) -> Embedder:
        loads.append(name)
        raise EmbedderUnavailableError("It is nowhere.")

    recipes = make_recipes(load)
    collection = collection_of(recipes, embedder="old", embedder_fingerprint="old-1")
    for _ in range(2):
        with pytest.raises(CollectionMismatchError, match=r"nowhere.*suffice reindex laws"):
            recipes.of(collection)
    assert loads == ["old"]


@pytest.mark.parametrize("name", ["old", "new"])
def test_other_weights_under_the_old_name_are_refused(name: str) -> None:
    recipes = make_recipes({"old": OLD}.__getitem__)
    collection = collection_of(recipes, embedder=name, embedder_fingerprint="gone")
    with pytest.raises(CollectionMismatchError, match=r"makes other vectors.*suffice reindex laws"):
        recipes.of(collection)
