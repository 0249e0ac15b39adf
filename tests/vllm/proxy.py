"""A proxy in front of a model server that keeps what goes through it."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from starlette.types import Receive, Scope, Send

from tests.serving.application import run_in_thread
from tests.vllm.conftest import API_KEY
from tests.vllm.exchanges import Exchange


class Proxy:
    """Passes requests on to a server, and keeps completions.

    Attributes:
        url: up to and including `/v1`.
        exchanges: completions, oldest first.
        on_first_piece: called when the first text of a stream came by.
    """

    def __init__(self, root: str) -> None:
        self.url = ""
        self.exchanges: list[Exchange] = []
        self.on_first_piece: Callable[[], None] | None = None
        self._root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while (message := await receive()).get("more_body"):
            body += message["body"]
        body += message.get("body", b"")
        headers = {"authorization": f"Bearer {API_KEY}", "content-type": "application/json"}
        async with (
            httpx.AsyncClient(timeout=None) as client,  # noqa: S113 - whoever asks has one
            client.stream(
                scope["method"], self._root + scope["path"], content=body, headers=headers
            ) as response,
        ):
            content_type = response.headers["content-type"]
            heading = [(b"content-type", content_type.encode())]
            await send(
                {"type": "http.response.start", "status": response.status_code, "headers": heading}
            )
            whole, breaks_off = b"", False
            try:
                async for piece in response.aiter_raw():
                    whole += piece
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    if self.on_first_piece and whole.count(b"\n\n") > 1:
                        self.on_first_piece()
                        self.on_first_piece = None
            except httpx.HTTPError:
                breaks_off = True
            if scope["path"].endswith("/chat/completions"):
                exchange = Exchange(
                    json.loads(body),
                    response.status_code,
                    content_type,
                    [part for part in re.split(r"(?<=\n\n)", whole.decode()) if part],
                    breaks_off,
                )
                self.exchanges.append(exchange)
            await send({"type": "http.response.body", "body": b"", "more_body": False})


@contextmanager
def run_proxy(root: str) -> Iterator[Proxy]:
    """Run a proxy in front of the server at an address, without `/v1`."""
    proxy = Proxy(root)
    config = uvicorn.Config(proxy, port=0, lifespan="off", log_config=None, log_level="critical")
    with run_in_thread(uvicorn.Server(config)) as url:
        proxy.url = f"{url}/v1"
        yield proxy
