"""`suffice eval synth`: from documents to a file of questions that `suffice eval run` takes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from eval.questions import load_questions
from tests.eval.synthesis.author import Author
from tests.eval.synthesis.library import LIBRARY
from tests.serving.application import Application, run_application
from tests.serving.upstream import Upstream, run_upstream
from tests.suffice.terminal import Suffice

NAMES = ("operations.md", "glossary.html", "chunk-size.md")


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with run_application(tmp_path_factory.mktemp("home")) as application:
        for name in NAMES:
            application.ingest(name, (LIBRARY / name).read_bytes())
        application.ingest("short.txt", "Too short.", collection="short")
        yield application


@pytest.fixture
def suffice(application: Application, offline: Suffice, monkeypatch: pytest.MonkeyPatch) -> Suffice:
    monkeypatch.setenv("SUFFICE_URL", application.url)
    return offline


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    with run_upstream() as upstream:
        upstream.respond = Author()
        monkeypatch.setenv("SERVING_LLM_URL", upstream.url)
        yield upstream


def test_questions_are_made_and_measured(suffice: Suffice) -> None:
    outcome = suffice("eval", "synth", "q.jsonl", "--number", 40)
    assert outcome.code == 0, outcome.err
    assert "40 questions" in outcome.out
    assert "swapped" in outcome.out
    questions = load_questions(Path("q.jsonl"))
    assert {question.cluster for question in questions} == set(NAMES)
    assert sum(not question.answerable for question in questions) == 4
    assert {path.name for path in Path().iterdir()} == {"q.jsonl"}

    report = suffice("eval", "run", "--questions", "q.jsonl", "--json").json()
    spans = report["spans"]
    assert (spans["moved"], spans["fuzzy"], spans["dropped"]) == (0, 0, 0)
    assert report["num_questions"] == 36


def test_the_same_questions_again_and_others_for_another_seed(suffice: Suffice) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert suffice("eval", "synth", name, "--number", 20, "--seed", seed).code == 0
    assert Path("a").read_bytes() == Path("b").read_bytes() != Path("c").read_bytes()


def test_a_model_of_the_settings_writes_half(suffice: Suffice, upstream: Upstream) -> None:
    report = suffice("eval", "synth", "q.jsonl", "--number", 20, "--json").json()
    assert report["num_questions"] == 20
    assert report["num_by_maker"]["written"] == 9
    assert (report["num_calls"], report["spent_usd"]) == (len(upstream.requests), None)
    assert Path("q.jsonl.replies").exists()
    again = suffice("eval", "synth", "q.jsonl", "--number", 20)
    assert (again.code, "calls of the model" in again.out) == (0, False)

    without = suffice("eval", "synth", "r.jsonl", "--number", 20, "--no-model", "--json").json()
    assert "written" not in without["num_by_maker"]


def test_a_model_that_is_down_at_the_start_is_an_error(
    suffice: Suffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVING_LLM_URL", "http://127.0.0.1:9/v1")
    outcome = suffice("eval", "synth", "q.jsonl")
    assert outcome.code == 1
    assert "The model server does not answer" in outcome.err
    assert outcome.err.endswith("The server: http://127.0.0.1:9/v1.\n")
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("q", "--collection", "empty"), "'empty' has no searchable documents"),
        (("q", "--collection", "short"), "1 document, but no question: the texts are too short"),
        (("none/q",), "none/q cannot be written: No such file"),
        ((".",), "it is a folder"),
        (("q", "--model", "nope"), "no model 'nope'; the settings name no model server"),
    ],
)
def test_bad_input(suffice: Suffice, arguments: tuple[str, ...], says: str) -> None:
    outcome = suffice("eval", "synth", *arguments)
    assert outcome.code == 1
    assert says in outcome.err
    assert list(Path().iterdir()) == []


def test_an_output_that_cannot_be_written_is_found_before_the_model_is_asked(
    suffice: Suffice, upstream: Upstream
) -> None:
    assert suffice("eval", "synth", "none/q").code == 1
    assert upstream.requests == []


def test_questions_of_people_are_not_overwritten(suffice: Suffice) -> None:
    line = '{"id": "q", "question": "Why?", "facts": []}\n'
    Path("own.jsonl").write_text(line)
    outcome = suffice("eval", "synth", "own.jsonl")
    assert outcome.code == 1
    assert "not made by a program" in outcome.err
    assert Path("own.jsonl").read_text() == line


def test_money_needs_a_price(suffice: Suffice, upstream: Upstream) -> None:
    outcome = suffice("eval", "synth", "q", "--max-usd", 1)
    assert outcome.code == 1
    assert "Nothing is known of what 'default' costs" in outcome.err


def test_model_and_no_model_exclude_each_other(suffice: Suffice) -> None:
    assert suffice("eval", "synth", "q", "--no-model", "--model", "x").code == 2


# ---- converting


def test_converted_collection_is_ingested_and_measured(suffice: Suffice) -> None:
    for name, rows in {
        "corpus": [{"_id": "b", "title": "", "text": "Bees make honey in a hive."}],
        "queries": [{"_id": "q", "text": "who makes honey"}],
    }.items():
        Path("set").mkdir(exist_ok=True)
        Path(f"set/{name}.jsonl").write_text("".join(json.dumps(row) for row in rows))
    Path("set/qrels").mkdir()
    Path("set/qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq\tb\t1\n")

    converted = suffice("eval", "convert", "beir", "set", "new")
    assert converted.code == 0, converted.err
    assert "Their documents, 1: suffice ingest new/documents" in converted.out
    assert suffice("ingest", "new/documents", "--collection", "beir").code == 0
    run = ("eval", "run", "--questions", "new/questions.jsonl", "--collection", "beir", "--json")
    report = suffice(*run).json()
    assert (report["num_questions"], report["points"][0]["recall"]) == (1, 1.0)


def test_chunks_are_looked_for_in_the_collection(suffice: Suffice) -> None:
    chunk = "A limit for one request, in tokens, dollars or seconds, that the service enforces."
    row = {"id": "1", "question": "What is limited?", "chunks": [chunk]}
    Path("chunks.jsonl").write_text(json.dumps(row))
    assert suffice("eval", "convert", "chunks", "chunks.jsonl", "new").code == 0
    (question,) = load_questions(Path("new/questions.jsonl"))
    assert [span.document for span in question.facts[0]] == ["glossary.html"]


def test_squad_that_is_none_is_an_error(suffice: Suffice) -> None:
    outcome = suffice("eval", "convert", "squad", "none.json", "new")
    assert (outcome.code, "none.json cannot be read" in outcome.err) == (1, True)
    assert not Path("new").exists()
