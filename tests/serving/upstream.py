"""A scripted OpenAI-compatible server with the shapes of vLLM 0.32, good and bad."""

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

from tests.serving.application import run_in_thread

MODEL = "tiny"
EVENT_STREAM = "text/event-stream; charset=utf-8"
DONE = b"data: [DONE]\n\n"
LONG_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer.

    Attributes:
        parts: what is sent, in order; a number is a pause in seconds.
        status: of HTTP.
        content_type: of the body.
        breaks_off: the connection is cut after the last part.
        headers: besides the content type.
    """

    parts: Sequence[bytes | float]
    status: int = 200
    content_type: str = EVENT_STREAM
    breaks_off: bool = False
    headers: Sequence[tuple[bytes, bytes]] = ()


def json_reply(body: object, status: int = 200) -> Reply:
    return Reply([json.dumps(body).encode()], status, "application/json")


def error_reply(status: int, message: str, kind: str, param: str | None = None) -> Reply:
    error = {"message": message, "type": kind, "param": param, "code": status}
    return json_reply({"error": error}, status)


def event(body: object) -> bytes:
    return f"data: {json.dumps(body)}\n\n".encode()


def chunk(
    delta: dict[str, Any] | None,
    finish_reason: str | None = None,
    *,
    index: int = 0,
    **more: object,
) -> bytes:
    """Return one event of a stream; None instead of a delta makes one without choices."""
    choice = {
        "index": index,
        "delta": delta,
        "logprobs": None,
        "finish_reason": finish_reason,
        "stop_reason": None,
        "token_ids": None,
    }
    return event(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": MODEL,
            "choices": [] if delta is None else [choice],
            **more,
        }
    )


START = chunk({"role": "assistant", "content": ""}, prompt_token_ids=None, prompt_text=None)
USAGE = chunk(
    None,
    usage={
        "prompt_tokens": 40,
        "total_tokens": 52,
        "completion_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 32, "created_cache_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    },
    system_fingerprint="vllm-0.32.0-6bd7eb08",
)


def stream_reply(*texts: str, finish_reason: str | None = "stop") -> Reply:
    """Return a whole answer; the last piece carries the reason, as vLLM's does."""
    *pieces, last = texts
    chunks = [chunk({"content": text}) for text in pieces]
    return Reply([START, *chunks, chunk({"content": last}, finish_reason), USAGE, DONE])


MODELS = json_reply(
    {
        "object": "list",
        "data": [
            {
                "id": MODEL,
                "object": "model",
                "created": 1,
                "owned_by": "vllm",
                "max_model_len": 2048,
            }
        ],
    }
)


def count_words(text: str) -> int:
    """Count words and punctuation marks."""
    return len(re.findall(r"\w+|[^\w\s]", text))


@dataclass
class Upstream:
    """The server: answers as told, and remembers what it was asked.

    Attributes:
        url: up to and including `/v1`.
        chat: the answer to completions.
        breaks: connections that count are cut, as when the server goes down.
        replies: the answers to the next ones, before that.
        respond: makes the answer to a completion from its body; None: as above.
        counts: counts the tokens of a text; None: there is no /tokenize.
        count_seconds: that it takes for it.
        instead: what it answers in the place of a count; None: the count.
        counted: what it was asked to count.
        knows: the models that it counts for; None: any.
        models: the answer to the next listing.
        requests: bodies of the completions, oldest first.
        asked: set when the next completion was begun.
        left: set when a client closed its connection before the answer was over.
    """

    url: str = ""
    chat: Reply = field(default_factory=lambda: stream_reply("Nothing."))
    models: Reply = MODELS
    breaks: bool = False
    replies: list[Reply] = field(default_factory=list)
    respond: Callable[[dict[str, Any]], Reply] | None = None
    counts: Callable[[str], int] | None = count_words
    count_seconds: float = 0.0
    instead: Reply | None = None
    counted: list[dict[str, Any]] = field(default_factory=list)
    knows: set[str] | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)

    @property
    def num_counted(self) -> int:
        return len(self.counted)

    def reset(self) -> None:
        self.models = MODELS
        self.counts = count_words
        self.count_seconds = 0.0
        self.instead = None
        self.knows = None
        self.breaks = False
        self.replies.clear()
        self.respond = None
        self.counted.clear()
        self.requests.clear()
        self.authorizations.clear()
        self.asked.clear()
        self.left.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.authorizations.append(dict(scope["headers"]).get(b"authorization", b"").decode())
        if scope["path"] == "/v1/models":
            await self._send(self.models, receive, send)
        elif scope["path"] == "/tokenize":
            await asyncio.sleep(self.count_seconds)
            await self._send(self._count(json.loads(body)), receive, send)
        else:
            self.requests.append(json.loads(body))
            self.asked.set()
            await self._send(self._reply(), receive, send)

    def _reply(self) -> Reply:
        if self.replies:
            return self.replies.pop(0)
        return self.chat if self.respond is None else self.respond(self.requests[-1])

    def _count(self, body: dict[str, Any]) -> Reply:
        """Answer as /tokenize does; a template puts four tokens around each message."""
        if self.breaks:
            raise ConnectionAbortedError
        if self.counts is None:
            return json_reply({"detail": "Not Found"}, 404)
        if self.knows is not None and body["model"] not in self.knows:
            return error_reply(404, "The model does not exist.", "NotFoundError", "model")
        self.counted.append(body)
        if self.instead is not None:
            return self.instead
        messages = body.get("messages", [])
        texts = [one["content"] for one in messages] or [body["prompt"]]
        return json_reply({"count": sum(map(self.counts, texts)) + 4 * len(messages)})

    async def _send(self, reply: Reply, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", reply.content_type.encode()), *reply.headers]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        watch = asyncio.ensure_future(receive())  # ends when the client leaves
        for part in reply.parts:
            if isinstance(part, bytes):
                await send({"type": "http.response.body", "body": part, "more_body": True})
                continue
            done, _ = await asyncio.wait([watch], timeout=part)
            if done:
                self.left.set()
                return
        watch.cancel()
        if reply.breaks_off:
            raise ConnectionAbortedError
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@contextmanager
def run_upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    config = uvicorn.Config(upstream, port=0, lifespan="off", log_config=None, log_level="critical")
    with run_in_thread(uvicorn.Server(config)) as url:
        upstream.url = f"{url}/v1"
        yield upstream
