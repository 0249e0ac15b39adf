"""POST /v1/chat/completions and GET /v1/models, compatible with OpenAI's clients."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import groupby
from typing import Any

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response, StreamingResponse

from retrieval.packing import PackingPolicy
from retrieval.profiles import DEFAULT
from serving.access import Caller
from serving.account import Account
from serving.answering import Conclusion
from serving.certificates import Fingerprints, Standing
from serving.completion import DONE, Completion, event
from serving.errors import InvalidRequestError, ModelNotFoundError, error_body
from serving.generation import Delta, Sampling, Turn
from serving.hang_up import CLIENT_CLOSED_REQUEST, UntilHangUp
from serving.planning import Budget
from serving.profiles import AnsweringProfile, AnswerPolicy, Verification
from serving.question import Question
from serving.responses import INTERNAL
from serving.routes.dependencies import (
    Admission,
    CurrentCaller,
    FoundProfile,
    RunningService,
    check_question,
    estimate,
    find_profile,
)
from serving.schemas import ChatRequest, Message, SufficeOptions
from serving.service import Service

router = APIRouter()
logger = logging.getLogger(__name__)
MODEL = "suffice"
PROFILE_PREFIX = f"{MODEL}/"
# Thinking tokens that OpenAI's efforts stand for; None: as many as it takes.
EFFORTS = {"minimal": 256, "low": 1024, "medium": 4096, "high": None, "xhigh": None}


@router.get("/v1/models")
def models(service: RunningService) -> dict[str, Any]:
    """List the names that `model` accepts."""
    return {"object": "list", "data": [_describe_model(name) for name in _model_names(service)]}


@router.get("/v1/models/{model:path}")
def model(model: str, service: RunningService) -> dict[str, Any]:
    """Show one of these names."""
    if model not in _model_names(service):
        raise ModelNotFoundError(f"There is no model {model!r}; GET /v1/models lists them.")
    return _describe_model(model)


@router.post("/v1/chat/completions")
async def chat(
    request: ChatRequest,
    http: HttpRequest,
    service: RunningService,
    caller: CurrentCaller,
    admit: Admission,
) -> Response:
    """Answer the last user message from the documents."""
    caller.check_collection(request.suffice.collection, "suffice.collection")
    question = _to_question(request, service, caller)
    async with service.stopping.until_cut():
        permit = await admit(*estimate(question, service))
    account = Account(question.budget, permit.allow)
    trace_id = service.bookkeeper.make_trace_id()
    completion = Completion(request.model, question.describe_profile(), trace_id)
    answer = service.shadow.follow(
        service.bookkeeper.follow(
            service.answerer.answer(question, account),
            trace_id,
            question,
            account,
            permit.settle,
        )
    )
    async with service.stopping.until_cut(), UntilHangUp(http):
        # Errors before the first piece still get a status; later ones can only go into the stream.
        first = await anext(answer)
        if not request.stream:
            body = await _whole(completion, first, answer)
            return JSONResponse(body, headers=permit.headers)
        include_usage = bool(request.stream_options and request.stream_options.include_usage)
        opening = completion.opening(question.num_choices)
        pieces = _until_cut(service, _chain(first, answer))
        events = _events(completion, pieces, include_usage=include_usage, is_admin=caller.is_admin)
        return StreamingResponse(
            _until_hang_up(http, opening, events),
            media_type="text/event-stream",
            headers=permit.headers,
        )
    return Response(status_code=CLIENT_CLOSED_REQUEST)


def _model_names(service: Service) -> list[str]:
    backends = service.models.names()
    saved = [name for name in service.profiles.names() if name != DEFAULT]
    profiles = [f"{PROFILE_PREFIX}{name}" for name in saved]
    return [MODEL, *profiles, *(backends if len(backends) > 1 else [])]


def _describe_model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": MODEL}


def _to_question(request: ChatRequest, service: Service, caller: Caller) -> Question:
    *earlier, last = request.messages
    if last.role != "user":
        raise InvalidRequestError("The last message must be the user's question.", "messages")
    settings = service.settings.serving
    options = request.suffice
    found = _to_profile(request, service)
    profile = found.profile
    if request.n > 1 and profile.answering.samples > 1:
        raise InvalidRequestError(
            "Ask either for n answers or for the best of several samples, not both.", "n"
        )
    max_tokens = (
        options.max_context_tokens or profile.packing.max_tokens or settings.max_context_tokens
    )
    packing = profile.packing.model_copy(update={"max_tokens": max_tokens})
    return Question(
        text=check_question(last.text, service, "messages"),
        history=_to_turns(earlier),
        collection=options.collection,
        profile=profile,
        top_k=profile.most_hits(options.top_k, settings.top_k),
        where=options.filter,
        packing=packing,
        sampling=_to_sampling(request, settings.max_answer_tokens),
        has_fixed_answer=bool(request.max_completion_tokens or request.max_tokens),
        budget=Budget(**options.budget.model_dump()),
        caller=caller.key.id,
        profile_name=found.name,
        profile_digest=found.digest,
        standing=_check_certificate(profile, packing, options, service),
        is_as_served=_is_as_served(request),
        warnings=found.warnings,
    )


def _check_certificate(
    profile: AnsweringProfile, packing: PackingPolicy, options: SufficeOptions, service: Service
) -> Standing | None:
    if profile.certificate is None:
        return None
    collection = service.library.collection(options.collection)
    reranking = service.searcher.reranking if profile.rerank else None
    asked = profile.model_copy(update={"packing": packing, "top_k": options.top_k or profile.top_k})
    standing = profile.certificate.check(
        collection,
        service.library.count_documents_of(collection.name),
        asked.settings_digest,
        Fingerprints.of(
            collection,
            reranking.fingerprint if reranking else None,
            service.models.get(profile.answering.model).name,
        ),
    )
    return replace(standing, alarm=service.alarms.find(options.collection, profile.digest))


def _is_as_served(request: ChatRequest) -> bool:
    """Tell whether a request leaves everything to the collection's profile."""
    usual = SufficeOptions(collection=request.suffice.collection)
    return request.model == MODEL and request.n == 1 and request.suffice == usual


def _to_profile(request: ChatRequest, service: Service) -> FoundProfile:
    """Return the profile that a request names or brings, with what it asks for otherwise."""
    options = request.suffice
    named = None
    if request.model.startswith(PROFILE_PREFIX):
        named = request.model.removeprefix(PROFILE_PREFIX) or None
        if options.profile not in (None, named):
            raise InvalidRequestError(
                f"`model` names the profile {named!r}, and suffice.profile another one. Leave one "
                "out.",
                "suffice.profile",
            )
    found = find_profile(options.profile or named, options.collection, service)
    wishes: dict[str, Any] = {}
    if request.model != MODEL and named is None:
        service.models.get(request.model)
        wishes |= {"model": request.model, "strong_model": None}
    if request.reasoning_effort is not None and options.thinking is not None:
        raise InvalidRequestError(
            "reasoning_effort and suffice.thinking ask for the same. Leave one out.",
            "reasoning_effort",
        )
    if request.reasoning_effort is not None:
        effort = request.reasoning_effort
        wishes["thinking"] = False if effort == "none" else EFFORTS[effort] or True
    if options.thinking is not None:
        wishes["thinking"] = options.thinking
    if options.samples is not None:
        wishes["samples"] = options.samples
    if options.verify is not None:
        wishes["verify"] = _to_verification(options.verify)
    policy = AnswerPolicy.model_validate(found.profile.answering.model_dump() | wishes)
    return replace(found, profile=found.profile.model_copy(update={"answering": policy}))


def _to_verification(wish: bool | Verification) -> Verification:
    if isinstance(wish, bool):
        return Verification.MARK if wish else Verification.OFF
    return wish


def _to_sampling(request: ChatRequest, max_answer_tokens: int) -> Sampling:
    stop = [request.stop] if isinstance(request.stop, str) else request.stop or []
    shape = request.response_format
    logprobs = request.logprobs or request.top_logprobs is not None
    lengths = {request.max_completion_tokens, request.max_tokens} - {None}
    if len(lengths) > 1:
        raise InvalidRequestError(
            "max_tokens and max_completion_tokens ask for the same. Leave one out.", "max_tokens"
        )
    return Sampling(
        max_tokens=request.max_completion_tokens or request.max_tokens or max_answer_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        seed=request.seed,
        stop=tuple(stop),
        num_choices=request.n,
        response_format=None
        if shape is None
        else shape.model_dump(by_alias=True, exclude_none=True),
        top_logprobs=(request.top_logprobs or 0) if logprobs else None,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
    )


def _to_turns(messages: Sequence[Message]) -> list[Turn]:
    """Return earlier messages; many models refuse two in a row from the same side."""
    roles = {"developer": "system"}
    turns = [Turn(roles.get(one.role, one.role), one.text) for one in messages]
    return [
        Turn(role, "\n\n".join(turn.text for turn in side))
        for role, side in groupby(turns, key=lambda turn: turn.role)
    ]


async def _whole(
    completion: Completion,
    first: Delta | Conclusion,
    rest: AsyncGenerator[Delta | Conclusion, None],
) -> dict[str, Any]:
    conclusion = None
    async for piece in _chain(first, rest):
        if isinstance(piece, Conclusion):
            conclusion = piece
        else:
            completion.add(piece)
    if conclusion is None:
        raise TypeError("an answer ends with its conclusion")
    return completion.whole(conclusion)


async def _until_hang_up(
    http: HttpRequest, opening: str, events: AsyncIterator[str]
) -> AsyncIterator[str]:
    """Pass a stream on; when the caller hangs up, whoever writes it is stopped at once."""
    async with UntilHangUp(http):
        yield opening
        async for text in events:
            yield text


async def _until_cut(
    service: Service, answer: AsyncIterator[Delta | Conclusion]
) -> AsyncIterator[Delta | Conclusion]:
    async with service.stopping.until_cut():
        async for piece in answer:
            yield piece


async def _events(
    completion: Completion,
    answer: AsyncIterator[Delta | Conclusion],
    *,
    include_usage: bool,
    is_admin: bool,
) -> AsyncIterator[str]:
    """Yield server-sent events; citations and the `suffice` object come with finish_reason."""
    try:
        async for piece in answer:
            if isinstance(piece, Delta):
                yield completion.piece(piece)
            else:
                yield completion.ending(piece, include_usage=include_usage)
    except Exception as error:  # the HTTP edge: the status is sent, the stream must tell
        status, body = error_body(error, is_admin=is_admin)
        if status == INTERNAL:
            logger.exception("answer broke off")
        else:  # its message may quote the prompt
            logger.warning("answer broke off", extra={"reason": type(error).__name__})
        yield event(body)
    yield DONE


async def _chain(
    first: Delta | Conclusion, rest: AsyncGenerator[Delta | Conclusion, None]
) -> AsyncIterator[Delta | Conclusion]:
    async with aclosing(rest):
        yield first
        async for piece in rest:
            yield piece
