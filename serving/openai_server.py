"""The generator that asks an OpenAI-compatible server: vLLM, Ollama or any other."""

import asyncio
import json
import logging
import random
import ssl
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from typing import Any

import aiohttp

from serving.backends import Backend, ThinkingSwitch
from serving.breaker import CircuitBreaker
from serving.complaints import Complaint, shorten
from serving.errors import (
    InvalidRequestError,
    ModelBrokeOffError,
    ModelBusyError,
    ModelChangedError,
    ModelError,
    ModelFailedError,
    ModelSaidNothingError,
    ModelSilentError,
    ModelUnavailableError,
    PromptTooLongError,
    ServingError,
)
from serving.event_stream import EventReader
from serving.generation import (
    Delta,
    Finish,
    Task,
    Thinking,
    TokenCounter,
)
from serving.pricing import Rates
from serving.served_answers import NO_CHUNK, ServedAnswers

logger = logging.getLogger(__name__)
NUM_TRIES = 3
_FIRST_PAUSE_SECONDS = 0.1
_BAD_REQUEST = 400
_NOT_FOUND = 404
_TOO_LARGE = 413
_SERVER_ERROR = 500
_NO_KEY = {401, 403}
_REFUSED = {_BAD_REQUEST, _TOO_LARGE, 422}
_BUSY = {429, 503}
# Kinds of bodies that hold an error, or somebody else's page, in the place of a stream.
_NO_STREAM = ("application/json", "text/html")
# What a connection raises that is cut, or not made in time, which is a TimeoutError, too; over TLS
# it is not always the client's own error.
_CUT = (aiohttp.ClientError, ssl.SSLError)
_CONNECT_SECONDS = 5.0
# vLLM closes a connection that lies idle for five: whoever sends at that moment sends in vain.
_KEEP_SECONDS = 4.0
# What ends a stream, and how long the connection may take to end after it.
_DONE = b"[DONE]"
_END_SECONDS = 1.0
# As small as JSON can be.
_dump = partial(json.dumps, ensure_ascii=False, separators=(",", ":"))
# Python's servers write `-Infinity` for the log probability of what cannot be, which is no JSON and
# which nobody could hand on; OpenAI writes this number.
_load = json.JSONDecoder(parse_constant=lambda _name: -9999.0).decode
_LOW_EFFORT_TOKENS = 1024
_MEDIUM_EFFORT_TOKENS = 4096


class OpenAIGenerator:
    """Streams from the server even when the caller does not, so that a silence is noticed.

    What fails before the first piece of an answer is tried again; a server that keeps failing is
    left alone for a while.
    """

    def __init__(
        self,
        name: str,
        backend: Backend,
        counter: TokenCounter,
        api_key: str | None,
        timeout_seconds: float,
        rates: Rates | None = None,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        """Set up.

        Args:
            name: under which requests, settings and traces know it.
            backend: the server.
            counter: counts tokens as it does.
            api_key: None for servers without keys.
            timeout_seconds: longest silence before and within an answer.
            rates: of the server, if they were measured.
            breaker: that says when to leave it alone; None: one of the usual kind.
        """
        self.name = name
        self.counter: TokenCounter | None = counter
        self.can_think = backend.thinking is not ThinkingSwitch.NONE
        self.uses_tags = True
        self.price = backend.price_of_tokens(rates)
        self.rates = rates
        self.max_answer_tokens = backend.max_answer_tokens
        self._switch = backend.thinking
        self._url = backend.url
        self._timeout_seconds = timeout_seconds
        self._configured_model = backend.model
        self._model = backend.model
        self._breaker = breaker or CircuitBreaker()
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._session: aiohttp.ClientSession | None = None

    async def model_name(self) -> str:
        """Return the model that answers, asking the server once if none is configured."""
        if self._model is None:
            self._model = (await self._list_models())[0]
        return self._model

    async def check(self) -> None:
        """Ask the server for its models, see `Generator`."""
        models = await self._list_models()
        if self._configured_model not in {None, *models}:
            raise ModelFailedError(
                f"The model server has no model {self._configured_model!r}; it has "
                f"{', '.join(models)}. Set SERVING_LLM_MODEL.",
                self._url,
            )

    async def generate(self, task: Task) -> AsyncGenerator[Delta | Finish, None]:
        """Yield the answers in pieces, then one Finish, see `Generator`."""
        for attempt in range(1, NUM_TRIES + 1):
            self._check_breaker()
            has_started = False
            try:
                async with aclosing(self._stream(task)) as events:
                    async for event in events:
                        has_started = True
                        yield event
            except ModelError as error:
                if error.is_fault_of_server:
                    self._breaker.failed()
                else:
                    self._breaker.succeeded()
                if has_started or attempt == NUM_TRIES or not error.is_worth_another_try:
                    logger.warning("%s from the server %s", type(error).__name__, self._url)
                    raise
            except InvalidRequestError:
                self._breaker.succeeded()
                raise
            else:
                self._breaker.succeeded()
                return
            # Spread, so that those who failed together do not come back together.
            await asyncio.sleep(_FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1))  # noqa: S311

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
        if self.counter is not None:
            self.counter.close()

    def _check_breaker(self) -> None:
        if wait := self._breaker.seconds_to_wait():
            raise ModelUnavailableError(
                "The model server failed several times in a row and is left alone for "
                f"{wait:.0f} s. See its log.",
                self._url,
                wait,
            )

    async def _stream(self, task: Task) -> AsyncGenerator[Delta | Finish, None]:
        answers = ServedAnswers(task.sampling.num_choices, task.answer_room)
        with self._translated_errors():
            async with aclosing(self._read(task, answers)) as deltas:
                async for delta in deltas:
                    yield delta
        # A dying engine ends its stream without a word; a whole answer says why it ended.
        if not answers.are_whole:
            raise ModelBrokeOffError(
                "The model broke off in the middle of its answer. Ask again.", self._url
            )
        finish = answers.finish()
        # A stop text may come first, and of several answers one may think until it is cut.
        if len(answers.empty) == task.sampling.num_choices and not task.sampling.stop:
            raise ModelSaidNothingError(
                "The model ended without an answer. If it thinks before it answers, raise "
                "SERVING_MAX_ANSWER_TOKENS or switch thinking off.",
                finish.usage,
                self._url,
            )
        yield finish

    async def _read(self, task: Task, answers: ServedAnswers) -> AsyncGenerator[Delta, None]:
        """Yield what the server writes, as long as it goes on writing."""
        model = await self.model_name()
        clock = asyncio.get_running_loop().time
        # Any byte would be a sign to the client's own clock, such as those of a proxy that keeps a
        # line open.
        deadline = clock() + self._timeout_seconds
        async with asyncio.timeout_at(deadline):
            response = await self._ask("POST", "chat/completions", _body(model, task, self._switch))
            if response.content_type in _NO_STREAM:
                raise Complaint.of_body(await response.text(errors="replace"))
        async with response:
            stream = _Stream(response)
            while not (stream.is_over or answers.are_cut):
                async with asyncio.timeout_at(deadline):
                    chunks = await stream.next_chunks()
                for delta in answers.read(chunks):
                    yield delta
                    deadline = clock() + self._timeout_seconds
            if not answers.are_cut:  # else to close the connection stops the server
                await stream.end()
        for delta in answers.rest():
            yield delta

    async def _ask(self, method: str, path: str, body: object = None) -> aiohttp.ClientResponse:
        """Return the answer to a call, of which the body is still to be read.

        Raises:
            Complaint: its status is no success.
        """
        if self._session is None:  # in the event loop that will use it
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS),
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_SECONDS),
                json_serialize=_dump,
                trust_env=True,
            )
        url = f"{self._url.rstrip('/')}/{path}"
        response = await self._session.request(method, url, json=body)
        if not response.ok:
            async with response:
                said = await response.text(errors="replace")
            raise Complaint.of_body(said, response.status, response.headers)
        return response

    async def _list_models(self) -> list[str]:
        with self._translated_errors():
            async with (
                asyncio.timeout(self._timeout_seconds),
                await self._ask("GET", "models") as response,
            ):
                models = [card["id"] for card in json.loads(await response.read())["data"]]
        if not models:
            raise ModelFailedError("The model server lists no model.", self._url)
        return models

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except _CUT as error:
            self._forget()
            raise ModelUnavailableError(
                "The model server does not answer. Check that it runs and that "
                "SERVING_LLM_URL is right; `suffice doctor` tests it.",
                self._url,
            ) from error
        except TimeoutError as error:
            raise ModelSilentError(
                f"The model server was silent for {self._timeout_seconds:g} s. Ask "
                "again, or raise SERVING_LLM_TIMEOUT_SECONDS.",
                self._url,
            ) from error
        except Complaint as error:
            raise self._read_complaint(error) from error
        except NO_CHUNK as error:
            raise ModelFailedError(
                "The model server does not answer like an OpenAI-compatible one: "
                f"{shorten(str(error))}. Check SERVING_LLM_URL, SERVING_LLM_MODEL and "
                "SERVING_LLM_API_KEY.",
                self._url,
            ) from error

    def _read_complaint(self, error: Complaint) -> ServingError:
        """Return what an error means that a server told."""
        status = error.status
        if status is None:  # HTTP's status was long sent: 200
            if str(error.code) == str(_BAD_REQUEST):  # vLLM sends a number
                return self._refuse(error)
            return ModelBrokeOffError(f"The model broke off: {error.said}", self._url)
        if status in _NO_KEY:
            return ModelFailedError(
                "The model server refuses the key. Set SERVING_LLM_API_KEY.", self._url
            )
        if status in _REFUSED:
            return self._refuse(error)
        if status in _BUSY or status >= _SERVER_ERROR:
            unavailable = ModelBusyError if status in _BUSY else ModelUnavailableError
            message = f"The model server cannot answer now ({status}): {error.said}"
            return unavailable(message, self._url, error.retry_after_seconds)
        failed = ModelFailedError
        if status == _NOT_FOUND and self._configured_model is None and self._model is not None:
            self._forget()
            failed = ModelChangedError
        return failed(
            f"The model server does not answer like an OpenAI-compatible one ({status}): "
            f"{error.said} Check SERVING_LLM_URL, SERVING_LLM_MODEL and SERVING_LLM_API_KEY.",
            self._url,
        )

    def _refuse(self, error: Complaint) -> InvalidRequestError:
        message = f"The model refused the request: {error.said}"
        is_too_long = error.param == "input_tokens" or "maximum context length" in error.message
        if error.status == _TOO_LARGE or is_too_long:
            self._forget()
            return PromptTooLongError(f"{message} Lower top_k or set max_context_tokens.")
        return InvalidRequestError(message)

    def _forget(self) -> None:
        """Ask anew what is served: a server may come up again with another model or window."""
        self._model = self._configured_model
        if self.counter is not None:
            self.counter.forget()


class _Stream:
    """The chunks of a streamed answer; what came since one looked comes together.

    Attributes:
        is_over: whether the server said that this was all, or nothing more can come.
    """

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.is_over = False
        self._content = response.content
        self._reader = EventReader()

    async def next_chunks(self) -> Iterator[Any]:
        """Wait for the next chunks; return an iterator that reads them one by one."""
        data = await self._content.readany()
        events = self._reader.feed(data)
        is_end = [event.startswith(_DONE) for event in events]
        self.is_over = not data or any(is_end)
        return map(_to_chunk, events[: is_end.index(True)] if any(is_end) else events)

    async def end(self) -> None:
        """Read to the end, or the connection could not be used again."""
        with suppress(TimeoutError, *_CUT):
            async with asyncio.timeout(_END_SECONDS):
                while await self._content.readany():
                    pass


def _to_chunk(event: bytes) -> Any:
    """Return the JSON of an event.

    Raises:
        Complaint: it is an error.
        ValueError: it is no JSON.
    """
    chunk = _load(event.decode("utf-8", "surrogatepass"))
    if isinstance(chunk, dict) and (error := chunk.get("error")):
        raise Complaint(error)
    return chunk


def _body(model: str, task: Task, switch: ThinkingSwitch) -> dict[str, Any]:
    return {
        "model": model,
        "messages": list(task.messages),
        "stream": True,
        "stream_options": {"include_usage": True},
        **_options(task, switch),
    }


def _options(task: Task, switch: ThinkingSwitch) -> dict[str, Any]:
    sampling, thinking = task.sampling, task.thinking
    options = {
        "max_tokens": task.answer_room,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "stop": list(sampling.stop) or None,
        "n": sampling.num_choices if sampling.num_choices > 1 else None,
        "response_format": sampling.response_format,
        "logprobs": None if sampling.top_logprobs is None else True,
        "top_logprobs": sampling.top_logprobs,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
    }
    asked = {name: value for name, value in options.items() if value is not None}
    return asked if thinking is None else {**asked, **_thinking_options(thinking, switch)}


def _thinking_options(thinking: Thinking, switch: ThinkingSwitch) -> Mapping[str, Any]:
    if switch is ThinkingSwitch.EFFORT:
        return {"reasoning_effort": _effort(thinking)}
    body: dict[str, Any] = {"chat_template_kwargs": {"enable_thinking": thinking.is_on}}
    if thinking.is_on and thinking.max_tokens is not None:
        body["thinking_token_budget"] = thinking.max_tokens
    return body


def _effort(thinking: Thinking) -> str:
    if not thinking.is_on:
        return "none"
    if thinking.max_tokens is None or thinking.max_tokens > _MEDIUM_EFFORT_TOKENS:
        return "high"
    return "low" if thinking.max_tokens <= _LOW_EFFORT_TOKENS else "medium"
