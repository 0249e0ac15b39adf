"""Damage to the home folder is found and named."""

import shutil
from pathlib import Path

import pytest

from ingest.documents import Document
from ingest.home import Home
from ingest.inspection import inspect
from retrieval.edge import open_existing
from tests.ingest.conftest import OpenShelf


@pytest.fixture
def document(open_shelf: OpenShelf) -> Document:
    """A searchable document of a service that has stopped."""
    with open_shelf() as shelf:
        return shelf.add_and_wait("bees.txt", "Bees sleep in the hive.")


@pytest.fixture
def home(tmp_path: Path, document: Document) -> Path:
    assert document.num_chunks == 1
    return tmp_path / "home"


def problems(folder: Path, *, has_index: bool = True) -> list[str]:
    with Home(folder) as home:
        return inspect(home, None, has_index=has_index)


def test_sound_home(home: Path) -> None:
    assert problems(home) == []


def test_missing_original(home: Path, document: Document) -> None:
    with Home(home) as opened:
        next(path for path in opened.files.rglob("*") if path.is_file()).unlink()
    assert problems(home) == [
        f"The original of bees.txt ({document.id}) is missing: upload it again."
    ]


def test_missing_text(home: Path, document: Document) -> None:
    with Home(home) as opened:
        next(path for path in opened.texts.rglob("*") if path.is_file()).unlink()
    assert problems(home) == [f"The text of bees.txt ({document.id}) is missing: upload it again."]


def test_missing_chunks(home: Path, document: Document) -> None:
    with Home(home) as opened:
        index = open_existing(opened.index / "default")
        assert index is not None
        index.delete(document.id)
        index.close()
    expected = (
        f"The index holds 0 of 1 chunks of bees.txt ({document.id}): delete it and upload it again."
    )
    assert problems(home) == [expected]
    with Home(home) as opened:
        shutil.rmtree(opened.index / "default")
    assert problems(home) == [expected]
    assert problems(home, has_index=False) == []
