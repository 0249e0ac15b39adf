"""`suffice explain` and `suffice replay` as a user types them."""

from pathlib import Path

import pytest

from serving.service import open_service
from suffice.commands.search import score_in
from tests.fakes import HashEmbedder
from tests.serving.application import DIMENSION, make_settings, serve
from tests.serving.documents import BEES
from tests.suffice.terminal import Suffice

QUESTION = "How many kilograms of honey does one hive give each year?"
RIVAL = "How many kilograms of honey does one hive give each year? Thirty, says everybody."


def test_an_answer_is_explained_and_replayed(
    tmp_path: Path, offline: Suffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(tmp_path / "home")
    with (
        open_service(settings, HashEmbedder(dimension=DIMENSION)) as service,
        serve(service) as application,
    ):
        monkeypatch.setenv("SUFFICE_URL", application.url)
        application.ingest("bees.md", BEES)
        answer = application.ask(QUESTION).json()
        trace_id = answer["suffice"]["trace_id"]
        text = answer["choices"][0]["message"]["content"]

        explained = offline("explain", trace_id)
        assert f"Question: {QUESTION}" in explained.out
        assert f"Answer (stop): {text}" in explained.out
        assert "cited as [1]" in explained.out

        same = offline("replay", trace_id)
        assert "Documents: 1, 0 of them changed since 20" in same.out
        assert "Changed: nothing." in same.out
        assert "The answer is the same." in same.out

        application.ingest("rival.md", RIVAL)
        found = offline("replay", trace_id, "--search-only")
        assert "Documents: 2, 1 of them changed since 20" in found.out
        assert "Changed: documents." in found.out
        assert "rival.md" in found.out
        assert "gained" in found.out
        assert "answer" not in found.out
        other = offline("replay", trace_id)
        assert f"Then: {text}" in other.out
        assert "Grounded yes; prompt tokens " in other.out
        assert "rival.md" in other.out
        assert offline("replay", trace_id, "--json").json()["changed"] == ["documents"]

        missing = offline("replay", "trace-0")
        assert (missing.code, missing.out) == (1, "")
        assert "There is no trace 'trace-0'" in missing.err


def test_a_rank_is_shown_where_a_search_found_the_chunk_and_its_score_wherever_it_is_known() -> (
    None
):
    candidate = {"scores": {"dense": 0.23, "lexical": 8.4}, "ranks": {"lexical": 5}}
    cells = [score_in(step, candidate) for step in ("dense", "lexical", "fused")]
    assert cells == ["0.230", "8.400 (#5)", ""]
