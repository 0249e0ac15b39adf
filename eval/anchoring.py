"""Placing the evidence of questions in the texts as they are now."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from eval.passages import Interval, SearchableText, nearest
from eval.questions import Fact, Question, Span

_NUMBER = re.compile(r"\d+")


class Placement(StrEnum):
    """What became of a span."""

    KEPT = "kept"
    MOVED = "moved"
    FUZZY = "fuzzy"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class DroppedQuestion:
    """A question that lost a fact, and why."""

    question_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Anchored:
    """Questions whose spans all have offsets, with `text` equal to that slice of the document.

    Attributes:
        num_kept: spans found where the file says, or by their text when the file does not say.
        num_moved: spans whose text stands elsewhere, or with other white space.
        num_fuzzy: spans whose text was changed by at most 5 % of its characters, and no number.
        num_dropped: spans that are nowhere; their fact may have another.
        dropped: the questions left out.
    """

    questions: tuple[Question, ...]
    num_kept: int
    num_moved: int
    num_fuzzy: int
    num_dropped: int
    dropped: tuple[DroppedQuestion, ...]


def anchor(questions: Iterable[Question], texts: Mapping[str, str]) -> Anchored:
    """Place every span of the questions in its document.

    A span stays where its text is. Otherwise it goes where its text stands exactly, else where it
    stands with other white space, each time nearest to the old start; else to the only place that
    is at least 95 % the same and has the same numbers. A span without a start becomes one
    alternative for each place.

    Args:
        questions: as loaded.
        texts: document name -> canonical text.
    """
    anchoring = _Anchoring(texts)
    anchored: list[Question] = []
    dropped: list[DroppedQuestion] = []
    for question in questions:
        facts = tuple(anchoring.place(fact) for fact in question.facts)
        if all(facts):
            anchored.append(replace(question, facts=facts))
        else:
            lost = question.facts[facts.index(())]
            dropped.append(DroppedQuestion(question.question_id, anchoring.reason(lost)))
    counts = anchoring.counts
    return Anchored(
        questions=tuple(anchored),
        num_kept=counts[Placement.KEPT],
        num_moved=counts[Placement.MOVED],
        num_fuzzy=counts[Placement.FUZZY],
        num_dropped=counts[Placement.DROPPED],
        dropped=tuple(dropped),
    )


class _Anchoring:
    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = {name: SearchableText(text) for name, text in texts.items()}
        self.counts: Counter[Placement] = Counter()

    def place(self, fact: Fact) -> Fact:
        """Return the spans that were found, which may be none."""
        placed: list[Span] = []
        for span in fact:
            placement, places = self._find(span)
            self.counts[placement] += 1
            placed += [self._placed(span, place) for place in places]
        return tuple(placed)

    def reason(self, fact: Fact) -> str:
        """Say why nothing of a fact was found."""
        span = fact[0]
        if span.document not in self._texts:
            return f"there is no document {span.document!r}"
        return f"{span.document!r} does not contain, or not in one place only: {span.text[:80]!r}"

    def _find(self, span: Span) -> tuple[Placement, Sequence[Interval]]:
        document = self._texts.get(span.document)
        if document is None:
            return Placement.DROPPED, ()
        if places := document.find_exact(span.text):
            return _choose(span, places)
        if places := document.find_ignoring_space(span.text):
            return Placement.MOVED, _choose(span, places)[1]
        numbers = _NUMBER.findall(span.text)
        # "36 months" is one character away from "24 months", and another fact.
        places = [
            place
            for place in document.find_similar(span.text)
            if _NUMBER.findall(document.text[slice(*place)]) == numbers
        ]
        return (Placement.FUZZY, places) if len(places) == 1 else (Placement.DROPPED, ())

    def _placed(self, span: Span, place: Interval) -> Span:
        start, end = place
        text = self._texts[span.document].text[start:end]
        return replace(span, start=start, end=end, text=text)


def _choose(span: Span, places: list[Interval]) -> tuple[Placement, Sequence[Interval]]:
    if span.start is None:
        return Placement.KEPT, places
    place = nearest(places, span.start)
    return (Placement.KEPT if place[0] == span.start else Placement.MOVED), [place]
