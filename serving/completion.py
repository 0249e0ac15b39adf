"""OpenAI's completion objects, whole and in pieces, made of what the answerer yields."""

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from serving.answering import Conclusion
from serving.citations import Citation
from serving.context import num_tokens
from serving.generation import Delta
from serving.grounding import Support
from serving.money import to_usd
from serving.pricing import Basis
from serving.tokens import Usage

DONE = "data: [DONE]\n\n"


@dataclass(slots=True)
class Completion:
    """One completion: its envelope, and what its answers have so far.

    Attributes:
        model: as the request named it.
        profile: by which it comes about, see `Question.describe_profile`.
        trace_id: under which people find how the answer came about; None: nobody keeps that.
    """

    model: str
    profile: Mapping[str, Any]
    trace_id: str | None
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    _thoughts: dict[int, str] = field(default_factory=dict)
    _logprobs: dict[int, list[Any]] = field(default_factory=dict)

    def add(self, delta: Delta) -> None:
        """Keep of a piece what the conclusion does not tell."""
        if delta.thought:
            self._thoughts[delta.choice] = self._thoughts.get(delta.choice, "") + delta.thought
        if delta.logprobs:
            tokens = self._logprobs.setdefault(delta.choice, [])
            tokens += delta.logprobs.get("content") or []

    def whole(self, conclusion: Conclusion) -> dict[str, Any]:
        """Return the object of an answer that is complete."""
        choices = [
            {
                "index": index,
                "message": {
                    "role": "assistant",
                    "content": None if answer.is_refusal else answer.text,
                    "refusal": answer.text if answer.is_refusal else None,
                    "annotations": [annotation(citation) for citation in answer.citations],
                    **self._reasoning(index),
                },
                "logprobs": {"content": self._logprobs.get(index, [])} if self._logprobs else None,
                "finish_reason": answer.finish_reason,
            }
            for index, answer in enumerate(conclusion.answers)
        ]
        return self._wrap(
            "chat.completion",
            choices,
            usage=usage(conclusion.account.usage()),
            suffice=self._extension(conclusion),
        )

    def opening(self, num_choices: int) -> str:
        """Return the events that begin a stream."""
        delta = {"role": "assistant", "content": ""}
        return "".join(self._chunk(index, delta) for index in range(num_choices))

    def piece(self, delta: Delta) -> str:
        """Return the event of a piece."""
        body: dict[str, Any] = {}
        if delta.thought:
            body["reasoning"] = delta.thought
        if delta.text or not delta.thought:
            body["refusal" if delta.is_refusal else "content"] = delta.text
        return self._chunk(delta.choice, body, logprobs=delta.logprobs)

    def ending(self, conclusion: Conclusion, *, include_usage: bool) -> str:
        """Return the events that end a stream; the `suffice` object comes with the last choice."""
        events = ""
        last = len(conclusion.answers) - 1
        for index, answer in enumerate(conclusion.answers):
            annotations = [annotation(citation) for citation in answer.citations]
            more = {"suffice": self._extension(conclusion)} if index == last else {}
            delta = {"annotations": annotations}
            events += self._chunk(index, delta, reason=answer.finish_reason, more=more)
        if include_usage:
            total = usage(conclusion.account.usage())
            events += event(self._wrap("chat.completion.chunk", [], usage=total))
        return events

    def _chunk(
        self,
        index: int,
        delta: dict[str, Any],
        reason: str | None = None,
        logprobs: Any = None,
        more: dict[str, Any] | None = None,
    ) -> str:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return event(self._wrap("chat.completion.chunk", [choice], **(more or {})))

    def _extension(self, conclusion: Conclusion) -> dict[str, Any]:
        return {
            "trace_id": self.trace_id,
            "profile": dict(self.profile),
            **extension(conclusion),
        }

    def _reasoning(self, index: int) -> dict[str, str]:
        return {"reasoning": self._thoughts[index]} if index in self._thoughts else {}

    def _wrap(self, kind: str, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
            **more,
        }


def event(body: dict[str, Any]) -> str:
    """Return a server-sent event."""
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def annotation(citation: Citation) -> dict[str, Any]:
    """Return a citation in the form of OpenAI's annotations."""
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


def usage(total: Usage) -> dict[str, Any]:
    """Return the tokens of all calls of models."""
    return {
        "prompt_tokens": total.prompt_tokens,
        "completion_tokens": total.completion_tokens,
        "total_tokens": total.prompt_tokens + total.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": total.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": total.reasoning_tokens},
    }


def extension(conclusion: Conclusion) -> dict[str, Any]:
    """Return the `suffice` object."""
    return {
        "answered_by": conclusion.answered_by,
        "grounded": conclusion.grounded,
        "abstained": conclusion.abstained,
        "unsupported": [
            {
                "choice": index,
                "start": one.start,
                "end": one.end,
                "text": answer.text[one.start : one.end],
                "reason": one.reason,
            }
            for index, answer in enumerate(conclusion.answers)
            for one in answer.sentences
            if one.support is Support.UNSUPPORTED
        ],
        "query": asdict(conclusion.query),
        "context": describe_context(conclusion),
        "plan": describe_plan(conclusion),
        "cost": describe_cost(conclusion),
        "timings": dict(conclusion.timings),
        "warnings": conclusion.warnings,
    }


def describe_context(conclusion: Conclusion) -> dict[str, Any]:
    """Return what the answer was written from."""
    prepared = conclusion.prepared
    if prepared is None:
        names = ("chunks", "passages", "recalled", "tokens", "recalled_tokens", "tokens_before")
        return {**dict.fromkeys(names, 0), "dropped": []}
    packing = prepared.packing
    return {
        "chunks": packing.num_chunks,
        "passages": len(packing.passages),
        "recalled": len(prepared.recalled),
        "tokens": packing.tokens_after,
        "recalled_tokens": num_tokens(prepared.recalled),
        "tokens_before": packing.tokens_before,
        "dropped": [asdict(dropped) for dropped in packing.dropped],
    }


def describe_plan(conclusion: Conclusion) -> dict[str, Any] | None:
    """Return how the question was answered; None: no model was asked."""
    if conclusion.prepared is None:
        return None
    plan = conclusion.prepared.plan
    return {
        "model": plan.generator.name,
        "thinking": None if plan.thinking is None else plan.thinking.is_on,
        "samples": plan.samples,
        "verify": plan.verify,
        "max_context_tokens": plan.context_tokens,
        "max_answer_tokens": plan.answer_tokens,
        "given_up": list(plan.given_up),
    }


def describe_cost(conclusion: Conclusion) -> dict[str, Any]:
    """Return what the calls of models took."""
    calls = conclusion.account.calls
    bases = {call.basis for call in calls} or {Basis.FREE}
    return {
        "usd": conclusion.account.known_usd(),
        "basis": next(iter(bases)) if len(bases) == 1 else "mixed",
        "calls": [
            {
                "purpose": call.purpose,
                "model": call.model,
                "prompt_tokens": call.usage.prompt_tokens,
                "cached_tokens": call.usage.cached_tokens,
                "completion_tokens": call.usage.completion_tokens,
                "reasoning_tokens": call.usage.reasoning_tokens,
                "usd": None if call.basis is Basis.UNKNOWN else to_usd(call.nano_usd),
                "seconds": call.seconds,
                "first_token_seconds": call.first_token_seconds,
                "is_estimated": call.is_estimated,
            }
            for call in calls
        ],
    }
