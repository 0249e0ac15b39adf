"""Documents with questions whose evidence is known by its place, for benchmarks of contexts."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.passages import SearchableText
from eval.questions import Fact, Question, Span
from eval.snapshot import Snapshot, SnapshotDocument
from ingest.parsers.markdown import parse_markdown
from ingest.texts import CanonicalText, Heading
from ingest.titles import make_title
from retrieval.settings import RetrievalSettings

# Every so many of the abstracts that no claim cites are there to be confused with those cited.
OTHERS_EVERY = 10


@dataclass(frozen=True, slots=True)
class EvidenceSet:
    """Documents by name, and answerable questions about them."""

    name: str
    texts: Mapping[str, CanonicalText]
    questions: Sequence[Question]

    @property
    def snapshot(self) -> Snapshot:
        """The documents, with their names for ids and titles."""
        documents = [
            SnapshotDocument(name, name, "", text, make_title(name, name))
            for name, text in self.texts.items()
        ]
        return Snapshot(documents, RetrievalSettings().language)


def chunking_eval(folder: Path, stretch: int | None = None) -> EvidenceSet:
    """Read chunking_eval; evidence is looked up in all documents.

    Args:
        folder: of the data set.
        stretch: questions whose evidence begins in the same so many characters are a cluster;
            None: those of a document.
    """
    texts = {
        path.stem: parse_markdown(path.read_bytes())
        for path in sorted((folder / "documents").glob("*.md"))
    }
    searchable = {name: SearchableText(text.text) for name, text in texts.items()}
    questions = [
        _question(
            line,
            [_everywhere(evidence["text"], searchable) for evidence in line["evidence"]],
            cluster=_cluster(line["evidence"][0], stretch),
        )
        for line in _lines(folder / "queries.jsonl")
    ]
    return EvidenceSet("chunking_eval", texts, questions)


def _cluster(evidence: Mapping[str, Any], stretch: int | None) -> str:
    document: str = evidence["doc_id"]
    return document if stretch is None else f"{document} {evidence['start'] // stretch}"


def _everywhere(text: str, texts: Mapping[str, SearchableText]) -> Fact:
    return tuple(
        Span(name, text, start, end)
        for name, searchable in texts.items()
        for start, end in searchable.find_exact(text)
    )


def squad(folder: Path, *, whole_articles: bool) -> EvidenceSet:
    """Read the questions of SQuAD 2.0 that have an answer.

    An article is its title and its paragraphs with blank lines between.
    """
    sources: defaultdict[str, str] = defaultdict(str)
    places: dict[str, tuple[str, int]] = {}
    clusters: dict[str, str] = {}
    for line in _lines(folder / "corpus.jsonl"):
        paragraph_id, title = line["_id"], line["title"].replace("_", " ")
        name = title if whole_articles else paragraph_id
        if whole_articles:
            sources[name] += "\n\n" if sources[name] else f"# {title}\n\n"
        places[paragraph_id] = (name, len(sources[name]))
        clusters[paragraph_id] = title
        sources[name] += line["text"]
    questions = [
        _question(
            line,
            [tuple(_placed(evidence, places) for evidence in line["evidence"])],
            cluster=clusters[line["evidence"][0]["doc_id"]],
        )
        for line in _lines(folder / "queries.jsonl")
        if line["evidence"]
    ]
    texts = {name: parse_markdown(source.encode()) for name, source in sources.items()}
    unit = "articles" if whole_articles else "paragraphs"
    return EvidenceSet(f"squad2_dev, {unit}", texts, questions)


def _placed(evidence: Mapping[str, Any], places: Mapping[str, tuple[str, int]]) -> Span:
    name, offset = places[evidence["doc_id"]]
    return Span(name, "", offset + evidence["start"], offset + evidence["end"])


def uda_pdf(folder: Path) -> EvidenceSet:
    """Read uda_pdf: the questions of which the page of the answer is known, and their files.

    A page is found with any of its lines.
    """
    asked = [
        line
        for line in _lines(folder / "queries.jsonl")
        if any(one.get("page") for one in line["evidence"])
    ]
    files = {line["doc"] for line in asked}
    pages: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for line in _lines(folder / "corpus.jsonl"):
        file, _, number = line["_id"].rpartition("#p")
        if file in files:
            pages[file].append((int(number), line["text"]))
    texts, lines_of = {}, {}
    for file, numbered in pages.items():
        text = ""
        starts: list[int] = []
        for number, page in numbered:
            starts += [len(text)] * (number - len(starts))
            lines_of[file, number] = [*_page_lines(file, page, len(text))]
            text += page.rstrip("\n") + "\n\n"
        texts[file] = CanonicalText(text, page_starts=tuple(starts))
    questions = [
        _question(
            line,
            [
                tuple(
                    span
                    for one in line["evidence"]
                    if one.get("page")
                    for span in lines_of[one["doc_id"], one["page"]]
                )
            ],
            cluster=line["doc"],
        )
        for line in asked
    ]
    return EvidenceSet("uda_pdf", texts, questions)


def _page_lines(file: str, page: str, start: int) -> Iterator[Span]:
    for line in page.splitlines(keepends=True):
        if text := line.strip():
            first = start + line.index(text)
            yield Span(file, text, first, first + len(text))
        start += len(line)


def scifact(folder: Path, *, rationales_only: bool = False) -> EvidenceSet:
    """Read SciFact: its claims, the abstracts they cite, and a tenth of the others.

    Evidence of a claim are the sentences its annotators name, its rationales. A claim without any
    is left out with `rationales_only`; else its evidence are the abstracts it cites.
    """
    lines = {line["_id"]: line for line in _lines(folder / "corpus.jsonl")}
    cited: defaultdict[str, list[str]] = defaultdict(list)
    for row in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query_id, document_id, _ = row.split("\t")
        cited[query_id].append(document_id)
    queries = [*_lines(folder / "queries.jsonl")]
    needed = dict.fromkeys(document for query in queries for document in cited[query["_id"]])
    others = [one for one in lines if one not in needed]
    names = [*needed, *others[::OTHERS_EVERY]]
    texts = {name: _abstract(lines[name]["title"], lines[name]["text"]) for name in names}
    questions = [
        _question(query, _rationale(query, cited[query["_id"]], texts), cited[query["_id"]][0])
        for query in queries
        if query.get("evidence") or not rationales_only
    ]
    name = "scifact, rationales" if rationales_only else "scifact"
    return EvidenceSet(name, texts, questions)


def _abstract(title: str, text: str) -> CanonicalText:
    heading = Heading(start=0, end=len(title), level=1, title=title)
    return CanonicalText(f"{title}\n\n{text}", headings=(heading,))


def _rationale(
    query: Mapping[str, Any], cited: Sequence[str], texts: Mapping[str, CanonicalText]
) -> list[Fact]:
    quotes = [
        (one["doc_id"], sentence)
        for one in query.get("evidence", ())
        for sentence in one["sentences"]
    ]
    if not quotes:
        quotes = [(name, texts[name].text.partition("\n\n")[2]) for name in cited]
    facts = []
    for name, quote in quotes:
        searchable = SearchableText(texts[name].text)
        places = searchable.find_exact(quote) or searchable.find_ignoring_space(quote)
        facts.append(tuple(Span(name, "", start, end) for start, end in places))
    return facts


def _question(line: Mapping[str, Any], facts: Sequence[Fact], cluster: str) -> Question:
    return Question(
        question_id=line["_id"],
        text=line["text"],
        language="",
        cluster=cluster,
        facts=tuple(facts),
        answers=tuple(line.get("answers", ())),
        kind="human",
        tags=(),
        weight=1,
    )


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
