"""Test collections in the formats of others become questions, and documents to ingest.

A folder gets `questions.jsonl`, and `documents/`, whose files are the documents of the questions
when that folder is ingested.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from eval.beir import load_dataset
from eval.counted import counted
from eval.errors import DatasetError, NoQuestionsError, writing
from eval.json_lines import JsonLine, read_json_lines
from eval.passages import Interval, SearchableText
from eval.questions import Fact, Question, Span, write_questions
from ingest.parsers.plain import parse_plain
from retrieval.sentences import sentence_spans

QUESTIONS = "questions.jsonl"
DOCUMENTS = "documents"
_UNSAFE = re.compile(r"[^\w-]")
_NAME_CHARACTERS = 80
_PARAGRAPH_END = "\n\n"


@dataclass(frozen=True, slots=True)
class Converted:
    """What came of a conversion.

    Attributes:
        num_documents: files that were written.
        num_questions: that were written.
        num_dropped: questions left out, because evidence is not in the documents.
    """

    num_documents: int
    num_questions: int
    num_dropped: int


def convert_beir(source: Path, output: Path) -> Converted:
    """Convert a folder in BEIR's layout: each relevant document is a fact, as a whole.

    Args:
        source: see `eval.beir`.
        output: folder to make.

    Raises:
        DatasetError: the source is broken, or the output not new.
        NoQuestionsError: no question is left.
    """
    dataset = load_dataset(source)
    folder = _make_folder(output / DOCUMENTS)
    files = {
        one.document_id: _write(folder, one.document_id, one.passage)
        for one in dataset.documents()
        if one.passage  # the service takes no empty files
    }
    questions = []
    for query in dataset.queries:
        grades = dataset.qrels[query.query_id]
        relevant = [files[name] for name, grade in grades.items() if grade > 0 and name in files]
        facts = [(file.span(0, len(file.text)),) for file in relevant]
        if facts:
            cluster = facts[0][0].document
            questions.append(_question(query.query_id, query.text, facts, cluster))
    return _finish(output, questions, len(files), len(dataset.queries))


class _Answer(BaseModel):
    text: str
    answer_start: int


class _Asked(BaseModel):
    id: str
    question: str
    answers: list[_Answer] = []
    is_impossible: bool = False


class _Paragraph(BaseModel):
    context: str
    qas: list[_Asked]


class _Article(BaseModel):
    title: str = ""
    paragraphs: list[_Paragraph]


class _Squad(BaseModel):
    data: list[_Article]


def convert_squad(source: Path, output: Path) -> Converted:
    """Convert a JSON file of SQuAD 1.1 or 2.0: an article is a document and a cluster.

    The evidence is the sentence that has the answer. What nobody can answer has no evidence.

    Args:
        source: the file.
        output: folder to make.

    Raises:
        DatasetError: the source is broken, or the output not new.
        NoQuestionsError: no question is left.
    """
    try:
        squad = _Squad.model_validate_json(source.read_bytes())
    except OSError as error:
        raise DatasetError(f"{source} cannot be read: {error.strerror or error}.") from error
    except ValidationError as error:
        problem = error.errors()[0]
        said = ": ".join(filter(None, (".".join(map(str, problem["loc"])), problem["msg"])))
        raise DatasetError(f"{source} is no SQuAD: {said}.") from error
    folder = _make_folder(output / DOCUMENTS)
    questions: list[Question] = []
    num_asked = 0
    for number, article in enumerate(squad.data, 1):
        text = _PARAGRAPH_END.join(paragraph.context for paragraph in article.paragraphs)
        file = _write(folder, f"{number:03} {article.title}".strip(), text)
        start = 0
        for paragraph in article.paragraphs:
            num_asked += len(paragraph.qas)
            questions += _ask_squad(paragraph, file, start)
            start += len(paragraph.context) + len(_PARAGRAPH_END)
    return _finish(output, questions, len(squad.data), num_asked)


def convert_chunks(source: Path, output: Path, texts: Mapping[str, tuple[str, str]]) -> Converted:
    """Convert questions with the texts of their relevant chunks, which are searched for.

    Each chunk is a fact, and each place where it stands, unchanged or nearly so, states it.

    Args:
        source: a JSON object a line: `id`, `question`, `chunks` (texts) and maybe `answers`.
        output: folder to make; documents are not written again.
        texts: document name -> canonical text and revision.

    Raises:
        DatasetError: the source is broken, or the output not new.
        NoQuestionsError: no question is left.
    """
    _make_folder(output)
    searchable = {name: SearchableText(text) for name, (text, _) in texts.items()}
    questions = []
    num_asked = 0
    for line in read_json_lines(source):
        num_asked += 1
        facts = []
        for chunk in _texts(line, "chunks"):
            spans = [
                Span(name, document.text[start:end], start, end, texts[name][1])
                for name, document in searchable.items()
                for start, end in _places(document, chunk)
            ]
            facts.append(tuple(spans))
        if all(facts):
            question_id, text = line.non_blank_text("id"), line.non_blank_text("question")
            cluster = facts[0][0].document if facts else question_id
            questions.append(_question(question_id, text, facts, cluster, _texts(line, "answers")))
    return _finish(output, questions, 0, num_asked)


@dataclass(frozen=True, slots=True)
class _File:
    """A document as it was written.

    Attributes:
        text: its canonical text.
    """

    name: str
    revision: str
    text: str

    def span(self, start: int, end: int) -> Span:
        """Return a stretch without white space at its ends."""
        piece = self.text[start:end]
        start += len(piece) - len(piece.lstrip())
        text = piece.strip()
        return Span(self.name, text, start, start + len(text), self.revision)


def _make_folder(path: Path) -> Path:
    with writing(path):
        if path.is_dir() and any(path.iterdir()):
            raise DatasetError(f"{path} is not empty. Name a new folder.")
        path.mkdir(parents=True, exist_ok=True)
    return path


def _write(folder: Path, document_id: str, text: str) -> _File:
    """Write a document under a name that every file system takes, and that is no hidden file's."""
    name = _UNSAFE.sub("_", document_id)[:_NAME_CHARACTERS]
    if name != document_id:
        name += f"-{hashlib.sha256(document_id.encode()).hexdigest()[:8]}"
    data = text.encode("utf-8", "replace")
    path = folder / f"{name}.txt"
    with writing(path):
        path.write_bytes(data)
    return _File(path.name, hashlib.sha256(data).hexdigest(), parse_plain(data).text)


def _ask_squad(paragraph: _Paragraph, file: _File, start: int) -> Iterator[Question]:
    """Yield the questions on a paragraph that begins at `start` of a file."""
    sentences = sentence_spans(paragraph.context)
    for asked in paragraph.qas:
        spans = [
            file.span(start + first, start + last)
            for answer in asked.answers
            for first, last in _around(sentences, answer)
        ]
        texts = tuple(dict.fromkeys(answer.text for answer in asked.answers))
        # Where they are not, the file has other line ends than the paragraph.
        is_there = all(any(text in span.text for span in spans) for text in texts)
        if asked.is_impossible:
            yield _question(asked.id, asked.question, [], file.name)
        elif spans and is_there:
            fact = tuple(dict.fromkeys(spans))
            yield _question(asked.id, asked.question, [fact], file.name, texts)


def _around(sentences: Iterable[Interval], answer: _Answer) -> Iterator[Interval]:
    """Yield the stretch of the sentences that an answer touches."""
    start, end = answer.answer_start, answer.answer_start + len(answer.text)
    touched = [(first, last) for first, last in sentences if first < end and start < last]
    if touched:
        yield touched[0][0], touched[-1][1]


def _places(document: SearchableText, chunk: str) -> list[Interval]:
    return (
        document.find_exact(chunk)
        or document.find_ignoring_space(chunk)
        or document.find_similar(chunk)
    )


def _texts(line: JsonLine, key: str) -> list[str]:
    values = line.fields.get(key, [])
    if not isinstance(values, list) or not all(isinstance(v, str) and v.strip() for v in values):
        raise line.error(f"{key!r} must be a list of texts")
    return values


def _question(
    question_id: str,
    text: str,
    facts: Iterable[Fact],
    cluster: str,
    answers: Iterable[str] = (),
) -> Question:
    return Question(
        question_id=question_id,
        text=text,
        language="",
        cluster=cluster,
        facts=tuple(facts),
        answers=tuple(answers),
        kind="human",
        tags=(),
        weight=1.0,
    )


def _finish(
    output: Path, questions: Sequence[Question], num_documents: int, num_asked: int
) -> Converted:
    if not questions:
        raise NoQuestionsError(
            f"Of {counted(num_asked, 'question')} none is left: the evidence is not in the "
            "documents."
        )
    ids = Counter(question.question_id for question in questions)
    if repeated := next((one for one, count in ids.items() if count > 1), None):
        raise DatasetError(f"The id {repeated!r} is there twice.")
    write_questions(output / QUESTIONS, questions)
    return Converted(num_documents, len(questions), num_asked - len(questions))
