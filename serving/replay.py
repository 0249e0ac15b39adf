"""Replay: a question is asked again as it was, of what is served now, and what changed is told.

Nobody asked it just now: a replay is no trace, counts for no alarm, is harvested by nobody, and no
turn of its conversation goes on from it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ingest.library import Library
from retrieval.errors import ProfileError, ProfileNotFoundError
from retrieval.profiles import ProfileStore
from serving.answering import Answerer
from serving.bookkeeping import Bookkeeper
from serving.citations import words_of
from serving.conversation import Query
from serving.finding import Find
from serving.limits import Permit
from serving.profiles import AnsweringProfile
from serving.question import Question
from serving.traces import StoredTrace

# What a search rests on, as traces name it.
PARTS = ("embedder", "analyzer", "chunker", "reranker")
# Of a replay that only searches.
NO_ANSWER = dict.fromkeys(("answer", "grounded", "prompt_tokens", "usd"))


@dataclass(frozen=True, slots=True)
class Replayer:
    """Asks recorded questions again.

    Attributes:
        library: that is asked.
        find: searches it; called in a thread.
        answerer: of all questions.
        bookkeeper: enters what the answers take.
        profiles: that are saved now.
    """

    library: Library
    find: Find
    answerer: Answerer
    bookkeeper: Bookkeeper
    profiles: ProfileStore[AnsweringProfile]

    async def answer(
        self, trace: StoredTrace, question: Question, permit: Permit
    ) -> dict[str, Any]:
        """Answer the question of a trace once more; return what changed.

        Args:
            trace: of the answer that was given.
            question: that is recorded in it.
            permit: to answer.
        """
        conclusion = await self.bookkeeper.answer_unseen(
            self.answerer, question, permit, is_remembered=False
        )
        now = await asyncio.to_thread(self.bookkeeper.tracer.trace, conclusion)
        return await asyncio.to_thread(self._compare, trace, question, now)

    def search(self, trace: StoredTrace, question: Question) -> dict[str, Any]:
        """Search once more for what was searched for then; return what changed. Asks no model."""
        query = Query(**trace.body["query"])
        found = self.find(question, query.text)
        now = self.bookkeeper.tracer.trace_search(question, query, found)
        return self._compare(trace, question, now)

    def _compare(
        self, trace: StoredTrace, question: Question, now: Mapping[str, Any]
    ) -> dict[str, Any]:
        before = trace.body
        documents = self._compare_documents(trace)
        changed = {
            "documents": bool(documents["num_changed"] or documents["deleted"]),
            **{part: before["library"].get(part) != now["library"].get(part) for part in PARTS},
            "profile": self._digest(question.profile_name) != question.profile_digest,
            "model": "answers" in now and before["answered_by"] != now["answered_by"],
            "memory": "answers" in now and _recalled(before) != _recalled(now),
        }
        return {
            "trace_id": trace.id,
            "time": trace.time,
            "changed": [part for part, is_changed in changed.items() if is_changed],
            "documents": documents,
            "query": _pair(before["query"]["text"], now["query"]["text"]),
            "hits": compare_hits(before["candidates"], now["candidates"]),
            **(compare_answers(before, now) if "answers" in now else NO_ANSWER),
            "now": now,
        }

    def _compare_documents(self, trace: StoredTrace) -> dict[str, Any]:
        """Count the documents, and those changed since; name those found then that are gone."""
        found = {one.get("document_id"): one.get("filename") for one in trace.body["candidates"]}
        found.pop(None, None)  # of a candidate that was gone by then
        known = self.library.filenames(found)
        return {
            "num_now": self.library.count_documents_of(trace.collection),
            "num_changed": self.library.count_documents_of(trace.collection, trace.time),
            "deleted": [
                {"document_id": document_id, "filename": filename}
                for document_id, filename in found.items()
                if document_id not in known
            ],
        }

    def _digest(self, name: str | None) -> str | None:
        """Return what a profile of a name says now; None: there is none."""
        try:
            return None if name is None else self.profiles.get(name).settings_digest
        except (ProfileError, ProfileNotFoundError):
            return None


def compare_hits(
    before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return which hits stayed, moved, came and went, each with its ranks from 1.

    Args:
        before: candidates of the trace, see `Tracer`.
        now: those of the replay.
    """
    then, today = _ranks(before), _ranks(now)
    known = {one["chunk_id"]: one for one in (*before, *now)}
    outcomes = {one["chunk_id"]: one["outcome"] for one in now}

    def show(chunk_id: str) -> dict[str, Any]:
        places = ("chunk_id", "document_id", "filename", "place", "heading")
        shown = {name: known[chunk_id].get(name) for name in places}
        return shown | _pair(then.get(chunk_id), today.get(chunk_id))

    kept = [one for one in today if one in then]
    return {
        "num_before": len(then),
        "num_now": len(today),
        "num_kept": len(kept),
        "moved": [show(one) for one in kept if then[one] != today[one]],
        "gained": [show(one) for one in today if one not in then],
        "lost": [
            show(one) | {"outcome": outcomes.get(one, "is not found any more")}
            for one in then
            if one not in today
        ],
    }


def compare_answers(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the answers of two traces have in common; usd of no known price is None."""
    texts = [[answer["text"] for answer in body["answers"]] for body in (before, now)]
    tokens = [
        sum(call["prompt_tokens"] for call in body["cost"]["calls"]) for body in (before, now)
    ]
    words = [list(map(words_of, answers)) for answers in texts]
    return {
        "answer": {"is_same": words[0] == words[1], **_pair(*texts)},
        "grounded": _pair(before["grounded"], now["grounded"]),
        "prompt_tokens": _pair(*tokens),
        "usd": _pair(before["cost"]["usd"], now["cost"]["usd"]),
    }


def _ranks(candidates: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    hits = [one["chunk_id"] for one in candidates if one["is_hit"]]
    return {chunk_id: rank for rank, chunk_id in enumerate(hits, start=1)}


def _recalled(body: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Return the passages that the service remembered of earlier turns."""
    place = ("document_id", "revision", "start", "end")
    recalled = [one for one in body["passages"] if one["is_recalled"]]
    return [tuple(one[part] for part in place) for one in recalled]


def _pair(before: Any, now: Any) -> dict[str, Any]:
    return {"before": before, "now": now}
