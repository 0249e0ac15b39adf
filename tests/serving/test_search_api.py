"""POST /v1/search over HTTP."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from ingest.home import Home
from retrieval.late_interaction import LateInteractionReranker
from retrieval.reranking import Reranking
from retrieval.search import Searcher
from retrieval.served_reranker import ServedReranker
from tests.serving.application import Application, assert_refused, serve
from tests.serving.certified import certified_profile

pytestmark = pytest.mark.usefixtures("documents")
QUESTION = "how many kilograms of honey does one hive give each year"


def refused_body(application: Application, **body: Any) -> httpx.Response:
    return application.http.post("/v1/search", json={"query": "honey", **body})


@pytest.mark.parametrize(
    ("mode", "methods"),
    [
        ("hybrid", {"dense", "lexical", "fused"}),
        ("dense", {"dense"}),
        ("lexical", {"lexical"}),
    ],
)
def test_mode_decides_which_searches_score(
    application: Application, mode: str, methods: set[str]
) -> None:
    best = application.search(QUESTION, mode=mode)[0]
    assert best["filename"] == "bees.md"
    assert best["heading"] == "Bees > Honey"
    assert set(best["scores"]) == methods
    ranking_method = "fused" if mode == "hybrid" else mode
    assert best["score"] == best["scores"][ranking_method]


def test_mode_is_hybrid_by_default(application: Application) -> None:
    assert application.search(QUESTION) == application.search(QUESTION, mode="hybrid")


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_scores_fall(application: Application, mode: str) -> None:
    scores = [hit["score"] for hit in application.search("the moon and the lamp", mode=mode)]
    assert len(scores) > 1
    assert scores == sorted(scores, reverse=True)


def test_text_of_each_hit_is_the_slice_of_its_document(application: Application) -> None:
    hits = application.search("the keeper, the moon, bees and ropes")
    assert {hit["filename"] for hit in hits} == {
        "bees.md",
        "tides.html",
        "ropes.txt",
        "lighthouse.pdf",
    }
    for hit in hits:
        place = {"start": hit["start"], "end": hit["end"]}
        text = application.http.get(f"/v1/documents/{hit['document_id']}/text", params=place)
        assert text.json()["text"] == hit["text"] != ""


def test_pages_of_a_pdf_are_told(application: Application) -> None:
    keeper = application.search("the keeper retired in 1974", mode="lexical")[0]
    assert keeper["filename"] == "lighthouse.pdf"
    assert 1 <= keeper["page_start"] <= keeper["page_end"] == 2


def test_row_of_a_table_comes_with_its_header_and_its_section(application: Application) -> None:
    rows = "\n".join(f"| rope{number} | {number} meters |" for number in range(12))
    source = f"# Stock\n\n| Rope | Length |\n|---|---|\n{rows}\n\n# End\n\n{'Over. ' * 20}\n"
    application.ingest("stock.md", source, collection="tables")
    hit = application.search("rope11", collection="tables", mode="lexical")[0]
    assert hit["table_header"] == "| Rope | Length |"
    assert hit["text"].startswith("| rope")
    parent = source[hit["parent_start"] : hit["parent_end"]]
    assert parent == source[: source.index("\n\n# End")]


def test_formats_without_pages_have_none(application: Application) -> None:
    bees = application.search(QUESTION)[0]
    assert (bees["page_start"], bees["page_end"]) == (None, None)


def test_lexical_search_without_a_common_word_finds_nothing(application: Application) -> None:
    assert application.search("quaternion", mode="lexical") == []


def test_top_k_limits_the_hits(application: Application) -> None:
    assert len(application.search("the moon", top_k=1)) == 1
    assert len(application.search("the moon", top_k=200)) > 1


def test_timings_are_told(application: Application) -> None:
    body = application.http.post("/v1/search", json={"query": "honey"}).json()
    assert set(body) == {"hits", "timings", "warnings"}
    assert all(seconds >= 0 for seconds in body["timings"].values())


@pytest.fixture(scope="module")
def reranked(
    application: Application,
    documents: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Application]:
    """The same library, with a reranker."""
    assert documents
    service = application.service
    with service.library.open_index("default") as opened:
        reranker = LateInteractionReranker(opened.embedder)
    searcher = Searcher(Reranking(reranker, 4, max_seconds=60))
    home = Home(tmp_path_factory.mktemp("reranked"))
    with serve(replace(service, searcher=searcher, home=home)) as served:
        yield served
    searcher.close()


def test_reranked_hits_have_the_score_of_the_reranker(reranked: Application) -> None:
    body = reranked.http.post("/v1/search", json={"query": QUESTION, "top_k": 2}).json()
    assert body["warnings"] == []
    assert set(body["timings"]) == {"embed_seconds", "search_seconds", "rerank_seconds"}
    scores = [hit["score"] for hit in body["hits"]]
    assert scores == [hit["scores"]["rerank"] for hit in body["hits"]]
    assert scores == sorted(scores, reverse=True)


def test_reranking_is_left_out_on_demand(application: Application, reranked: Application) -> None:
    assert reranked.search(QUESTION, rerank=False) == application.search(QUESTION)
    assert reranked.search(QUESTION, rerank=True) == reranked.search(QUESTION)


@pytest.mark.parametrize("depth", [4, 5])
def test_a_certificate_is_about_a_reranker_and_its_depth(reranked: Application, depth: int) -> None:
    name = reranked.http.post("/v1/search", json={"query": QUESTION, "explain": True}).json()[
        "explain"
    ]["reranker"]
    profile = certified_profile(reranked, reranker=f"{name}, first {depth}")
    answer = reranked.ask(QUESTION, suffice={"profile": profile}).json()["suffice"]
    differences = answer["profile"]["certificate"]["differences"]
    assert differences == ([] if depth == 4 else ["another reranker"])


def test_reranking_without_a_reranker_is_refused(application: Application) -> None:
    assert application.search("honey", rerank=False)
    response = refused_body(application, rerank=True)
    assert_refused(response, 400, "invalid_value", "rerank", "Set RETRIEVAL_RERANKER")


def test_same_query_gives_the_same_answer(application: Application) -> None:
    assert application.search("the lamp") == application.search("the lamp")


def test_any_text_is_a_query(application: Application) -> None:
    for query in ('"', "*", "a:b OR (", "\x00", "\u202e\U0001f41d", "蜂", "x" * 8000):
        application.search(query)


def test_unknown_collection(application: Application) -> None:
    response = refused_body(application, collection="nowhere")
    assert_refused(
        response, 404, "collection_not_found", None, "no collection 'nowhere'.*Upload a document"
    )


@pytest.mark.parametrize("query", ["", " \n\t"], ids=["no characters", "white space"])
def test_empty_query(application: Application, query: str) -> None:
    response = refused_body(application, query=query)
    assert_refused(response, 400, "invalid_value", "query", "empty")


def test_query_of_100_000_characters(application: Application) -> None:
    response = refused_body(application, query="b" * 100_000)
    assert_refused(
        response, 400, "invalid_value", "query", r"100,000 characters, the limit is 8,000.*Shorten"
    )


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        pytest.param("top_k", 0, "greater than or equal to 1", id="top_k 0"),
        pytest.param("top_k", 10**9, "less than or equal to 200", id="top_k 10^9"),
        pytest.param("top_k", "x", "valid integer", id="top_k x"),
        pytest.param("mode", "psychic", "'hybrid', 'dense' or 'lexical'", id="mode"),
        pytest.param("query", None, "valid string", id="null query"),
        pytest.param("query", 7, "valid string", id="number as query"),
        pytest.param("rerank", "yes", "valid boolean", id="text as rerank"),
        pytest.param("limit", 3, "not permitted", id="unknown field"),
    ],
)
def test_bad_field_is_named(application: Application, field: str, value: object, says: str) -> None:
    response = refused_body(application, **{field: value})
    assert_refused(response, 400, "invalid_value", field, f"^{field}: .*{says}")


def test_query_is_required(application: Application) -> None:
    response = application.http.post("/v1/search", json={})
    assert_refused(response, 400, "invalid_value", "query", "^query: Field required")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        pytest.param('{"query": ', "Expecting value at character 10", id="cut"),
        pytest.param('{"query": "a" "b"}', "Expecting ',' delimiter at character 14", id="comma"),
    ],
)
def test_body_that_is_no_json(application: Application, content: str, fault: str) -> None:
    headers = {"Content-Type": "application/json"}
    response = application.http.post("/v1/search", content=content, headers=headers)
    assert_refused(response, 400, "invalid_value", None, f"no valid JSON: {fault}")


@pytest.mark.parametrize("content", ["[]", '"honey"', "null", ""])
def test_body_that_is_no_object(application: Application, content: str) -> None:
    headers = {"Content-Type": "application/json"}
    response = application.http.post("/v1/search", content=content, headers=headers)
    assert_refused(response, 400, "invalid_value", None, "JSON object")


def test_broken_unicode(application: Application) -> None:
    headers = {"Content-Type": "application/json"}
    for content in (rb'{"query": "bees \ud83d"}', b'{"query": "bees \xff"}'):
        response = application.http.post("/v1/search", content=content, headers=headers)
        assert response.status_code == 400, response.text


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
def test_wrong_content_type(application: Application, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    response = application.http.post("/v1/search", content='{"query": "honey"}', headers=headers)
    assert_refused(response, 400, "invalid_value", None, "Content-Type: application/json")


def test_wrong_method(application: Application) -> None:
    response = application.http.get("/v1/search")
    assert_refused(response, 405, "method_not_allowed", None, "This path takes POST.")
    assert response.headers["Allow"] == "POST"


def test_unknown_path(application: Application) -> None:
    assert_refused(application.http.get("/v1/sarch"), 404, "path_not_found", None, "/docs")


# ---- filters


@pytest.fixture(scope="module")
def library(application: Application) -> str:
    """A collection of three documents with metadata."""
    for name, metadata in (
        ("old.txt", '{"year": 2019, "tags": ["a", "b"], "published": "2019-05-01"}'),
        ("new.txt", '{"year": 2024, "tags": ["b"], "published": "2024-05-01T12:00:00Z"}'),
        ("bare.txt", "{}"),
    ):
        application.ingest(name, f"Honey of {name}.", collection="library", metadata=metadata)
    return "library"


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
@pytest.mark.parametrize(
    ("where", "names"),
    [
        ({"type": "eq", "key": "year", "value": 2024}, {"new.txt"}),
        ({"type": "ne", "key": "year", "value": 2024}, {"old.txt", "bare.txt"}),
        ({"type": "in", "key": "tags", "value": ["a", "z"]}, {"old.txt"}),
        ({"type": "lt", "key": "published", "value": "2024-01-01"}, {"old.txt"}),
        ({"type": "gt", "key": "year", "value": 3000}, set()),
        (
            {
                "type": "or",
                "filters": [
                    {"type": "eq", "key": "document.filename", "value": "bare.txt"},
                    {
                        "type": "and",
                        "filters": [
                            {"type": "eq", "key": "tags", "value": "b"},
                            {"type": "gte", "key": "year", "value": 2020},
                        ],
                    },
                ],
            },
            {"new.txt", "bare.txt"},
        ),
        (None, {"old.txt", "new.txt", "bare.txt"}),
    ],
    ids=["eq", "ne", "in", "lt-time", "nothing", "nested", "null"],
)
def test_filter_leaves_documents_with_the_metadata(
    application: Application, library: str, mode: str, where: object, names: set[str]
) -> None:
    hits = application.search("honey", collection=library, mode=mode, filter=where)
    assert {hit["filename"] for hit in hits} == names


def test_filter_takes_what_a_document_shows_of_itself(
    application: Application, library: str
) -> None:
    [document] = [
        one
        for one in application.http.get(f"/v1/documents?collection={library}").json()["documents"]
        if one["filename"] == "old.txt"
    ]
    for name in ("id", "external_id", "filename", "media_type", "created_at"):
        where = {"type": "eq", "key": f"document.{name}", "value": document[name]}
        hits = application.search("honey", collection=library, filter=where)
        assert "old.txt" in {hit["filename"] for hit in hits}


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ({"type": "eq", "key": "yeer", "value": 1}, "key 'yeer'. There are: document.created_at, "),
        ({"type": "eq", "key": "year", "value": "2024"}, "'year' is compared with a text"),
        ({"type": "gt", "key": "tags", "value": 1}, "'tags' .* values of another kind: text"),
        ({"type": "gt", "key": "year", "value": "x"}, "^filter: value: gt compares"),
        ({"type": "and", "filters": [{}]}, r"^filter: filters\[0\].type: must be one of"),
        ("year=2024", "^filter: The filter: a filter is a JSON object"),
    ],
    ids=["key", "kind", "order", "value", "type", "text"],
)
def test_bad_filter(application: Application, library: str, where: object, says: str) -> None:
    response = refused_body(application, collection=library, filter=where)
    assert_refused(response, 400, "invalid_value", "filter", says)


def test_filter_holds_in_one_collection(application: Application, library: str) -> None:
    response = refused_body(application, filter={"type": "eq", "key": "year", "value": 2024})
    assert_refused(response, 400, "invalid_value", "filter", "No searchable document of this")


def test_callers_do_not_learn_where_the_reranker_is(
    application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    url = "http://127.0.0.1:9/v1"  # nobody is there
    reranker = ServedReranker(url, None, None)
    searcher = Searcher(Reranking(reranker, depth=3, max_seconds=5))
    with serve(replace(application.service, searcher=searcher)) as served:
        body = {"query": "honey", "explain": True}
        answer = served.http.post("/v1/search", json=body).json()
    assert answer["explain"]["reranker"] == reranker.name
    assert answer["warnings"] == [
        "The hits are not reranked. The reranker does not answer. Check that it runs and that "
        "RETRIEVAL_RERANKER_URL is right; `suffice doctor` tests it."
    ]
    assert "127.0.0.1" not in str(answer)
    [line] = [one for one in caplog.records if one.getMessage() == "not reranked"]
    assert line.__dict__["details"] == f"The server: {url}"
    searcher.close()
    reranker.close()
