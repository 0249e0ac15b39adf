"""Harvest: questions that people asked become items of a queue, which a person reviews.

A queue is a file of questions (`eval.questions`) whose lines may still be incomplete: `facts` is
null until somebody has written down what answers the question. `review` tells that person what
happened.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

from eval.errors import writing
from eval.json_lines import read_json_lines
from retrieval.whole_files import write_whole
from serving.citations import BESIDE

KIND = "feedback"


class Reason(StrEnum):
    """Why a question is worth a look."""

    DOWN = "down"
    """The last rating of its answer is thumbs down."""
    REFUSED = "refused"
    """Nobody rated the answer, and it cites nothing: the documents were said to have none."""
    UP = "up"
    """The last rating is thumbs up, so what was cited may be the evidence."""


@dataclass(frozen=True, slots=True)
class Item:
    """A question to be reviewed.

    Attributes:
        trace_id: of its answer.
        question: as it can be understood alone.
        reason: why it is here.
        line: of the queue, as JSON.
    """

    trace_id: str
    question: str
    reason: Reason
    line: Mapping[str, Any]


def to_item(trace: Mapping[str, Any], names: Mapping[str, str]) -> Item | None:
    """Return the item of a trace; None: nothing calls for a look.

    Args:
        trace: as `GET /v1/traces` lists it.
        names: document id -> external id; citations of others are left out.
    """
    ratings = [one["rating"] for one in trace["feedback"]]
    citations = trace["citations"]
    if ratings:
        reason = Reason(ratings[-1])
    elif not citations:
        reason = Reason.REFUSED
    else:
        return None
    known = [one for one in citations if one["document_id"] in names]
    is_whole = len(known) == len(citations)
    proposed = None
    if reason is Reason.UP and is_whole:
        proposed = list(_facts(trace["answer"], known, names))
    line = {
        "id": trace["id"],
        "question": trace["query"],
        "facts": proposed,
        "kind": KIND,
        "tags": [reason],
        "review": {
            "time": trace["time"],
            "asked": trace["question"],
            "answered": trace["answer"],
            "cited": [{"doc": names[one["document_id"]], "text": one["quote"]} for one in known],
            "comments": [one["comment"] for one in trace["feedback"] if one["comment"]],
        },
    }
    return Item(trace["id"], trace["query"], reason, line)


def _facts(
    answer: str, citations: list[Mapping[str, Any]], names: Mapping[str, str]
) -> Iterator[list[dict[str, Any]]]:
    """Yield a fact for each claim: what its markers, side by side, cite are alternatives."""
    if not citations:
        return
    fact = [_span(citations[0], names)]
    for before, citation in pairwise(citations):
        between = answer[before["text_end"] : citation["text_start"]]
        if not re.fullmatch(BESIDE, between):
            yield fact
            fact = []
        fact.append(_span(citation, names))
    yield fact


def _span(citation: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "doc": names[citation["document_id"]],
        "rev": citation["revision"],
        "start": citation["start"],
        "end": citation["end"],
        "text": citation["quote"],
    }


class Queue:
    """A file of items, to which new ones are added; what stands there is left as it is.

    What was ever added is kept in mind in a file `.seen` beside it, so an item that somebody
    deleted does not come back.
    """

    def __init__(self, path: Path) -> None:
        """Read what is there.

        Raises:
            DatasetError: a line is no JSON object, or the file cannot be read.
        """
        self._path = path
        self._seen_path = path.with_name(f"{path.name}.seen")
        lines = list(read_json_lines(path)) if path.exists() else []
        self._seen = {line.text("id") for line in lines}
        self._questions = {_fold(line.text("question")) for line in lines}
        if self._seen_path.exists():
            self._seen |= set(self._seen_path.read_text(encoding="utf-8").split())

    def add(self, items: Iterable[Item]) -> Counter[Reason]:
        """Add what is new, the same question once; return how many by reason.

        Raises:
            DatasetError: the file cannot be written; then nothing was added.
        """
        added: list[Item] = []
        for item in items:
            folded = _fold(item.question)
            if item.trace_id not in self._seen and folded not in self._questions:
                added.append(item)
                self._questions.add(folded)
            self._seen.add(item.trace_id)
        with writing(self._path):
            self._write(added)
        return Counter(item.reason for item in added)

    def _write(self, added: list[Item]) -> None:
        old = self._path.read_bytes() if self._path.exists() else b""
        if old and not old.endswith(b"\n"):
            old += b"\n"
        new = "".join(json.dumps(item.line, ensure_ascii=False) + "\n" for item in added)
        write_whole(self._path, old + new.encode("utf-8", "surrogatepass"))
        write_whole(self._seen_path, "".join(f"{one}\n" for one in sorted(self._seen)).encode())


def _fold(question: str) -> str:
    return " ".join(question.casefold().split())
