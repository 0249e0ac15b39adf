"""A client of streamed completions that notes when each piece came."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import httpx

# As a stop text it lets the service pass on empty answers, which random weights write now and then.
NEVER_WRITTEN = "\u2603\u2603\u2603"


@dataclass(slots=True)
class Streamed:
    """A completion.

    Attributes:
        text: of the answer.
        moments: seconds from the request to each piece of text, or to the end of an empty answer.
        usage: tokens, as the server told them.
        suffice: the service's own object; empty from others.
    """

    text: str = ""
    moments: list[float] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)
    suffice: dict[str, Any] = field(default_factory=dict)

    @property
    def first_seconds(self) -> float:
        """Time to the first piece."""
        return self.moments[0]

    @property
    def last_seconds(self) -> float:
        """Time to the last piece."""
        return self.moments[-1]

    @property
    def longest_gap_seconds(self) -> float:
        """Longest wait for a piece, the first one included."""
        return max(
            later - earlier
            for earlier, later in zip([0.0, *self.moments], self.moments, strict=False)
        )

    @property
    def prompt_tokens(self) -> int:
        """Tokens read."""
        return int(self.usage["prompt_tokens"])

    @property
    def completion_tokens(self) -> int:
        """Tokens written."""
        return int(self.usage["completion_tokens"])

    @property
    def seconds_per_token(self) -> float:
        """Time from the first to the last piece, for each token between."""
        return (self.last_seconds - self.first_seconds) / max(1, self.completion_tokens - 1)

    def see(self, line: str, seconds: float) -> None:
        """Take note of a line of the stream."""
        if not line.startswith("data: {"):
            return
        chunk = json.loads(line.removeprefix("data: "))
        if "error" in chunk:
            raise RuntimeError(chunk["error"])
        for choice in chunk["choices"]:
            text = choice["delta"].get("content") or ""
            self.text += text
            if text or (choice["finish_reason"] and not self.moments):  # an empty answer
                self.moments.append(seconds)
        self.usage = chunk.get("usage") or self.usage
        self.suffice = chunk.get("suffice") or self.suffice


class Refused(Exception):  # noqa: N818 - an answer, too
    """The request was refused.

    Attributes:
        status: of HTTP.
        seconds: until that was known.
    """

    def __init__(self, status: int, seconds: float, text: str) -> None:
        super().__init__(status, seconds, text)  # all of them, so that it can be pickled
        self.status = status
        self.seconds = seconds


def stream(url: str, key: str | None, body: dict[str, Any]) -> Streamed:
    """Ask for one completion; `url` goes up to and includes `/v1`."""
    return asyncio.run(_stream_alone(url, key, body))


async def _stream_alone(url: str, key: str | None, body: dict[str, Any]) -> Streamed:
    async with httpx.AsyncClient(timeout=120) as client:
        await client.get(f"{url}/models", headers=_headers(key))  # the connection is made
        return await _stream(client, url, key, body)


async def stream_all(
    url: str, key: str | None, bodies: Sequence[dict[str, Any]], timeout_seconds: float
) -> list[Streamed | Exception]:
    """Ask for all completions at once."""
    limits = httpx.Limits(max_connections=len(bodies))
    async with httpx.AsyncClient(timeout=timeout_seconds, limits=limits) as client:
        answers = await asyncio.gather(
            *(_stream(client, url, key, body) for body in bodies), return_exceptions=True
        )
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, Exception):
            raise answer
    return [answer for answer in answers if isinstance(answer, Streamed | Exception)]


async def stream_in_turn(
    url: str,
    key: str | None,
    bodies: Sequence[dict[str, Any]],
    num_streams: int,
    timeout_seconds: float,
) -> list[Streamed | Exception]:
    """Ask for all completions, never more at a time than there are streams."""
    answers: list[Streamed | Exception] = []
    waiting = iter(bodies)
    limits = httpx.Limits(max_connections=num_streams, max_keepalive_connections=num_streams)
    async with httpx.AsyncClient(timeout=timeout_seconds, limits=limits) as client:

        async def ask() -> None:
            for body in waiting:
                try:
                    answers.append(await _stream(client, url, key, body))
                except (httpx.HTTPError, Refused, RuntimeError) as error:
                    answers.append(error)

        await asyncio.gather(*(ask() for _ in range(num_streams)))
    return answers


async def _stream(
    client: httpx.AsyncClient, url: str, key: str | None, body: dict[str, Any]
) -> Streamed:
    answer = Streamed()
    body = {**body, "stream": True, "stream_options": {"include_usage": True}}
    started = perf_counter()
    async with client.stream(
        "POST", f"{url}/chat/completions", json=body, headers=_headers(key)
    ) as response:
        if response.is_error:
            text = (await response.aread()).decode()
            raise Refused(response.status_code, perf_counter() - started, text)
        async for line in response.aiter_lines():
            answer.see(line, perf_counter() - started)
    return answer


def _headers(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}
