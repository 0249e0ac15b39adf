"""Each command as a user types it, against a running service."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from suffice import patience
from suffice.options import console
from tests.serving.application import Application, run_application, serve
from tests.serving.certified import STATEMENT, certified_profile
from tests.serving.documents import BEES, LIGHTHOUSE, LIGHTHOUSE_PAGES, make_scan
from tests.suffice.terminal import Suffice

QUESTION = "How many kilograms of honey does one hive give each year?"
EVIDENCE = "One hive gives twenty kilograms of honey each year."


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """A service with two documents."""
    with run_application(tmp_path_factory.mktemp("home")) as application:
        application.ingest("bees.md", BEES)
        application.ingest("lighthouse.pdf", LIGHTHOUSE)
        yield application


@pytest.fixture
def suffice(application: Application, offline: Suffice, monkeypatch: pytest.MonkeyPatch) -> Suffice:
    """Run `suffice` against the service."""
    monkeypatch.setenv("SUFFICE_URL", application.url)
    return offline


def write_tree(folder: Path, contents: dict[str, bytes | str]) -> None:
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_version_is_that_of_the_package(offline: Suffice) -> None:
    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text())
    outcome = offline("--version")
    assert (outcome.code, outcome.out) == (0, f"suffice {project['project']['version']}\n")


def test_ingest_folder_names_documents_by_their_paths(suffice: Suffice, tmp_path: Path) -> None:
    contents = {"library/a.md": BEES, "library/deep/b.txt": "Oak.", "library/.hidden": "Elm."}
    write_tree(tmp_path, dict(contents))
    outcome = suffice("ingest", "library", "--collection", "tree", "--json")
    assert outcome.code == 0
    documents = outcome.json()["documents"]
    assert [(d["external_id"], d["status"]) for d in documents] == [
        ("a.md", "searchable"),
        ("deep/b.txt", "searchable"),
    ]


def test_ingest_tells_why_a_file_failed_and_takes_the_others(
    suffice: Suffice, tmp_path: Path
) -> None:
    write_tree(tmp_path, {"x/empty.txt": "", "x/good.txt": "Oak.", "x/scan.pdf": make_scan()})
    outcome = suffice("ingest", "x", "--collection", "mixed")
    assert outcome.code == 1
    rows = {
        name: line
        for line in outcome.out.splitlines()
        for name in ("empty", "good", "scan")
        if f" {name}." in line
    }
    assert "failed" in rows["empty"]
    assert "empty" in rows["empty"].replace("empty.txt", "")
    assert "searchable" in rows["good"]
    assert "failed" in rows["scan"]
    assert "text" in rows["scan"]


def test_ingest_of_what_is_there_already(suffice: Suffice, tmp_path: Path) -> None:
    write_tree(tmp_path, {"twice/a.md": BEES, "twice/b.txt": "Oak.", "twice/.hidden": "Elm."})
    assert suffice("ingest", "twice", "--collection", "twice").code == 0
    outcome = suffice("ingest", "twice", "--collection", "twice", "--json")
    result = outcome.json()
    assert (outcome.code, outcome.err) == (0, "")
    assert [document["unchanged"] for document in result["documents"]] == [True, True]
    assert result["skipped"] == [{"path": "twice/.hidden", "reason": "hidden"}]
    assert (result["num_files"], result["num_by_status"]) == (2, {"searchable": 2})
    shown = suffice("ingest", "twice", "--collection", "twice").out.splitlines()[-1]
    assert shown.startswith("Documents: 2 searchable; unchanged: 2; chunks: 3; seconds: ")
    assert shown.endswith("; left out: 1 hidden.")


def test_long_table_shows_only_what_needs_attention(suffice: Suffice, tmp_path: Path) -> None:
    files = {f"many/{number}.txt": f"Oak {number}." for number in range(60)}
    write_tree(tmp_path, {**files, "many/scan.pdf": make_scan()})
    outcome = suffice("ingest", "many", "--collection", "many")
    assert outcome.code == 1
    assert ".txt" not in outcome.out
    assert "scan.pdf" in outcome.out
    assert "Documents: 60 searchable, 1 failed; chunks: 60; " in outcome.out


def test_odd_names_are_harmless(suffice: Suffice, tmp_path: Path) -> None:
    names = ["[red]oak[bold].txt", "elm\x1b[31m.txt", 'new\nline "q".txt', " b %; ä=.txt"]
    write_tree(tmp_path, {f"odd/{name}": "Oak." for name in names})
    result = suffice("ingest", "odd", "--collection", "odd", "--json").json()
    assert {document["external_id"] for document in result["documents"]} == set(names)
    shown = suffice("ingest", "odd", "--collection", "odd").out
    for name in ("[red]oak[bold].txt", "elm\\x1b[31m.txt", 'new\\nline "q".txt', " b %; ä=.txt"):
        assert name in shown


def test_ingest_of_an_empty_folder(suffice: Suffice, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    outcome = suffice("ingest", "empty")
    assert (outcome.code, outcome.out) == (0, "Documents: none; chunks: 0; seconds: 0.0.\n")


def test_ingest_without_the_service(
    offline: Suffice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.0)
    write_tree(tmp_path, {"x/a.txt": "Oak."})
    outcome = offline("ingest", "x", "--url", "http://127.0.0.1:1", "--json")
    assert outcome.code == 1
    assert outcome.err.startswith("No Suffice service answers at http://127.0.0.1:1")
    assert "accepted" not in outcome.err
    assert "Run the command again to send the remaining 1." in outcome.err
    assert (outcome.json()["num_not_reached"], outcome.json()["documents"]) == (1, [])


def test_deletion_is_for_followed_folders_only(suffice: Suffice, tmp_path: Path) -> None:
    outcome = suffice("ingest", str(tmp_path), "--delete")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--watch" in outcome.err


def test_ingest_of_a_missing_path_is_a_usage_error(suffice: Suffice) -> None:
    outcome = suffice("ingest", "nowhere.pdf")
    assert (outcome.code, outcome.out) == (2, "")
    assert "nowhere.pdf" in outcome.err


def test_search_shows_place_scores_and_text(suffice: Suffice) -> None:
    first, text, *_ = suffice("search", "granite lighthouse", "--top-k", 1).out.splitlines()
    assert first.startswith("1. lighthouse.pdf, page 1  fused 0.5")
    assert "lexical " in first
    assert text.strip().startswith(LIGHTHOUSE_PAGES[0].splitlines()[0])


def test_search_without_hits_says_so(suffice: Suffice) -> None:
    outcome = suffice("search", "xylophone", "--mode", "lexical")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "No hits.\n")


def test_search_in_some_documents_only(suffice: Suffice) -> None:
    where = {"type": "eq", "key": "document.filename", "value": "bees.md"}
    hits = suffice("search", "granite", "--filter", json.dumps(where), "--json").json()["hits"]
    assert {hit["filename"] for hit in hits} == {"bees.md"}
    explained = suffice("search", "granite", "--filter", json.dumps(where), "--explain")
    numbers = explained.out.splitlines()[-1]
    found = re.fullmatch(r"The filter leaves (\d+) of (\d+) chunks\.", numbers)
    assert found, numbers
    assert int(found[1]) == explained.out.count("bees.md") < int(found[2])
    answer = suffice("ask", QUESTION, "--filter", json.dumps(where), "--json").json()
    assert EVIDENCE in answer["choices"][0]["message"]["content"]
    other = json.dumps({**where, "type": "ne"})
    assert EVIDENCE not in suffice("ask", QUESTION, "--filter", other).out


def test_explanation_tells_why_words_decide(suffice: Suffice) -> None:
    """Of the letters of the first query 4 of 8 are in a word of the embedder's vocabulary."""
    told = (
        "The embedder knows 50% of the query's letters in words, so the dense search weighs less."
    )
    assert told in " ".join(suffice("search", "bees пчел", "--explain").out.split())
    for known in (("bees",), ("bees пчел", "--mode", "lexical")):
        assert "letters in words" not in suffice("search", *known, "--explain").out


def test_explanation_tells_misspelt_words(suffice: Suffice) -> None:
    shown = suffice("search", "bees, hony and granyte", "--explain").out
    assert "No searched chunk has: hony, granyte\n" in shown
    assert "No searched chunk" not in suffice("search", "bees and honey", "--explain").out


def test_explanation_tells_how_relevant_the_first_hit_is(suffice: Suffice) -> None:
    options = ("search", "granite", "--mode", "dense", "--top-k", "1")
    [hit] = suffice(*options, "--json").json()["hits"]
    told = f"The relevance of the first hit is {hit['score']:.3f}."
    assert told in suffice(*options, "--explain").out


def test_search_in_one_mode_as_json(suffice: Suffice) -> None:
    [hit] = suffice("search", "granite", "--mode", "lexical", "--top-k", 1, "--json").json()["hits"]
    assert list(hit["scores"]) == ["lexical"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("search", "bees", "--collection", "nowhere"), "no collection 'nowhere'"),
        (("search", "bees", "--mode", "psychic"), "mode"),
        (("search", "bees", "--top-k", "0"), "top_k"),
        (("search", " "), "query"),
        (("ask", "bees", "--collection", "nowhere"), "no collection 'nowhere'"),
        (("documents", "show", "nonsense"), "There is no document"),
        (("documents", "delete", "nonsense"), "There is no document"),
        (("documents", "list", "--status", "lost"), "status"),
        (("search", "bees", "--url", "http://127.0.0.1:1"), "No Suffice service answers at"),
        (("eval", "run", "--questions", "none.jsonl"), "none.jsonl"),
        (("eval", "run", "--dataset", "none"), "none is no folder"),
    ],
)
def test_error_is_one_line_on_standard_error(
    suffice: Suffice, arguments: Sequence[str], says: str
) -> None:
    outcome = suffice(*arguments)
    assert (outcome.code, outcome.out) == (1, "")
    assert says in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("eval", "run"),
        ("eval", "run", "--dataset", "x", "--questions", "y"),
        ("search", "bees", "--top-k", "many"),
        ("serve", "--port", "99999"),
        ("search", "bees", "--filter", "year=2024"),
        ("ask", "bees?", "--filter", "[]"),
        ("guess",),
    ],
)
def test_wrong_command_line(offline: Suffice, arguments: Sequence[str]) -> None:
    assert offline(*arguments).code == 2


def test_commands_start_without_what_only_a_service_or_a_model_needs() -> None:
    program = (
        "import importlib, pkgutil, sys, suffice\n"
        "for module in pkgutil.walk_packages(suffice.__path__, 'suffice.'):\n"
        "    if module.name != 'suffice.__main__':\n"
        "        importlib.import_module(module.name)\n"
        "print(sorted({'torch', 'aiohttp'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, encoding="ascii", check=True
    )
    assert done.stdout == "[]\n"


def test_misspelt_setting_is_refused(offline: Suffice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVING_PROT", "1")
    outcome = offline("documents", "list")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("SERVING_PROT: no such setting.")


def test_answer_with_its_citations(suffice: Suffice) -> None:
    answer, citation = suffice("ask", QUESTION, "--top-k", 1).out.strip().split("\n  [1] ")
    assert EVIDENCE in answer
    assert answer.endswith(" [1]")
    place, quote = citation.split(": ", 1)
    assert place.startswith("bees.md, characters ")
    start, end = map(int, place.rpartition(" ")[2].split("-"))
    assert quote == " ".join(BEES[start:end].split())


def test_trace_of_an_answer_is_found_where_it_was_asked(
    suffice: Suffice, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    hint = suffice("ask", QUESTION).err.splitlines()[-1].split()
    assert suffice(*hint[1:]).out.startswith(f"Question: {QUESTION}")
    monkeypatch.delenv("SUFFICE_URL")
    hint = suffice("ask", QUESTION, "--url", application.url).err.splitlines()[-1].split()
    assert hint[-2:] == ["--url", application.url]
    assert suffice(*hint[1:]).out.startswith(f"Question: {QUESTION}")


def test_ask_without_traces_names_none(suffice: Suffice, application: Application) -> None:
    service = application.service
    without = replace(service, bookkeeper=replace(service.bookkeeper, traces=None))
    with serve(without) as served:
        asked = suffice("ask", QUESTION, "--url", served.url)
        assert (asked.code, EVIDENCE in asked.out) == (0, True)
        assert "suffice explain" not in asked.err
        assert served.ask(QUESTION).json()["suffice"]["trace_id"] is None
        *_, last = served.stream(QUESTION)
        assert last["suffice"]["trace_id"] is None


def test_an_answer_says_how_long_its_context_was_and_what_is_certified_of_it(
    suffice: Suffice, application: Application, tmp_path: Path
) -> None:
    tokens = suffice("ask", QUESTION, "--json").json()["suffice"]["context"]["tokens"]
    assert f"{tokens} tokens of context.\n" in suffice("ask", QUESTION).err
    profile = tmp_path / "tuned.json"
    profile.write_text(json.dumps(certified_profile(application)))
    said = suffice("ask", QUESTION, "--profile", profile).err
    assert f"tokens of context. Certified: {STATEMENT}" in said


def test_answer_as_json(suffice: Suffice) -> None:
    message = suffice("ask", QUESTION, "--json").json()["choices"][0]["message"]
    assert EVIDENCE in message["content"]
    assert message["annotations"][0]["file_citation"]["filename"] == "bees.md"


def test_unanswerable_question(suffice: Suffice) -> None:
    outcome = suffice("ask", "Who painted Guernica?")
    assert outcome.code == 0
    assert outcome.out.startswith("The documents do not contain")
    assert "characters" not in outcome.out


def test_profiles_are_listed_by_what_differs(
    suffice: Suffice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "width", 80)
    (tmp_path / "few.json").write_text('{"top_k": 3, "answering": {"verify": "mark"}}')
    assert suffice("profiles", "save", "few", "few.json").code == 0
    table = suffice("profiles", "list").out
    assert suffice("profiles", "delete", "few").code == 0
    [row] = [line for line in table.splitlines() if " few " in line]
    assert row.split("│")[2].strip() == "top_k=3, answering.verify=mark"
    assert "num_candidates=" in table


def test_a_list_of_documents_fits_into_80_columns(
    suffice: Suffice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "width", 80)
    (tmp_path / "scan [red].pdf").write_bytes(make_scan())
    (tmp_path / f"{'a' * 50}.md").write_text("# Bees\n\nBees sleep.")
    assert suffice("ingest", str(tmp_path), "--collection", "narrow").code == 1
    lines = suffice("documents", "list", "--collection", "narrow").out.splitlines()
    assert max(map(len, lines)) <= 80
    shown = [line.split("│")[1].strip() for line in lines if line.startswith("│")]
    documents = suffice("documents", "list", "--collection", "narrow", "--json").json()
    assert {one["id"] for one in documents["documents"]} <= set(shown)
    assert "scan [red].pdf" in shown
    assert not any("narrow" in line for line in lines)


def test_documents_from_list_to_delete(suffice: Suffice, tmp_path: Path) -> None:
    (tmp_path / "scan.pdf").write_bytes(make_scan())
    assert suffice("ingest", "scan.pdf", "--collection", "life").code == 1
    listed = suffice("documents", "list", "--collection", "life", "--json").json()["documents"]
    document_id = listed[0]["id"]
    table = suffice("documents", "list", "--status", "failed").out
    assert document_id in table
    assert "scan.pdf" in table
    assert suffice("documents", "show", document_id).json() == listed[0]
    retried = suffice("documents", "retry", document_id)
    assert (retried.code, retried.out.split()[:2]) == (1, [document_id, "failed"])
    assert suffice("documents", "delete", document_id).out == f"deleted {document_id}\n"
    assert suffice("documents", "list", "--collection", "life", "--json").json() == {
        "documents": []
    }


def test_reindex_only_what_is_outdated(suffice: Suffice) -> None:
    done = suffice("reindex")
    assert done.code == 0
    assert "default" in done.out
    assert "up to date" in done.out
    forced = suffice("reindex", "default", "--force", "--json")
    assert forced.code == 0
    [state] = forced.json()["collections"]
    assert (state["name"], state["outdated"], state["reindexing"]) == ("default", [], None)
    assert suffice("search", "honey").out.startswith("1. bees.md")
    unknown = suffice("reindex", "nowhere")
    assert (unknown.code, unknown.out) == (1, "")
    assert "There is no collection 'nowhere'" in unknown.err


def test_language_of_a_collection(suffice: Suffice, tmp_path: Path) -> None:
    write_tree(tmp_path, {"recht/fristen.txt": "Die Kündigungsfristen."})

    def find() -> str:
        found = suffice("search", "Kündigungsfrist", "--collection", "recht", "--mode", "lexical")
        return found.out.partition("\n")[0]

    ingest = ["ingest", "recht", "--collection", "recht"]
    assert suffice(*ingest, "--language", "english").code == 0
    assert "fristen.txt" not in find()
    changed = suffice("reindex", "recht", "--language", "german")
    assert changed.code == 0
    assert re.search(r"recht.*german.*up to date", changed.out)
    assert find().startswith("1. fristen.txt")
    assert suffice(*ingest, "--language", "german").code == 0
    for options in ([], ["--json"]):  # although nothing would be sent
        refused = suffice(*ingest, "--language", "french", *options)
        assert refused.code == 1
        assert "suffice reindex recht --language french" in refused.out + refused.err
    for command in (ingest, ["reindex", "recht"]):
        unknown = suffice(*command, "--language", "klingon")
        assert unknown.code == 2
        assert "german" in unknown.err
    unnamed = suffice("reindex", "--language", "german")
    assert (unnamed.code, "name the collections" in unnamed.err) == (2, True)


def test_reindex_tells_why_it_failed(suffice: Suffice, application: Application) -> None:
    document = application.ingest("lost.txt", "This will be lost.", collection="lossy")
    pipeline = application.service.library._pipeline
    pipeline.texts.delete(document["revision"])
    pipeline.files.delete(document["revision"])
    failed = suffice("reindex", "lossy", "--force")
    assert failed.code == 1
    said = " ".join(re.findall(r"[^\s│]+", failed.out))  # a cell of several lines
    assert "lost.txt" in said
    assert "Upload it again or delete it" in said
    assert "`suffice reindex lossy --language english`" in said
    application.http.delete(f"/v1/documents/{document['id']}")


def test_chunk_count_of_questions(suffice: Suffice, tmp_path: Path) -> None:
    start = BEES.index(EVIDENCE)
    span = {"doc": "bees.md", "start": start, "end": start + len(EVIDENCE), "text": EVIDENCE}
    question = {"id": "q1", "question": QUESTION, "facts": [[span]], "answerable": True}
    path = write_lines(tmp_path / "questions.jsonl", [question])
    report = suffice("eval", "run", "--questions", path, "--json").json()
    assert (report["num_questions"], report["smallest_k"]) == (1, 1)
    assert report["points"][0]["recall"] == 1.0
    assert report["spans"] == {"kept": 1, "moved": 0, "fuzzy": 0, "dropped": 0}
    shown = suffice("eval", "run", "--questions", path).out
    assert f"k=1 ({report['points'][0]['tokens']:.0f} tokens) finds at most 0.03 less" in shown
    assert "the default, k=10" in shown
    assert "not certified" in shown
    assert [line.split()[1] for line in shown.splitlines() if "1.000" in line][:20] == [
        str(k) for k in range(1, 21)
    ]


def test_ranking_of_a_dataset(offline: Suffice, tmp_path: Path) -> None:
    """Of three documents one answers: every mode finds it, at rank 1."""
    texts = {"b": "Bees make honey in a hive.", "t": "The moon pulls the tides.", "o": "An oak."}
    write_lines(
        tmp_path / "set/corpus.jsonl",
        [{"_id": name, "title": "", "text": text} for name, text in texts.items()],
    )
    write_lines(tmp_path / "set/queries.jsonl", [{"_id": "q", "text": "who makes honey"}])
    (tmp_path / "set/qrels").mkdir()
    (tmp_path / "set/qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq\tb\t1\n")
    report = offline("eval", "run", "--dataset", "set", "--json").json()
    assert (report["dataset"], report["num_queries"], report["num_cut"]) == ("set", 1, 0)
    perfect = {"nDCG@10": 1.0, "R@10": 1.0, "R@100": 1.0, "RR@10": 1.0}
    assert report["modes"] == {"dense": perfect, "lexical": perfect, "hybrid": perfect}
    shown = offline("eval", "run", "--dataset", "set", "--chunked").out
    assert re.search(r"set: 1 query\b", shown)
    assert "cut for it: 0 of 3 documents." in shown
