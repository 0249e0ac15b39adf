"""What is found in folders, what is left out, and under which names."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice.folders import Listing, list_files

HOME = Path("home-of-the-service")


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("Oak.")


def names(listing: Listing) -> list[str]:
    return [file.external_id for file in listing.files]


def reasons(listing: Listing) -> dict[str, str]:
    return {one.file.external_id: one.reason for one in listing.skipped}


def test_files_are_named_by_their_paths_in_the_folder(tmp_path: Path) -> None:
    write(tmp_path, "b.txt", "a/z.md", "a/deep/x.pdf", "single.txt")
    (tmp_path / "empty").mkdir()
    listing = list_files([tmp_path / "a", tmp_path / "single.txt"], HOME)
    assert names(listing) == ["deep/x.pdf", "single.txt", "z.md"]
    assert listing.files[0].path == tmp_path / "a/deep/x.pdf"
    assert (listing.skipped, listing.unreadable) == ([], [])


def test_hidden_and_temporary_files_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, "report.docx", "~$report.docx", ".~lock.report.odt#", ".git/config", "a.tmp")
    listing = list_files([tmp_path], HOME)
    assert names(listing) == ["report.docx"]
    assert reasons(listing) == {
        ".git": "hidden",
        ".~lock.report.odt#": "hidden",
        "a.tmp": "temporary",
        "~$report.docx": "temporary",
    }


def test_what_is_given_itself_is_taken_whatever_its_name(tmp_path: Path) -> None:
    write(tmp_path, ".hidden/notes.txt", ".profile")
    assert names(list_files([tmp_path / ".profile"], HOME)) == [".profile"]
    assert names(list_files([tmp_path / ".hidden"], HOME)) == ["notes.txt"]


def test_links_in_circles_end(tmp_path: Path) -> None:
    write(tmp_path, "lib/a/one.txt", "lib/b/two.txt", "elsewhere/three.txt")
    lib = tmp_path / "lib"
    (lib / "a/up").symlink_to(lib)
    (lib / "a/across").symlink_to(lib / "b")
    (lib / "b/across").symlink_to(lib / "a")
    (lib / "outside").symlink_to(tmp_path / "elsewhere")
    (lib / "same.txt").symlink_to(lib / "a/one.txt")
    listing = list_files([lib], HOME)
    assert names(listing) == ["a/one.txt", "b/two.txt", "outside/three.txt", "same.txt"]
    assert set(reasons(listing)) == {"a/up", "a/across", "b/across"}


def test_what_is_no_file_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "self").symlink_to("self")
    os.mkfifo(tmp_path / "pipe")
    listing = list_files([tmp_path], HOME)
    assert names(listing) == []
    assert reasons(listing) == {
        "dangling": "link that leads nowhere",
        "pipe": "no regular file",
        "self": "link that leads nowhere",
    }


@pytest.mark.skipif(sys.platform == "darwin", reason="file names are always UTF-8")
def test_name_that_is_no_utf8_stays_readable(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))
    path.write_text("Oak.")
    [file] = list_files([tmp_path], HOME).files
    assert file.external_id == r"caf\xe9.txt"
    assert file.path.read_text() == "Oak."


def test_namesakes_do_not_replace_each_other(tmp_path: Path) -> None:
    write(tmp_path, "a/readme.md", "b/readme.md")
    listing = list_files([tmp_path / "a", tmp_path / "b", tmp_path / "a/readme.md"], HOME)
    assert [file.path for file in listing.files] == [tmp_path / "a/readme.md"]
    [left_out] = listing.unreadable
    assert left_out.file.path == tmp_path / "b/readme.md"
    assert str(tmp_path / "a/readme.md") in left_out.reason


def test_home_folder_of_the_service_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "store/catalog.sqlite")
    assert names(list_files([tmp_path], tmp_path / "store")) == ["a.txt"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_folder_without_permission_is_reported(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "closed/b.txt")
    (tmp_path / "closed").chmod(0)
    listing = list_files([tmp_path], HOME)
    (tmp_path / "closed").chmod(0o700)
    assert names(listing) == ["a.txt"]
    [left_out] = listing.unreadable
    assert left_out.file.external_id == "closed"
    assert "Permission denied" in left_out.reason


@given(
    st.sets(
        st.lists(st.sampled_from(["a", "b", "c d", "é"]), min_size=1, max_size=4).map("/".join),
        max_size=8,
    )
)
def test_each_file_is_found_once(tmp_path_factory: pytest.TempPathFactory, paths: set[str]) -> None:
    root = tmp_path_factory.mktemp("tree")
    files = {f"{path}/file.txt" for path in paths}
    write(root, *files)
    assert names(list_files([root], HOME)) == sorted(files)


def test_a_pipe_is_refused_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    listing = list_files([tmp_path / "pipe"], HOME)
    assert listing.files == []
    [left_out] = listing.unreadable
    assert (left_out.file.external_id, left_out.reason) == (
        "pipe",
        "It is no regular file. Save it as one.",
    )
