"""What becomes of a question on its way to the model and back: plan, prompt, budget, cost."""

import json
import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ingest.home import Home
from serving.answering import Answerer
from serving.backends import Backend, ThinkingSwitch
from serving.breaker import CircuitBreaker
from serving.finding import search_library
from serving.generation import NO_ANSWER, Message, Thinking
from serving.grounding import NO_TIME
from serving.markers import make_nonce
from serving.models import Models
from serving.openai_server import OpenAIGenerator
from serving.pricing import PriceList
from serving.served_tokens import ServedTokenCounter
from tests.serving.application import Application, assert_refused, serve
from tests.serving.test_planning import QUICK
from tests.serving.upstream import (
    DONE,
    LONG_SECONDS,
    MODEL,
    START,
    USAGE,
    Reply,
    Upstream,
    chunk,
    count_words,
    error_reply,
    json_reply,
    stream_reply,
)

SECRET = b"a secret of this test"
NONCE = make_nonce(SECRET, "default")
SILENCE_SECONDS = 5.0
QUESTION = "How many kilograms of honey does one hive give each year?"
ANSWER = stream_reply("Twenty kilograms ", f"[{NONCE}-1].")
PRICES = PriceList(prompt=1.0, cached=0.5, completion=10.0, as_of=date(2026, 11, 26))
DEAR = PriceList(prompt=10.0, cached=5.0, completion=100.0, as_of=date(2026, 11, 26))
NUM_FAILURES = 5


def make_generator(name: str, backend: Backend) -> OpenAIGenerator:
    counter = ServedTokenCounter(backend.url, backend.model, None)
    breaker = CircuitBreaker(NUM_FAILURES)
    return OpenAIGenerator(name, backend, counter, None, SILENCE_SECONDS, breaker=breaker)


@pytest.fixture
def served(
    application: Application,
    documents: dict[str, str],
    upstream: Upstream,
    tmp_path: Path,
) -> Iterator[Application]:
    """A service with three models: `fast`, which answers by default, `strong`, and `dear`."""
    assert documents
    upstream.chat = ANSWER
    fast = Backend(url=upstream.url, model=MODEL, thinking=ThinkingSwitch.TEMPLATE, price=PRICES)
    strong = Backend(url=upstream.url, model="strong", thinking=ThinkingSwitch.EFFORT)
    dear = Backend(url=upstream.url, model="dear", price=DEAR)
    backends = {"fast": fast, "strong": strong, "dear": dear}
    models = Models({name: make_generator(name, one) for name, one in backends.items()})
    service = application.service
    find = partial(search_library, service.library, service.searcher)
    answerer = Answerer(service.library, find, models, SECRET)
    home = Home(tmp_path)
    with serve(replace(service, answerer=answerer, models=models, home=home)) as served:
        yield served


def ask(served: Application, question: str = QUESTION, **options: Any) -> dict[str, Any]:
    response = served.ask(question, **options)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def talk(served: Application, *turns: str, **options: Any) -> dict[str, Any]:
    """Ask with a history of questions and answers in turn."""
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": turn} for i, turn in enumerate(turns)]
    response = served.http.post("/v1/chat/completions", json={"messages": messages, **options})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def content(body: dict[str, Any], index: int = 0) -> str:
    text: str = body["choices"][index]["message"]["content"]
    return text


def num_prompt_tokens(request: dict[str, Any]) -> int:
    """Count a prompt as the fake does."""
    texts = [message["content"] for message in request["messages"]]
    return sum(map(count_words, texts)) + 4 * len(texts)


# ---- the language of answers

GERMAN = (
    "Ein Volk gibt zwanzig Kilogramm in einem Jahr, und das ist auch für die Imker nicht wenig, "
    "wenn es kalt ist oder die Bienen nach der Tracht noch nicht satt sind."
)
IN_GERMAN = "The answer seems to be in German, and the question in English. Name the language"


def warns_of_language(body: dict[str, Any]) -> bool:
    return any(warning.startswith(IN_GERMAN) for warning in body["suffice"]["warnings"])


def test_an_answer_in_another_language_is_told(served: Application, upstream: Upstream) -> None:
    upstream.chat = stream_reply(GERMAN, f" [{NONCE}-1].")
    body = ask(served)
    assert warns_of_language(body)
    trace = served.http.get(f"/v1/traces/{body['suffice']['trace_id']}").json()
    assert trace["body"]["warnings"] == body["suffice"]["warnings"]
    *_, last = served.stream(QUESTION)
    assert warns_of_language(last)


def test_an_answer_in_the_language_that_was_asked_for_is_fine(
    served: Application, upstream: Upstream
) -> None:
    upstream.chat = stream_reply(GERMAN, f" [{NONCE}-1].")
    assert not warns_of_language(ask(served, f"{QUESTION} Answer in German."))
    system = {"role": "system", "content": "Antworte in der Sprache, die auf dem Schild steht."}
    body = {"messages": [system, {"role": "user", "content": QUESTION}]}
    assert not warns_of_language(served.http.post("/v1/chat/completions", json=body).json())
    assert not warns_of_language(ask(served, response_format={"type": "json_object"}))


# ---- the prompt


def test_tags_become_markers_and_no_part_of_one_is_seen(
    served: Application, upstream: Upstream
) -> None:
    upstream.chat = stream_reply("Twenty [", NONCE[:2], NONCE[2:] + "-", "1", "] kilograms.")
    *pieces, _ = served.stream(QUESTION)
    texts = [piece["choices"][0]["delta"]["content"] for piece in pieces]
    assert "".join(texts) == "Twenty [1] kilograms."
    assert not any(NONCE[:2] in text for text in texts)


def test_a_window_that_is_too_small_for_all_gets_less(
    served: Application, upstream: Upstream
) -> None:
    instructions = num_prompt_tokens(ask_for_request(served, upstream, top_k=1))
    fast = served.service.models.get("fast")
    assert isinstance(fast.counter, ServedTokenCounter)
    whole = ask(served)["suffice"]["context"]["tokens"]
    window = instructions + whole // 2 + 100
    fast.counter._context_tokens = window
    body = ask(served, max_tokens=100)
    assert num_prompt_tokens(upstream.requests[-1]) + 100 <= window
    assert 0 < body["suffice"]["context"]["tokens"] < whole
    assert body["suffice"]["plan"]["given_up"] == ["context"]


def ask_for_request(served: Application, upstream: Upstream, **options: Any) -> dict[str, Any]:
    ask(served, suffice=options)
    return upstream.requests[-1]


def test_what_fills_the_window_is_refused(served: Application) -> None:
    messages = [
        {"role": "system", "content": "Answer as if you were a beekeeper. " * 400},
        {"role": "user", "content": QUESTION},
    ]
    response = served.http.post("/v1/chat/completions", json={"messages": messages})
    says = r"window of 'fast' has 2,048"
    assert_refused(response, 400, "context_length_exceeded", "messages", says)
    response = served.ask(QUESTION, max_tokens=4000)
    assert_refused(response, 400, "context_length_exceeded", "messages", "lower max_tokens")


def test_a_prompt_that_the_server_finds_too_long_is_cut_once(
    served: Application, upstream: Upstream
) -> None:
    says = "This model's maximum context length is 100 tokens."
    refusal = error_reply(400, says, "BadRequestError", "input_tokens")
    upstream.replies = [refusal]
    body = ask(served)
    first, second = upstream.requests
    assert num_prompt_tokens(second) < num_prompt_tokens(first)
    assert any("half the context" in warning for warning in body["suffice"]["warnings"])
    upstream.replies = [refusal, refusal]
    assert_refused(served.ask(QUESTION), 400, "context_length_exceeded", None, says)


def test_a_server_that_cuts_the_prompt_silently_is_found_out(
    served: Application, upstream: Upstream
) -> None:
    assert num_prompt_tokens(ask_for_request(served, upstream)) > 100
    # The fake counts 40 prompt tokens, whatever it gets.
    [warning] = ask(served)["suffice"]["warnings"]
    assert "read 40 of" in warning


@pytest.mark.parametrize(("share", "is_cut"), [(0.99, False), (0.95, True)])
def test_a_few_tokens_more_or_less_are_no_cut(
    served: Application, upstream: Upstream, share: float, is_cut: bool
) -> None:
    sent = num_prompt_tokens(ask_for_request(served, upstream))
    usage = {"prompt_tokens": int(share * sent), "completion_tokens": 2}
    upstream.chat = Reply([chunk({"content": "Bees."}, "stop"), chunk(None, usage=usage), DONE])
    assert any("it cuts prompts" in one for one in ask(served)["suffice"]["warnings"]) == is_cut


def test_earlier_turns_stay_word_for_word(served: Application, upstream: Upstream) -> None:
    first = content(ask(served))
    talk(served, QUESTION, first, "Where do bees sleep at night?")
    before, after = (request["messages"] for request in upstream.requests)
    assert after[: len(before)] == before
    assert after[len(before)] == {"role": "assistant", "content": f"Twenty kilograms [{NONCE}-1]."}
    # What the first turn had is not said again.
    assert "One hive gives twenty kilograms" not in after[-1]["content"]


def test_a_citation_may_name_a_passage_of_an_earlier_turn(
    served: Application, upstream: Upstream
) -> None:
    first = ask(served)
    second = talk(served, QUESTION, content(first), "Where do bees sleep at night?")
    cited = [
        body["choices"][0]["message"]["annotations"][0]["file_citation"]["document_id"]
        for body in (first, second)
    ]
    assert cited[0] == cited[1]
    assert second["suffice"]["context"]["recalled"] > 0
    assert second["suffice"]["context"]["recalled_tokens"] == first["suffice"]["context"]["tokens"]
    assert upstream.requests


def test_a_document_deleted_meanwhile_is_not_recalled(
    served: Application, upstream: Upstream
) -> None:
    options = {"suffice": {"collection": "zoo"}}
    served.ingest("keep.txt", "The zebra is older than the zoo.", collection="zoo")
    okapi = served.ingest("okapi.txt", "The okapi eats leaves and clay.", collection="zoo")
    first = content(ask(served, "What does the okapi eat?", **options))
    served.http.delete(f"/v1/documents/{okapi['id']}")
    body = talk(served, "What does the okapi eat?", first, "How old is the zebra?", **options)
    assert body["suffice"]["context"]["recalled"] == 0
    assert "leaves and clay" not in json.dumps(upstream.requests[-1]["messages"])


def test_a_long_history_loses_its_oldest_turns(served: Application, upstream: Upstream) -> None:
    turns = [f"{'Tell me more about bees. ' * 30} {i}" for i in range(16)]
    body = talk(served, *turns, QUESTION)
    assert num_prompt_tokens(upstream.requests[-1]) < 2048
    assert any("turns were left out" in warning for warning in body["suffice"]["warnings"])


def test_many_short_turns_take_no_more_than_long_ones(
    served: Application, upstream: Upstream
) -> None:
    body = talk(served, *["Yes."] * 600, QUESTION, max_tokens=50)
    assert num_prompt_tokens(upstream.requests[-1]) < 2048
    assert any("of 600 turns were left out" in one for one in body["suffice"]["warnings"])


def test_a_long_conversation_loses_them_though_it_is_remembered(
    served: Application, upstream: Upstream
) -> None:
    turns: list[str] = []
    for name in ("first", "second"):
        turns += [f"{QUESTION} {name} {'Think of the bees. ' * 120}"]
        turns += [content(talk(served, *turns, max_tokens=50))]
    body = talk(served, *turns, QUESTION, max_tokens=50)
    assert any("oldest 2 of 4 turns were left" in one for one in body["suffice"]["warnings"])
    said = json.dumps(upstream.requests[-1]["messages"])
    assert "second Think" in said
    assert "first Think" not in said


def test_a_follow_up_is_rewritten_by_the_model(served: Application, upstream: Upstream) -> None:
    query = "How many kilograms of honey does a hive give?"
    upstream.replies = [stream_reply(json.dumps({"query": query}))]
    body = talk(served, "What do bees make?", "Honey.", "How much of it?")
    assert body["suffice"]["query"]["text"] == query
    assert body["suffice"]["query"]["method"] == "model"
    assert [call["purpose"] for call in body["suffice"]["cost"]["calls"]] == ["rewrite", "answer"]
    assert body["usage"]["prompt_tokens"] == 2 * 40
    rewriting, answer = upstream.requests
    assert rewriting["response_format"]["type"] == "json_schema"
    assert rewriting["chat_template_kwargs"] == {"enable_thinking": False}
    assert answer["messages"][-1]["content"].endswith("Question: How much of it?")


def test_a_model_that_cannot_rewrite_leaves_it_to_the_rules(
    served: Application, upstream: Upstream
) -> None:
    upstream.replies = [error_reply(503, "Busy.", "Service Unavailable")]
    body = talk(served, "What do bees make?", "Honey.", "How much of it?")
    assert body["suffice"]["query"]["method"] == "rules"
    assert any("by rules" in warning for warning in body["suffice"]["warnings"])


# ---- levers


def test_n_answers(served: Application, upstream: Upstream) -> None:
    parts = [
        START,
        *(delta_of(index, text) for index, text in ((0, "Twenty [1]"), (1, "20 [1]"), (0, "."))),
        delta_of(1, ".", "length"),
        delta_of(0, "", "stop"),
        USAGE,
        DONE,
    ]
    upstream.chat = Reply(parts)
    body = ask(served, n=2)
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    assert [content(body, i) for i in range(2)] == ["Twenty [1].", "20 [1]."]
    assert [choice["finish_reason"] for choice in body["choices"]] == ["stop", "length"]
    assert all(len(choice["message"]["annotations"]) == 1 for choice in body["choices"])
    assert upstream.requests[-1]["n"] == 2
    events = served.stream(QUESTION, n=2)
    by_choice = ["", ""]
    for event in events:
        choice = event["choices"][0]
        by_choice[choice["index"]] += choice["delta"].get("content", "")
    assert by_choice == ["Twenty [1].", "20 [1]."]
    assert sum("suffice" in event for event in events) == 1


def test_samples_are_never_greedy(served: Application, upstream: Upstream) -> None:
    ends = [delta_of(index, "Twenty [1].", "stop") for index in range(3)]
    upstream.chat = Reply([START, *ends, USAGE, DONE])
    says = "Samples at temperature 0 would all be the same: it was 0.7."
    for temperature, is_warned in ((0, True), (0.2, False)):
        body = ask(served, temperature=temperature, suffice={"samples": 3})
        assert (says in body["suffice"]["warnings"]) is is_warned
        assert upstream.requests[-1]["temperature"] == (temperature or 0.7)


def delta_of(
    index: int, text: str, finish_reason: str | None = None, field: str = "content"
) -> bytes:
    event = json.loads(chunk({field: text}, finish_reason).removeprefix(b"data: "))
    event["choices"][0]["index"] = index
    return f"data: {json.dumps(event)}\n\n".encode()


def test_samples_without_a_word_count_for_nothing(served: Application, upstream: Upstream) -> None:
    right = "One hive gives twenty kilograms of honey each year"
    texts = ["", "It is a secret.", f"{right} [{NONCE}-1].", ""]
    pieces = [delta_of(choice, text) for choice, text in enumerate(texts)]
    ends = [delta_of(choice, "", "stop" if text else "length") for choice, text in enumerate(texts)]
    upstream.chat = Reply([START, *pieces, *ends, DONE])
    suffice = {"samples": 4, "profile": {"packing": {"order": "score"}}}
    assert content(ask(served, suffice=suffice)) == f"{right} [1]."
    choices = ask(served, n=4)["choices"]
    assert [one["finish_reason"] for one in choices] == ["length", "stop", "stop", "length"]
    assert choices[0]["message"]["content"] == ""


def test_of_several_samples_the_one_that_most_agree_on(
    served: Application, upstream: Upstream
) -> None:
    texts = ("Thirty [1].", "Twenty  [1]", "twenty [1].")
    ends = [delta_of(index, text, "stop") for index, text in enumerate(texts)]
    upstream.chat = Reply([START, *ends, USAGE, DONE])
    body = ask(served, suffice={"samples": 3})
    assert len(body["choices"]) == 1
    assert content(body) == "Twenty  [1]"
    assert upstream.requests[-1]["n"] == 3
    assert upstream.requests[-1]["temperature"] > 0
    warned = ask(served, logprobs=True, suffice={"samples": 3})["suffice"]["warnings"]
    assert any("no log probabilities" in warning for warning in warned)
    response = served.ask(QUESTION, n=2, suffice={"samples": 2})
    assert_refused(response, 400, "invalid_value", "n", "not both")


def test_thinking_is_switched_as_the_model_wants_it(
    served: Application, upstream: Upstream
) -> None:
    ask(served, suffice={"thinking": 300}, max_tokens=50)
    request = upstream.requests[-1]
    assert request["chat_template_kwargs"] == {"enable_thinking": True}
    assert request["thinking_token_budget"] == 300
    assert request["max_tokens"] == 350
    ask(served, suffice={"thinking": False}, model="strong")
    assert upstream.requests[-1]["reasoning_effort"] == "none"
    ask(served, reasoning_effort="low", model="strong")
    assert upstream.requests[-1]["reasoning_effort"] == "low"


def test_a_model_that_cannot_think_says_so(application: Application) -> None:
    response = application.ask(QUESTION, suffice={"thinking": True})
    assert_refused(response, 400, "invalid_value", "suffice.thinking", "cannot be told to think")


def test_a_difficult_question_goes_to_a_strong_model_that_cannot_be_told_to_think(
    served: Application, upstream: Upstream
) -> None:
    difficult = {"strong_model": "dear", "strong_from_tokens": 1, "thinking": True}
    body = ask(served, suffice={"profile": {"answering": difficult}})
    request = upstream.requests[-1]
    assert request["model"] == "dear"
    assert not {"chat_template_kwargs", "reasoning_effort"} & request.keys()
    plan = body["suffice"]["plan"]
    assert (plan["thinking"], plan["given_up"]) == (None, ["thinking"])


def test_what_the_model_serves_is_passed_on(served: Application, upstream: Upstream) -> None:
    schema = {"type": "object", "properties": {"kg": {"type": "integer"}}}
    shape = {"type": "json_schema", "json_schema": {"name": "honey", "schema": schema}}
    logprobs = {"content": [{"token": "{", "logprob": -0.1, "bytes": [123], "top_logprobs": []}]}
    event = json.loads(chunk({"content": '{"kg": 20}'}, "stop").removeprefix(b"data: "))
    event["choices"][0]["logprobs"] = logprobs
    upstream.chat = Reply([START, f"data: {json.dumps(event)}\n\n".encode(), USAGE, DONE])
    body = ask(served, response_format=shape, logprobs=True, top_logprobs=2, presence_penalty=0.5)
    request = upstream.requests[-1]
    assert request["response_format"] == shape
    assert (request["logprobs"], request["top_logprobs"]) == (True, 2)
    assert request["presence_penalty"] == 0.5
    assert json.loads(content(body)) == {"kg": 20}
    assert body["choices"][0]["logprobs"]["content"] == logprobs["content"]


def test_lists_of_json_are_no_markers(served: Application, upstream: Upstream) -> None:
    upstream.chat = stream_reply('{"kg": [1, ', f'2], "hives": [1], "from": "[{NONCE}-2]"}}')
    body = ask(served, response_format={"type": "json_object"})
    assert json.loads(content(body)) == {"kg": [1, 2], "hives": [1], "from": "[2]"}
    [annotation] = body["choices"][0]["message"]["annotations"]
    assert annotation["file_citation"]["marker"] == "[2]"


def test_indexes_of_code_are_no_markers(served: Application, upstream: Upstream) -> None:
    text = "One hive gives twenty kilograms of honey each year"
    upstream.chat = stream_reply(f"{text} [{NONCE}-1].\n\n```\nkg = hives[1]\n```")
    [annotation] = ask(served)["choices"][0]["message"]["annotations"]
    assert annotation["file_citation"]["text_start"] == len(f"{text} ")


def test_links_of_passages_that_are_not_cited_do_nothing(
    served: Application, upstream: Upstream
) -> None:
    served.ingest("logo.md", "Pixels: https://a.org/pixel.png of the zoo.", collection="links")
    options = {"suffice": {"collection": "links"}}
    image = "![logo](https://a.org/pixel.png)"
    nonce = make_nonce(SECRET, "links")
    upstream.replies = [
        stream_reply(f"A zoo. {image}"),
        stream_reply(f"A zoo [{nonce}-1]. {image}"),
    ]
    inert, live = (content(ask(served, "Which pixels?", **options)) for _ in range(2))
    assert inert == "A zoo. ![logo] (https: //a.org/pixel.png)"
    assert live == f"A zoo [1]. {image}"


def test_json_hides_no_link(served: Application, upstream: Upstream) -> None:
    upstream.chat = stream_reply(r'{"kg": "https:\/', r"\/evil.org \u003", 'cimg src=x>"}')
    body = ask(served, response_format={"type": "json_object"})
    assert json.loads(content(body)) == {"kg": "https: //evil.org < img src=x>"}


def test_thoughts_show_no_part_of_a_tag(served: Application, upstream: Upstream) -> None:
    thoughts = [chunk({"reasoning": text}) for text in ("Look at [", NONCE[:2], f"{NONCE[2:]}-1].")]
    upstream.chat = Reply([START, *thoughts, chunk({"content": "Twenty [1]."}, "stop"), DONE])
    message = ask(served)["choices"][0]["message"]
    assert (message["reasoning"], message["content"]) == ("Look at [1].", "Twenty [1].")


def test_thoughts_are_of_the_answer_that_is_given(served: Application, upstream: Upstream) -> None:
    def think(*thoughts: str, texts: Sequence[str]) -> Reply:
        parts = [delta_of(i, thought, field="reasoning") for i, thought in enumerate(thoughts)]
        more = [delta_of(i, ".", field="reasoning") for i in range(len(thoughts))]
        ends = [delta_of(i, text, "stop") for i, text in enumerate(texts)]
        return Reply([START, *parts, *more, *ends, USAGE, DONE])

    def thought_and_text(**options: Any) -> list[tuple[str, str]]:
        choices = ask(served, **options)["choices"]
        return [(one["message"]["reasoning"], one["message"]["content"]) for one in choices]

    upstream.chat = think(
        "One", "Two", "Three", texts=["Thirty [1].", "Twenty [1].", "Twenty [1]."]
    )
    assert thought_and_text(suffice={"samples": 3}) == [("Two.", "Twenty [1].")]

    weak, strong = think("Weak", texts=["No idea."]), think("Strong", texts=["Twenty [1]."])
    policy = {"strong_model": "strong", "escalate": True}
    upstream.replies = [weak, strong]
    suffice = {"profile": {"answering": policy}}
    assert thought_and_text(suffice=suffice) == [("Strong.", "Twenty [1].")]

    right = "One hive gives twenty kilograms of honey each year [1]."
    both = think("One", "Two", texts=[right, right])
    supported = stream_reply('{"verdict": "supported"}')
    upstream.replies = [both, supported, supported]
    by_score = {"packing": {"order": "score"}}
    drop = {"verify": "drop", "profile": by_score}
    assert thought_and_text(n=2, suffice=drop) == [("One.", right), ("Two.", right)]


def test_the_model_is_chosen_by_name_or_by_difficulty(
    served: Application, upstream: Upstream
) -> None:
    def answered_by(**options: Any) -> str:
        ask(served, **options)
        model: str = upstream.requests[-1]["model"]
        return model

    def policy(**answering: Any) -> dict[str, Any]:
        return {"suffice": {"profile": {"answering": {"strong_model": "strong", **answering}}}}

    assert answered_by() == MODEL
    assert answered_by(model="strong") == "strong"
    assert answered_by(**policy()) == MODEL
    assert answered_by(**policy(strong_below=1.01)) == "strong"
    assert answered_by(**policy(strong_below=0.01)) == MODEL
    assert answered_by(**policy(strong_from_tokens=5)) == "strong"
    assert answered_by(model="fast", **policy(strong_from_tokens=5)) == MODEL
    listed = [one["id"] for one in served.http.get("/v1/models").json()["data"]]
    assert listed == ["suffice", "fast", "strong", "dear"]


def test_an_answer_that_rests_on_nothing_goes_to_the_strong_model(
    served: Application, upstream: Upstream
) -> None:
    policy = {"strong_model": "strong", "escalate": True}
    profile = {"answering": policy, "packing": {"order": "score"}}
    upstream.replies = [stream_reply("No idea.")]
    body = ask(served, suffice={"profile": profile})
    assert [request["model"] for request in upstream.requests] == [MODEL, "strong"]
    assert content(body) == "Twenty kilograms [1]."
    assert [call["purpose"] for call in body["suffice"]["cost"]["calls"]] == ["answer", "escalate"]
    assert body["suffice"]["answered_by"] == "strong"
    upstream.requests.clear()
    ask(served, suffice={"profile": profile})
    assert [request["model"] for request in upstream.requests] == [MODEL]


def test_what_both_models_were_not_given_is_told_once(
    served: Application, upstream: Upstream
) -> None:
    upstream.chat = stream_reply("Bees are nice.")
    cards = [{"id": name, "max_model_len": 2048} for name in (MODEL, "strong")]
    upstream.models = json_reply({"data": cards})
    policy = {"strong_model": "strong", "escalate": True, "rewrite": "off"}
    turns = ["word " * 600, "So it is."] * 3
    body = talk(served, *turns, QUESTION, suffice={"profile": {"answering": policy}})
    assert [call["purpose"] for call in body["suffice"]["cost"]["calls"]] == ["answer", "escalate"]
    [note] = [one for one in body["suffice"]["warnings"] if "turns were left out" in one]
    assert note.startswith("The oldest")


def test_of_the_samples_of_the_strong_model_one_is_given(
    served: Application, upstream: Upstream
) -> None:
    def samples(*texts: str) -> Reply:
        ends = [delta_of(choice, text, "stop") for choice, text in enumerate(texts)]
        return Reply([START, *ends, USAGE, DONE])

    policy = {"strong_model": "strong", "escalate": True, "samples": 3}
    weak = samples("No idea.", "No idea.", "No idea.")
    upstream.replies = [weak, samples("Thirty [1].", "Twenty [1].", "Twenty [1].")]
    body = ask(served, suffice={"profile": {"answering": policy}})
    assert [request["n"] for request in upstream.requests] == [3, 3]
    assert len(body["choices"]) == 1
    assert content(body) == "Twenty [1]."


def test_of_several_answers_one_that_stands_suffices(
    served: Application, upstream: Upstream
) -> None:
    right = "One hive gives twenty kilograms of honey each year [1]."
    profile = {
        "answering": {"strong_model": "strong", "escalate": True},
        "packing": {"order": "score"},
    }

    def asked(*texts: str) -> list[str]:
        upstream.requests.clear()
        ends = [delta_of(choice, text, "stop") for choice, text in enumerate(texts)]
        strong = [delta_of(choice, right, "stop") for choice in range(2)]
        upstream.replies = [Reply([START, *some, USAGE, DONE]) for some in (ends, strong)]
        ask(served, n=2, suffice={"profile": profile})
        upstream.replies.clear()
        return [request["model"] for request in upstream.requests]

    assert asked(right, "No idea.") == [MODEL]
    assert asked("No idea.", right) == [MODEL]
    assert asked("No idea.", "It sings [1].") == [MODEL, "strong"]


def test_nobody_stands_in_for_a_strong_model_that_costs_too_much(
    served: Application, upstream: Upstream
) -> None:
    """The first model was asked already; a second answer of it would cost as much once more."""
    policy = {"strong_model": "dear", "escalate": True}
    suffice = {"profile": {"answering": policy}, "budget": {"max_cost_usd": 0.005}}
    upstream.chat = stream_reply("No idea.")
    body = ask(served, suffice=suffice, max_tokens=100)
    assert [request["model"] for request in upstream.requests] == [MODEL]
    assert content(body) == "No idea."
    assert any("strong model was not asked" in one for one in body["suffice"]["warnings"])


def test_a_strong_model_that_fails_leaves_the_first_answer(
    served: Application, upstream: Upstream
) -> None:
    policy = {"strong_model": "strong", "escalate": True}
    upstream.replies = [
        stream_reply(f"It sings at noon [{NONCE}-1]."),
        error_reply(503, "Busy.", "Service Unavailable"),
    ]
    body = ask(served, suffice={"profile": {"answering": policy}})
    assert content(body) == "It sings at noon [1]."
    assert len(body["choices"][0]["message"]["annotations"]) == 1
    assert body["suffice"]["plan"]["model"] == "fast"
    assert any("strong model was not asked" in one for one in body["suffice"]["warnings"])


def test_a_strong_model_that_breaks_off_did_not_write_the_answer(
    served: Application, upstream: Upstream
) -> None:
    policy = {"strong_model": "strong", "escalate": True}
    weak = stream_reply(f"It sings at noon [{NONCE}-1].")
    upstream.replies = [weak, Reply([START, chunk({"content": "Twen"})])]
    body = ask(served, suffice={"profile": {"answering": policy}})
    assert content(body) == "It sings at noon [1]."
    assert [call["purpose"] for call in body["suffice"]["cost"]["calls"]] == ["answer", "escalate"]
    assert body["suffice"]["answered_by"] == MODEL


def test_a_strong_model_that_is_cut_leaves_the_first_answer(
    served: Application, upstream: Upstream
) -> None:
    policy = {"strong_model": "strong", "escalate": True}
    weak = stream_reply(f"It sings at noon [{NONCE}-1].")
    upstream.replies = [weak, Reply([START, chunk({"content": "Twenty"}), LONG_SECONDS])]
    suffice = {"profile": {"answering": policy}, "budget": {"max_latency_ms": 2000}}
    body = ask(served, suffice=suffice)
    assert content(body) == "It sings at noon [1]."
    assert body["suffice"]["answered_by"] == MODEL
    warnings = body["suffice"]["warnings"]
    assert any("strong model was not asked, or did not answer: max_latency" in w for w in warnings)
    assert not any("answer was cut" in one for one in warnings)


def test_usage_of_an_answer_is_that_of_who_wrote_it_and_not_of_the_verifier(
    served: Application, upstream: Upstream
) -> None:
    def tokens() -> dict[str, int]:
        usage = served.http.get("/v1/usage", params={"group_by": "model"}).json()["usage"]
        return {one["model"]: one["prompt_tokens"] for one in usage}

    before = tokens()
    upstream.replies = [
        stream_reply(f"One hive gives twenty kilograms of honey each year [{NONCE}-1]."),
        stream_reply('{"verdict": "supported"}'),
    ]
    policy = {"verify": "mark", "verifier": "strong"}
    body = ask(served, suffice={"profile": {"answering": policy}})
    assert [call["model"] for call in body["suffice"]["cost"]["calls"]] == [MODEL, "strong"]
    after = tokens()
    assert after[MODEL] - before.get(MODEL, 0) == body["usage"]["prompt_tokens"]
    assert after.get("strong") == before.get("strong")


def test_nobody_is_asked_when_too_little_was_found(served: Application, upstream: Upstream) -> None:
    profile = {"answering": {"abstain_below": 1.01}}
    body = ask(served, suffice={"profile": profile})
    assert (content(body), upstream.requests) == (NO_ANSWER, [])
    assert body["suffice"]["cost"] == {"usd": 0.0, "basis": "free", "calls": []}
    assert body["usage"]["total_tokens"] == 0


def test_too_little_is_found_by_one_word_of_a_language_that_the_embedder_does_not_know(
    served: Application, upstream: Upstream
) -> None:
    """It is the best hit by words, which decide, but it has one of three."""
    served.ingest("пчёлы.txt", "Зимой пчёлы спят.", collection="russian")
    suffice = {"collection": "russian", "profile": {"answering": {"abstain_below": 0.5}}}
    body = ask(served, "пчёлы варят варенье", suffice=suffice)
    assert (body["suffice"]["abstained"], upstream.requests) == (True, [])
    trace = served.http.get(f"/v1/traces/{body['suffice']['trace_id']}").json()["body"]
    assert trace["relevance"] == pytest.approx(1 / 3)
    assert trace["candidates"][0]["scores"]["fused"] > 0.99
    upstream.replies = [ANSWER]
    assert not ask(served, "пчёлы спят зимой", suffice=suffice)["suffice"]["abstained"]


def test_each_of_n_answers_says_that_there_is_none(served: Application) -> None:
    suffice = {"profile": {"answering": {"abstain_below": 1.01}}}
    body = ask(served, "Wann schlafen die Bienen in der Nacht?", n=3, suffice=suffice)
    refusal = "Die Dokumente enthalten keine Antwort auf diese Frage."
    assert [content(body, index) for index in range(3)] == [refusal] * 3
    assert body["suffice"]["abstained"]
    choices = [one["choices"][0] for one in served.stream(QUESTION, n=3, suffice=suffice)]
    assert {one["index"] for one in choices if one["delta"].get("content")} == {0, 1, 2}
    assert [one["index"] for one in choices if one["finish_reason"]] == [0, 1, 2]


def test_where_json_was_asked_for_it_is_a_refusal(served: Application) -> None:
    options: dict[str, Any] = {
        "response_format": {"type": "json_object"},
        "suffice": {"profile": {"answering": {"abstain_below": 1.01}}},
    }
    message = ask(served, **options)["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == (None, NO_ANSWER)
    deltas = [one["choices"][0]["delta"] for one in served.stream(QUESTION, **options)]
    assert [delta["refusal"] for delta in deltas if "refusal" in delta] == [NO_ANSWER]
    assert not any(delta.get("content") for delta in deltas)


def test_a_model_that_finds_nothing_is_told_from_one_that_invents(
    served: Application, upstream: Upstream
) -> None:
    upstream.replies = [stream_reply(NO_ANSWER), stream_reply("It sings at noon.")]
    for abstained in (True, False):
        answer = ask(served)["suffice"]
        assert (answer["grounded"], answer["abstained"]) == ("no", abstained)


# ---- costs and budgets


def test_the_answer_says_what_it_cost(served: Application) -> None:
    cost = ask(served)["suffice"]["cost"]
    # The fake: 40 read, 32 of them cached, 12 written.
    assert cost["usd"] == pytest.approx((8 * 1.0 + 32 * 0.5 + 12 * 10.0) / 1e6)
    assert cost["basis"] == "price_list"
    unpriced = ask(served, model="strong")["suffice"]["cost"]
    assert (unpriced["usd"], unpriced["basis"]) == (None, "unknown")


def test_a_budget_of_tokens_holds(served: Application, upstream: Upstream) -> None:
    whole = num_prompt_tokens(ask_for_request(served, upstream))
    limit = whole - 40
    body = ask(served, suffice={"budget": {"max_prompt_tokens": limit}})
    assert num_prompt_tokens(upstream.requests[-1]) <= limit
    assert body["suffice"]["plan"]["given_up"] == ["context"]
    response = served.ask(QUESTION, suffice={"budget": {"max_prompt_tokens": 20}})
    assert_refused(response, 402, "budget_too_small", "suffice.budget", "max_prompt_tokens is 20")


def test_close_to_a_limit_the_server_counts(served: Application, upstream: Upstream) -> None:
    whole = num_prompt_tokens(ask_for_request(served, upstream))
    fast = served.service.models.get("fast")
    assert isinstance(fast, OpenAIGenerator)
    assert isinstance(fast.counter, ServedTokenCounter)
    fast.counter.close()
    fast.counter = Undercounting(upstream.url, MODEL, None)
    for limit in range(whole - 60, whole, 6):
        ask(served, suffice={"budget": {"max_prompt_tokens": limit}})
        assert num_prompt_tokens(upstream.requests[-1]) <= limit


class Undercounting(ServedTokenCounter):
    """Counts too little unless the server is to count, as at the seams of some templates."""

    def count_messages(
        self, messages: Sequence[Message], thinking: Thinking | None, *, exactly: bool = False
    ) -> int:
        counted = super().count_messages(messages, thinking, exactly=True)
        return counted if exactly else counted - 20


def test_a_budget_of_dollars_holds(served: Application, upstream: Upstream) -> None:
    whole = num_prompt_tokens(ask_for_request(served, upstream))
    usd = (whole + 100 * 10.0) / 1e6
    ask(served, max_tokens=200, suffice={"budget": {"max_cost_usd": usd + 200 * 10.0 / 1e6}})
    assert upstream.requests[-1]["max_tokens"] == 200
    response = served.ask(QUESTION, max_tokens=200, suffice={"budget": {"max_cost_usd": usd}})
    assert_refused(response, 402, "budget_too_small", "suffice.budget", "max_cost_usd")
    response = served.ask(QUESTION, model="strong", suffice={"budget": {"max_cost_usd": 1.0}})
    assert_refused(response, 402, "budget_too_small", "suffice.budget", "has none")


def test_a_budget_of_steps_holds(served: Application, upstream: Upstream) -> None:
    turns = ("What do bees make?", "Honey.", "How much of it?")
    body = talk(served, *turns, suffice={"budget": {"max_steps": 1}})
    assert len(upstream.requests) == 1
    assert body["suffice"]["query"]["method"] == "rules"


def test_what_the_budget_has_for_the_answer_is_not_spent_on_rewriting(
    served: Application, upstream: Upstream
) -> None:
    turns = ("What do bees make?", "Honey.", "How much of it?")

    def method(**budget: float) -> str:
        body = talk(served, *turns, max_tokens=100, suffice={"budget": budget})
        name: str = body["suffice"]["query"]["method"]
        return name

    def respond(_: dict[str, Any]) -> Reply:
        return stream_reply(json.dumps({"query": "How much honey do bees make?"}))

    talk(served, *turns, suffice={"profile": {"answering": {"rewrite": "rules"}}})
    whole = num_prompt_tokens(upstream.requests[-1])
    upstream.respond = respond
    answer_usd = (whole + 64 + 100 * 10.0) / 1e6
    assert method(max_cost_usd=answer_usd + 0.0001) == "rules"
    assert method(max_cost_usd=10 * answer_usd) == "model"
    fast = served.service.models.get("fast")
    assert isinstance(fast, OpenAIGenerator)
    fast.rates = QUICK.rates  # 100 tokens a second: 1 s for the answer, and 1.28 s for rewriting
    assert method(max_latency_ms=2000) == "rules"
    assert method(max_latency_ms=20_000) == "model"


def test_a_budget_of_time_cuts_the_answer(served: Application, upstream: Upstream) -> None:
    upstream.chat = Reply([START, chunk({"content": "Twenty [1]"}), LONG_SECONDS])
    budget = {"budget": {"max_latency_ms": 2000}}
    body = ask(served, suffice=budget)
    assert (content(body), body["choices"][0]["finish_reason"]) == ("Twenty [1]", "length")
    assert any("max_latency_ms" in warning for warning in body["suffice"]["warnings"])
    assert upstream.left.wait(timeout=5)
    upstream.chat = Reply([START, LONG_SECONDS])
    response = served.ask(QUESTION, suffice=budget)
    assert_refused(response, 402, "budget_too_small", "suffice.budget", "wrote nothing")


def test_a_budget_of_time_is_for_counting_and_judging_too(
    served: Application, upstream: Upstream
) -> None:
    upstream.count_seconds = 0.2  # for each of several texts
    response = served.ask(QUESTION, suffice={"budget": {"max_latency_ms": 300}})
    says = "max_latency_ms is 300, and there was no answer"
    assert_refused(response, 402, "budget_too_small", "suffice.budget", says)
    assert not upstream.requests

    upstream.count_seconds = 0.0
    # Cut when the time is over, so that none is left to judge what was written.
    upstream.chat = Reply([START, chunk({"content": "A hive gives honey [1]."}), LONG_SECONDS])
    body = ask(served, suffice={"budget": {"max_latency_ms": 1500}})
    assert body["suffice"]["grounded"] != "yes"
    assert body["suffice"]["unsupported"][-1]["reason"] == NO_TIME
    assert any("max_latency_ms" in warning for warning in body["suffice"]["warnings"])


@pytest.mark.parametrize(
    "name", ["max_prompt_tokens", "max_cost_usd", "max_latency_ms", "max_steps"]
)
@pytest.mark.parametrize("value", [0, -1])
def test_a_budget_of_nothing_is_a_mistake(served: Application, name: str, value: int) -> None:
    response = served.ask(QUESTION, suffice={"budget": {name: value}})
    assert_refused(response, 400, "invalid_value", f"suffice.budget.{name}", "greater than 0")


# ---- faults


def test_what_fails_before_the_first_piece_is_tried_again(
    served: Application, upstream: Upstream
) -> None:
    upstream.replies = [
        error_reply(500, "EngineCore encountered an issue.", "InternalServerError"),
        Reply([START, DONE]),
    ]
    assert content(ask(served)) == "Twenty kilograms [1]."
    assert len(upstream.requests) == 3


def test_what_fails_later_is_not(served: Application, upstream: Upstream) -> None:
    upstream.replies = [Reply([START, chunk({"content": "Twenty"}), DONE])]
    assert_refused(served.ask(QUESTION), 502, "model_failed", None, "broke off")
    assert len(upstream.requests) == 1


def test_a_server_that_is_busy_is_not_made_busier(served: Application, upstream: Upstream) -> None:
    upstream.replies = [error_reply(503, "The engine is currently busy.", "Service Unavailable")]
    response = served.ask(QUESTION)
    assert_refused(response, 503, "model_unavailable", None, "currently busy")
    assert int(response.headers["retry-after"]) > 0
    assert len(upstream.requests) == 1


def test_a_server_that_keeps_failing_is_left_alone(served: Application, upstream: Upstream) -> None:
    upstream.chat = error_reply(500, "EngineCore encountered an issue.", "InternalServerError")
    served.ask(QUESTION)
    served.ask(QUESTION)
    assert len(upstream.requests) == NUM_FAILURES  # three tries, then two
    response = served.ask(QUESTION)
    assert_refused(response, 503, "model_unavailable", None, "left alone")
    assert int(response.headers["retry-after"]) > 0
    assert len(upstream.requests) == NUM_FAILURES
    assert served.ask(QUESTION, model="strong").status_code == 503  # which is tried
    assert len(upstream.requests) > NUM_FAILURES


def test_a_server_that_refuses_a_request_is_well(served: Application, upstream: Upstream) -> None:
    failed = error_reply(500, "EngineCore encountered an issue.", "InternalServerError")
    refused = error_reply(400, "The temperature is too hot.", "BadRequestError", "temperature")
    upstream.replies = [failed] * (NUM_FAILURES - 1) + [refused, failed]
    assert served.ask(QUESTION).status_code == 503  # three tries
    assert_refused(served.ask(QUESTION), 400, "invalid_value", None, "too hot")
    assert content(ask(served)) == "Twenty kilograms [1]."


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("is_writing", [False, True], ids=["reading", "writing"])
def test_a_caller_who_hangs_up_stops_the_model(
    served: Application, upstream: Upstream, *, stream: bool, is_writing: bool
) -> None:
    pieces = [chunk({"content": "Twenty "})] if is_writing else []
    upstream.chat = Reply([START, *pieces, LONG_SECONDS])
    body = json.dumps({"messages": [{"role": "user", "content": QUESTION}], "stream": stream})
    address = urlsplit(served.url)
    with socket.create_connection((str(address.hostname), address.port or 80)) as connection:
        connection.sendall(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        assert upstream.asked.wait(timeout=10)
    assert upstream.left.wait(timeout=5)
    upstream.chat = ANSWER
    assert content(ask(served)) == "Twenty kilograms [1]."


# ---- verification


def judged(served: Application, upstream: Upstream, *verdicts: str, **options: Any) -> Any:
    """Ask with verification; the model answers in two sentences, then gives verdicts."""
    upstream.replies = [
        stream_reply(f"One hive gives twenty kilograms [{NONCE}-1]. It sings at noon [{NONCE}-1]."),
        *(stream_reply(json.dumps({"verdict": verdict})) for verdict in verdicts),
    ]
    profile = {"packing": {"order": "score"}}
    return ask(served, suffice={"profile": profile, **options})


def test_words_alone_tell_what_does_not_stand_in_the_documents(
    served: Application, upstream: Upstream
) -> None:
    body = judged(served, upstream)
    assert body["suffice"]["grounded"] == "partly"
    [unsupported] = body["suffice"]["unsupported"]
    assert unsupported["text"].startswith("It sings at noon")
    assert content(body)[unsupported["start"] : unsupported["end"]] == unsupported["text"]


def test_a_verifier_is_asked_about_each_statement(served: Application, upstream: Upstream) -> None:
    body = judged(served, upstream, "supported", "supported", verify=True)
    assert body["suffice"]["grounded"] == "yes"
    assert [request["model"] for request in upstream.requests] == [MODEL] * 3
    assert "Statement: It sings at noon" in upstream.requests[-1]["messages"][-1]["content"]
    purposes = [call["purpose"] for call in body["suffice"]["cost"]["calls"]]
    assert purposes == ["answer", "verify", "verify"]


def test_what_the_verifier_denies_is_dropped(served: Application, upstream: Upstream) -> None:
    body = judged(served, upstream, "supported", "unsupported", verify="drop")
    assert content(body) == "One hive gives twenty kilograms [1]."
    assert len(body["choices"][0]["message"]["annotations"]) == 1
    body = judged(served, upstream, "unsupported", "unsupported", verify="drop")
    assert content(body) == NO_ANSWER


def test_what_was_verified_before_the_budget_ended_stands(
    served: Application, upstream: Upstream
) -> None:
    body = judged(served, upstream, "unsupported", verify=True, budget={"max_steps": 2})
    reasons = [one["reason"] for one in body["suffice"]["unsupported"]]
    assert reasons[0] == "The verifier does not find it in the cited text."
    assert len(reasons) == 2
    assert len(upstream.requests) == 2


def test_a_verifier_that_fails_or_costs_too_much_leaves_the_words(
    served: Application, upstream: Upstream
) -> None:
    body = judged(served, upstream, verify=True, budget={"max_steps": 1})
    assert body["suffice"]["grounded"] == "partly"
    assert any("Not every statement was verified" in one for one in body["suffice"]["warnings"])


def test_a_verifier_that_there_is_not_is_found_out_before_anything_is_paid(
    served: Application, upstream: Upstream
) -> None:
    profile = {"answering": {"verify": "mark", "verifier": "nope"}}
    response = served.ask(QUESTION, suffice={"profile": profile})
    assert response.status_code in {400, 404}
    assert "nope" in response.json()["error"]["message"]
    assert upstream.requests == []


def test_the_best_of_several_samples_is_verified(served: Application, upstream: Upstream) -> None:
    texts = ["Twenty kilograms [1]."] * 2
    upstream.replies = [
        Reply([START, *(delta_of(i, text, "stop") for i, text in enumerate(texts)), USAGE, DONE]),
        stream_reply('{"verdict": "unsupported"}'),
    ]
    body = ask(served, suffice={"samples": 2, "verify": True})
    assert [one["purpose"] for one in body["suffice"]["cost"]["calls"]] == ["answer", "verify"]
    assert body["suffice"]["grounded"] == "no"


def test_nothing_is_dropped_from_json(served: Application, upstream: Upstream) -> None:
    text = '{"kilograms": "The queen sings at noon."}'
    upstream.replies = [stream_reply(text), stream_reply('{"verdict": "unsupported"}')]
    body = ask(served, response_format={"type": "json_object"}, suffice={"verify": "drop"})
    assert content(body) == text
    assert body["suffice"]["unsupported"]
    assert any("not dropped from JSON" in warning for warning in body["suffice"]["warnings"])


# ---- bookkeeping


def test_dollars_add_up_to_the_usage(served: Application, upstream: Upstream) -> None:
    def spent() -> float:
        usd: float = served.http.get("/v1/usage").json()["total"]["usd"]
        return usd

    before = spent()
    usd = [ask(served)["suffice"]["cost"]["usd"] for _ in range(3)]
    assert spent() - before == pytest.approx(sum(usd), abs=1e-12)


def test_an_answer_that_breaks_off_is_paid_for(served: Application, upstream: Upstream) -> None:
    def written() -> int:
        tokens: int = served.http.get("/v1/usage").json()["total"]["completion_tokens"]
        return tokens

    before = written()
    upstream.replies = [Reply([START, *[chunk({"content": "Twenty "})] * 7, DONE])]
    assert_refused(served.ask(QUESTION), 502, "model_failed", None, "broke off")
    assert written() - before == 7  # pieces, because the server told no usage

    before = written()
    burst = chunk({"content": "Bees and tea. " * 10})  # 140 bytes in one piece
    upstream.replies = [Reply([START, burst, DONE])]
    assert_refused(served.ask(QUESTION), 502, "model_failed", None, "broke off")
    assert written() - before == 140 // 4


def test_thinking_that_nobody_sees_is_paid_for(served: Application, upstream: Upstream) -> None:
    def tokens() -> list[int]:
        total = served.http.get("/v1/usage").json()["total"]
        return [total[f"{kind}_tokens"] for kind in ("prompt", "completion", "reasoning")]

    before = tokens()
    details = {"completion_tokens_details": {"reasoning_tokens": 300}}
    usage = {"prompt_tokens": 40, "completion_tokens": 300, **details}
    upstream.replies = [Reply([START, chunk({}, "length"), chunk(None, usage=usage), DONE])]
    assert_refused(served.ask(QUESTION), 502, "model_failed", None, "without an answer")
    taken = [after - earlier for earlier, after in zip(before, tokens(), strict=True)]
    assert taken == [40, 300, 300]


def test_a_prompt_that_was_read_for_nobody_is_paid_for(
    served: Application, upstream: Upstream
) -> None:
    def read() -> int:
        tokens: int = served.http.get("/v1/usage").json()["total"]["prompt_tokens"]
        return tokens

    before = read()
    upstream.chat = Reply([START, LONG_SECONDS])
    response = served.ask(QUESTION, suffice={"budget": {"max_latency_ms": 1000}})
    assert_refused(response, 402, "budget_too_small", "suffice.budget", "wrote nothing")
    assert read() - before == num_prompt_tokens(upstream.requests[-1])

    before = read()
    assert_refused(served.ask(QUESTION), 503, "model_unavailable", None, "silent for 5 s")
    assert read() - before == num_prompt_tokens(upstream.requests[-1])
