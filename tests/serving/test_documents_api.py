"""Everything below /v1/documents, and GET /v1/collections, over HTTP."""

import hashlib
import json
import sqlite3
import tempfile
import time
from contextlib import closing
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from ingest.parsers import media_types
from tests.ingest.parsers.office import make_pptx, make_xlsx
from tests.serving.application import (
    FINAL_STATES,
    MAX_UPLOAD_BYTES,
    WAIT_SECONDS,
    Application,
    assert_refused,
)
from tests.serving.documents import (
    BEES,
    LIGHTHOUSE,
    ROPES,
    TIDES,
    make_damaged_pdf,
    make_encrypted_pdf,
    make_gif,
    make_pdf_with_damaged_page,
    make_scan,
    make_zip,
)

PRICES = make_xlsx({"Prices": {"A5": "Item", "B5": "Price", "A7": "huge widget", "B7": 99}})
UNKNOWN_ID = "00000000-0000-0000-0000-000000000000"
CALLS_OF_ONE_DOCUMENT = [
    ("GET", ""),
    ("GET", "/events"),
    ("POST", "/retry"),
    ("DELETE", ""),
    ("GET", "/content"),
    ("GET", "/text"),
]


def kept_files(application: Application) -> list[Path]:
    """Return the uploads that are on disk, finished or not."""
    home = application.service.home
    return [
        path for folder in (home.files, home.work) for path in folder.rglob("*") if path.is_file()
    ]


def list_names(application: Application, **params: str | int) -> list[str]:
    response = application.http.get("/v1/documents", params=params)
    assert response.status_code == 200, response.text
    return sorted(document["filename"] for document in response.json()["documents"])


def read_text(application: Application, document_id: str, **params: int) -> dict[str, Any]:
    response = application.http.get(f"/v1/documents/{document_id}/text", params=params)
    assert response.status_code == 200, response.text
    text: dict[str, Any] = response.json()
    return text


# ---- what is accepted


@pytest.mark.parametrize(
    ("name", "content", "media_type", "num_pages"),
    [
        ("bees.md", BEES.encode(), "text/markdown", None),
        ("tides.html", TIDES.encode(), "text/html", None),
        ("ropes.txt", ROPES.encode(), "text/plain", None),
        ("lighthouse.pdf", LIGHTHOUSE, "application/pdf", 2),
        ("prices.xlsx", PRICES, media_types.XLSX, None),
        (
            "talk.pptx",
            make_pptx([("Bees", "They dance."), ("Hives", "Wood.")]),
            media_types.PPTX,
            2,
        ),
    ],
)
def test_each_type_is_accepted_and_becomes_searchable(
    application: Application, name: str, content: bytes, media_type: str, num_pages: int | None
) -> None:
    response = application.upload(name, content, collection="types", metadata='{"year": 2026}')

    assert response.status_code == 202
    (accepted,) = response.json()["documents"]
    assert {field: accepted[field] for field in ("filename", "collection", "bytes")} == {
        "filename": name,
        "collection": "types",
        "bytes": len(content),
    }
    assert UUID(accepted["id"])
    assert accepted["revision"] == hashlib.sha256(content).hexdigest()
    assert accepted["status"] in {"queued", "parsing", "embedding", "searchable"}
    assert accepted["external_id"] == name
    assert accepted["media_type"] == media_type
    assert accepted["metadata"] == {"year": 2026}
    assert datetime.fromisoformat(accepted["created_at"]).tzinfo is not None

    document = application.wait(accepted["id"])
    assert document["status"] == "searchable"
    assert document["searchable_revision"] == document["revision"]
    assert document["error"] is None
    num_chunks = document["num_chunks"]
    assert num_chunks >= 1
    assert document["progress"] == {
        "pages": num_pages,
        "chunks": num_chunks,
        "embedded": num_chunks,
    }


def test_hit_and_text_name_the_row_of_a_sheet(application: Application) -> None:
    document = application.ingest("prices.xlsx", PRICES, collection="sheets")
    (hit,) = application.search("widget", collection="sheets", mode="lexical")
    assert (hit["place"], hit["page_start"]) == ("sheet Prices", None)
    row = hit["start"] + hit["text"].index("huge widget")
    assert read_text(application, document["id"], start=row)["place"] == "sheet Prices, row 7"


def test_same_bytes_again_are_the_same_document(application: Application) -> None:
    first = application.ingest("again.md", BEES)
    response = application.upload("again.md", BEES)
    assert response.status_code == 200
    assert response.json() == {"documents": [first]}


def test_same_bytes_under_another_name_are_another_document(application: Application) -> None:
    one, two = (application.ingest(name, BEES) for name in ("one.md", "two.md"))
    assert one["id"] != two["id"]
    assert one["revision"] == two["revision"]
    application.http.delete(f"/v1/documents/{one['id']}")
    content = application.http.get(f"/v1/documents/{two['id']}/content")
    assert content.text == BEES


def test_external_id_names_the_document(application: Application) -> None:
    first = application.ingest("draft.md", BEES, external_id="bees")
    second = application.ingest("final.md", TIDES, external_id="bees")
    assert first["id"] == second["id"]
    assert (second["external_id"], second["filename"]) == ("bees", "final.md")


def test_several_files_in_one_request(application: Application) -> None:
    files = [("file", (name, name.encode())) for name in ("a.txt", "b.txt")]
    response = application.http.post("/v1/documents", files=files, data={"collection": "several"})
    assert response.status_code == 202
    ids = [document["id"] for document in response.json()["documents"]]
    assert [application.wait(i)["filename"] for i in ids] == ["a.txt", "b.txt"]

    again = application.http.post("/v1/documents", files=files, data={"collection": "several"})
    assert again.status_code == 200
    files.append(("file", ("c.txt", b"new")))
    mixed = application.http.post("/v1/documents", files=files, data={"collection": "several"})
    assert mixed.status_code == 202
    application.wait(mixed.json()["documents"][2]["id"])


def test_changed_bytes_replace_the_document(application: Application) -> None:
    old = application.ingest("fact.txt", "The secret word is xylophone.", collection="facts")
    new = application.ingest("fact.txt", "The secret word is marimba.", collection="facts")

    assert new["id"] == old["id"]
    assert new["revision"] != old["revision"]
    assert new["created_at"] == old["created_at"]
    assert application.search("xylophone", collection="facts", mode="lexical") == []
    assert application.search("marimba", collection="facts", mode="lexical") != []
    assert application.http.get(f"/v1/documents/{old['id']}/content").text.endswith("marimba.")
    assert "xylophone" not in read_text(application, old["id"])["text"]
    assert not any(old["revision"] == path.name for path in kept_files(application))


def test_old_content_answers_until_the_new_one_can(application: Application) -> None:
    old = application.ingest("report.pdf", LIGHTHOUSE, collection="reports")
    new = application.ingest("report.pdf", make_scan(), collection="reports")

    assert new["status"] == "failed"
    assert new["revision"] != new["searchable_revision"] == old["revision"]
    assert application.search("granite", collection="reports", mode="lexical") != []
    content = application.http.get(f"/v1/documents/{old['id']}/content")
    assert content.content == LIGHTHOUSE
    assert content.headers["content-type"] == "application/octet-stream"
    assert content.headers["content-disposition"].startswith("attachment;")
    assert "granite" in read_text(application, old["id"])["text"]


def test_pdf_with_an_unreadable_page_is_partial(application: Application) -> None:
    document = application.ingest(
        "gap.pdf", make_pdf_with_damaged_page("Readable words stand here.")
    )
    assert document["status"] == "partial"
    assert document["error"]["code"] == "unreadable_pages"
    assert document["error"]["reason"].startswith(
        "1 of 2 pages have no readable text. Page 2 is damaged"
    )
    assert application.search("readable words stand here", mode="lexical")


@pytest.mark.parametrize(
    "name", ["Bücher über Bienen.md", "蜂.md", "a/b.md", 'quo"te.md', "../../escape.md"]
)
def test_any_file_name(application: Application, name: str) -> None:
    document = application.ingest(name, BEES, collection="names")
    assert document["status"] == "searchable"
    content = application.http.get(f"/v1/documents/{document['id']}/content")
    assert (content.status_code, content.text) == (200, BEES)


# ---- what can be read


def test_list_is_filtered(application: Application) -> None:
    application.ingest("good.txt", ROPES, collection="mixed")
    application.ingest("bad.pdf", make_scan(), collection="mixed")

    assert list_names(application, collection="mixed") == ["bad.pdf", "good.txt"]
    assert list_names(application, collection="mixed", status="failed") == ["bad.pdf"]
    assert list_names(application, collection="mixed", status="searchable") == ["good.txt"]
    assert list_names(application, collection="mixed", status="queued") == []
    assert list_names(application, collection="nowhere") == []


def test_list_is_paged(application: Application) -> None:
    names = [f"page-{number}.txt" for number in range(5)]
    for name in names:
        application.upload(name, name, collection="pages")

    found, cursor, sizes = [], None, []
    while True:
        params: dict[str, str | int] = {"collection": "pages", "limit": 2}
        if cursor:
            params["cursor"] = cursor
        page = application.http.get("/v1/documents", params=params).json()
        found += [document["filename"] for document in page["documents"]]
        sizes.append(len(page["documents"]))
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(found) == names
    assert sizes == [2, 2, 1]


def test_events_show_each_change_until_the_last(application: Application) -> None:
    accepted = application.upload("events.md", BEES, collection="events").json()["documents"][0]
    with application.http.stream("GET", f"/v1/documents/{accepted['id']}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line]

    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    statuses = [event["status"] for event in events]
    assert statuses[-1] == "searchable"
    assert not FINAL_STATES & set(statuses[:-1])
    assert events[-1] == application.wait(accepted["id"])
    assert all(earlier != later for earlier, later in pairwise(events))


def test_events_of_a_finished_document_are_one(application: Application) -> None:
    document = application.ingest("finished.md", BEES)
    response = application.http.get(f"/v1/documents/{document['id']}/events")
    assert [json.loads(response.text.removeprefix("data: "))] == [document]


def test_content_is_the_original(application: Application) -> None:
    document = application.ingest("original.pdf", LIGHTHOUSE)
    response = application.http.get(f"/v1/documents/{document['id']}/content")
    assert response.content == LIGHTHOUSE
    assert response.headers["content-type"] == "application/pdf"
    assert response.headers["content-disposition"] == 'inline; filename="original.pdf"'


def test_content_of_a_page_is_never_run_by_a_browser(application: Application) -> None:
    document = application.ingest("page.html", TIDES)
    response = application.http.get(f"/v1/documents/{document['id']}/content")
    assert response.text == TIDES
    assert response.headers["content-disposition"].startswith("attachment;")
    assert response.headers["x-content-type-options"] == "nosniff"


def test_text_slices(application: Application) -> None:
    document_id = application.ingest("slices.pdf", LIGHTHOUSE)["id"]
    whole = read_text(application, document_id)
    text, length, file = whole["text"], whole["length"], whole["file"]
    assert {name: file[name] for name in file if name != "metadata"} == {
        "ocr_pages": [],
        "unreadable_pages": [],
        "num_hidden_characters": 0,
    }
    position = {"start": 0, "end": length, "length": len(text)}
    place = {"page": 1, "place": "page 1", "headings": [], "places": []}
    keeper = text.index("The keeper")
    pages = {"page_starts": [0, keeper]}
    assert whole == {"text": text, **position, **place, **pages, "file": file}

    assert read_text(application, document_id, start=keeper, end=keeper + 10) == {
        "text": "The keeper",
        "start": keeper,
        "end": keeper + 10,
        "length": length,
        "page": 2,
        "place": "page 2",
        "headings": [],
        "page_starts": [keeper],
        "places": [],
        "file": file,
    }
    assert read_text(application, document_id, start=keeper)["text"] == text[keeper:]
    assert read_text(application, document_id, end=10**9)["end"] == length
    for nothing in ({"start": length + 5}, {"start": 5, "end": 5}, {"start": 9, "end": 5}):
        assert read_text(application, document_id, **nothing)["text"] == ""


def test_collections_tell_counts_and_fingerprints(application: Application) -> None:
    num_chunks = sum(
        application.ingest(name, content, collection="counted")["num_chunks"]
        for name, content in [("bees.md", BEES), ("ropes.txt", ROPES)]
    )
    found = application.http.get("/v1/collections").json()["collections"]
    names = [collection["name"] for collection in found]
    assert names == sorted(names)
    assert found[names.index("counted")] == {
        "name": "counted",
        "num_documents": 2,
        "num_chunks": num_chunks,
        "embedder": "hash-embedder",
        "language": "english",
        "fingerprints": {
            "embedder": "hash-1",
            "chunker": "structure-2/max=32/overlap=0/min=8",
            "analyzer": "english",
        },
        "outdated": [],
        "reindexing": None,
        "profile": "default",
        "alarm": None,
    }


def test_reindexing_begins_with_202_and_ends_in_the_list_of_collections(
    application: Application,
) -> None:
    application.ingest("bees.md", BEES, collection="again")
    before = application.search("queen", collection="again")

    def state() -> dict[str, Any]:
        found = application.http.get("/v1/collections").json()["collections"]
        return next(one for one in found if one["name"] == "again")

    nothing = application.http.post("/v1/collections/again/reindex")
    assert (nothing.status_code, nothing.json()) == (200, state())
    begun = application.http.post("/v1/collections/again/reindex?force=true")
    assert begun.status_code == 202, begun.text
    reindexing = begun.json()["reindexing"]
    assert reindexing["status"] in {"queued", "running"}
    assert (reindexing["num_documents"], reindexing["reason"]) == (0, None)
    deadline = time.monotonic() + WAIT_SECONDS
    while state()["reindexing"] is not None:
        assert time.monotonic() < deadline, state()
        time.sleep(0.05)
    assert application.search("queen", collection="again") == before


def test_language_of_a_collection_is_given_with_its_first_file_and_changed_by_reindexing(
    application: Application,
) -> None:
    def state() -> dict[str, Any]:
        found = application.http.get("/v1/collections").json()["collections"]
        return next(one for one in found if one["name"] == "recht")

    def find() -> list[str]:
        hits = application.search("Kündigungsfrist", collection="recht", mode="lexical")
        return [hit["filename"] for hit in hits]

    def reindex(language: str) -> dict[str, Any]:
        body = {"language": language}
        begun = application.http.post("/v1/collections/recht/reindex", json=body)
        assert begun.status_code == 202, begun.text
        assert begun.json()["reindexing"]["language"] == language
        deadline = time.monotonic() + WAIT_SECONDS
        while (now := state())["reindexing"] is not None:
            assert time.monotonic() < deadline, now
            time.sleep(0.05)
        return now

    application.ingest("fristen.txt", "Alle Fristen.", collection="recht", language="german")
    application.ingest("b.txt", "Die Kündigungsfristen.", collection="recht", language="german")
    assert (state()["language"], find()) == ("german", ["b.txt"])
    assert (reindex("english")["language"], find()) == ("english", [])
    application.ingest("c.txt", "Die Kündigungsfrist.", collection="recht")
    assert find() == ["c.txt"]
    changed = reindex("german")
    assert (changed["language"], changed["outdated"]) == ("german", [])
    assert sorted(find()) == ["b.txt", "c.txt"]
    again = application.http.post("/v1/collections/recht/reindex", json={"language": "german"})
    assert (again.status_code, again.json()) == (200, state())
    refused = application.upload("d.txt", "Vier.", collection="recht", language="french")
    says = "suffice reindex recht --language french"
    assert_refused(refused, 400, "language_mismatch", "language", says)
    assert "d.txt" not in list_names(application, collection="recht")


def test_unknown_language_is_refused_with_those_there_are(application: Application) -> None:
    application.ingest("bees.md", BEES, collection="tongues")
    for response in (
        application.upload("a.txt", ROPES, collection="klingon", language="klingon"),
        application.http.post("/v1/collections/tongues/reindex", json={"language": "German"}),
    ):
        says = "'none', 'arabic'.*'german'.*'yiddish'"
        assert_refused(response, 400, "invalid_value", "language", says)
    assert list_names(application, collection="klingon") == []
    unknown = application.http.post("/v1/collections/tongues/reindex", json={"lang": "german"})
    assert_refused(unknown, 400, "invalid_value", "lang", "not permitted")


def test_only_a_collection_can_be_reindexed(application: Application) -> None:
    response = application.http.post("/v1/collections/nowhere/reindex")
    assert_refused(response, 404, "collection_not_found", None, "no collection 'nowhere'")


# ---- what can be changed


def test_failed_document_can_be_retried(application: Application) -> None:
    document = application.ingest("retry.pdf", make_scan())
    response = application.http.post(f"/v1/documents/{document['id']}/retry")
    assert response.status_code == 202
    assert response.json()["id"] == document["id"]
    assert (response.json()["status"], response.json()["error"]) == ("queued", None)
    assert application.wait(document["id"])["error"]["code"] == "no_text"


def test_retry_leaves_a_searchable_document_alone(application: Application) -> None:
    document = application.ingest("fine.md", BEES)
    response = application.http.post(f"/v1/documents/{document['id']}/retry")
    assert (response.status_code, response.json()) == (202, document)


def test_same_bytes_after_a_failure_are_tried_again(application: Application) -> None:
    application.ingest("again.pdf", make_scan())
    assert application.upload("again.pdf", make_scan()).status_code == 202


def test_deleted_document_is_gone_when_the_call_returns(application: Application) -> None:
    application.ingest("stays.txt", ROPES, collection="deletion")
    document = application.ingest("goes.txt", "Okapis hide in forests.", collection="deletion")
    assert application.search("okapis", collection="deletion", mode="lexical")

    response = application.http.delete(f"/v1/documents/{document['id']}")

    assert (response.status_code, response.json()) == (
        200,
        {"id": document["id"], "deleted": True},
    )
    assert application.search("okapis", collection="deletion", mode="lexical") == []
    assert list_names(application, collection="deletion") == ["stays.txt"]
    assert not any(document["revision"] in path.name for path in kept_files(application))
    home = application.service.home
    # The other collections are left out: 64 MB each.
    places = [
        home.files,
        home.texts,
        home.work,
        home.index / "deletion",
        *home.path.glob("*.sqlite*"),
    ]
    paths = [path for place in places for path in (place, *place.rglob("*")) if path.is_file()]
    assert [path for path in paths if b"Okapis" in path.read_bytes()] == []
    with closing(sqlite3.connect(home.vectors)) as vectors:
        assert list(vectors.execute("SELECT count(*) FROM vectors")) == [(0,)]
    again = application.http.delete(f"/v1/documents/{document['id']}")
    assert_refused(again, 404, "document_not_found", None, "There is no document")


def test_last_document_takes_its_collection_along(application: Application) -> None:
    document = application.ingest("only.txt", ROPES, collection="shortlived")
    application.http.delete(f"/v1/documents/{document['id']}")
    response = application.http.post("/v1/search", json={"query": "x", "collection": "shortlived"})
    assert_refused(response, 404, "collection_not_found", None, "shortlived")
    found = application.http.get("/v1/collections").json()["collections"]
    assert "shortlived" not in [collection["name"] for collection in found]


# ---- bad input


@pytest.mark.parametrize(
    ("name", "content", "status", "code", "says"),
    [
        pytest.param("empty.txt", b"", 400, "empty_file", "empty", id="empty file"),
        pytest.param(
            "photo.gif", make_gif(), 415, "unsupported_type", "Supported are PDF", id="GIF"
        ),
        pytest.param(
            "notes.txt", make_zip(), 415, "unsupported_type", "Supported are PDF", id="ZIP as .txt"
        ),
        pytest.param(
            "report.pdf", make_gif(), 415, "unsupported_type", "Supported are PDF", id="GIF as .pdf"
        ),
        pytest.param(
            "big.txt",
            b"b" * (MAX_UPLOAD_BYTES + 1),
            413,
            "file_too_large",
            r"limit of 100,000 bytes.*INGEST_MAX_UPLOAD_BYTES",
            id="over the limit",
        ),
        pytest.param("n" * 501, b"text", 400, "invalid_value", "1 to 500 characters", id="name"),
    ],
)
def test_refused_file_leaves_nothing_behind(
    application: Application, name: str, content: bytes, status: int, code: str, says: str
) -> None:
    before = kept_files(application)
    assert_refused(
        application.upload(name, content, collection="refused"), status, code, None, says
    )
    deadline = time.monotonic() + 5  # the answer may come before the file goes
    while kept_files(application) != before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert kept_files(application) == before
    assert list_names(application, collection="refused") == []


def test_upload_is_never_in_the_temporary_folder(
    application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    response = application.upload("direct.txt", b"b" * MAX_UPLOAD_BYTES)
    assert response.status_code == 202, response.text
    application.http.delete(f"/v1/documents/{response.json()['documents'][0]['id']}")


def test_file_at_the_limit_is_accepted(application: Application) -> None:
    response = application.upload("limit.txt", b"b" * MAX_UPLOAD_BYTES)
    assert response.status_code == 202
    application.http.delete(f"/v1/documents/{response.json()['documents'][0]['id']}")


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        pytest.param(make_encrypted_pdf("s3cret"), "encrypted", "password", id="encrypted"),
        pytest.param(make_damaged_pdf(), "damaged", "damaged", id="damaged"),
        pytest.param(LIGHTHOUSE[:200], "damaged", "damaged", id="cut"),
        pytest.param(make_scan(), "no_text", "OCR", id="scan"),
    ],
)
def test_unreadable_file_ends_failed_with_code_and_reason(
    application: Application, content: bytes, code: str, says: str
) -> None:
    document = application.ingest("unreadable.pdf", content, collection="unreadable")
    assert document["status"] == "failed"
    assert document["searchable_revision"] is None
    assert document["error"]["code"] == code
    assert says in document["error"]["reason"]

    response = application.http.get(f"/v1/documents/{document['id']}/text")
    assert_refused(response, 422, "unreadable_file", None, says)


def test_encrypted_pdf_is_opened_with_its_password(application: Application) -> None:
    home = application.service.home.path
    right, wrong = (
        {"collection": "locked", "password": word} for word in ("open-plugh", "open-xyzzy")
    )
    content = make_encrypted_pdf(right["password"])
    refused = application.ingest("locked.pdf", content, **wrong)
    assert (refused["status"], refused["error"]["code"]) == ("failed", "encrypted")
    assert "with the right one" in refused["error"]["reason"]
    document = application.ingest("locked.pdf", content, **right)
    assert document["status"] == "searchable"
    assert "granite" in read_text(application, document["id"])["text"]
    with closing(sqlite3.connect(home / "catalog.sqlite")) as database:
        assert list(database.execute("SELECT DISTINCT password FROM documents")) == [(None,)]
    databases = list(home.glob("*.sqlite*"))
    assert databases
    for word in (right["password"], wrong["password"]):
        assert [path for path in databases if word.encode() in path.read_bytes()] == []


def test_file_without_words_is_refused_or_failed(application: Application) -> None:
    document = application.ingest("blank.txt", " \n\n ")
    assert document["status"] == "failed"
    assert document["error"]["code"] == "no_text"


def test_no_file_part(application: Application) -> None:
    for arguments in ({"data": {"collection": "x"}}, {"files": {"upload": ("a.txt", b"text")}}, {}):
        response = application.http.post("/v1/documents", **arguments)
        assert_refused(response, 400, "invalid_value", "file", "multipart")


@pytest.mark.parametrize(
    ("disposition", "param", "says"),
    [
        pytest.param('form-data; name="file"', "file", "with a file name", id="no name"),
        pytest.param('form-data; name="file"; filename=""', None, "File name", id="empty name"),
    ],
)
def test_file_part_without_a_name(
    application: Application, disposition: str, param: str | None, says: str
) -> None:
    body = f"--b\r\nContent-Disposition: {disposition}\r\n\r\ntext\r\n--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    response = application.http.post("/v1/documents", content=body, headers=headers)
    assert_refused(response, 400, "invalid_value", param, says)


def test_upload_that_is_no_form(application: Application) -> None:
    response = application.http.post("/v1/documents", json={"file": "text"})
    assert_refused(response, 400, "invalid_value", "file", "multipart")


def test_broken_form(application: Application) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    response = application.http.post("/v1/documents", content=b"--x\r\nnonsense", headers=headers)
    assert response.status_code == 400
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        pytest.param('{"year": ', "no valid JSON", id="cut"),
        pytest.param("year=2026", "no valid JSON", id="no JSON"),
        pytest.param('{"share": NaN}', "no valid JSON", id="NaN"),
        pytest.param('{"share": 1e400}', "no valid JSON", id="infinity"),
        pytest.param('{"half": "\\ud83d"}', "no valid JSON", id="half a surrogate pair"),
        pytest.param('{"a":' + "[" * 500 + "]" * 500 + "}", "no valid JSON", id="deep"),
        pytest.param("[1, 2]", "JSON object", id="array"),
        pytest.param('"text"', "JSON object", id="text"),
        pytest.param("null", "JSON object", id="null"),
    ],
)
def test_bad_metadata(application: Application, metadata: str, says: str) -> None:
    response = application.upload("meta.txt", ROPES, collection="meta", metadata=metadata)
    assert_refused(response, 400, "invalid_value", "metadata", f"^metadata .*{says}")
    assert list_names(application, collection="meta") == []


@pytest.mark.parametrize("name", ["Upper", "with space", "../up", "-dash", "x" * 65, "ünïcode"])
def test_bad_collection_name(application: Application, name: str) -> None:
    response = application.upload("x.txt", ROPES, collection=name)
    assert_refused(response, 400, "invalid_value", None, "use 1 to 64 of a-z, 0-9, - and _")


def test_one_name_for_two_files(application: Application) -> None:
    files = [("file", ("notes.md", text)) for text in (b"one", b"two")]
    response = application.http.post("/v1/documents", files=files, data={"collection": "twins"})
    assert_refused(response, 400, "invalid_value", "file", "'notes.md'.*one by one")
    assert list_names(application, collection="twins") == []


def test_one_external_id_for_two_files(application: Application) -> None:
    files = [("file", (name, b"text")) for name in ("a.txt", "b.txt")]
    data = {"external_id": "one"}
    response = application.http.post("/v1/documents", files=files, data=data)
    assert_refused(response, 400, "invalid_value", "external_id", "send one file")


@pytest.mark.parametrize(("method", "call"), CALLS_OF_ONE_DOCUMENT)
@pytest.mark.parametrize("document_id", [UNKNOWN_ID, "nonsense", "a'b"])
def test_unknown_document(
    application: Application, method: str, call: str, document_id: str
) -> None:
    response = application.http.request(method, f"/v1/documents/{document_id}{call}")
    assert_refused(response, 404, "document_not_found", None, "There is no document")


@pytest.mark.parametrize(
    ("params", "says"),
    [
        pytest.param({"status": "lost"}, "'queued', 'parsing'", id="unknown status"),
        pytest.param({"limit": 0}, "greater than or equal to 1", id="limit 0"),
        pytest.param({"limit": 10**9}, "less than or equal to 1000", id="limit 10^9"),
        pytest.param({"limit": "x"}, "valid integer", id="limit x"),
    ],
)
def test_bad_filter(application: Application, params: dict[str, str | int], says: str) -> None:
    response: httpx.Response = application.http.get("/v1/documents", params=params)
    (field,) = params
    assert_refused(response, 400, "invalid_value", field, f"^{field}: .*{says}")


def test_slice_tells_its_headings(application: Application) -> None:
    text = "# One\n\nWords.\n\n## *Two*\n\nMore words.\n"
    document_id = application.ingest("headings.md", text)["id"]
    one = {"start": 0, "end": 5, "level": 1, "title": "One"}
    start = text.index("##")
    two = {"start": start, "end": start + len("## *Two*"), "level": 2, "title": "Two"}
    assert read_text(application, document_id)["headings"] == [one, two]
    assert read_text(application, document_id, start=1)["headings"] == [two]
    assert read_text(application, document_id, end=start)["headings"] == [one]


@pytest.mark.parametrize("params", [{"start": -1}, {"end": -1}, {"start": "x"}])
def test_bad_slice(application: Application, params: dict[str, str | int]) -> None:
    document_id = application.ingest("slice.txt", ROPES)["id"]
    response = application.http.get(f"/v1/documents/{document_id}/text", params=params)
    (field,) = params
    assert_refused(response, 400, "invalid_value", field, f"^{field}: Input should be")
