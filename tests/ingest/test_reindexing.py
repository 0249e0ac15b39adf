"""Reindexing: the old index answers, the new one takes its place, and nothing is lost between."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ingest.documents import Collection, Document, ReindexingStatus, Status
from ingest.errors import CollectionNotFoundError, LanguageMismatchError
from ingest.library import CollectionState, Upload
from retrieval.embedding import Embedder, Matrix
from retrieval.errors import EmbedderUnavailableError
from retrieval.filters import parse_filter
from tests.fakes import GatedEmbedder, HashEmbedder
from tests.ingest.conftest import TIMEOUT_SECONDS, OpenShelf, Shelf, encrypted_pdf
from tests.rankings import search_dense, search_lexical

OLD = HashEmbedder("old-model", "old-1", dimension=32)
TEXT = "\n\n".join(f"Paragraph {n} tells of thing{n} in the xyzzy text." for n in range(30))


class OtherGatedEmbedder(GatedEmbedder):
    """Makes other vectors than the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.name, self.fingerprint = "new-model", "new-1"


def load_old(name: str) -> Embedder:
    if name != OLD.name:
        raise EmbedderUnavailableError(f"There is no {name!r}.")
    return OLD


def wait(shelf: Shelf, collection: str = "default") -> CollectionState:
    """Wait until a collection is not reindexed any more."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while (state := shelf.state(collection)).reindexing and state.reindexing.status.is_open:
        assert time.monotonic() < deadline, state
        time.sleep(0.02)
    return state


def indexes(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "index").iterdir())


def assert_answers_from_current(shelf: Shelf, embedder: Embedder) -> None:
    """The index holds exactly the chunks of all documents, each with its vector."""
    index = shelf.index()
    documents = shelf.library.list_documents("default", None, None, 100)
    assert index.contents() == {
        (one.id, one.searchable_revision): one.searchable_chunks
        for one in documents
        if one.searchable_revision
    }
    for hit in search_lexical(index, "xyzzy", 100):
        [nearest] = search_dense(index, embedder.embed_query(hit.chunk.passage), 1)
        assert nearest.score == pytest.approx(1, abs=1e-4)
        text = shelf.library.revision_text(hit.chunk.document_id, hit.chunk.revision)
        assert text
        assert text.text[hit.chunk.start : hit.chunk.end] == hit.chunk.text


@pytest.fixture
def made_by_old(open_shelf: OpenShelf) -> Document:
    """A document of a service with another model, which has stopped."""
    with open_shelf(OLD) as shelf:
        return shelf.add_and_wait("a.txt", TEXT)


def test_names_of_indexes_are_no_names_of_collections() -> None:
    collection = Collection("laws", "model", "f", "english", "c", "laws")
    assert collection.next_index_name == "laws~2"
    assert Collection("laws", "model", "f", "english", "c", "laws~9").next_index_name == "laws~10"


@pytest.mark.usefixtures("no_errors_in_the_log")
def test_a_collection_answers_and_grows_with_the_embedder_it_was_made_with(
    open_shelf: OpenShelf, made_by_old: Document
) -> None:
    loads: list[str] = []

    def load(name: str) -> Embedder:
        loads.append(name)
        return load_old(name)

    with open_shelf(HashEmbedder(), load=load) as shelf:
        assert shelf.state().outdated == ["embedder"]
        assert loads == []  # not before it is needed
        new = shelf.add_and_wait("b.txt", "The plugh text.")
        assert new.status is Status.SEARCHABLE
        assert shelf.find("plugh") == ["b.txt"]
        with shelf.library.open_index("default") as opened:
            [hit] = search_dense(opened.index, opened.embedder.embed_query("The plugh text."), 1)
        assert (hit.chunk.document_id, opened.embedder.name) == (new.id, "old-model")
        assert hit.score == pytest.approx(1, abs=1e-4)
        assert loads == ["old-model"]
        fresh = shelf.add_and_wait("c.txt", "A new collection.", "fresh")
        assert fresh.status is Status.SEARCHABLE
        assert shelf.state("fresh").collection.embedder == "hash-embedder"


@pytest.mark.usefixtures("no_errors_in_the_log")
@pytest.mark.parametrize("has_old", [True, False], ids=["old-model-there", "old-model-gone"])
def test_a_collection_gets_the_settings_of_today(
    open_shelf: OpenShelf, made_by_old: Document, has_old: bool
) -> None:
    embedder = HashEmbedder()
    load = {"load": load_old} if has_old else {}
    with open_shelf(embedder, chunk_tokens=40, language="german", **load) as shelf:
        assert shelf.state().outdated == ["embedder", "chunker"]
        state, is_reindexed = shelf.library.reindex("default")
        assert is_reindexed
        assert state.reindexing is not None
        state = wait(shelf)
        assert (state.outdated, state.reindexing) == ([], None)
        assert state.collection.embedder == "hash-embedder"
        assert state.collection.analyzer == "english"
        assert state.num_chunks > made_by_old.searchable_chunks
        assert shelf.find("thing29") == ["a.txt"]
        assert_answers_from_current(shelf, embedder)
        assert indexes(shelf.home) == ["default~2"]
        assert shelf.library.reindex("default") == (state, False)
        assert shelf.library.reindex("default", force=True)[1]
        assert wait(shelf).outdated == []
        assert indexes(shelf.home) == ["default~3"]
        shelf.library.delete(made_by_old.id)
        assert indexes(shelf.home) == []
        with pytest.raises(CollectionNotFoundError):
            shelf.library.reindex("default")


@pytest.mark.usefixtures("no_errors_in_the_log")
def test_documents_come_change_and_go_meanwhile(
    open_shelf: OpenShelf, made_by_old: Document
) -> None:
    with open_shelf(OLD) as shelf:
        gone = shelf.add_and_wait("gone.txt", "The grault xyzzy text.")
        changed = shelf.add_and_wait("changed.txt", "The garply xyzzy text.")
        shelf.add_and_wait("half.pdf", "The waldo xyzzy text.")
        shelf.add_and_wait("half.pdf", encrypted_pdf())  # the older revision goes on answering
    embedder = OtherGatedEmbedder()
    embedder.close()
    with open_shelf(embedder, load=load_old) as shelf:
        shelf.library.reindex("default")
        assert embedder.reached.wait(TIMEOUT_SECONDS)
        # The old index answers and takes what comes.
        assert shelf.find("xyzzy") == ["a.txt", "changed.txt", "gone.txt", "half.pdf"]
        shelf.library.delete(gone.id)
        assert shelf.files_with("grault") == []
        shelf.wait_until_searchable(shelf.add("changed.txt", "The fred xyzzy text."))
        shelf.wait_until_searchable(shelf.add("new.txt", "The plugh xyzzy text."))
        assert shelf.find("xyzzy") == ["a.txt", "changed.txt", "half.pdf", "new.txt"]
        embedder.gate.set()
        assert wait(shelf).outdated == []
        assert shelf.find("xyzzy") == ["a.txt", "changed.txt", "half.pdf", "new.txt"]
        assert shelf.find("garply") == []
        assert shelf.find("fred") == ["changed.txt"]
        assert shelf.files_with("grault") == []
        assert_answers_from_current(shelf, embedder)
        assert shelf.library.get(changed.id).searchable_chunks == 1


@pytest.mark.usefixtures("no_errors_in_the_log")
def test_a_document_that_gets_another_name_meanwhile_is_found_by_it(
    open_shelf: OpenShelf, made_by_old: Document
) -> None:
    embedder = OtherGatedEmbedder()
    embedder.close()
    with open_shelf(embedder, load=load_old) as shelf:
        shelf.library.reindex("default")
        assert embedder.reached.wait(TIMEOUT_SECONDS)
        renamed, _ = shelf.upload("plugh.txt", TEXT, external_id=made_by_old.external_id)
        shelf.wait_until_searchable(renamed)
        assert shelf.find("plugh") == ["plugh.txt"]
        embedder.gate.set()
        assert wait(shelf).outdated == []
        assert shelf.find("plugh") == ["plugh.txt"]
        assert_answers_from_current(shelf, embedder)


@pytest.mark.usefixtures("no_errors_in_the_log")
def test_a_document_deleted_while_it_is_put_in_does_not_come_back(
    open_shelf: OpenShelf, made_by_old: Document
) -> None:
    embedder = OtherGatedEmbedder()
    embedder.close()
    with open_shelf(embedder) as shelf:
        shelf.library.reindex("default")
        assert embedder.reached.wait(TIMEOUT_SECONDS)
        shelf.library.delete(made_by_old.id)
        embedder.gate.set()
        shelf.add_and_wait("b.txt", "The plugh text.", "other")
        assert shelf.files_with("xyzzy") == []
        assert indexes(shelf.home) == ["other"]


@pytest.mark.usefixtures("no_errors_in_the_log")
def test_what_is_ingested_while_the_collection_is_swapped_is_made_anew(
    open_shelf: OpenShelf, made_by_old: Document
) -> None:
    gated = GatedEmbedder()
    gated.name, gated.fingerprint = OLD.name, OLD.fingerprint
    gated.close()
    embedder = HashEmbedder()
    with open_shelf(embedder, load=lambda _: gated) as shelf:
        late = shelf.add("late.txt", "The late xyzzy text.")
        assert gated.reached.wait(TIMEOUT_SECONDS)
        shelf.library.reindex("default")
        assert wait(shelf).outdated == []
        gated.gate.set()
        assert shelf.wait(late).status is Status.SEARCHABLE
        assert shelf.find("late") == ["late.txt"]
        assert_answers_from_current(shelf, embedder)


def test_no_search_fails_because_of_the_swap(open_shelf: OpenShelf, made_by_old: Document) -> None:
    failures: list[Exception] = []
    found: list[list[str]] = []
    stop = threading.Event()
    with open_shelf(HashEmbedder(), load=load_old) as shelf:

        def search() -> None:
            while not stop.is_set():
                try:
                    found.append(shelf.find("thing29"))
                except Exception as error:  # noqa: BLE001 - any at all
                    failures.append(error)

        threads = [threading.Thread(target=search) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(4):
            shelf.library.reindex("default", force=True)
            wait(shelf)
        stop.set()
        for thread in threads:
            thread.join()
        assert failures == []
        assert found
        assert all(names == ["a.txt"] for names in found)


def test_an_index_is_not_removed_under_a_search(
    open_shelf: OpenShelf, made_by_old: Document
) -> None:
    with open_shelf(HashEmbedder(), load=load_old) as shelf:
        with shelf.library.open_index("default") as opened:
            shelf.library.reindex("default")
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while shelf.state().outdated:  # a search that begins now has the new index
                assert time.monotonic() < deadline
                time.sleep(0.02)
            time.sleep(0.1)
            reindexing = shelf.state().reindexing
            assert reindexing
            assert reindexing.status is ReindexingStatus.FINISHING
            assert opened.index.count() == made_by_old.searchable_chunks
            assert indexes(shelf.home) == ["default", "default~2"]
        wait(shelf)
        assert indexes(shelf.home) == ["default~2"]


def test_a_deletion_does_not_fail_when_the_old_index_is_removed_under_it(
    open_shelf: OpenShelf, made_by_old: Document
) -> None:
    """It compacts the new index first, which takes longer than to remove the old one."""
    with open_shelf(HashEmbedder(), load=load_old) as shelf, ThreadPoolExecutor(1) as thread:
        doomed = shelf.add_and_wait("b.txt", "thing77")
        with shelf.library.open_index("default"):
            shelf.library.reindex("default")
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while shelf.state().outdated:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            deletion = thread.submit(shelf.library.delete, doomed.id)
            while [one.id for one in shelf.library.list_documents(None, None, None, 9)] != [
                made_by_old.id
            ]:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        deletion.result()
        wait(shelf)
        assert indexes(shelf.home) == ["default~2"]
        assert shelf.find("xyzzy") == ["a.txt"]


def test_a_document_without_text_ends_the_reindexing_with_a_reason(
    open_shelf: OpenShelf, made_by_old: Document
) -> None:
    with open_shelf(HashEmbedder(), load=load_old) as shelf:
        pipeline = shelf.library._pipeline
        pipeline.texts.delete(made_by_old.revision)
        pipeline.files.delete(made_by_old.revision)
        shelf.library.reindex("default")
        reindexing = wait(shelf).reindexing
        assert reindexing
        assert reindexing.status is ReindexingStatus.FAILED
        assert "a.txt" in str(reindexing.error_reason)
        assert "Upload it again or delete it" in str(reindexing.error_reason)
        assert shelf.find("thing29") == ["a.txt"]
        assert indexes(shelf.home) == ["default"]
        shelf.add_and_wait("a.txt", TEXT)
        assert shelf.library.reindex("default")[1]
        assert wait(shelf).outdated == []


def test_a_text_that_is_lost_is_read_again(open_shelf: OpenShelf, made_by_old: Document) -> None:
    with open_shelf(HashEmbedder(), load=load_old) as shelf:
        shelf.library._pipeline.texts.delete(made_by_old.revision)
        shelf.library.reindex("default")
        assert wait(shelf).outdated == []
        assert shelf.library.text(shelf.library.get(made_by_old.id)).text == TEXT


@pytest.fixture
def broken_off(open_shelf: OpenShelf, made_by_old: Document) -> Document:
    """A reindexing that a stop of the service broke off."""
    with open_shelf(OLD) as shelf:
        shelf.add_and_wait("b.txt", "The plugh xyzzy text.")
    embedder = OtherGatedEmbedder()
    embedder.close(after=1)
    with open_shelf(embedder, load=load_old) as shelf:
        shelf.library.reindex("default")
        assert embedder.reached.wait(TIMEOUT_SECONDS)
        embedder.gate.set()
        shelf.library._pipeline.stopping.set()
    assert indexes(shelf.home) == ["default", "default~2"]
    return made_by_old


@pytest.mark.usefixtures("no_errors_in_the_log", "broken_off")
def test_what_was_broken_off_goes_on_at_the_next_start(open_shelf: OpenShelf) -> None:
    embedder = OtherGatedEmbedder()
    with open_shelf(embedder, load=load_old) as shelf:
        assert wait(shelf).outdated == []
        assert shelf.find("xyzzy") == ["a.txt", "b.txt"]
        assert_answers_from_current(shelf, embedder)
        assert indexes(shelf.home) == ["default~2"]


@pytest.mark.usefixtures("no_errors_in_the_log", "broken_off")
def test_what_was_meant_for_other_settings_is_dropped_at_the_next_start(
    open_shelf: OpenShelf,
) -> None:
    with open_shelf(OLD) as shelf:
        assert shelf.state().reindexing is None
        assert shelf.state().outdated == []
        assert shelf.find("xyzzy") == ["a.txt", "b.txt"]
        assert indexes(shelf.home) == ["default"]


@pytest.mark.usefixtures("made_by_old")
def test_an_index_of_no_collection_is_removed_at_the_start(open_shelf: OpenShelf) -> None:
    with open_shelf(OLD) as shelf:
        shelf.library._pipeline.store.open("default~7", dimension=4, language="none")
    with open_shelf(OLD) as shelf:
        assert indexes(shelf.home) == ["default"]


def test_documents_cut_in_different_ways_are_outdated(open_shelf: OpenShelf) -> None:
    with open_shelf() as shelf:
        shelf.add_and_wait("a.txt", TEXT)
    with open_shelf(chunk_tokens=40) as shelf:
        shelf.add_and_wait("b.txt", TEXT)
    with open_shelf() as shelf:
        assert shelf.state().outdated == ["chunker"]
        shelf.library.reindex("default")
        state = wait(shelf)
        assert state.outdated == []
        first, second = shelf.library.list_documents(None, None, None, 9)
        assert first.num_chunks == second.num_chunks


@pytest.mark.usefixtures("no_errors_in_the_log")
def test_metadata_goes_along_also_when_it_changes_meanwhile(
    open_shelf: OpenShelf, made_by_old: Document
) -> None:
    embedder = OtherGatedEmbedder()
    with open_shelf(embedder, load=load_old) as shelf:
        kept = Upload("kept.txt", [b"The kept xyzzy text."], "default", None, {"year": 2025})
        shelf.wait(shelf.library.add(kept)[0])
        embedder.close(after=1)
        shelf.library.reindex("default")
        assert embedder.reached.wait(TIMEOUT_SECONDS)
        for year in (2026, 2027):
            again = Upload("a.txt", [TEXT.encode()], "default", None, {"year": year})
            shelf.library.add(again)
        embedder.gate.set()
        assert wait(shelf).outdated == []
        index = shelf.index()
        for year, names in ((2025, {"kept.txt"}), (2026, set()), (2027, {"a.txt"})):
            where = parse_filter({"type": "eq", "key": "year", "value": year})
            chunks = index.fetch(index.rank_lexical("xyzzy", 99, where=where)).values()
            assert {shelf.library.get(one.document_id).filename for one in chunks} == names


# ---- another language

GERMAN = "Die Kündigungsfristen der Verträge."


class CountingEmbedder(HashEmbedder):
    """Counts the passages that it embeds."""

    num_passages = 0

    def embed_passages(self, texts: Sequence[str]) -> Matrix:
        self.num_passages += len(texts)
        return super().embed_passages(texts)


@pytest.mark.usefixtures("no_errors_in_the_log")
def test_a_collection_gets_another_language_and_nothing_is_embedded_or_parsed(
    open_shelf: OpenShelf,
) -> None:
    embedder = CountingEmbedder()
    with open_shelf(embedder) as shelf:
        shelf.add_and_wait("fristen.txt", GERMAN)
        shelf.add_and_wait("a.txt", TEXT)
        assert shelf.find("Kündigungsfrist") == []
        num_passages = embedder.num_passages
        for path in (shelf.home / "files").glob("*/*"):  # who parsed again would miss them
            path.unlink()
        state, is_reindexed = shelf.library.reindex("default", language="german")
        assert is_reindexed
        assert state.reindexing
        assert state.reindexing.target.analyzer == "german"
        state = wait(shelf)
        assert (state.collection.analyzer, state.outdated) == ("german", [])
        assert embedder.num_passages == num_passages
        assert shelf.find("Kündigungsfrist") == ["fristen.txt"]
        assert_answers_from_current(shelf, embedder)
        assert shelf.library.reindex("default", language="german") == (state, False)
        assert shelf.library.reindex("default") == (state, False)
        shelf.add_and_wait("neu.txt", "Der Vertrag.")
        assert shelf.find("Verträge") == ["fristen.txt", "neu.txt"]


def test_vectors_of_another_model_are_not_taken_along(
    open_shelf: OpenShelf, made_by_old: Document
) -> None:
    embedder = HashEmbedder("new-model", "new-1", dimension=OLD.dimension)
    with open_shelf(embedder, load=load_old) as shelf:
        shelf.library.reindex("default", language="german")
        assert wait(shelf).outdated == []
        assert_answers_from_current(shelf, embedder)


def test_chunks_of_another_size_are_embedded(open_shelf: OpenShelf, made_by_old: Document) -> None:
    with open_shelf(OLD, chunk_tokens=40) as shelf:
        shelf.library.reindex("default", language="german")
        state = wait(shelf)
        assert (state.collection.analyzer, state.outdated) == ("german", [])
        assert state.num_chunks > made_by_old.searchable_chunks
        assert_answers_from_current(shelf, OLD)


@pytest.mark.usefixtures("made_by_old")
def test_only_one_language_at_a_time(open_shelf: OpenShelf) -> None:
    embedder = OtherGatedEmbedder()
    embedder.close()
    with open_shelf(embedder, load=load_old) as shelf:
        begun, _ = shelf.library.reindex("default", language="german")
        for language in (None, "german"):
            again, is_reindexed = shelf.library.reindex("default", language=language)
            assert is_reindexed
            assert again.reindexing
            assert begun.reindexing
            assert again.reindexing.started_at == begun.reindexing.started_at
        with pytest.raises(LanguageMismatchError, match=r"reindexed in german\. Ask for french"):
            shelf.library.reindex("default", language="french")
        embedder.gate.set()
        assert wait(shelf).collection.analyzer == "german"


@pytest.fixture
def broken_off_in_german(open_shelf: OpenShelf, made_by_old: Document) -> Document:
    """A reindexing in another language, and by another model, that a stop broke off."""
    embedder = OtherGatedEmbedder()
    embedder.close()
    with open_shelf(embedder, load=load_old) as shelf:
        shelf.add_and_wait("fristen.txt", GERMAN)
        shelf.library.reindex("default", language="german")
        assert embedder.reached.wait(TIMEOUT_SECONDS)
        shelf.library._pipeline.stopping.set()
        embedder.gate.set()
    return made_by_old


@pytest.mark.usefixtures("no_errors_in_the_log", "broken_off_in_german")
@pytest.mark.parametrize("is_same", [True, False], ids=["same-settings", "other-settings"])
def test_what_was_broken_off_still_knows_its_language(open_shelf: OpenShelf, is_same: bool) -> None:
    embedder = OtherGatedEmbedder() if is_same else OLD
    with open_shelf(embedder, load=load_old) as shelf:
        state = wait(shelf)
        assert (state.collection.analyzer, state.outdated) == ("german", [])
        assert shelf.find("Kündigungsfrist") == ["fristen.txt"]
        assert_answers_from_current(shelf, embedder)
        assert indexes(shelf.home) == ["default~2"]
