"""POST /v1/chat/completions and GET /v1/models, compatible with OpenAI's clients."""

import json
import logging
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response, StreamingResponse

from serving.answering import Conclusion, Question
from serving.citations import Citation
from serving.errors import InvalidRequestError, error_body
from serving.generation import Sampling, Turn
from serving.routes.dependencies import RunningService, check_question, find_profile
from serving.schemas import ChatRequest
from serving.service import Service

router = APIRouter()
logger = logging.getLogger(__name__)
MODEL = "suffice"


@router.get("/v1/models")
def models() -> dict[str, Any]:
    """List the names that `model` accepts."""
    return {
        "object": "list",
        "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "suffice"}],
    }


@router.post("/v1/chat/completions")
async def chat(request: ChatRequest, service: RunningService) -> Response:
    """Answer the last user message from the documents."""
    question = _to_question(request, service)
    answer = service.answerer.answer(question)
    # Errors before the first piece still get a status; later ones can only go into the stream.
    first = await anext(answer)
    envelope = Envelope()
    if request.stream:
        include_usage = bool(request.stream_options and request.stream_options.include_usage)
        events = _events(envelope, first, answer, include_usage=include_usage)
        return StreamingResponse(events, media_type="text/event-stream")
    return JSONResponse(await _whole(envelope, first, answer))


@dataclass(frozen=True, slots=True)
class Envelope:
    """Id and time of one completion."""

    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def wrap(self, kind: str, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        """Return a completion object."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": MODEL,
            "choices": choices,
            **more,
        }


def _to_question(request: ChatRequest, service: Service) -> Question:
    if request.model != MODEL:
        raise InvalidRequestError(f"There is no model {request.model!r}; use {MODEL!r}.", "model")
    *earlier, last = request.messages
    if last.role != "user":
        raise InvalidRequestError("The last message must be the user's question.", "messages")
    settings = service.settings.serving
    profile = find_profile(request.suffice.profile, service)
    max_tokens = (
        request.suffice.max_context_tokens
        or profile.packing.max_tokens
        or settings.max_context_tokens
    )
    stop = [request.stop] if isinstance(request.stop, str) else request.stop or []
    return Question(
        text=check_question(last.text, service, "messages"),
        history=[
            Turn("system" if turn.role == "developer" else turn.role, turn.text) for turn in earlier
        ],
        collection=request.suffice.collection,
        profile=profile,
        top_k=profile.most_hits(request.suffice.top_k, settings.top_k),
        where=request.suffice.filter,
        packing=profile.packing.model_copy(update={"max_tokens": max_tokens}),
        sampling=Sampling(
            max_tokens=request.max_completion_tokens
            or request.max_tokens
            or settings.max_answer_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            seed=request.seed,
            stop=tuple(stop),
        ),
    )


async def _whole(
    envelope: Envelope, first: str | Conclusion, rest: AsyncIterator[str | Conclusion]
) -> dict[str, Any]:
    pieces: list[str] = []
    conclusion = first
    async for piece in _chain(first, rest):
        if isinstance(piece, str):
            pieces.append(piece)
        conclusion = piece
    if not isinstance(conclusion, Conclusion):
        raise TypeError("an answer ends with its conclusion")
    message = {
        "role": "assistant",
        "content": "".join(pieces),
        "refusal": None,
        "annotations": [_annotation(citation) for citation in conclusion.citations],
    }
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": conclusion.finish_reason,
    }
    return envelope.wrap(
        "chat.completion", [choice], usage=_usage(conclusion), suffice=_extension(conclusion)
    )


async def _events(
    envelope: Envelope,
    first: str | Conclusion,
    rest: AsyncIterator[str | Conclusion],
    *,
    include_usage: bool,
) -> AsyncIterator[str]:
    """Yield server-sent events; citations and the `suffice` object come with finish_reason."""

    def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return _event(envelope.wrap("chat.completion.chunk", [choice], **more))

    yield chunk({"role": "assistant", "content": ""})
    try:
        async for piece in _chain(first, rest):
            if isinstance(piece, str):
                yield chunk({"content": piece})
                continue
            annotations = [_annotation(citation) for citation in piece.citations]
            yield chunk(
                {"annotations": annotations}, piece.finish_reason, suffice=_extension(piece)
            )
            if include_usage:
                yield _event(envelope.wrap("chat.completion.chunk", [], usage=_usage(piece)))
    except Exception as error:  # the HTTP edge: the status is sent, the stream must tell
        logger.exception("answer broke off")
        yield _event(error_body(error)[1])
    yield "data: [DONE]\n\n"


async def _chain(
    first: str | Conclusion, rest: AsyncIterator[str | Conclusion]
) -> AsyncIterator[str | Conclusion]:
    yield first
    async for piece in rest:
        yield piece


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def _annotation(citation: Citation) -> dict[str, Any]:
    return {
        "type": "file_citation",
        "file_citation": {
            "marker": citation.marker,
            "document_id": citation.document_id,
            "revision": citation.revision,
            "filename": citation.filename,
            "page": citation.page,
            "place": citation.place,
            "start": citation.start,
            "end": citation.end,
            "quote": citation.quote,
            "text_start": citation.text_start,
            "text_end": citation.text_end,
        },
    }


def _usage(conclusion: Conclusion) -> dict[str, Any]:
    usage = conclusion.usage
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def _extension(conclusion: Conclusion) -> dict[str, Any]:
    return {
        "answered_by": conclusion.model,
        "grounded": "yes" if conclusion.is_grounded else "no",
        "context": {
            "chunks": conclusion.packing.num_chunks,
            "passages": len(conclusion.packing.passages),
            "tokens": conclusion.packing.tokens_after,
            "tokens_before": conclusion.packing.tokens_before,
            "dropped": [asdict(dropped) for dropped in conclusion.packing.dropped],
        },
        "timings": conclusion.timings,
        "warnings": conclusion.warnings,
    }
