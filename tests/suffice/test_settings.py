"""Settings come from the environment and .env, never change, and misspelt ones are refused."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from serving.settings import ServingSettings
from suffice.errors import SettingError
from suffice.settings import (
    SETTINGS,
    SufficeSettings,
    check_settings,
    variables,
)


def test_defaults() -> None:
    assert SufficeSettings() == SufficeSettings(home=Path(".suffice"), url=None, api_key=None)


def test_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUFFICE_HOME", "/data")
    monkeypatch.setenv("suffice_api_key", "k-1")
    monkeypatch.setenv("SUFFICE_URL", "")
    assert SufficeSettings() == SufficeSettings(
        home=Path("/data"), url=None, api_key=SecretStr("k-1")
    )


def test_env_file_is_read_and_the_environment_outweighs_it(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_folder / ".env").write_text("SERVING_PORT=9001\nSERVING_TOP_K=3\nOTHER=1\n")
    monkeypatch.setenv("SERVING_TOP_K", "4")
    settings = ServingSettings()
    assert (settings.port, settings.top_k) == (9001, 4)
    check_settings()


def test_keys_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUFFICE_API_KEY", "k-4711")
    assert "4711" not in repr(SufficeSettings())


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.__name__)
def test_settings_are_frozen(settings: type[SufficeSettings]) -> None:
    field = next(iter(settings.model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(settings(), field, "changed")


@pytest.mark.parametrize(
    "name", ["SERVING_PROT", "SUFFICE_HOEM", "INGEST_CHUNK_TOKEN", "RETRIEVAL_EMBEDER", "serving_x"]
)
def test_misspelt_variable_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingError, match=f"{name.upper()}: no such setting.*docs"):
        check_settings()


def test_misspelt_variables_in_the_env_file_are_refused(empty_folder: Path) -> None:
    (empty_folder / ".env").write_text("SERVING_PROT=1\nINGEST_CHUNKS=2\nSERVING_PORT=3\n")
    with pytest.raises(SettingError, match=r"^INGEST_CHUNKS, SERVING_PROT: "):
        check_settings()


def test_every_known_variable_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, settings, field in variables():
        monkeypatch.setenv(name, str(settings.model_fields[field].default or ""))
    check_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [("SERVING_PORT", "70000"), ("SERVING_TOP_K", "0"), ("SERVING_REFUSAL_THRESHOLD", "x")],
)
def test_bad_value_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match=f"^{name}: Input should be .*docs/settings.md"):
        check_settings()


@pytest.mark.parametrize("name", ["SERVING_LLM_URL", "RETRIEVAL_RERANKER_URL"])
def test_url_without_its_scheme_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "localhost:8000/v1")
    with pytest.raises(SettingError, match=f"^{name}: .*https"):
        check_settings()
    monkeypatch.setenv(name, "http://localhost:8000/v1")
    check_settings()


@pytest.mark.parametrize("name", ["INGEST_CHUNK_OVERLAP_TOKENS", "INGEST_CHUNK_MIN_TOKENS"])
def test_chunk_sizes_that_do_not_go_together_are_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGEST_CHUNK_TOKENS", "101")
    monkeypatch.setenv(name, "50")
    check_settings()
    monkeypatch.setenv(name, "51")
    with pytest.raises(SettingError, match=f"^{name}: .* at most half of INGEST_CHUNK_TOKENS, 50"):
        check_settings()
