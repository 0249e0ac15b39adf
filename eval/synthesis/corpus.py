"""The documents that questions are made from, and which of their sentences have which words."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from eval.passages import Interval, SearchableText
from eval.questions import Fact, Question, Span
from eval.synthesis.prose import is_back_matter, is_entry, is_prose
from ingest.sections import Section, Sections
from ingest.texts import CanonicalText
from retrieval.analyzer import Analyzer, get_analyzer
from retrieval.sentences import sentence_spans

RULE, MODEL = "synthetic-rule", "synthetic-llm"
_CODE = re.compile(r"^[^\S\n]*(```|~~~).*?(?:^[^\S\n]*\1|\Z)", re.MULTILINE | re.DOTALL)
# A list mark or quotation mark in front of a sentence.
_MARK = re.compile(r"(?:(?:[-*+\u2022>]|\(?(?:\d{1,3}|[a-z])[.)])\s+)+")
_NO_PROSE = ("|", "#", "```", "~~~", "<")
_LEADERS = "\u2026"
# More bars are cells of a table that is none in Markdown.
_MOST_BARS = 2
# Authors and year, title, journal: most that stand between two entries of a bibliography.
ENTRY_SENTENCES = 4


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a document, without a list mark in front of it.

    Attributes:
        is_prose: whether it says something: it is no heading, table row, code, list of names, or
            part of a bibliography or the like, see `prose`.
    """

    document: str
    start: int
    end: int
    text: str
    is_prose: bool


class Source:
    """A document that questions are made from.

    Attributes:
        name: its external id, which spans name.
        revision: SHA-256 of its bytes.
        text: canonical, with headings.
    """

    def __init__(self, name: str, revision: str, text: CanonicalText) -> None:
        self.name = name
        self.revision = revision
        self.text = text
        self.searchable = SearchableText(text.text)

    @cached_property
    def sections(self) -> Sections:
        """Its sections."""
        return Sections(self.text)

    @cached_property
    def sentences(self) -> list[Sentence]:
        """All of its sentences, in order."""
        text = self.text.text
        no_prose = [match.span() for match in _CODE.finditer(text)]
        no_prose += [(heading.start, heading.end) for heading in self.text.headings]
        no_prose.sort()
        sentences = []
        index = 0
        for start, end in sentence_spans(text):
            while index < len(no_prose) and no_prose[index][1] <= start:
                index += 1
            is_inside = index < len(no_prose) and no_prose[index][0] < end
            mark = _MARK.match(text, start, end)
            first = mark.end() if mark else start
            body = text[first:end]
            is_broken = body.startswith(_NO_PROSE) or _LEADERS in body
            is_cell = body.count("|") > _MOST_BARS
            # With a small letter begins what goes on from somewhere, but for points of a list.
            is_half = mark is None and body[:1].islower()
            says = not (is_inside or is_broken or is_cell or is_half or self.is_back_matter(start))
            sentences.append(Sentence(self.name, first, end, body, says and is_prose(body)))
        return _without_entries(sentences)

    def is_back_matter(self, offset: int) -> bool:
        """Tell whether a character stands in a bibliography, a list of links or the like."""
        return is_back_matter(self.sections.at(offset).titles)

    def says_something(self, start: int, end: int) -> bool:
        """Tell whether there is a sentence of prose in a stretch of the text."""
        text = self.text.text[start:end]
        return any(is_prose(text[first:last]) for first, last in sentence_spans(text))

    def titles(self, section: Section) -> str:
        """Return the titles around a section and its own, as one line."""
        return ": ".join(one_line(title) for title in section.titles)

    def span(self, start: int, end: int) -> Span:
        """Return a stretch of the text without white space at its ends."""
        piece = self.text.text[start:end]
        start += len(piece) - len(piece.lstrip())
        text = piece.strip()
        return Span(self.name, text, start, start + len(text), self.revision)

    def question(
        self,
        maker: str,
        text: str,
        evidence: Interval | None,
        answers: Sequence[str] = (),
        *,
        kind: str = RULE,
    ) -> Question:
        """Return a question on this document.

        Args:
            maker: becomes its tag.
            text: becomes one line.
            evidence: where its answer stands; None: nowhere.
            answers: short ones.
            kind: `RULE` or `MODEL`.
        """
        text = one_line(text)
        facts: tuple[Fact, ...] = () if evidence is None else ((self.span(*evidence),),)
        return Question(
            question_id=f"{maker}-{digest(self.name, text)}",
            text=text,
            language="",
            cluster=self.name,
            facts=facts,
            answers=tuple(answers),
            kind=kind,
            tags=(maker,),
            weight=1.0,
        )


class Corpus:
    """All documents, and an index of their sentences.

    Attributes:
        sources: by name, in order of names.
    """

    def __init__(self, sources: Iterable[Source], language: str) -> None:
        """Set up.

        Args:
            sources: the documents.
            language: whose stems and stop words count, see `Analyzer`.
        """
        ordered = sorted(sources, key=lambda source: source.name)
        self.sources: Mapping[str, Source] = {source.name: source for source in ordered}
        self.analyzer: Analyzer = get_analyzer(language)

    @cached_property
    def sentences(self) -> list[Sentence]:
        """All sentences; their places in this list are their numbers."""
        return [sentence for source in self.sources.values() for sentence in source.sentences]

    def words(self, text: str) -> set[str]:
        """Return the stems of a text that are no stop words."""
        return set(self.analyzer.query_tokens(text))

    def sentences_with(self, words: Iterable[str]) -> set[int]:
        """Return the numbers of the sentences that have all of the stems; none without stems."""
        found = [self._postings.get(word, _NOWHERE) for word in words]
        return set.intersection(*map(set, sorted(found, key=len))) if found else set()

    def frequency(self, word: str) -> int:
        """Return how many sentences have a stem."""
        return len(self._postings.get(word, _NOWHERE))

    @cached_property
    def _postings(self) -> dict[str, list[int]]:
        postings: defaultdict[str, list[int]] = defaultdict(list)
        for number, sentence in enumerate(self.sentences):
            for word in set(self.analyzer.passage_tokens(sentence.text)):
                postings[word].append(number)
        return dict(postings)


_NOWHERE: list[int] = []


def _without_entries(sentences: list[Sentence]) -> list[Sentence]:
    """Return sentences of which none between two entries of a bibliography is prose.

    An entry is several sentences, of which not each shows what it is.
    """
    entries = [number for number, one in enumerate(sentences) if is_entry(one.text)]
    between = {
        number
        for first, last in pairwise(entries)
        if last - first <= ENTRY_SENTENCES
        for number in range(first, last)
    }
    return [
        replace(one, is_prose=False) if number in between else one
        for number, one in enumerate(sentences)
    ]


def one_line(text: str) -> str:
    """Return a text with single spaces for all white space."""
    return " ".join(text.split())


def digest(*parts: str) -> str:
    """Return a short hash, the same in every run."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:12]
