"""What `suffice doctor` finds on sound and on broken homes."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.home import Home
from retrieval.settings import RetrievalSettings
from serving.profiles import AnsweringProfile
from serving.service import build_profiles
from suffice import doctor
from suffice.doctor import Finding, examine
from suffice.settings import SufficeSettings
from tests.cross_encoders import save_cross_encoder
from tests.serving.application import Application, run_application
from tests.serving.documents import BEES
from tests.serving.upstream import MODEL, run_upstream


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def application(home: Path) -> Iterator[Application]:
    with run_application(home) as application:
        yield application


@pytest.fixture
def dead_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


def findings(home: Path, *, repair: bool = False) -> dict[str, Finding]:
    found = examine(SufficeSettings(home=home), repair=repair)
    return {finding.part: finding for finding in found}


def store(home: Path, *, repair: bool = False) -> Finding:
    return findings(home, repair=repair)["store"]


def sound(home: Path, unverified: str = "") -> str:
    return (
        f"{home}: catalog, index and files agree (not verified: {unverified}the engine's lists of "
        "words and short vectors, rows of the databases)"
    )


def test_all_is_well_before_the_first_start(home: Path) -> None:
    found = findings(home)
    parts = ["python", "disk", "embedder", "gpu", "qdrant", "reranker", "model", "shadow", "store"]
    assert list(found) == parts
    assert all(finding.ok for finding in found.values()), found
    assert "does not exist yet" in found["store"].message
    assert not home.exists()


def test_running_service_is_named(application: Application, home: Path) -> None:
    assert store(home) == Finding(
        "store", True, f"{home} is in use by the service at {application.url}"
    )


def test_store_with_documents(home: Path) -> None:
    with run_application(home) as application:
        application.ingest("bees.md", BEES)
    assert store(home) == Finding("store", True, sound(home))


def test_what_was_kept_without_a_checksum_is_told(home: Path) -> None:
    with run_application(home) as application:
        application.ingest("bees.md", BEES)
    [path] = (home / "texts").iterdir()
    path.write_bytes(path.read_bytes().partition(b"\n")[0])
    assert store(home).message == sound(home, "1 text of earlier versions, ")


def test_damage_is_named_with_what_to_do(home: Path) -> None:
    with run_application(home) as application:
        document = application.ingest("bees.md", BEES)
    for path in (home / "texts").iterdir():
        path.unlink()
    found = store(home)
    assert not found.ok
    fault = f"bees.md ({document['id']}): its text is missing or damaged."
    assert found.message.startswith(f"{fault} `suffice doctor --repair` ingests it anew")
    mended = store(home, repair=True)
    assert mended == Finding(
        "store",
        True,
        sound(home),
        (f"{fault} Repair ingests it anew at the next start.",),
    )
    assert store(home, repair=True).mended == ()


def test_a_running_service_is_not_repaired(application: Application, home: Path) -> None:
    found = store(home, repair=True)
    assert not found.ok
    assert f"Stop the service at {application.url} first" in found.message


@pytest.mark.parametrize("name", ["catalog", "serving"])
def test_damaged_database(name: str, home: Path) -> None:
    home.mkdir()
    (home / f"{name}.sqlite").write_bytes(b"no database" * 1000)
    found = store(home)
    assert not found.ok
    assert f"{name}.sqlite is damaged: file is not a database. Put a copy" in found.message


def test_full_disk(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MINIMUM_FREE_BYTES", 1 << 62)
    found = findings(home)["disk"]
    assert not found.ok
    assert "make room" in found.message


def test_missing_embedder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIEVAL_EMBEDDER", "./no-such-model")
    found = findings(home)["embedder"]
    assert not found.ok
    assert "no-such-model" in found.message


def test_endpoints_that_are_down(
    home: Path, dead_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETRIEVAL_QDRANT_URL", dead_url)
    monkeypatch.setenv("SERVING_LLM_URL", f"{dead_url}/v1")
    monkeypatch.setenv("RETRIEVAL_RERANKER_URL", f"{dead_url}/v1")
    found = findings(home)
    assert not found["qdrant"].ok
    assert "Check RETRIEVAL_QDRANT_URL" in found["qdrant"].message
    assert not found["model"].ok
    assert dead_url in found["model"].message
    assert not found["reranker"].ok
    assert "RETRIEVAL_RERANKER_URL is right" in found["reranker"].message


def test_rerankers(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIEVAL_RERANKER", "late_interaction")
    assert findings(home)["reranker"].message == "late interaction, by the embedder"
    model = save_cross_encoder(tmp_path / "cross-encoder")
    monkeypatch.setenv("RETRIEVAL_RERANKER", str(model))
    assert findings(home)["reranker"] == Finding("reranker", True, str(model))
    monkeypatch.setenv("RETRIEVAL_RERANKER", "./no-such-model")
    found = findings(home)["reranker"]
    assert not found.ok
    assert "no-such-model" in found.message


def test_language_model_that_answers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_upstream() as upstream:
        monkeypatch.setenv("SERVING_LLM_URL", upstream.url)
        found = findings(home)["model"]
    assert found == Finding("model", True, f"default: {MODEL}")


def test_candidate_that_is_not_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVING_SHADOW_PROFILE", "small")
    monkeypatch.setenv("SERVING_SHADOW_SHARE", "0.25")
    assert findings(home)["shadow"] == Finding(
        "shadow",
        False,
        "SERVING_SHADOW_PROFILE: There is no profile 'small'. Saved ones: default.",
    )
    build_profiles(RetrievalSettings(), Home(home)).save("small", AnsweringProfile())
    assert findings(home)["shadow"] == Finding(
        "shadow", True, "small answers a share of 0.25 of the questions once more"
    )
