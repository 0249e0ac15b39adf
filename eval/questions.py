"""Questions with evidence: which characters of which documents answer them.

A file has one JSON object per line, over more lines here:

    {"id", "question", "lang", "cluster", "facts": [[{"doc", "rev", "start", "end", "text"}, ...]],
     "answers", "answerable", "kind", "tags", "weight"}

All facts are needed; of the spans of a fact any one does. `start`, `end` and `rev` may be left out
of a span, as may all but `id`, `question` and `facts` of a question. What `eval.harvest` collects
has a note `review` besides, which is not read, and `facts` that are null until a person has written
them.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.errors import NoQuestionsError, writing
from eval.json_lines import JsonLine, read_json_lines

_QUESTION_KEYS = frozenset(
    {"id", "question", "lang", "cluster", "facts"}
    | {"answers", "answerable", "kind", "tags", "weight", "review"}
)
_SPAN_KEYS = frozenset({"doc", "rev", "start", "end", "text"})


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a document's canonical text.

    Attributes:
        document: name (external id) of the document.
        text: what stands there, more than white space.
        start: first character; None when the file does not say.
        end: one past the last character; None together with `start`.
        revision: SHA-256 of the document's bytes when the span was written; None when unknown.
    """

    document: str
    text: str
    start: int | None = None
    end: int | None = None
    revision: str | None = None


Fact = tuple[Span, ...]
"""Alternative spans, at least one; each states the fact alone."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question and where its answer stands.

    Attributes:
        language: code such as `en`; empty when unknown.
        cluster: questions of one cluster (a document, a thread) are not independent.
        facts: all are needed; none exactly when the documents do not answer the question.
        kind: who wrote it: `human`, `feedback`, `synthetic-llm` or `synthetic-rule`.
        weight: above 0, in means over questions.
    """

    question_id: str
    text: str
    language: str
    cluster: str
    facts: tuple[Fact, ...]
    answers: tuple[str, ...]
    kind: str
    tags: tuple[str, ...]
    weight: float

    @property
    def references(self) -> tuple[str, ...]:
        """The right answers; where there are none, the evidence."""
        return self.answers or tuple(span.text for fact in self.facts for span in fact)

    @property
    def answerable(self) -> bool:
        """Whether the documents answer the question."""
        return bool(self.facts)


def load_questions(path: Path) -> list[Question]:
    """Read and check a file of questions.

    Raises:
        DatasetError: the file is missing, a line broken, a key unknown, or an id there twice.
        NoQuestionsError: the file is empty.
    """
    questions: dict[str, Question] = {}
    for line in read_json_lines(path):
        question = _question(line)
        if question.question_id in questions:
            raise line.error(f"the id {question.question_id!r} is there twice")
        questions[question.question_id] = question
    if not questions:
        raise NoQuestionsError(f"{path} holds no questions. Write one JSON object per line.")
    return list(questions.values())


def group_questions(questions: Sequence[Question]) -> dict[str, list[str]]:
    """Return the ids of the questions of each kind, tag and language.

    What all have in common makes no group. The largest group comes first, of equal ones by name.
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for question in questions:
        names = {question.kind, question.language, *question.tags} - {""}
        for name in names:
            groups[name].append(question.question_id)
    parts = [(name, ids) for name, ids in groups.items() if len(ids) < len(questions)]
    return dict(sorted(parts, key=lambda part: (-len(part[1]), part[0])))


def write_questions(path: Path, questions: Iterable[Question]) -> None:
    """Write a file that `load_questions` reads as the same questions; it is whole or not there.

    Raises:
        DatasetError: it cannot be written.
    """
    half = path.with_name(f"{path.name}.tmp")
    with writing(path):
        with half.open("wb") as file:
            for question in questions:
                line = json.dumps(_to_json(question), ensure_ascii=False, allow_nan=False)
                # As Python's JSON reader decodes what was half a pair of surrogates.
                file.write(line.encode("utf-8", "surrogatepass") + b"\n")
        half.replace(path)


def _to_json(question: Question) -> dict[str, Any]:
    return {
        "id": question.question_id,
        "question": question.text,
        "lang": question.language,
        "cluster": question.cluster,
        "facts": [[_span_to_json(span) for span in fact] for fact in question.facts],
        "answers": question.answers,
        "answerable": question.answerable,
        "kind": question.kind,
        "tags": question.tags,
        "weight": question.weight,
    }


def _span_to_json(span: Span) -> dict[str, Any]:
    fields = {
        "doc": span.document,
        "rev": span.revision,
        "start": span.start,
        "end": span.end,
        "text": span.text,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _question(line: JsonLine) -> Question:
    _refuse_unknown(line, line.fields, _QUESTION_KEYS)
    facts = tuple(_facts(line))
    answerable = line.fields.get("answerable", bool(facts))
    if answerable is not bool(facts):
        raise line.error("'answerable' must be true when there are facts, and false when not")
    question_id = line.non_blank_text("id")
    return Question(
        question_id=question_id,
        text=line.non_blank_text("question"),
        language=line.text("lang", ""),
        cluster=line.text("cluster", facts[0][0].document if facts else question_id),
        facts=facts,
        answers=_texts(line, "answers"),
        kind=line.text("kind", "human"),
        tags=_texts(line, "tags"),
        weight=_weight(line),
    )


def _facts(line: JsonLine) -> Iterator[Fact]:
    facts = line.fields.get("facts", ())
    if facts is None:
        raise line.error(
            "'facts' is null: nobody has reviewed this question yet. Write down what answers it, "
            "[] if the documents do not, or delete the line"
        )
    if not isinstance(facts, list):
        raise line.error("'facts' must be a list; it is empty for an unanswerable question")
    for alternatives in facts:
        if not isinstance(alternatives, list) or not alternatives:
            raise line.error("each fact must be a list of one or more spans")
        yield tuple(_span(line, span) for span in alternatives)


def _span(line: JsonLine, value: Any) -> Span:
    if not isinstance(value, dict):
        raise line.error("each span must be an object with 'doc' and 'text'")
    _refuse_unknown(line, value, _SPAN_KEYS)
    fields = JsonLine(line.path, line.number, value)
    start, end, revision = value.get("start"), value.get("end"), value.get("rev")
    if (start, end) != (None, None) and not _is_interval(start, end):
        raise line.error("'start' and 'end' of a span must be whole numbers, 0 <= start < end")
    return Span(
        document=fields.non_blank_text("doc"),
        text=fields.non_blank_text("text"),
        start=start,
        end=end,
        revision=None if revision is None else fields.text("rev"),
    )


def _is_interval(start: Any, end: Any) -> bool:
    return type(start) is int and type(end) is int and 0 <= start < end


def _texts(line: JsonLine, key: str) -> tuple[str, ...]:
    values = line.fields.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise line.error(f"{key!r} must be a list of texts")
    return tuple(values)


def _weight(line: JsonLine) -> float:
    weight = line.fields.get("weight", 1)
    # NaN and infinity are numbers for Python's JSON reader.
    if type(weight) not in {int, float} or not 0 < weight < float("inf"):
        raise line.error("'weight' must be a number above 0")
    return float(weight)


def _refuse_unknown(line: JsonLine, fields: dict[str, Any], known: frozenset[str]) -> None:
    if unknown := sorted(fields.keys() - known):
        raise line.error(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
