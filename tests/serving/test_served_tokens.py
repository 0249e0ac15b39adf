"""Counting tokens by a model server, or by its tokenizer where that lies here."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from serving.errors import ModelUnavailableError
from serving.generation import Message, Thinking
from serving.served_tokens import BYTES_PER_TOKEN, SAMPLE, ServedTokenCounter
from tests.serving.upstream import MODEL, Reply, Upstream, error_reply, json_reply

MESSAGES: list[Message] = [
    {"role": "system", "content": "Answer in one word."},  # 4 words and a full stop
    {"role": "user", "content": "Do bees sleep?"},  # 3 words and a question mark
]
# The fake's template puts four tokens around each message.
NUM_TOKENS = 5 + 4 + 2 * 4


MakeCounter = Callable[..., ServedTokenCounter]


@pytest.fixture
def make_counter(upstream: Upstream) -> Iterator[MakeCounter]:
    """Makes counters of the server, and closes them."""
    with ExitStack() as closing:

        def make(url: str = upstream.url, **options: Any) -> ServedTokenCounter:
            counter = ServedTokenCounter(url, MODEL, "key", **options)
            closing.callback(counter.close)
            return counter

        yield make


def save_tokenizer(folder: Path) -> Path:
    """A tokenizer of words, which counts other than the fake where there is punctuation."""
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = WhitespaceSplit()
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def test_a_connection_that_the_server_gave_up_is_made_anew(make_counter: MakeCounter) -> None:
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({"data": [{"id": MODEL, "max_model_len": 4096}]})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer({"count": 5})

        def _answer(self, body: object) -> None:
            paths.append(self.path)
            if paths.count(self.path) == 1:
                return  # and the connection is closed
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            counter = make_counter(f"http://127.0.0.1:{server.server_port}/v1")
            assert counter.count_text("Bees sleep at night.") == 5
        finally:
            server.shutdown()
    assert set(map(paths.count, paths)) == {2}


def test_the_server_counts_and_is_asked_once_for_each_text(
    make_counter: MakeCounter, upstream: Upstream
) -> None:
    counter = make_counter()
    assert [counter.count_text("Bees sleep at night.") for _ in range(3)] == [5, 5, 5]
    assert upstream.num_counted == 1
    assert counter.count_messages(MESSAGES, None) == NUM_TOKENS
    assert counter.is_exact


def test_the_window_is_the_smaller_one_of_server_and_setting(make_counter: MakeCounter) -> None:
    assert make_counter().window() == 2048
    assert make_counter(context_tokens=1000).window() == 1000
    assert make_counter(context_tokens=9000).window() == 2048


def test_a_tokenizer_that_agrees_counts_in_its_place(
    make_counter: MakeCounter, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.counts = lambda text: len(text.split())
    counter = make_counter(tokenizer=save_tokenizer(tmp_path))
    assert counter.count_text("Bees sleep at night.") == 4
    assert upstream.num_counted == 1  # the sample
    assert counter.count_messages(MESSAGES, None) == 4 + 3 + 2 * 4
    longer: list[Message] = [MESSAGES[0], {"role": "user", "content": "Do drones sleep at night?"}]
    assert counter.count_messages(longer, None) == 4 + 5 + 2 * 4
    assert upstream.num_counted == 2  # the template was known
    assert counter.count_messages(longer, None, exactly=True) == 4 + 5 + 2 * 4
    assert upstream.num_counted == 3


def test_a_tokenizer_that_does_not_agree_is_left_alone(
    make_counter: MakeCounter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counter = make_counter(tokenizer=save_tokenizer(tmp_path))
    assert counter.count_text("Bees sleep at night.") == 5
    assert "the server is asked instead" in caplog.text


def test_thinking_can_change_the_template(make_counter: MakeCounter, upstream: Upstream) -> None:
    counter = make_counter()
    counter.count_messages(MESSAGES, Thinking(is_on=False))
    assert upstream.counted[-1]["chat_template_kwargs"] == {"enable_thinking": False}


def test_a_server_that_does_not_count_gets_rather_too_little(
    make_counter: MakeCounter, upstream: Upstream
) -> None:
    upstream.counts = None
    counter = make_counter()
    text = "Bees sleep at night."
    assert counter.count_text(text) == -(-len(text) // BYTES_PER_TOKEN)
    assert counter.count_messages(MESSAGES, None) > NUM_TOKENS
    assert not counter.is_exact


@pytest.mark.parametrize(
    "instead",
    [
        json_reply({"error": "Unexpected endpoint or method. (POST /tokenize)"}),  # LM Studio
        error_reply(403, "This path is not for you.", "permission_error"),
        Reply([b"[" * 100_000], content_type="application/json"),
    ],
    ids=["whatever is asked", "forbidden", "nested too deep"],
)
def test_a_server_that_answers_with_no_count_is_asked_once(
    make_counter: MakeCounter, upstream: Upstream, instead: Reply
) -> None:
    upstream.instead = instead
    counter = make_counter()
    for text in ("Bees sleep at night.", "Drones do not."):
        assert counter.count_text(text) == -(-len(text) // BYTES_PER_TOKEN)
    assert not counter.is_exact
    assert upstream.num_counted == 1


def test_an_estimate_is_never_taken_for_exact_while_another_thread_asks_for_the_model(
    tmp_path: Path,
) -> None:
    """The server stops to count; one of two threads that ask is told so only after the other."""
    sample_tokens = len(SAMPLE.split())
    told_exact: list[bool] = []
    is_held, may_go_on = threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, {"data": [{"id": MODEL, "max_model_len": 4096}]})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if "prompt" in asked:  # the sample, by which a model's tokenizer is known
                told_exact.append(counter.is_exact)
                self._answer(200, {"count": sample_tokens})
                return
            if asked["messages"] == MESSAGES:
                is_held.set()
                assert may_go_on.wait(10)
            self._answer(404, {})

        def _answer(self, status: int, body: object) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}/v1"
        counter = ServedTokenCounter(url, None, None, tokenizer=save_tokenizer(tmp_path))
        slow = threading.Thread(target=counter.count_messages, args=(MESSAGES, None))
        try:
            slow.start()
            assert is_held.wait(10)
            counter.count_messages(MESSAGES[1:], None)
            assert not counter.is_exact
            told_exact.clear()
        finally:
            may_go_on.set()
            slow.join()
            counter.close()
            server.shutdown()
    assert told_exact == []
    assert not counter.is_exact


def test_a_server_that_tells_no_window(make_counter: MakeCounter, upstream: Upstream) -> None:
    upstream.models = json_reply({"object": "list", "data": [{"id": MODEL, "object": "model"}]})
    assert make_counter().window() is None


def test_another_model_at_the_same_place_is_counted_anew(
    make_counter: MakeCounter, upstream: Upstream
) -> None:
    counter = make_counter()
    assert counter.count_text("Bees sleep.") == 3
    upstream.counts = None
    upstream.breaks = True
    with pytest.raises(ModelUnavailableError):
        counter.count_text("Bees sleep at noon.")
    upstream.breaks = False
    upstream.counts = len  # characters
    assert counter.count_text("Bees sleep.") == 11


def test_a_server_that_is_down_and_comes_up_again(
    make_counter: MakeCounter, upstream: Upstream
) -> None:
    counter = make_counter("http://127.0.0.1:9/v1")
    with pytest.raises(ModelUnavailableError, match="SERVING_LLM_URL"):
        counter.count_text("Bees")
    upstream.models = json_reply({"error": "starting"}, 503)
    counter = make_counter()
    assert counter.window() is None
    upstream.reset()
    assert counter.window() == 2048
