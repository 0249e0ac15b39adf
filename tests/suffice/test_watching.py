"""Which changes of folders are noticed, and what is made of them."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from suffice import watching
from suffice.bulk import BulkIngestion
from suffice.client import Client
from suffice.errors import WatchError
from suffice.watching import Changes, Follower, keep_up
from tests.serving.application import Application, run_application
from tests.suffice.trees import HOME, write

WAIT_SECONDS = 30.0
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a file system of its own


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "QUIET_SECONDS", 0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "trees", {"oak.txt": "Oak.", "deep/elm.txt": "Elm."})


@pytest.fixture
def follower(folder: Path) -> Follower:
    return Follower([folder], HOME)


def next_change(changes: Iterator[Changes]) -> tuple[list[str], list[str]]:
    """Return the names of the files that changed and of those that are gone, once there are any."""
    deadline = time.monotonic() + WAIT_SECONDS
    for change in changes:
        if change.files or change.gone:
            return [f.external_id for f in change.files], [f.external_id for f in change.gone]
        assert time.monotonic() < deadline, "nothing was noticed"
    raise AssertionError("following has ended")


def test_new_changed_and_deleted_files_are_noticed(folder: Path, follower: Follower) -> None:
    changes = follower.changes()
    assert next(changes) == Changes([], [])
    write(folder, {"deep/er/birch.txt": "Birch.", ".hidden": "x", "~$oak.docx": "x"})
    assert next_change(changes) == (["deep/er/birch.txt"], [])
    write(folder, {"oak.txt": "Acorns."})
    assert next_change(changes) == (["oak.txt"], [])
    (folder / "deep/elm.txt").unlink()
    assert next_change(changes) == ([], ["deep/elm.txt"])


def test_change_before_the_first_event_is_noticed(folder: Path, follower: Follower) -> None:
    write(folder, {"birch.txt": "Birch."})
    assert next_change(follower.changes()) == (["birch.txt"], [])


def test_file_is_taken_when_it_is_quiet(folder: Path, follower: Follower) -> None:
    changes = follower.changes()
    for number in range(5):
        with (folder / "birch.txt").open("a") as file:
            file.write(f"{number}")
        assert next(changes).files == []
    assert next_change(changes) == (["birch.txt"], [])


def test_file_that_is_saved_by_replacing_it_is_never_gone(folder: Path, follower: Follower) -> None:
    changes = follower.changes()
    next(changes)
    (folder / "oak.txt").unlink()
    assert next(changes).gone == []
    write(folder, {"oak.txt": "Acorns."})
    assert next_change(changes) == (["oak.txt"], [])


def test_another_folder_in_its_place_ends_it(folder: Path, follower: Follower) -> None:
    """As when a drive is taken away: its files are not deleted."""
    changes = follower.changes()
    next(changes)
    folder.rename(folder.parent / "away")
    folder.mkdir()
    with pytest.raises(WatchError, match="Another folder"):
        for _ in changes:
            pass


def test_folder_that_is_gone_ends_it(folder: Path, follower: Follower) -> None:
    changes = follower.changes()
    next(changes)
    folder.rename(folder.parent / "away")
    with pytest.raises(WatchError, match="No such file"):
        for _ in changes:
            pass


def test_files_behind_a_link_that_leads_nowhere_are_not_gone(
    folder: Path, follower: Follower, tmp_path: Path
) -> None:
    """As when a link leads to a drive that is away for a moment."""
    away = write(tmp_path / "drive", {"fir.txt": "Fir."})
    (folder / "link").symlink_to(away)
    changes = follower.changes()
    assert next_change(changes) == (["link/fir.txt"], [])
    away.rename(tmp_path / "away")
    write(folder, {"birch.txt": "Birch."})
    assert next_change(changes) == (["birch.txt"], [])
    (folder / "link").unlink()
    assert next_change(changes) == ([], ["link/fir.txt"])


@pytest.mark.skipif(not SHARED_MEMORY.is_dir(), reason="needs a second file system")
def test_files_of_a_drive_within_the_folder_are_not_gone_with_it(
    folder: Path, follower: Follower
) -> None:
    """A link stands for the drive; then there is the empty folder on which it was mounted."""
    with TemporaryDirectory(dir=SHARED_MEMORY) as drive:
        write(Path(drive), {"fir.txt": "Fir.", "deep/yew.txt": "Yew."})
        (folder / "drive").symlink_to(drive)
        changes = follower.changes()
        assert next_change(changes) == (["drive/deep/yew.txt", "drive/fir.txt"], [])
        (folder / "drive").unlink()
        write(folder, {"drive/below.txt": "What the drive hid."})
        assert next_change(changes) == (["drive/below.txt"], [])
        (folder / "drive/below.txt").unlink()
        assert next_change(changes) == ([], ["drive/below.txt"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_files_in_a_folder_that_may_not_be_entered_are_not_gone(
    folder: Path, follower: Follower
) -> None:
    changes = follower.changes()
    next(changes)
    (folder / "deep").chmod(0o400)
    write(folder, {"birch.txt": "Birch."})
    assert next_change(changes) == (["birch.txt"], [])
    (folder / "deep").chmod(0o700)
    (folder / "deep/elm.txt").unlink()
    assert next_change(changes) == ([], ["deep/elm.txt"])


def test_only_folders_are_followed(folder: Path) -> None:
    with pytest.raises(WatchError, match=r"oak\.txt is no folder"):
        Follower([folder / "oak.txt"], HOME)


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with run_application(tmp_path_factory.mktemp("home")) as application:
        yield application


@pytest.mark.parametrize("delete", [False, True])
def test_collection_keeps_up_with_a_folder(
    delete: bool, application: Application, folder: Path, follower: Follower
) -> None:
    """A file is added; then one is deleted and another one added; then comes Ctrl-C."""
    told: list[tuple[str, str]] = []

    def tell(event: str, name: str, _reason: str) -> None:
        told.append((event, name))
        if name == "birch.txt":
            (folder / "oak.txt").unlink()
            write(folder, {"beech.txt": "Beech."})
        if name == "beech.txt":
            signal.raise_signal(signal.SIGINT)

    with Client(application.url) as client:
        ingestion = BulkIngestion(client, f"delete-{delete}".lower())
        first = ingestion.run(follower.listing.files)
        write(folder, {"birch.txt": "Birch."})
        report = keep_up(follower, ingestion, first, tell, delete=delete)
        documents = client.documents(f"delete-{delete}".lower())
        names = {document["external_id"] for document in documents}
    deletion = [("deleted", "oak.txt")] if delete else []
    assert told == [("searchable", "birch.txt"), *deletion, ("searchable", "beech.txt")]
    assert names == {"birch.txt", "beech.txt", "deep/elm.txt"} | (set() if delete else {"oak.txt"})
    assert report.is_interrupted
    assert {outcome.file.external_id for outcome in report.outcomes} == names
