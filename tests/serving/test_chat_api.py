"""POST /v1/chat/completions over HTTP, mostly with OpenAI's own client."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from serving.generation import NO_ANSWER
from tests.serving.application import Application, assert_refused
from tests.serving.documents import BEES

BEES_QUESTION = "How many kilograms of honey does one hive give each year?"
KEEPER_QUESTION = "In which year has the keeper retired after forty years?"
# Shares no word with any document, so every sentence is far from it.
FOREIGN_QUESTION = "Wieviele Pinguine leben derzeit antarktisch?"


@pytest.fixture(scope="module")
def client(application: Application, documents: dict[str, str]) -> Iterator[openai.OpenAI]:
    assert documents
    url = f"{application.url}/v1"
    with openai.OpenAI(base_url=url, api_key="unused", max_retries=0) as client:
        yield client


def user(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def post(application: Application, **body: Any) -> httpx.Response:
    return application.http.post("/v1/chat/completions", json=body)


def check_citations(application: Application, answer: str, annotations: list[Any]) -> None:
    """Check each annotation against the answer and the documents."""
    assert annotations
    for annotation in annotations:
        assert annotation["type"] == "file_citation"
        citation = annotation["file_citation"]
        assert answer[citation["text_start"] : citation["text_end"]] == citation["marker"]
        place = {"start": citation["start"], "end": citation["end"]}
        url = f"/v1/documents/{citation['document_id']}"
        text = application.http.get(f"{url}/text", params=place).json()
        assert text["text"] == citation["quote"] != ""
        assert text["page"] == citation["page"]
        assert text["place"] == citation["place"]
        assert application.http.get(url).json()["filename"] == citation["filename"]


# ---- answers


def test_answer_cites_the_sentence_it_rests_on(
    application: Application, client: openai.OpenAI, documents: dict[str, str]
) -> None:
    completion = client.chat.completions.create(model="suffice", messages=user(BEES_QUESTION))

    (choice,) = completion.choices
    assert choice.finish_reason == "stop"
    assert choice.message.role == "assistant"
    answer = choice.message.content or ""
    assert "One hive gives twenty kilograms of honey each year." in answer
    annotations = choice.message.to_dict()["annotations"]
    assert isinstance(annotations, list)
    check_citations(application, answer, annotations)
    first = annotations[0]["file_citation"]
    assert first["document_id"] == documents["bees.md"]
    assert first["filename"] == "bees.md"
    assert first["page"] is None
    assert "twenty kilograms" in first["quote"]


def test_citation_tells_the_page(application: Application, client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(model="suffice", messages=user(KEEPER_QUESTION))
    message = completion.choices[0].message.to_dict()
    annotations = message["annotations"]
    assert isinstance(annotations, list)
    check_citations(application, str(message["content"]), annotations)
    first = annotations[0]["file_citation"]
    assert (first["filename"], first["page"]) == ("lighthouse.pdf", 2)
    assert first["place"] == "page 2"
    assert "retired in 1974" in first["quote"]


def test_usage_and_extension(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model="suffice", messages=user(BEES_QUESTION), extra_body={"suffice": {"top_k": 2}}
    )
    usage = completion.usage
    assert usage is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.completion_tokens > 0
    extension = completion.to_dict()["suffice"]
    assert isinstance(extension, dict)
    assert set(extension) == {
        *("trace_id", "answered_by", "grounded", "unsupported", "query", "context", "plan", "cost"),
        *("timings", "warnings", "profile", "abstained"),
    }
    assert extension["answered_by"] == "extractive"
    assert extension["grounded"] == "yes"
    context = extension["context"]
    assert set(context) == {
        *("chunks", "passages", "recalled", "tokens", "recalled_tokens", "tokens_before", "dropped")
    }
    assert (context["chunks"], context["dropped"]) == (2, [])
    assert 1 <= context["passages"] <= 2
    assert 0 < context["tokens"] < usage.prompt_tokens
    assert context["tokens"] <= context["tokens_before"]
    assert set(extension["timings"]) == {
        *("retrieval_seconds", "preparation_seconds", "generation_seconds", "judgement_seconds")
    }


def test_copies_are_read_once(application: Application) -> None:
    number = {
        name: application.ingest(name, BEES, collection="copies")["num_chunks"]
        for name in ("bees.md", "copy.md")
    }["copy.md"]
    assert number > 1
    context = ask_context(application, collection="copies")
    assert context["chunks"] == number
    assert [one["reason"] for one in context["dropped"]] == ["duplicate"] * number
    found = {hit["chunk_id"]: hit for hit in application.search("bees", collection="copies")}
    for dropped in context["dropped"]:
        copy, kept = (found[dropped[key]] for key in ("chunk_id", "duplicate_of"))
        assert copy["filename"] != kept["filename"]


def test_context_keeps_the_budget_of_the_request(
    application: Application, documents: dict[str, str]
) -> None:
    assert documents
    whole = ask_context(application)
    small = ask_context(application, max_context_tokens=whole["tokens"] // 2)
    assert 0 < small["tokens"] <= whole["tokens"] // 2
    assert small["tokens_before"] == whole["tokens_before"]
    assert {one["reason"] for one in small["dropped"]} == {"over_budget"}
    assert small["chunks"] + len(small["dropped"]) == whole["chunks"]


def ask_context(application: Application, **options: Any) -> dict[str, Any]:
    response = application.ask(BEES_QUESTION, suffice=options)
    assert response.status_code == 200, response.text
    context: dict[str, Any] = response.json()["suffice"]["context"]
    return context


def test_stream_gives_the_same_answer(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="suffice", messages=user(KEEPER_QUESTION))
    stream = client.chat.completions.create(
        model="suffice",
        messages=user(KEEPER_QUESTION),
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)

    *with_choice, last = chunks
    assert (last.choices, last.usage) == ([], whole.usage)
    assert len({chunk.id for chunk in chunks}) == 1
    deltas = [chunk.choices[0].delta for chunk in with_choice]
    assert "".join(delta.content or "" for delta in deltas) == whole.choices[0].message.content
    assert deltas[0].role == "assistant"
    reasons = [chunk.choices[0].finish_reason for chunk in with_choice]
    assert reasons == [None] * (len(reasons) - 1) + ["stop"]
    assert deltas[-1].to_dict()["annotations"] == whole.choices[0].message.to_dict()["annotations"]


def test_raw_stream(application: Application, documents: dict[str, str]) -> None:
    first, *pieces, last = application.stream(BEES_QUESTION)

    assert {event["object"] for event in (first, *pieces, last)} == {"chat.completion.chunk"}
    assert all("usage" not in event for event in (first, *pieces, last))
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert all(piece["choices"][0]["finish_reason"] is None for piece in pieces)
    assert all("suffice" not in event for event in (first, *pieces))
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["suffice"]["grounded"] == "yes"
    answer = "".join(piece["choices"][0]["delta"]["content"] for piece in pieces)
    annotations = last["choices"][0]["delta"]["annotations"]
    check_citations(application, answer, annotations)
    assert annotations[0]["file_citation"]["document_id"] == documents["bees.md"]


@pytest.mark.usefixtures("documents")
def test_question_that_the_documents_cannot_answer_is_refused(application: Application) -> None:
    body = application.ask(FOREIGN_QUESTION).json()
    assert body["choices"][0]["message"]["content"] == NO_ANSWER
    assert body["choices"][0]["message"]["annotations"] == []
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["suffice"]["grounded"] == "no"

    *_, last = application.stream(FOREIGN_QUESTION)
    assert last["suffice"]["grounded"] == "no"
    assert last["choices"][0]["delta"]["annotations"] == []


def test_conversation(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model="suffice",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": "When do bees sleep?"},
            {"role": "assistant", "content": "At night [1]."},
            {"role": "user", "content": [{"type": "text", "text": BEES_QUESTION}]},
        ],
        temperature=0.0,
        top_p=0.9,
        seed=7,
        stop=["END"],
        max_tokens=100,
        user="alice",
    )
    assert "twenty kilograms" in (completion.choices[0].message.content or "")


def test_collection_decides_what_answers(application: Application) -> None:
    application.ingest("other.txt", "One hive gives ninety litres of mead.", collection="other")
    body = application.ask(
        "How many litres of mead does one hive give?", suffice={"collection": "other"}
    ).json()
    assert "ninety litres" in body["choices"][0]["message"]["content"]
    citations = body["choices"][0]["message"]["annotations"]
    assert {citation["file_citation"]["filename"] for citation in citations} == {"other.txt"}


def test_deleted_document_no_longer_answers(application: Application) -> None:
    question = "When was the okapi first seen by Europeans?"
    application.ingest("rest.txt", ROPE_FACT, collection="zoo")
    document = application.ingest(
        "okapi.txt", "The okapi was first seen by Europeans in 1901.", collection="zoo"
    )
    asked = {"suffice": {"collection": "zoo"}}
    assert "1901" in application.ask(question, **asked).text
    application.http.delete(f"/v1/documents/{document['id']}")
    body = application.ask(question, **asked).json()
    assert body["choices"][0]["message"]["content"] == NO_ANSWER


ROPE_FACT = "Hemp shrinks when wet, nylon stretches instead."


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["suffice"]
    assert client.models.retrieve("suffice").owned_by == "suffice"
    with pytest.raises(openai.NotFoundError, match="no model 'gpt-4o'") as caught:
        client.models.retrieve("gpt-4o")
    assert caught.value.code == "model_not_found"


def test_models_with_a_profile(application: Application, client: openai.OpenAI) -> None:
    application.http.put("/v1/profiles/careful", json={})
    name = "suffice/careful"
    assert [model.id for model in client.models.list()] == ["suffice", name]
    assert client.models.retrieve(name).id == name
    application.http.delete("/v1/profiles/careful")


# ---- bad input


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param("", "empty", id="empty"),
        pytest.param("  \n", "empty", id="white space"),
        pytest.param(None, "empty", id="null"),
        pytest.param([], "empty", id="no parts"),
        pytest.param("b" * 100_000, "100,000 characters, the limit is 8,000.*Shorten", id="long"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_bad_question(
    application: Application, content: object, says: str, *, stream: bool
) -> None:
    response = post(application, messages=[{"role": "user", "content": content}], stream=stream)
    assert_refused(response, 400, "invalid_value", "messages", says)


@pytest.mark.parametrize("role", ["assistant", "system"])
def test_last_message_must_be_the_users(application: Application, role: str) -> None:
    messages = [{"role": "user", "content": "Bees?"}, {"role": role, "content": "Yes."}]
    response = post(application, messages=messages)
    assert_refused(response, 400, "invalid_value", "messages", "must be the user's question")


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        pytest.param({"messages": []}, "messages", "at least 1 item", id="no messages"),
        pytest.param({"messages": "Bees?"}, "messages", "valid list", id="text as messages"),
        pytest.param({"n": 0}, "n", "greater than or equal to 1", id="n 0"),
        pytest.param({"tools": [{"type": "function"}]}, None, "Tools are not supp", id="tools"),
        pytest.param({"tempreture": 0}, "tempreture", "not permitted", id="unknown parameter"),
        pytest.param({"temperature": 3}, "temperature", "less than or equal to 2", id="hot"),
        pytest.param({"max_tokens": 0}, "max_tokens", "greater than or equal to 1", id="no tokens"),
        pytest.param({"stream": "maybe"}, "stream", "valid boolean", id="stream"),
        pytest.param(
            {"suffice": {"top_k": 10**9}}, "suffice.top_k", "less than or equal to 200", id="top_k"
        ),
        pytest.param({"suffice": {"topk": 3}}, "suffice.topk", "not permitted", id="extension"),
    ],
)
def test_bad_parameter_is_named(
    application: Application, body: dict[str, Any], param: str, says: str
) -> None:
    response = post(application, **{"messages": user("Bees?"), **body})
    assert_refused(response, 400, "invalid_value", param, says)


NULL = dict.fromkeys(
    ["model", "stream", "n", "seed", "stop", "logprobs", "tools", "logit_bias", "suffice"]
)
NO_TOOLS = {"tools": [], "parallel_tool_calls": False, "tool_choice": "none"}
HINTS = {
    "service_tier": "auto",
    "safety_identifier": "alice",
    "prompt_cache_key": "a",
    "stream_options": {"include_obfuscation": False},
}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(NULL, id="null"),
        pytest.param({"suffice": {"budget": None, "profile": None}}, id="null within"),
        pytest.param(NO_TOOLS, id="no tools"),
        pytest.param(HINTS, id="hints of clients"),
        pytest.param({"max_tokens": 9, "max_completion_tokens": 9}, id="the same twice"),
        pytest.param({"temperature": 1, "suffice": {"budget": {"max_cost_usd": 1}}}, id="whole"),
    ],
)
@pytest.mark.usefixtures("documents")
def test_what_asks_for_nothing_is_let_by(application: Application, body: dict[str, Any]) -> None:
    answer = post(application, messages=user(BEES_QUESTION), **body)
    assert answer.status_code == 200, answer.text
    assert "twenty kilograms" in answer.json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        pytest.param({"seed": "5"}, "seed", "valid integer", id="text as number"),
        pytest.param({"max_tokens": 5.5}, "max_tokens", "valid integer", id="part of a token"),
        pytest.param({"stream": "no"}, "stream", "valid boolean", id="text as boolean"),
        pytest.param({"temperature": True}, "temperature", "valid number", id="true as number"),
        pytest.param(
            {"suffice": {"budget": {"max_cost_usd": True}}},
            "suffice.budget.max_cost_usd",
            "valid number",
            id="a dollar",
        ),
        pytest.param({"suffice": {"thinking": "yes"}}, "suffice.thinking", "boolean", id="union"),
        pytest.param({"stop": [1]}, "stop", "valid string", id="list or text"),
        pytest.param(
            {"messages": [{"role": "user", "content": 5}]}, "messages.0.content", "", id="content"
        ),
        pytest.param(
            {"suffice": {"profile": {"rule": {"family": "threshold"}}}},
            "suffice.profile.rule.threshold",
            "Field required",
            id="missing in a union",
        ),
        pytest.param(
            {"suffice": {"profile": {"answering": {"thinking": -5}}}},
            "suffice.profile.answering.thinking",
            "valid boolean",
            id="thinking below nothing",
        ),
        pytest.param({"metadata": {"str": 3}}, "metadata.str", "string", id="named like a type"),
        pytest.param({"tool_choice": "auto"}, None, "Tools are not supp", id="tool choice"),
        pytest.param(
            {"max_tokens": 5, "max_completion_tokens": 6},
            "max_tokens",
            "Leave one out",
            id="lengths",
        ),
        pytest.param(
            {"reasoning_effort": "low", "suffice": {"thinking": True}},
            "reasoning_effort",
            "Leave one out",
            id="efforts",
        ),
        pytest.param(
            {"model": "suffice/careful", "suffice": {"profile": "quick"}},
            "suffice.profile",
            "names the profile 'careful', and suffice.profile another one",
            id="profiles",
        ),
    ],
)
def test_what_cannot_be_meant_is_named(
    application: Application, body: dict[str, Any], param: str | None, says: str
) -> None:
    response = post(application, **{"messages": user("Bees?"), **body})
    assert_refused(response, 400, "invalid_value", param, says)


def test_messages_are_required(application: Application) -> None:
    response = post(application)
    assert_refused(response, 400, "invalid_value", "messages", "Field required")


def test_unknown_role(application: Application) -> None:
    response = post(application, messages=[{"role": "oracle", "content": "Bees?"}])
    assert_refused(response, 400, "invalid_value", "messages.0.role", "'user'")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_unknown_collection(application: Application, *, stream: bool) -> None:
    response = application.ask("Bees?", suffice={"collection": "nowhere"}, stream=stream)
    assert_refused(response, 404, "collection_not_found", None, "Upload a document")
    response = application.ask("Anything?", suffice={"collection": "x" * 100_000})
    assert_refused(response, 400, "invalid_value", "suffice.collection", "at most 64 characters")


def test_pictures_are_refused_by_name(application: Application) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}
    content = [{"type": "text", "text": "What is this?"}, picture]
    response = post(application, messages=[{"role": "user", "content": content}])
    says = "Nothing here reads image_url; send text alone"
    assert_refused(response, 400, "invalid_value", "messages.0.content", says)


def test_part_whose_type_is_no_text_is_refused(application: Application) -> None:
    content = [{"type": {"a": 1}, "text": "What is this?"}]
    response = post(application, messages=[{"role": "user", "content": content}])
    says = "Nothing here reads {'a': 1}; send text alone"
    assert_refused(response, 400, "invalid_value", "messages.0.content", says)


def test_broken_unicode(application: Application) -> None:
    content = rb'{"messages": [{"role": "user", "content": "bees \ud83d"}]}'
    headers = {"Content-Type": "application/json"}
    response = application.http.post("/v1/chat/completions", content=content, headers=headers)
    assert response.status_code == 400, response.text


@pytest.mark.parametrize("model", ["gpt-4o", "suffice/", "Suffice"])
def test_unknown_model(application: Application, model: str) -> None:
    response = post(application, messages=user("Bees?"), model=model)
    says = f"no model '{model}'; use 'suffice'"
    assert_refused(response, 404, "model_not_found", "model", says)


def test_client_raises_the_error_of_its_status(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="Ask something") as caught:
        client.chat.completions.create(model="suffice", messages=user(" "))
    assert (caught.value.param, caught.value.code) == ("messages", "invalid_value")
    with pytest.raises(openai.NotFoundError, match="use 'suffice'") as unknown:
        client.chat.completions.create(model="gpt-4o", messages=user("Bees?"))
    assert (unknown.value.param, unknown.value.code) == ("model", "model_not_found")
    with pytest.raises(openai.NotFoundError, match="Upload a document"):
        client.chat.completions.create(
            model="suffice",
            messages=user("Bees?"),
            extra_body={"suffice": {"collection": "nowhere"}},
        )


@pytest.mark.usefixtures("documents")
def test_client_that_leaves_in_the_middle_harms_nobody(application: Application) -> None:
    body = b'{"messages": [{"role": "user", "content": "Where do bees sleep?"}], "stream": true}'
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    address = (httpx.URL(application.url).host, httpx.URL(application.url).port or 0)
    for num_bytes in (0, 1, 200):
        with socket.create_connection(address, timeout=10) as connection:
            connection.sendall(head.encode() + body)
            if num_bytes:
                assert connection.recv(num_bytes)
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(head.encode() + body[:20])

    assert application.http.get("/healthz").status_code == 200
    assert application.ask(BEES_QUESTION).json()["suffice"]["grounded"] == "yes"


def test_filter_decides_which_documents_answer(application: Application) -> None:
    for name, tons in (("a.txt", "seven"), ("b.txt", "nine")):
        text = f"The crane of the harbour lifts {tons} tons."
        metadata = json.dumps({"harbour": name[0]})
        application.ingest(name, text, collection="cranes", metadata=metadata)
    where = {"type": "eq", "key": "harbour", "value": "b"}
    options = {"collection": "cranes", "filter": where}
    answer = application.ask("how many tons the crane of the harbour lifts", suffice=options)
    message = answer.json()["choices"][0]["message"]
    assert "nine" in message["content"]
    assert {one["file_citation"]["filename"] for one in message["annotations"]} == {"b.txt"}
    bad = {"collection": "cranes", "filter": {**where, "type": "like"}}
    response = application.ask("how many tons", suffice=bad)
    assert_refused(response, 400, "invalid_value", "suffice.filter", "type: must be one of")
