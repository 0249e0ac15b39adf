import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingest.errors import HomeUnusableError
from ingest.home import Home
from retrieval.errors import StoreLockedError

SCRIPT = """
import sys
from pathlib import Path
from ingest.home import Home

with Home(Path(sys.argv[1])) as home:
    if sys.argv[2:]:
        home.announce(sys.argv[2])
    print("ready", flush=True)
    sys.stdin.read()
"""


@contextmanager
def other_process(home: Path, *url: str) -> Iterator["subprocess.Popen[str]"]:
    """Another process that owns the home folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(home), *url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process


def test_a_home_is_made_where_there_is_none(tmp_path: Path) -> None:
    with Home(tmp_path / "new" / "home") as home:
        folders = (home.files, home.texts, home.index, home.work)
        assert [folder.is_dir() for folder in folders] == [True] * 4
        assert home.database_url("jobs") == f"sqlite:///{tmp_path}/new/home/jobs.sqlite"


def test_what_is_no_folder_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path, reason in ((file, "File exists"), (file / "home", "Not a directory")):
        with pytest.raises(HomeUnusableError, match=f"{path}, .*: {reason}.*SUFFICE_HOME"):
            Home(path).__enter__()


def test_a_folder_that_cannot_be_locked_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    for use in (Home(tmp_path).__enter__, Home(tmp_path).check_free, Home(tmp_path).service_url):
        with pytest.raises(HomeUnusableError, match=r"Is a directory.*SUFFICE_HOME"):
            use()


def test_a_second_process_is_refused_and_told_whom_to_ask(tmp_path: Path) -> None:
    with other_process(tmp_path, "http://127.0.0.1:8321"):
        with pytest.raises(StoreLockedError, match=r"http://127\.0\.0\.1:8321.*--url") as caught:
            Home(tmp_path).__enter__()
        assert str(tmp_path) in str(caught.value)
        with pytest.raises(StoreLockedError, match="--url"):
            Home(tmp_path).check_free()
        assert Home(tmp_path).service_url() == "http://127.0.0.1:8321"
    assert Home(tmp_path).service_url() is None
    Home(tmp_path).check_free()
    with Home(tmp_path):
        pass


def test_an_owner_without_address_is_no_service(tmp_path: Path) -> None:
    with other_process(tmp_path):
        with pytest.raises(StoreLockedError, match=r"another Suffice process\. Use"):
            Home(tmp_path).__enter__()
        with pytest.raises(StoreLockedError, match="no address yet"):
            Home(tmp_path).service_url()


def test_the_address_of_a_killed_service_is_forgotten(tmp_path: Path) -> None:
    with other_process(tmp_path, "http://127.0.0.1:8321") as process:
        process.kill()
    assert Home(tmp_path).service_url() is None
    # The next owner has no address; that of the first must not be taken for its own.
    with other_process(tmp_path), pytest.raises(StoreLockedError, match="no address yet"):
        Home(tmp_path).service_url()


def test_asking_for_a_service_makes_no_folder(tmp_path: Path) -> None:
    assert Home(tmp_path / "nothing").service_url() is None
    assert not (tmp_path / "nothing").exists()


def test_one_home_after_another(tmp_path: Path) -> None:
    for _ in range(2):
        with Home(tmp_path) as home:
            home.announce("http://localhost:1")
    assert not (tmp_path / "service.json").exists()


def test_a_new_home_is_its_owners_alone(tmp_path: Path) -> None:
    with Home(tmp_path / "new" / "home") as home:
        assert home.path.stat().st_mode & 0o777 == 0o700
    tmp_path.chmod(0o755)
    with Home(tmp_path) as home:  # somebody chose otherwise
        assert home.path.stat().st_mode & 0o777 == 0o755
