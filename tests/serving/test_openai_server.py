"""Answers written by a language model behind an OpenAI-compatible server, well or sick."""

import asyncio
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from ingest.home import Home
from serving.answering import Answerer
from serving.backends import Backend
from serving.breaker import CircuitBreaker
from serving.errors import ModelUnavailableError
from serving.finding import search_library
from serving.markers import make_nonce
from serving.models import Models
from serving.openai_server import OpenAIGenerator
from serving.served_tokens import ServedTokenCounter
from tests.serving.application import Application, assert_refused, serve
from tests.serving.documents import BEES
from tests.serving.upstream import (
    DONE,
    LONG_SECONDS,
    MODEL,
    START,
    USAGE,
    Reply,
    Upstream,
    chunk,
    error_reply,
    event,
    json_reply,
    stream_reply,
)

PAUSE_SECONDS = 0.1  # long enough to be passed on alone
SILENCE_SECONDS = 1.0
SECRET = b"a secret of this test"
NONCE = make_nonce(SECRET, "default")
QUESTION = "How many kilograms of honey does one hive give each year?"
HTML = Reply([b"<html><body>It works!</body></html>"], content_type="text/html")


def serve_with_model(
    application: Application, home: Path, url: str, model: str | None = None
) -> Iterator[Application]:
    """Serve the library of an application, with answers from a language model."""
    service = application.service
    backend = Backend(url=url, model=model)
    counter = ServedTokenCounter(url, model, "upstream-key")
    generator = OpenAIGenerator(
        *("default", backend, counter, "upstream-key", SILENCE_SECONDS),
        breaker=CircuitBreaker(num_failures=1000),  # the server recovers with each test
    )
    models = Models({"default": generator})
    find = partial(search_library, service.library, service.searcher)
    answerer = Answerer(service.library, find, models, SECRET)
    with serve(replace(service, answerer=answerer, models=models, home=Home(home))) as served:
        yield served


@pytest.fixture(scope="module")
def served(
    application: Application,
    documents: dict[str, str],
    running_upstream: Upstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Application]:
    assert documents
    yield from serve_with_model(
        application, tmp_path_factory.mktemp("served"), running_upstream.url, MODEL
    )


@pytest.fixture
def unlisted(
    application: Application, documents: dict[str, str], upstream: Upstream, tmp_path: Path
) -> Iterator[Application]:
    """A service that has to ask the server for its models."""
    assert documents
    yield from serve_with_model(application, tmp_path, upstream.url)


@pytest.fixture
def orphaned(
    application: Application, documents: dict[str, str], tmp_path: Path
) -> Iterator[Application]:
    """A service whose language model does not run."""
    assert documents
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    yield from serve_with_model(application, tmp_path, f"http://127.0.0.1:{port}/v1", MODEL)


# ---- health


def test_markers_become_citations(served: Application, upstream: Upstream) -> None:
    upstream.chat = stream_reply("A hive gives twenty kilograms", " of honey each year [", "1].")
    by_score = {"profile": {"packing": {"order": "score"}}}
    body = served.ask(QUESTION, suffice=by_score).json()

    answer = "A hive gives twenty kilograms of honey each year [1]."
    message = body["choices"][0]["message"]
    assert message["content"] == answer
    (annotation,) = message["annotations"]
    citation = annotation["file_citation"]
    assert citation["filename"] == "bees.md"
    assert citation["quote"] == "One hive gives twenty kilograms of honey each year."
    assert answer[citation["text_start"] : citation["text_end"]] == citation["marker"] == "[1]"
    place = {"start": citation["start"], "end": citation["end"]}
    text = served.http.get(f"/v1/documents/{citation['document_id']}/text", params=place)
    assert text.json()["text"] == citation["quote"]
    assert body["usage"] == {
        "prompt_tokens": 40,
        "completion_tokens": 12,
        "total_tokens": 52,
        "prompt_tokens_details": {"cached_tokens": 32},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    assert (body["suffice"]["answered_by"], body["suffice"]["grounded"]) == (MODEL, "yes")


def test_stream_is_passed_on_piece_by_piece(served: Application, upstream: Upstream) -> None:
    start, *parts = stream_reply("Twenty", " kilograms", " [1].").parts
    upstream.chat = Reply([start, *(one for part in parts for one in (part, PAUSE_SECONDS))])
    first, *pieces, last = served.stream(QUESTION)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    contents = [piece["choices"][0]["delta"]["content"] for piece in pieces]
    assert contents == ["Twenty", " kilograms", " [1]."]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert len(last["choices"][0]["delta"]["annotations"]) == 1


def test_pieces_that_come_together_are_passed_on_together(
    served: Application, upstream: Upstream
) -> None:
    parts = stream_reply("Twenty", " kilograms", " [1].").parts
    upstream.chat = Reply([b"".join(one for one in parts if isinstance(one, bytes))])
    _, piece, _ = served.stream(QUESTION)
    assert piece["choices"][0]["delta"] == {"content": "Twenty kilograms [1]."}

    failed = event({"error": {"message": "EngineCore died.", "code": 500}})
    upstream.chat = Reply([chunk({"content": "Twenty"}) + chunk({"content": " kilo"}) + failed])
    _, piece, last = served.stream(QUESTION)
    assert piece["choices"][0]["delta"] == {"content": "Twenty kilo"}
    assert "EngineCore died" in last["error"]["message"]


def test_prompt_holds_numbered_excerpts_then_the_question(
    served: Application, upstream: Upstream
) -> None:
    messages = [
        {"role": "system", "content": "Answer like a pirate."},
        {"role": "user", "content": "Do bees sleep?"},
        {"role": "assistant", "content": "Yes [1]."},
        {"role": "user", "content": QUESTION},
    ]
    body = {"messages": messages, "temperature": 0, "seed": 7, "stop": "END", "max_tokens": 9}
    served.http.post("/v1/chat/completions", json={**body, "suffice": {"top_k": 3}})

    (request,) = upstream.requests
    asked = {
        name: request.get(name) for name in ("model", "stream", "stream_options", "max_tokens")
    }
    assert asked == {
        "model": MODEL,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 9,
    }
    assert (request["temperature"], request["seed"], request["stop"]) == (0, 7, ["END"])
    assert "top_p" not in request
    system, *history, last = request["messages"]
    assert system["role"] == "system"
    assert system["content"].endswith("\n\nAnswer like a pirate.")
    # What its marker named is not known any more.
    assert history == [messages[1], {"role": "assistant", "content": "Yes."}]
    # Both chunks of bees.md are found, and are one excerpt.
    assert f"-1] bees.md\n{BEES.strip()}\n[/{NONCE}]" in last["content"]
    assert last["content"].startswith(f"Excerpts:\n\n[{NONCE}-1] ")
    assert f"[{NONCE}-2] " in last["content"]
    assert f"[{NONCE}-3]" not in last["content"]
    assert last["content"].endswith(f"\n\nQuestion: {QUESTION}")
    assert set(upstream.authorizations) == {"Bearer upstream-key"}


def test_answer_without_markers_is_not_grounded(served: Application, upstream: Upstream) -> None:
    upstream.chat = stream_reply("The documents do not contain an answer to this question.")
    body = served.ask(QUESTION).json()
    assert body["choices"][0]["message"]["annotations"] == []
    assert body["suffice"]["grounded"] == "no"


def test_markers_beyond_the_context_are_no_citations(
    served: Application, upstream: Upstream
) -> None:
    upstream.chat = stream_reply("Twenty [0] [99] [1].")
    annotations = served.ask(QUESTION).json()["choices"][0]["message"]["annotations"]
    assert [annotation["file_citation"]["marker"] for annotation in annotations] == ["[1]"]


def test_thinking_and_null_content_are_left_out(served: Application, upstream: Upstream) -> None:
    upstream.chat = Reply(
        [
            START,
            chunk({"reasoning": "The user wants"}),
            chunk({"reasoning": " honey [1].", "content": None}),
            chunk({"content": "Twenty"}),
            chunk({"content": None}),
            chunk({}),
            chunk({"content": " [1]."}, "stop"),
            USAGE,
            DONE,
        ]
    )
    message = served.ask(QUESTION).json()["choices"][0]["message"]
    assert message["content"] == "Twenty [1]."
    assert message["reasoning"] == "The user wants honey [1]."


def test_length_is_told(served: Application, upstream: Upstream) -> None:
    upstream.chat = stream_reply("Twenty kilo", finish_reason="length")
    assert served.ask(QUESTION).json()["choices"][0]["finish_reason"] == "length"


IGNORES = "The model server does not stop at max_tokens"


def endless(*deltas: dict[str, str], index: int = 0) -> Reply:
    """Return an answer of pieces that come again and again, and never end."""
    pieces = [part for one in deltas for part in (chunk(one, index=index), 0.001)]
    return Reply([START, *pieces * 1000])


def test_a_server_that_ignores_max_tokens_is_stopped(
    served: Application, upstream: Upstream
) -> None:
    upstream.chat = endless({"content": "Twenty "})
    body = served.ask(QUESTION, max_tokens=5).json()
    assert upstream.left.wait(timeout=5)
    [choice] = body["choices"]
    assert choice["message"]["content"] == "Twenty " * 5
    assert choice["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 5
    [warning] = [one for one in body["suffice"]["warnings"] if one.startswith(IGNORES)]
    trace = served.http.get(f"/v1/traces/{body['suffice']['trace_id']}").json()["body"]
    assert warning in trace["warnings"]


def test_thinking_counts_as_well(served: Application, upstream: Upstream) -> None:
    upstream.chat = endless({"reasoning": "Hm "}, {"content": "Twenty "})
    [choice] = served.ask(QUESTION, max_tokens=5).json()["choices"]
    assert upstream.left.wait(timeout=5)
    assert choice["message"]["reasoning"] == "Hm " * 3
    assert choice["message"]["content"] == "Twenty " * 2


def test_blanks_without_end_are_stopped_and_paid(served: Application, upstream: Upstream) -> None:
    before = served.http.get("/v1/usage").json()["total"]["num_answers"]
    upstream.chat = endless({"content": " "})
    assert_refused(served.ask(QUESTION, max_tokens=5), 502, "model_failed", None, "without")
    assert upstream.left.wait(timeout=5)
    assert served.http.get("/v1/usage").json()["total"]["num_answers"] == before + 1


def test_all_answers_end_with_one_that_is_too_long(served: Application, upstream: Upstream) -> None:
    upstream.chat = endless({"content": "Twenty "}, index=1)
    first, second = served.ask(QUESTION, max_tokens=5, n=2).json()["choices"]
    assert upstream.left.wait(timeout=5)
    assert first["message"]["content"] == ""
    assert second["message"]["content"] == "Twenty " * 5
    assert first["finish_reason"] == second["finish_reason"] == "length"


@pytest.mark.parametrize(("max_tokens", "is_told"), [(11, True), (12, False)])
def test_a_usage_above_max_tokens_is_told(
    served: Application, upstream: Upstream, max_tokens: int, *, is_told: bool
) -> None:
    """The pieces do not tell that, because they have several tokens."""
    upstream.chat = stream_reply("Twenty", " kilograms")  # 12 tokens, as it says
    warnings = served.ask(QUESTION, max_tokens=max_tokens).json()["suffice"]["warnings"]
    assert any(one.startswith(IGNORES) for one in warnings) is is_told


def test_server_without_usage_or_details(served: Application, upstream: Upstream) -> None:
    upstream.chat = Reply([chunk({"content": "Twenty."}, "stop"), DONE])
    body = served.ask(QUESTION).json()
    assert body["usage"]["completion_tokens"] == 1  # pieces, for want of better
    assert body["usage"]["prompt_tokens"] > 100  # by /tokenize
    assert [call["is_estimated"] for call in body["suffice"]["cost"]["calls"]] == [True]
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    upstream.chat = Reply([chunk({"content": "Twenty."}, "stop"), chunk(None, usage=usage), DONE])
    assert served.ask(QUESTION).json()["usage"]["prompt_tokens_details"] == {"cached_tokens": 0}


def test_usage_of_the_wrong_type_counts_as_none(served: Application, upstream: Upstream) -> None:
    usage = {"prompt_tokens": "many", "completion_tokens": 2, "total_tokens": None}
    upstream.chat = Reply([chunk({"content": "Twenty."}, "stop"), chunk(None, usage=usage), DONE])
    [call] = served.ask(QUESTION).json()["suffice"]["cost"]["calls"]
    assert call["is_estimated"]


def test_usage_that_cannot_be_is_made_possible(served: Application, upstream: Upstream) -> None:
    usage = {
        "prompt_tokens": 40,
        "completion_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 4000},
        "completion_tokens_details": {"reasoning_tokens": 50},
    }
    upstream.chat = Reply([chunk({"content": "Twenty."}, "stop"), chunk(None, usage=usage), DONE])
    told = served.ask(QUESTION).json()["usage"]
    assert told["prompt_tokens_details"] == {"cached_tokens": 40}
    assert told["completion_tokens_details"] == {"reasoning_tokens": 3}

    for prompt_tokens, completion_tokens in ((-1_000_000, -5), (10**30, 10**30)):
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
        ending = [chunk({"content": "Twenty."}, "stop"), chunk(None, usage=usage), DONE]
        upstream.chat = Reply(ending)
        body = served.ask(QUESTION).json()
        assert 100 < body["usage"]["prompt_tokens"] < 1000  # by our own count
    assert body["usage"]["completion_tokens"] == 1


def test_thinking_without_a_parser_is_no_part_of_the_answer(
    served: Application, upstream: Upstream
) -> None:
    upstream.chat = stream_reply("<thi", "nk>The user wants honey.", "</think>\n\n", "Twenty [1].")
    message = served.ask(QUESTION).json()["choices"][0]["message"]
    assert message["content"] == "Twenty [1]."
    assert message["reasoning"] == "The user wants honey."


def test_log_probabilities_of_half_characters_are_passed_on(
    served: Application, upstream: Upstream
) -> None:
    def choice(text: str, index: int, reason: str | None = None) -> bytes:
        tokens = [{"token": text, "logprob": -1.0, "bytes": [], "top_logprobs": []}]
        delta = {"index": index, "delta": {"content": text}, "finish_reason": reason}
        return event({"choices": [{**delta, "logprobs": {"content": tokens}}]})

    pieces = [choice("Ho", 0), choice("", 0), choice("ney.", 0, "stop")]
    upstream.chat = Reply([*pieces, USAGE, DONE])
    [whole] = served.ask(QUESTION, logprobs=True).json()["choices"]
    assert [token["token"] for token in whole["logprobs"]["content"]] == ["Ho", "", "ney."]

    upstream.chat = Reply([chunk({"content": "No."}, "stop"), choice("Ho.", 1, "stop"), DONE])
    none, some = served.ask(QUESTION, logprobs=True, n=2).json()["choices"]
    assert (none["logprobs"]["content"], len(some["logprobs"]["content"])) == ([], 1)


def test_halves_of_characters_are_joined_or_replaced(
    served: Application, upstream: Upstream
) -> None:
    def answer(*pieces: str) -> str:
        parts = [part for piece in pieces for part in (chunk({"content": piece}), PAUSE_SECONDS)]
        upstream.chat = Reply([START, *parts, chunk({}, "stop"), USAGE, DONE])
        content: str = served.ask(QUESTION).json()["choices"][0]["message"]["content"]
        return content

    assert answer("Twenty \ud83d", "\ude00 bees") == "Twenty \U0001f600 bees"
    assert answer("Twenty \ud83d", " bees") == "Twenty \ufffd bees"
    assert answer("Twenty \ud83d") == "Twenty \ufffd"
    as_bytes = chunk({"content": "Twenty \ud83d"}).replace(rb"\ud83d", b"\xed\xa0\xbd")
    upstream.chat = Reply([as_bytes, chunk({"content": "\ude00"}, "stop"), DONE])
    assert served.ask(QUESTION).json()["choices"][0]["message"]["content"] == "Twenty \U0001f600"
    thoughts = [chunk({"reasoning": text}) for text in ("Oh \ud83d", "\ude00.", "\ud83d")]
    upstream.chat = Reply([START, *thoughts, chunk({"content": "Twenty."}, "stop"), DONE])
    message = served.ask(QUESTION).json()["choices"][0]["message"]
    assert message["reasoning"] == "Oh \U0001f600.\ufffd"


def test_halves_of_characters_in_log_probabilities_and_errors_are_replaced(
    served: Application, upstream: Upstream
) -> None:
    def token(text: str, **more: object) -> dict[str, object]:
        return {"token": text, "logprob": -1.0, "bytes": None, **more}

    tokens = [token("\ud83d", top_logprobs=[token("\ude00")])]
    choice = {"index": 0, "delta": {"content": "Twenty."}, "logprobs": {"content": tokens}}
    upstream.chat = Reply([event({"choices": [choice]}), chunk({}, "stop"), DONE])
    replaced = [token("\ufffd", top_logprobs=[token("\ufffd")])]
    [whole] = served.ask(QUESTION, logprobs=True).json()["choices"]
    assert whole["logprobs"]["content"] == replaced
    pieces = [one["choices"][0] for one in served.stream(QUESTION, logprobs=True)]
    assert [one["logprobs"]["content"] for one in pieces if one["logprobs"]] == [replaced]

    upstream.chat = error_reply(400, "What is \ud83d?", "BadRequestError")
    assert_refused(served.ask(QUESTION), 400, "invalid_value", None, "What is \ufffd\\?")


def test_an_infinite_log_probability_becomes_the_least_of_openai(
    served: Application, upstream: Upstream
) -> None:
    token = {"token": "Ho", "logprob": float("-inf"), "bytes": None, "top_logprobs": []}
    choice = {"index": 0, "delta": {"content": "Ho"}, "logprobs": {"content": [token]}}
    upstream.chat = Reply([event({"choices": [choice]}), chunk({}, "stop"), DONE])
    [whole] = served.ask(QUESTION, logprobs=True).json()["choices"]
    assert whole["logprobs"]["content"] == [{**token, "logprob": -9999.0}]


def test_unheard_of_finish_reason_is_a_stop(served: Application, upstream: Upstream) -> None:
    upstream.chat = stream_reply("Twenty.", finish_reason="repetition")
    assert served.ask(QUESTION).json()["choices"][0]["finish_reason"] == "stop"


def test_first_listed_model_is_asked_if_none_is_configured(
    unlisted: Application, upstream: Upstream
) -> None:
    assert unlisted.ask(QUESTION).json()["suffice"]["answered_by"] == MODEL
    assert upstream.requests[0]["model"] == MODEL


def test_another_model_at_the_same_place_answers(unlisted: Application, upstream: Upstream) -> None:
    assert unlisted.ask(QUESTION).json()["suffice"]["answered_by"] == MODEL
    card = {"id": "other", "object": "model", "max_model_len": 1024}
    upstream.models = json_reply({"object": "list", "data": [card]})
    unknown = error_reply(404, f"The model `{MODEL}` does not exist.", "NotFoundError", "model")
    other = stream_reply("Twenty [1].")
    upstream.respond = lambda request: other if request["model"] == "other" else unknown
    upstream.knows = {"other"}
    body = unlisted.ask(QUESTION, max_tokens=900).json()
    assert body["suffice"]["answered_by"] == "other"
    counter = unlisted.service.models.get(None).counter
    assert counter is not None
    assert (counter.window(), counter.is_exact) == (1024, True)
    assert unlisted.http.get("/readyz").status_code == 200


def test_a_prompt_that_is_too_long_lets_the_window_be_read_anew(
    served: Application, upstream: Upstream
) -> None:
    served.ask(QUESTION)
    card = {"id": MODEL, "object": "model", "max_model_len": 700}
    upstream.models = json_reply({"object": "list", "data": [card]})
    says = "This model's maximum context length is 700 tokens."
    upstream.replies = [error_reply(400, says, "BadRequestError", "input_tokens")]
    served.ask(QUESTION)
    assert upstream.requests[-1]["max_tokens"] == 700 // 4  # as much as an answer may take of it


# ---- refusals: the status still tells


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("reply", "status", "code", "says"),
    [
        pytest.param(
            error_reply(
                400,
                "This model's maximum context length is 2048 tokens. However, your prompt contains "
                "at least 2049 input tokens. (parameter=input_tokens, value=2049)",
                "BadRequestError",
                "input_tokens",
            ),
            400,
            "context_length_exceeded",
            "maximum context length is 2048.*Lower top_k",
            id="context too long",
        ),
        pytest.param(
            json_reply({"error": "Unauthorized"}, 401),
            502,
            "model_failed",
            "SERVING_LLM_API_KEY",
            id="wrong key",
        ),
        pytest.param(
            error_reply(404, "The model `nope` does not exist.", "NotFoundError", "model"),
            502,
            "model_failed",
            "`nope` does not exist.*SERVING_LLM_MODEL",
            id="unknown model",
        ),
        pytest.param(
            json_reply({"detail": "Not Found"}, 404),
            502,
            "model_failed",
            "SERVING_LLM_URL",
            id="unknown route",
        ),
        pytest.param(
            error_reply(500, "EngineCore encountered an issue.", "InternalServerError"),
            503,
            "model_unavailable",
            "EngineCore encountered an issue",
            id="internal error",
        ),
        pytest.param(
            error_reply(
                503,
                "The engine is currently busy and cannot accept new requests.",
                "Service Unavailable",
            ),
            503,
            "model_unavailable",
            "currently busy",
            id="overload",
        ),
        pytest.param(
            error_reply(429, "Slow down.", "rate_limit_error"),
            503,
            "model_unavailable",
            "Slow down",
            id="rate limit",
        ),
        *(
            pytest.param(
                error_reply(status, "The temperature is too hot", "x", "temperature"),
                400,
                code,
                f"refused the request: The temperature is too hot.{says}",
                id=f"status {status}",
            )
            for status, code, says in (
                (422, "invalid_value", "$"),
                (413, "context_length_exceeded", " Lower top_k"),
            )
        ),
        pytest.param(
            error_reply(500, "Prompt: " + "secret " * 500, "InternalServerError"),
            503,
            "model_unavailable",
            "^.{,300}$",
            id="quotes the prompt",
        ),
        pytest.param(
            json_reply({"error": {"message": "Overloaded", "code": 500}}),
            502,
            "model_failed",
            "broke off: Overloaded",
            id="error with status 200",
        ),
        pytest.param(
            Reply([event({"error": "CUDA out of memory"}), DONE]),
            502,
            "model_failed",
            "broke off: CUDA out of memory",
            id="text as error event",
        ),
        pytest.param(
            Reply([b"[" * 100_000], 500, "application/json"),
            503,
            "model_unavailable",
            r"cannot answer now \(500\): \[",
            id="error nested too deep",
        ),
        pytest.param(HTML, 502, "model_failed", "The model (server )?(broke|does)", id="HTML"),
        pytest.param(
            json_reply({"hello": "world"}),
            502,
            "model_failed",
            "The model (server )?(broke|does)",
            id="JSON",
        ),
        *(
            pytest.param(
                Reply([part, DONE]),
                502,
                "model_failed",
                "The model (server )?(broke|does)",
                id=f"event {name}",
            )
            for name, part in {
                "no completion": event({"hello": "world"}),
                "list": event([1, 2]),
                "text": event("text"),
                "number": event(7),
                "null": event(None),
                "no choices": event({"choices": None}),
                "text as choices": event({"choices": "abc"}),
                "null choice": event({"choices": [None]}),
                "choice too many": event({"choices": [{"index": 5, "delta": {"content": "x"}}]}),
                "object as choices": event({"choices": {"a": 1}}),
                "number as content": chunk({"content": 7}, "stop"),
                "text as usage": chunk({}, None, usage="much"),
                "no JSON": b"data: {not json\n\n",
                "no UTF-8": b"data: \xff\xfe\n\n",
                "nested too deep": b"data: " + b"[" * 100_000 + b"\n\n",
            }.items()
        ),
        pytest.param(
            Reply([]), 502, "model_failed", "The model (server )?(broke|does)", id="nothing"
        ),
        pytest.param(Reply([START, DONE]), 502, "model_failed", "broke off", id="no finish_reason"),
        pytest.param(
            Reply([event({"error": {"message": "EngineCore died.", "code": 500}}), DONE]),
            502,
            "model_failed",
            "EngineCore died",
            id="error event",
        ),
    ],
)
def test_sick_server(
    served: Application,
    upstream: Upstream,
    reply: Reply,
    status: int,
    code: str,
    says: str,
    *,
    stream: bool,
) -> None:
    upstream.chat = reply
    response = served.ask(QUESTION, stream=stream)
    assert_refused(response, status, code, None, says)
    assert ("retry-after" in response.headers) == (status == 503)


def test_thinking_alone_is_no_answer(served: Application, upstream: Upstream) -> None:
    thinking = [START, chunk({"reasoning": "Hm."}), chunk({"content": " "}, "length"), DONE]
    upstream.chat = Reply(thinking)
    says = "without an answer.*SERVING_MAX_ANSWER_TOKENS"
    assert_refused(served.ask(QUESTION), 502, "model_failed", None, says)
    _, thought, last = served.stream(QUESTION)
    assert thought["choices"][0]["delta"] == {"reasoning": "Hm."}
    assert last["error"]["code"] == "model_failed"


def test_server_that_says_nothing_at_all(served: Application, upstream: Upstream) -> None:
    upstream.chat = Reply([START, LONG_SECONDS])
    started = time.monotonic()
    response = served.ask(QUESTION)
    assert response.status_code == 503
    assert_refused(response, 503, "model_unavailable", None, "silent for 1 s")
    assert SILENCE_SECONDS <= time.monotonic() - started < 5 * SILENCE_SECONDS
    assert upstream.left.wait(timeout=5)


@pytest.mark.parametrize(
    "sign",
    [pytest.param(b": ping\n\n", id="comments"), pytest.param(chunk({"content": ""}), id="chunks")],
)
def test_signs_of_life_are_no_answer(served: Application, upstream: Upstream, sign: bytes) -> None:
    signs: list[bytes | float] = [sign, 0.1]
    upstream.chat = Reply([START, *signs * 100])
    assert_refused(served.ask(QUESTION), 503, "model_unavailable", None, "silent for 1 s")
    assert upstream.left.wait(timeout=5)

    words: list[bytes | float] = [chunk({"content": "Twenty "}), 0.7]
    upstream.chat = Reply([START, *words * 3, *stream_reply("[1].").parts])
    assert served.ask(QUESTION).status_code == 200


def test_a_busy_server_says_when_to_come_again(served: Application, upstream: Upstream) -> None:
    busy = error_reply(503, "Busy.", "Service Unavailable")
    upstream.chat = replace(busy, headers=[(b"retry-after", b"17")])
    assert served.ask(QUESTION).headers["retry-after"] == "17"
    upstream.chat = replace(busy, headers=[(b"retry-after", b"Fri, 27 Nov 2026 02:00:00 GMT")])
    assert served.ask(QUESTION).headers["retry-after"] == "5"


def test_server_that_is_down(orphaned: Application) -> None:
    for stream in (False, True):
        response = orphaned.ask(QUESTION, stream=stream)
        assert_refused(response, 503, "model_unavailable", None, "SERVING_LLM_URL")
        assert int(response.headers["retry-after"]) > 0


def test_server_that_takes_no_connection_was_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.openai_server._CONNECT_SECONDS", 0.2)
    address = ("127.0.0.1", 0)
    with (
        socket.create_server(address, backlog=0) as full,
        socket.create_connection(full.getsockname()),  # has the only place to wait
    ):
        backend = Backend(url=f"http://127.0.0.1:{full.getsockname()[1]}/v1", model=MODEL)
        counter = ServedTokenCounter(backend.url, MODEL, None)

        async def check() -> None:
            model = OpenAIGenerator("default", backend, counter, None, SILENCE_SECONDS)
            try:
                await model.check()
            finally:
                await model.close()

        with pytest.raises(ModelUnavailableError, match=r"does not answer.*SERVING_LLM_URL"):
            asyncio.run(check())


# ---- failures in the middle: only the stream can tell


@pytest.mark.parametrize(
    ("ending", "code", "says"),
    [
        pytest.param([], "model_failed", "broke off", id="ends without a word"),
        pytest.param([DONE], "model_failed", "broke off", id="no finish_reason"),
        pytest.param(
            [chunk({}, "abort"), DONE], "model_failed", "broke off", id="server is being stopped"
        ),
        pytest.param([LONG_SECONDS], "model_unavailable", "silent for 1 s", id="hangs"),
        pytest.param(
            [event({"error": {"message": "EngineCore died.", "code": 500}}), DONE],
            "model_failed",
            "EngineCore died",
            id="error event",
        ),
        pytest.param(
            [b"data: {not json\n\n"], "model_failed", "The model server does", id="garbage"
        ),
    ],
)
def test_answer_that_breaks_off(
    served: Application, upstream: Upstream, ending: list[bytes | float], code: str, says: str
) -> None:
    upstream.chat = Reply([START, chunk({"content": "Twenty"}), *ending])
    *pieces, last = served.stream(QUESTION)
    assert pieces[-1]["choices"][0]["delta"] == {"content": "Twenty"}
    assert set(last) == {"error"}
    assert set(last["error"]) == {"message", "type", "param", "code"}
    assert (last["error"]["type"], last["error"]["code"]) == ("server_error", code)
    assert says in last["error"]["message"]
    assert all("suffice" not in piece for piece in pieces)


def test_what_the_server_says_is_not_logged(
    served: Application, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    failed = event({"error": {"message": "Failed on prompt: the secret", "code": 500}})
    upstream.chat = Reply([START, chunk({"content": "Twenty"}), failed, DONE])
    *_, last = served.stream(QUESTION)
    assert "the secret" in last["error"]["message"]
    [record] = [record for record in caplog.records if record.message == "answer broke off"]
    assert vars(record)["reason"] == "ModelBrokeOffError"
    assert "the secret" not in caplog.text


def test_cut_connection(served: Application, upstream: Upstream) -> None:
    upstream.chat = Reply([START, chunk({"content": "Twenty"})], breaks_off=True)
    *_, last = served.stream(QUESTION)
    assert last["error"]["code"] in {"model_failed", "model_unavailable"}


def test_answer_that_breaks_off_without_streaming_has_a_status(
    served: Application, upstream: Upstream
) -> None:
    upstream.chat = Reply([START, chunk({"content": "Twenty"}), DONE])
    assert_refused(served.ask(QUESTION), 502, "model_failed", None, "broke off.*Ask again")


def test_client_that_leaves_stops_the_server(served: Application, upstream: Upstream) -> None:
    pieces = [part for _ in range(100) for part in (chunk({"content": "Twenty "}), 0.05)]
    upstream.chat = Reply([START, *pieces])
    messages = [{"role": "user", "content": QUESTION}]
    body = {"messages": messages, "stream": True}
    with served.http.stream("POST", "/v1/chat/completions", json=body) as response:
        for line in response.iter_lines():
            if "Twenty" in line:
                break
    assert upstream.left.wait(timeout=5)

    upstream.chat = stream_reply("Twenty [1].")
    assert served.ask(QUESTION).status_code == 200


# ---- readiness


def test_ready(served: Application, unlisted: Application) -> None:
    for application in (served, unlisted):
        response = application.http.get("/readyz")
        assert response.status_code == 200
        assert response.json() == {"ready": True, "parts": {"model": "ok", "index": "ok"}}


@pytest.mark.parametrize(
    ("models", "says"),
    [
        pytest.param(json_reply({"object": "list", "data": []}), "lists no model", id="none"),
        pytest.param(
            json_reply({"data": [{"id": "other", "object": "model"}]}),
            "no model 'tiny'; it has other. Set SERVING_LLM_MODEL",
            id="another",
        ),
        pytest.param(json_reply({"error": "Unauthorized"}, 401), "SERVING_LLM_API_KEY", id="key"),
        pytest.param(error_reply(503, "Busy.", "Service Unavailable"), "Busy", id="busy"),
        pytest.param(HTML, "SERVING_LLM_URL", id="HTML"),
        pytest.param(json_reply({"hello": "world"}), "SERVING_LLM_URL", id="JSON"),
        pytest.param(json_reply({"data": None}), "SERVING_LLM_URL", id="null"),
        pytest.param(json_reply({"data": ["tiny"]}), "SERVING_LLM_URL", id="texts"),
        pytest.param(json_reply([]), "SERVING_LLM_URL", id="array"),
    ],
)
def test_not_ready(served: Application, upstream: Upstream, models: Reply, says: str) -> None:
    upstream.models = models
    response = served.http.get("/readyz")
    assert response.status_code == 503, response.text
    assert int(response.headers["retry-after"]) > 0
    assert response.json()["ready"] is False
    assert says in response.json()["parts"]["model"]
    assert served.http.get("/healthz").status_code == 200


def test_not_ready_when_the_server_is_down(orphaned: Application) -> None:
    response = orphaned.http.get("/readyz")
    assert (response.status_code, response.json()["ready"]) == (503, False)
    assert "SERVING_LLM_URL" in response.json()["parts"]["model"]


def test_search_needs_no_language_model(orphaned: Application) -> None:
    assert orphaned.search(QUESTION)[0]["filename"] == "bees.md"
