"""The generator that asks an OpenAI-compatible server: vLLM, Ollama or any other."""

import asyncio
import random
import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any, TypeGuard

import httpx2
import openai
from openai.types.chat.chat_completion_chunk import Choice

from serving.backends import Backend, ThinkingSwitch
from serving.breaker import CircuitBreaker
from serving.errors import (
    InvalidRequestError,
    ModelBrokeOffError,
    ModelBusyError,
    ModelFailedError,
    ModelSaidNothingError,
    ModelSilentError,
    ModelUnavailableError,
    PromptTooLongError,
    ServingError,
)
from serving.generation import (
    Delta,
    Finish,
    Sampling,
    Task,
    Thinking,
    TokenCounter,
    Usage,
    thinking_room,
)
from serving.pricing import Rates

NUM_TRIES = 3
_FIRST_PAUSE_SECONDS = 0.1
_BAD_REQUEST = "400"
# Why vLLM ends a stream with "[DONE]" when it is stopped, or fails, in the middle of an answer.
_BROKEN_OFF = {"abort", "error"}
_HALF_PAIR = re.compile("[\ud800-\udfff]")
# What the client raises on answers that are no completion, which it does not check itself.
_NONSENSE = (openai.APIError, httpx2.HTTPError, AttributeError, LookupError, TypeError, ValueError)
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
        self._model = backend.model
        self._breaker = breaker or CircuitBreaker()
        self._client = openai.AsyncOpenAI(
            base_url=backend.url,
            api_key=api_key or "none",
            timeout=openai.Timeout(timeout_seconds, connect=5.0),
            max_retries=0,
        )

    async def model_name(self) -> str:
        """Return the model that answers, asking the server once if none is configured."""
        if self._model is None:
            self._model = (await self._list_models())[0]
        return self._model

    async def check(self) -> None:
        """Ask the server for its models, see `Generator`."""
        models = await self._list_models()
        if self._model is not None and self._model not in models:
            raise ModelFailedError(
                f"The server at {self._url} has no model {self._model!r}; it has "
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
                if has_started or attempt == NUM_TRIES or not error.is_worth_another_try:
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
        model = await self.model_name()
        messages: list[Any] = list(task.messages)
        num_choices = task.sampling.num_choices
        reasons: dict[int, str] = {}
        empty = set(range(num_choices))
        usage = Usage(0, 0)
        with self._translated_errors():
            stream = await self._client.chat.completions.create(
                model=model,
                messages=messages,
                stream=True,
                stream_options={"include_usage": True},
                **_options(task.sampling, task.thinking, self._switch),
            )
            async with stream, aclosing(aiter(stream)) as chunks:
                async for chunk in chunks:
                    if chunk.usage is not None:
                        usage = _usage(chunk.usage)
                    for choice in chunk.choices:
                        delta = _read(choice, is_first=choice.index in empty)
                        if delta.text:
                            empty.discard(delta.choice)
                        if delta.text or delta.thought:
                            yield delta
                        if choice.finish_reason:
                            reasons[choice.index] = choice.finish_reason
        # A dying engine ends its stream without a word; a whole answer says why it ended.
        if len(reasons) < num_choices or _BROKEN_OFF.intersection(reasons.values()):
            raise ModelBrokeOffError(
                f"The model at {self._url} broke off in the middle of its answer. Ask again."
            )
        if empty and not task.sampling.stop:  # which may come first
            raise ModelSaidNothingError(
                f"The model at {self._url} ended without an answer. If it thinks before it "
                "answers, raise SERVING_MAX_ANSWER_TOKENS or switch thinking off."
            )
        ends = [reasons[index] for index in range(num_choices)]
        yield Finish(tuple("length" if end == "length" else "stop" for end in ends), usage)

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
        except (openai.APITimeoutError, httpx2.TimeoutException) as error:
            raise ModelSilentError(
                f"The model server at {self._url} was silent for {self._timeout_seconds:g} s. Ask "
                "again, or raise SERVING_LLM_TIMEOUT_SECONDS."
            ) from error
        except openai.APIConnectionError as error:
            raise ModelUnavailableError(
                f"The model server at {self._url} does not answer. Check that it runs and that "
                "SERVING_LLM_URL is right; `suffice doctor` tests it."
            ) from error
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise ModelFailedError(
                f"The model server at {self._url} refuses the key. Set SERVING_LLM_API_KEY."
            ) from error
        except openai.BadRequestError as error:
            raise _refusal(error) from error
        except (openai.RateLimitError, openai.InternalServerError) as error:
            kind = ModelBusyError if error.status_code in {429, 503} else ModelUnavailableError
            raise kind(
                f"The model server at {self._url} cannot answer now: {error.message}"
            ) from error
        except _NONSENSE as error:
            if _is_event(error):
                raise self._read_event(error) from error
            raise ModelFailedError(
                f"The server at {self._url} does not answer like an OpenAI-compatible one: "
                f"{error}. Check SERVING_LLM_URL, SERVING_LLM_MODEL and SERVING_LLM_API_KEY."
            ) from error

    def _read_event(self, error: openai.APIError) -> ServingError:
        """Return what an error says that came when HTTP's status was long sent: 200."""
        if str(error.code) == _BAD_REQUEST:  # vLLM sends a number
            return _refusal(error)
        return ModelBrokeOffError(f"The model at {self._url} broke off: {error.message}")


def _is_event(error: Exception) -> TypeGuard[openai.APIError]:
    """Tell whether an error was an event of a stream; the client has no class of its own for it."""
    return type(error) is openai.APIError


def _read(choice: Choice, *, is_first: bool) -> Delta:
    """Return what a choice of a chunk brings; the client hands on whatever the server sent."""
    content: object = choice.delta and choice.delta.content
    # vLLM and Ollama call it so; servers of before 2026 `reasoning_content`.
    thought: object = choice.delta and (
        getattr(choice.delta, "reasoning", None) or getattr(choice.delta, "reasoning_content", None)
    )
    text = _whole(content)
    if is_first:  # after thinking come blank lines
        text = text.lstrip()
    logprobs = choice.logprobs.to_dict() if choice.logprobs else None
    return Delta(text, choice.index, _whole(thought), logprobs)


def _whole(text: object) -> str:
    """Return a text that UTF-8 can write."""
    if not isinstance(text, str | None):
        raise TypeError(f"{text!r} is no text")
    return _HALF_PAIR.sub("\ufffd", text or "")


def _refusal(error: openai.APIError) -> InvalidRequestError:
    if error.param == "input_tokens" or "maximum context length" in error.message:
        return PromptTooLongError(
            f"The model refused the request: {error.message}. Lower top_k or set "
            "max_context_tokens."
        )
    return InvalidRequestError(f"The model refused the request: {error.message}")


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


def _usage(usage: openai.types.CompletionUsage) -> Usage:
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        _count(usage.prompt_tokens),
        _count(usage.completion_tokens),
        _count(prompt.cached_tokens if prompt else 0),
        _count(completion.reasoning_tokens if completion else 0),
    )


def _count(value: object) -> int:
    """Return a number of tokens; the client hands on whatever the server sent."""
    return value if isinstance(value, int) else 0
