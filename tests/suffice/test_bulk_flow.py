"""Bulk ingestion while the service is at work: room, progress, interruption, deletion."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from ingest.pipeline import EMBED_SLICE
from serving.service import open_service
from suffice import bulk
from suffice.bulk import BulkIngestion, BulkProgress
from suffice.client import Client
from tests.fakes import GatedEmbedder
from tests.serving.application import make_settings, serve
from tests.suffice.trees import files_of, states, write

NUM_FILES = 30


@dataclass(frozen=True, slots=True)
class Gated:
    """A service that embeds nothing until its gate is opened."""

    client: Client
    embedder: GatedEmbedder

    def num_documents(self) -> int:
        return len(list(self.client.documents()))


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[Gated]:
    embedder = GatedEmbedder()
    embedder.close()
    with (
        open_service(make_settings(tmp_path / "home"), embedder) as service,
        serve(service) as application,
        Client(application.url) as client,
    ):
        yield Gated(client, embedder)
        embedder.gate.set()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    contents = {f"{number:02}.txt": f"Tree {number}." for number in range(NUM_FILES)}
    return write(tmp_path / "trees", contents)


def test_uploads_stay_a_bounded_number_ahead(
    gated: Gated, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MAX_UNFINISHED", 5)
    most = 0
    rounds = 0

    def show(progress: BulkProgress) -> None:
        nonlocal most, rounds
        most = max(most, progress.num_sent - progress.num_final)
        rounds += 1
        if rounds > 60:  # long enough for all to be sent, if nothing held them
            gated.embedder.gate.set()

    report = BulkIngestion(gated.client, "default").run(files_of(folder), show)
    assert set(states(report).values()) == {"searchable"}
    assert 5 <= most < 5 + bulk.NUM_UPLOADS  # each thread may have seen the last place


def test_progress_only_grows_and_ends_with_all(gated: Gated, folder: Path) -> None:
    gated.embedder.gate.set()
    shown: list[BulkProgress] = []
    report = BulkIngestion(gated.client, "default").run(files_of(folder), shown.append)
    assert set(states(report).values()) == {"searchable"}
    for field in ("num_sent", "num_final"):
        values = [getattr(progress, field) for progress in shown]
        assert all(before <= after for before, after in pairwise(values))
    assert shown[-1] == BulkProgress(
        NUM_FILES, num_sent=NUM_FILES, num_final=NUM_FILES, num_chunks=NUM_FILES
    )
    again: list[BulkProgress] = []
    BulkIngestion(gated.client, "default").run(files_of(folder), again.append)
    assert again[-1] == BulkProgress(NUM_FILES, num_sent=NUM_FILES, num_idle=NUM_FILES)


def test_what_was_embedded_before_the_run_tells_nothing_of_its_pace(
    gated: Gated, tmp_path: Path
) -> None:
    text = "\n\n".join(f"Tree {number} " + "grows here. " * 40 for number in range(200))
    [file] = files_of(write(tmp_path / "long", {"long.txt": text}))
    gated.embedder.close(after=1)
    document = gated.client.upload(file.path, external_id=file.external_id)
    while gated.client.document(document["id"])["progress"]["embedded"] == 0:
        gated.embedder.reached.wait(0.05)
    shown: list[BulkProgress] = []

    def show(progress: BulkProgress) -> None:
        shown.append(progress)
        if progress.num_under_way:
            gated.embedder.gate.set()

    report = BulkIngestion(gated.client, "default").run([file], show)
    taken_up = next(progress for progress in shown if progress.num_under_way)
    assert 0 < taken_up.num_under_way == taken_up.num_before < 1
    assert (taken_up.num_sent, taken_up.num_final, taken_up.num_chunks) == (1, 0, 0)
    assert shown[-1].num_chunks == report.outcomes[0].document["num_chunks"] - EMBED_SLICE


def test_interrupted_run_is_taken_up_by_the_next(gated: Gated, folder: Path) -> None:
    is_interrupted = False

    def interrupt(progress: BulkProgress) -> None:
        nonlocal is_interrupted
        if progress.num_sent >= 10 and not is_interrupted:  # several may be sent between two looks
            is_interrupted = True
            signal.raise_signal(signal.SIGINT)

    report = BulkIngestion(gated.client, "default").run(files_of(folder), interrupt)
    num_accepted = gated.num_documents()
    assert report.is_interrupted
    assert 10 <= len(report.outcomes) == num_accepted < NUM_FILES
    assert not any(outcome.is_final for outcome in report.outcomes)
    gated.embedder.gate.set()
    again = BulkIngestion(gated.client, "default").run(files_of(folder))
    assert len(states(again)) == NUM_FILES
    assert set(states(again).values()) == {"searchable"}
    assert sum(outcome.is_unchanged for outcome in again.outcomes) == num_accepted


def test_document_that_is_deleted_meanwhile(gated: Gated, folder: Path) -> None:
    def delete_first(progress: BulkProgress) -> None:
        if progress.num_sent == NUM_FILES and not gated.embedder.gate.is_set():
            gated.embedder.gate.set()
            document = next(one for one in gated.client.documents(status="queued"))
            deleted.append(gated.client.delete(document["id"])["id"])

    deleted: list[str] = []
    report = BulkIngestion(gated.client, "default").run(files_of(folder), delete_first)
    [failed] = [outcome for outcome in report.outcomes if outcome.status == "failed"]
    assert failed.document["error"]["code"] == "deleted"
    assert gated.num_documents() == NUM_FILES - 1
    assert len(deleted) == 1
