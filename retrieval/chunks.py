"""The shared nouns: a chunk of a document, and a hit of a search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

HEADING_SEPARATOR = " > "


@dataclass(frozen=True, slots=True)
class Chunk:
    """A span of a document's canonical text, the unit that is embedded and found.

    Attributes:
        chunk_id: see `retrieval.chunk_ids`.
        document_id: document the span belongs to.
        revision: SHA-256 of the document's bytes, hexadecimal.
        start: first character in the canonical text.
        end: one past the last character.
        text: the canonical text from `start` to `end`, exactly.
        headings: titles of the sections around the chunk, outermost first.
        page_start: page of the first character, from 1; None when the format has no pages.
        page_end: page of the last character, from 1.
        token_count: tokens of `passage` for the embedder, special tokens left out.
        parent_start: first character of the parent window, the section around the chunk; of a long
            section, the stretch of neighbouring chunks that it is in.
        parent_end: one past the last character of the parent window.
        table_header: header row of the table that the text continues, or the empty string.
        place: where the first character stands, as a reader calls it, such as `page 12`, `slide 4`
            or `sheet Prices, row 17`; None when there is no telling.
        title: what users call its document.
    """

    chunk_id: str
    document_id: str
    revision: str
    start: int
    end: int
    text: str
    headings: tuple[str, ...]
    page_start: int | None
    page_end: int | None
    token_count: int
    parent_start: int
    parent_end: int
    table_header: str = ""
    place: str | None = None
    title: str = ""

    @property
    def heading_path(self) -> str:
        """The headings on one line, or the empty string."""
        return HEADING_SEPARATOR.join(self.headings)

    @property
    def passage(self) -> str:
        """What is embedded and prompted, see `make_passage`."""
        return make_passage(self.headings, self.table_header, self.text)

    @property
    def searched_text(self) -> str:
        """What is searched by words: the title and the passage."""
        return make_searched_text(self.title, self.passage)


def make_passage(headings: Sequence[str], table_header: str, text: str) -> str:
    """Put the heading path and the table header above a text, each on a line of its own."""
    path = [HEADING_SEPARATOR.join(headings)] if headings else []
    header = [table_header] if table_header else []
    return "\n".join([*path, *header, text])


def make_searched_text(title: str, passage: str) -> str:
    """Put a title above a passage."""
    return f"{title}\n{passage}"


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk found by a search. Higher scores are better; scores of two methods do not compare.

    Attributes:
        chunk: what was found.
        score: the score that ranks this list.
        scores: the score of each method that judged the chunk, by method name.
    """

    chunk: Chunk
    score: float
    scores: Mapping[str, float] = field(default_factory=dict)
