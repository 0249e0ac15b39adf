"""The generator that asks an OpenAI-compatible server: vLLM, Ollama or any other."""

import asyncio
import json
import random
import ssl
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from itertools import takewhile
from typing import Any, TypeGuard

import anyio
import httpx2
import openai

from serving.backends import Backend, ThinkingSwitch
from serving.batches import in_batches
from serving.breaker import CircuitBreaker
from serving.errors import (
    InvalidRequestError,
    ModelBrokeOffError,
    ModelBusyError,
    ModelChangedError,
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
    Sampling,
    Task,
    Thinking,
    TokenCounter,
    thinking_room,
)
from serving.pricing import Rates
from serving.served_answers import NO_CHUNK, ServedAnswers

NUM_TRIES = 3
_FIRST_PAUSE_SECONDS = 0.1
_BAD_REQUEST = 400
_NOT_FOUND = 404
_TOO_LARGE = 413
_SERVER_ERROR = 500
_NO_KEY = {401, 403}
_REFUSED = {_BAD_REQUEST, _TOO_LARGE, 422}
_BUSY = {429, 503}
# Of what a server says about an error, in characters: some quote the prompt, documents and all.
MAX_SAID = 200
# Kinds of bodies that hold an error, or somebody else's page, in the place of a stream.
_NO_STREAM = ("application/json", "text/html")
# What a connection that is cut raises; over TLS it is not always the client's own error.
_CUT = (httpx2.RequestError, ssl.SSLError, anyio.EndOfStream)
# What the client raises on answers that are no completion, which it does not check itself.
_NONSENSE = (openai.APIError, httpx2.HTTPError, *NO_CHUNK)
_CONNECT_SECONDS = 5.0
# What ends a stream, and how long the connection may take to end after it.
_DONE = b"[DONE]"
_END_SECONDS = 1.0
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
        self._client = openai.AsyncOpenAI(
            base_url=backend.url,
            api_key=api_key or "none",
            timeout=openai.Timeout(timeout_seconds, connect=_CONNECT_SECONDS),
            max_retries=0,
        )
        # A silence within a stream is noticed here, see `_read`.
        self._stream_timeout = openai.Timeout(timeout_seconds, connect=_CONNECT_SECONDS, read=None)

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
                f"The server at {self._url} has no model {self._configured_model!r}; it has "
                f"{', '.join(models)}. Set SERVING_LLM_MODEL."
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
            except (ModelUnavailableError, ModelFailedError) as error:
                if error.is_fault_of_server:
                    self._breaker.failed()
                else:
                    self._breaker.succeeded()
                if has_started or attempt == NUM_TRIES or not error.is_worth_another_try:
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
        await self._client.close()
        if self.counter is not None:
            self.counter.close()

    def _check_breaker(self) -> None:
        if wait := self._breaker.seconds_to_wait():
            raise ModelUnavailableError(
                f"The model server at {self._url} failed several times in a row and is left alone "
                f"for {wait:.0f} s. See its log.",
                retry_after_seconds=wait,
            )

    async def _stream(self, task: Task) -> AsyncGenerator[Delta | Finish, None]:
        answers = ServedAnswers(task.sampling.num_choices)
        with self._translated_errors():
            async with aclosing(self._read(task, answers)) as deltas:
                async for delta in deltas:
                    yield delta
        # A dying engine ends its stream without a word; a whole answer says why it ended.
        if not answers.are_whole:
            raise ModelBrokeOffError(
                f"The model at {self._url} broke off in the middle of its answer. Ask again."
            )
        # A stop text may come first, and of several answers one may think until it is cut.
        if len(answers.empty) == task.sampling.num_choices and not task.sampling.stop:
            raise ModelSaidNothingError(
                f"The model at {self._url} ended without an answer. If it thinks before it "
                "answers, raise SERVING_MAX_ANSWER_TOKENS or switch thinking off."
            )
        yield answers.finish()

    async def _read(self, task: Task, answers: ServedAnswers) -> AsyncGenerator[Delta, None]:
        """Yield what the server writes, as long as it goes on writing."""
        model = await self.model_name()
        clock = asyncio.get_running_loop().time
        # The client's own clock takes any byte for a sign, such as those of a proxy that keeps a
        # line open, and costs a timer for each.
        deadline = clock() + self._timeout_seconds
        async with asyncio.timeout_at(deadline):
            stream = await self._open(model, task)
        async with stream, aclosing(_chunks(stream.response)) as batches:
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        chunks = await anext(batches)
                except StopAsyncIteration:
                    break
                for delta in answers.read(chunks):
                    yield delta
                    deadline = clock() + self._timeout_seconds
        for delta in answers.rest():
            yield delta

    async def _open(self, model: str, task: Task) -> Any:
        """Return the client's stream, for its response: it reads for itself four times as long."""
        messages: list[Any] = list(task.messages)
        stream = await self._client.chat.completions.create(
            model=model,
            messages=messages,
            stream=True,
            stream_options={"include_usage": True},
            timeout=self._stream_timeout,
            **_options(task.sampling, task.thinking, self._switch),
        )
        if stream.response.headers.get("content-type", "").startswith(_NO_STREAM):
            raise await _read_error(stream.response)
        return stream

    async def _list_models(self) -> list[str]:
        with self._translated_errors():
            models = [model.id for model in (await self._client.models.list()).data]
        if not models:
            raise ModelFailedError(f"The server at {self._url} lists no model.")
        return models

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except (TimeoutError, openai.APITimeoutError, httpx2.TimeoutException) as error:
            raise ModelSilentError(
                f"The model server at {self._url} was silent for {self._timeout_seconds:g} s. Ask "
                "again, or raise SERVING_LLM_TIMEOUT_SECONDS."
            ) from error
        except (openai.APIConnectionError, *_CUT) as error:
            self._forget()
            raise ModelUnavailableError(
                f"The model server at {self._url} does not answer. Check that it runs and that "
                "SERVING_LLM_URL is right; `suffice doctor` tests it."
            ) from error
        except openai.APIStatusError as error:
            raise self._read_status(error) from error
        except _NONSENSE as error:
            if _is_event(error):
                raise self._read_event(error) from error
            raise ModelFailedError(
                f"The server at {self._url} does not answer like an OpenAI-compatible one: "
                f"{_shorten(str(error))}. Check SERVING_LLM_URL, SERVING_LLM_MODEL and "
                "SERVING_LLM_API_KEY."
            ) from error

    def _read_status(self, error: openai.APIStatusError) -> ServingError:
        """Return what an answer says whose status is no success."""
        status, said = error.status_code, _said(error)
        if status in _NO_KEY:
            return ModelFailedError(
                f"The model server at {self._url} refuses the key. Set SERVING_LLM_API_KEY."
            )
        if status in _REFUSED:
            return self._refuse(error)
        if status in _BUSY or status >= _SERVER_ERROR:
            unavailable = ModelBusyError if status in _BUSY else ModelUnavailableError
            message = f"The model server at {self._url} cannot answer now ({status}): {said}"
            return unavailable(message, _retry_after(error.response))
        failed = ModelFailedError
        if status == _NOT_FOUND and self._configured_model is None and self._model is not None:
            self._forget()
            failed = ModelChangedError
        return failed(
            f"The server at {self._url} does not answer like an OpenAI-compatible one ({status}): "
            f"{said} Check SERVING_LLM_URL, SERVING_LLM_MODEL and SERVING_LLM_API_KEY."
        )

    def _read_event(self, error: openai.APIError) -> ServingError:
        """Return what an error says that came when HTTP's status was long sent: 200."""
        if str(error.code) == str(_BAD_REQUEST):  # vLLM sends a number
            return self._refuse(error)
        return ModelBrokeOffError(f"The model at {self._url} broke off: {_said(error)}")

    def _refuse(self, error: openai.APIError) -> InvalidRequestError:
        message = f"The model refused the request: {_said(error)}"
        is_too_large = isinstance(error, openai.APIStatusError) and error.status_code == _TOO_LARGE
        is_too_long = error.param == "input_tokens" or "maximum context length" in error.message
        if is_too_large or is_too_long:
            self._forget()
            return PromptTooLongError(f"{message} Lower top_k or set max_context_tokens.")
        return InvalidRequestError(message)

    def _forget(self) -> None:
        """Ask anew what is served: a server may come up again with another model or window."""
        self._model = self._configured_model
        if self.counter is not None:
            self.counter.forget()


async def _chunks(response: httpx2.Response) -> AsyncGenerator[Iterator[Any], None]:
    """Yield what a stream brings until it says that this is all; what came together, together."""
    reader = EventReader()
    async with aclosing(in_batches(response.aiter_bytes())) as batches:
        async for batch in batches:
            events = reader.feed(b"".join(batch))
            yield (_to_chunk(event, response) for event in takewhile(_is_more, events))
            if not all(map(_is_more, events)):
                break
        # To its end, or the connection could not be used again.
        with suppress(TimeoutError, *_CUT):
            async with asyncio.timeout(_END_SECONDS):
                async for _ in batches:
                    pass


def _is_more(event: bytes) -> bool:
    return not event.startswith(_DONE)


def _to_chunk(event: bytes, response: httpx2.Response) -> Any:
    """Return the JSON of an event.

    Raises:
        openai.APIError: it is an error, as the client raises it.
        ValueError: it is no JSON.
    """
    chunk = json.loads(event)
    if isinstance(chunk, dict) and (error := chunk.get("error")):
        message = error.get("message") if isinstance(error, dict) else None
        raise openai.APIError(str(message or "It sent an error."), response.request, body=error)
    return chunk


async def _read_error(response: httpx2.Response) -> openai.APIError:
    """Return the error that came with status 200 in the place of a stream."""
    body: Any = (await response.aread()).decode(errors="replace")
    with suppress(ValueError):
        body = json.loads(body)
    said = body.get("error", body) if isinstance(body, dict) else body
    return openai.APIError("It sent no stream.", response.request, body=said)


def _said(error: openai.APIError) -> str:
    """Return what a server says of an error, as a sentence."""
    body = error.body
    said = body.get("message") if isinstance(body, dict) else body
    text = _shorten(said if said and isinstance(said, str) else error.message)
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_SAID else f"{line[:MAX_SAID]}\u2026"


def _retry_after(response: httpx2.Response) -> float | None:
    """Return the seconds that a server asks to wait; None: it names none, or a date."""
    value: str = response.headers.get("retry-after", "")
    return float(value) if value.isdecimal() else None


def _is_event(error: Exception) -> TypeGuard[openai.APIError]:
    """Tell whether an error was an event of a stream; the client has no class of its own for it."""
    return type(error) is openai.APIError


def _options(
    sampling: Sampling, thinking: Thinking | None, switch: ThinkingSwitch
) -> dict[str, Any]:
    options = {
        "max_tokens": sampling.max_tokens + thinking_room(thinking),
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
    return {"extra_body": body}


def _effort(thinking: Thinking) -> str:
    if not thinking.is_on:
        return "none"
    if thinking.max_tokens is None or thinking.max_tokens > _MEDIUM_EFFORT_TOKENS:
        return "high"
    return "low" if thinking.max_tokens <= _LOW_EFFORT_TOKENS else "medium"
