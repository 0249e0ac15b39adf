"""The whole service in front of a real vLLM keeps its contract, whatever the model says."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from pydantic import SecretStr

from serving.service import open_service
from tests.fakes import HashEmbedder
from tests.serving.application import DIMENSION, Application, make_settings, read_events, serve
from tests.vllm.conftest import API_KEY, BLOCK_TOKENS, CONTEXT_TOKENS, MODEL, VllmServer

pytestmark = pytest.mark.vllm
QUESTION = "How much honey does a hive give?"
# Twice as many as the server writes at once, each as long as fits: they take it many seconds.
NUM_LONG_ANSWERS, LONG_ANSWER = 16, 1500
GREEDY = {"temperature": 0, "seed": 1}
SENTENCES = [
    f"Hive {number} of the southern meadow gives {number + 10} kilograms of honey in a good year."
    for number in range(60)
]


@pytest.fixture(scope="module")
def served(vllm: VllmServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """A service with a few documents, whose answers vLLM writes."""
    settings = make_settings(
        tmp_path_factory.mktemp("home"),
        llm_url=vllm.url,
        llm_api_key=SecretStr(API_KEY),
        llm_thinking="enable_thinking",
        llm_timeout_seconds=20.0,
        max_answer_tokens=64,
    )
    with (
        open_service(settings, embedder=HashEmbedder(dimension=DIMENSION)) as service,
        serve(service) as application,
    ):
        for start in range(0, 60, 15):
            text = "\n\n".join(SENTENCES[start : start + 15])
            application.ingest(f"hives-{start}.txt", text)
        yield application


@pytest.fixture(scope="module")
def client(served: Application) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def user(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def ask(served: Application, **options: Any) -> dict[str, Any]:
    response = served.ask(QUESTION, **{**GREEDY, **options})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def test_the_clients_stream_ends_with_usage(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="suffice",
            messages=user(QUESTION),
            stream=True,
            stream_options={"include_usage": True},
            # More than one piece, however slowly it is read. The likeliest token again and again
            # may be one that could begin a marker, and is held back.
            temperature=1,
            max_tokens=500,
        )
    )
    *pieces, last = chunks
    assert sum(bool(chunk.choices[0].delta.content) for chunk in pieces) > 1
    assert pieces[-1].choices[0].finish_reason in {"stop", "length"}
    assert last.usage is not None
    assert last.usage.prompt_tokens > 0 < last.usage.completion_tokens
    extension: Any = pieces[-1].to_dict()["suffice"]
    assert extension["warnings"] == []  # of a prompt that was cut, for one


def test_the_second_turn_finds_the_first_one_in_the_cache(served: Application) -> None:
    messages = user("Which hives stand in the southern meadow?")
    calls = []
    for follow_up in ("How much honey did the third hive give?", "What about the fifth hive?"):
        response = served.http.post(
            "/v1/chat/completions",
            json={"messages": messages, "suffice": {"top_k": 5}, "max_tokens": 24, **GREEDY},
        )
        body = response.json()
        calls.append(body["suffice"]["cost"]["calls"][-1])
        answer = body["choices"][0]["message"]["content"]
        messages += [{"role": "assistant", "content": answer}, *user(follow_up)]
    first, second = calls
    # All of the first prompt but its last block, and of the answer what the server kept.
    assert second["cached_tokens"] >= first["prompt_tokens"] - BLOCK_TOKENS
    assert second["prompt_tokens"] > first["prompt_tokens"]


def test_no_prompt_exceeds_the_window(served: Application, vllm: VllmServer) -> None:
    body = ask(served, suffice={"top_k": 60, "profile": {"num_candidates": 60}})
    used = body["usage"]["prompt_tokens"] + 64
    assert CONTEXT_TOKENS - 200 < used <= CONTEXT_TOKENS
    assert body["suffice"]["warnings"] == []
    assert body["suffice"]["plan"]["given_up"] == ["context"]
    system = {"role": "system", "content": "Answer as a beekeeper would. " * 500}
    response = served.http.post(
        "/v1/chat/completions", json={"messages": [system, *user(QUESTION)]}
    )
    assert response.status_code == 400, response.text
    assert response.json()["error"]["code"] == "context_length_exceeded"
    assert vllm.process.poll() is None


def test_a_long_answer_and_a_long_context_share_the_window(served: Application) -> None:
    wide = {"top_k": 60, "profile": {"num_candidates": 60}}
    body = ask(served, max_tokens=900, suffice=wide)
    assert body["usage"]["prompt_tokens"] + 900 <= CONTEXT_TOKENS


def test_thinking_is_shown_apart(served: Application) -> None:
    shape = {"name": "honey", "schema": {"enum": ["much", "little"]}, "strict": True}
    options = {"max_tokens": 16, "response_format": {"type": "json_schema", "json_schema": shape}}
    body = ask(served, suffice={"thinking": 12, "top_k": 3}, **options)
    message = body["choices"][0]["message"]
    assert message["reasoning"]
    assert message["content"] in {'"much"', '"little"'}
    assert message["reasoning"] not in message["content"]
    details = body["usage"]["completion_tokens_details"]
    assert 0 < details["reasoning_tokens"] <= 12 + 2  # with the marks around it
    plain = ask(served, suffice={"thinking": False, "top_k": 3}, **options)
    assert "reasoning" not in plain["choices"][0]["message"]


def test_the_answer_has_the_schema_that_was_asked_for(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"kilograms": {"type": "integer", "minimum": 0, "maximum": 99}},
        "required": ["kilograms"],
        "additionalProperties": False,
    }
    completion = client.chat.completions.create(
        model="suffice",
        messages=user(QUESTION),
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "honey", "schema": schema, "strict": True},
        },
    )
    answer = json.loads(completion.choices[0].message.content or "")
    assert 0 <= answer["kilograms"] <= 99


def test_several_answers_and_their_stops(served: Application) -> None:
    body = ask(served, n=2, temperature=1.0, seed=7, max_tokens=12, suffice={"top_k": 2})
    again = ask(served, n=2, temperature=1.0, seed=7, max_tokens=12, suffice={"top_k": 2})
    texts = [choice["message"]["content"] for choice in body["choices"]]
    assert texts == [choice["message"]["content"] for choice in again["choices"]]
    assert len(set(texts)) == 2
    letter = next(character for character in texts[0][1:] if character.isalpha())
    stopped = ask(
        served, n=2, temperature=1.0, seed=7, max_tokens=12, stop=[letter], suffice={"top_k": 2}
    )
    assert letter not in stopped["choices"][0]["message"]["content"]
    assert stopped["choices"][0]["finish_reason"] == "stop"


def test_log_probabilities_are_passed_on(served: Application) -> None:
    body = ask(served, logprobs=True, top_logprobs=2, max_tokens=3, suffice={"top_k": 2})
    tokens = body["choices"][0]["logprobs"]["content"]
    assert 1 <= len(tokens) <= 3
    assert all(token["logprob"] <= 0 and len(token["top_logprobs"]) == 2 for token in tokens)


def test_a_follow_up_is_rewritten_by_the_model_or_by_rules(served: Application) -> None:
    messages = [*user(QUESTION), {"role": "assistant", "content": "Ten."}, *user("And in winter?")]
    response = served.http.post("/v1/chat/completions", json={"messages": messages, **GREEDY})
    body = response.json()
    assert [call["purpose"] for call in body["suffice"]["cost"]["calls"]] == ["rewrite", "answer"]
    assert body["suffice"]["query"]["method"] in {"model", "rules"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_caller_who_hangs_up_stops_the_model(
    served: Application, vllm: VllmServer, *, stream: bool
) -> None:
    before = vllm.metric("vllm:generation_tokens_total")
    body = json.dumps(
        {
            "messages": user(QUESTION),
            "stream": stream,
            "n": NUM_LONG_ANSWERS,
            "max_tokens": LONG_ANSWER,
            "temperature": 0.3,
            "suffice": {"top_k": 1},
        }
    )
    address = urlsplit(served.url)
    with socket.create_connection((str(address.hostname), address.port or 80)) as connection:
        head = f"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        connection.sendall(f"POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n\r\n{body}".encode())
        assert until(lambda: vllm.metric("vllm:num_requests_running") > 0)
    assert until(lambda: vllm.metric("vllm:num_requests_running") == 0)
    written = vllm.metric("vllm:generation_tokens_total") - before
    assert written < NUM_LONG_ANSWERS * LONG_ANSWER


def until(holds: Any, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.02)
    return False


def test_ready_with_the_real_server(served: Application) -> None:
    parts = {"model": "ok", "index": "ok"}
    assert served.http.get("/readyz").json() == {"ready": True, "parts": parts}
    body = ask(served, suffice={"top_k": 1}, max_tokens=16)
    assert body["suffice"]["answered_by"] == MODEL


def test_raw_events_have_the_shape_of_openais(served: Application) -> None:
    messages = user(QUESTION)
    response = served.http.post(
        "/v1/chat/completions",
        json={"messages": messages, "stream": True, "max_tokens": 8, "suffice": {"top_k": 1}},
    )
    events = read_events(response)
    assert {event["object"] for event in events} == {"chat.completion.chunk"}
    assert len({event["id"] for event in events}) == 1
