"""A small corpus with planted facts: which chunks answer a question is known."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from eval.questions import Question, Span
from eval.replay import Replay, record
from eval.snapshot import Snapshot, SnapshotDocument
from eval.sweep import PromptTokens
from eval.temporary_index import snapshot_index
from ingest.chunker import Chunker
from ingest.parsers.markdown import parse_markdown
from retrieval.analyzer import get_analyzer
from retrieval.index import ChunkIndex
from tests.fakes import HashEmbedder

EMBEDDER = HashEmbedder(dimension=256)
LANGUAGE = "english"
ANALYZER = get_analyzer(LANGUAGE)
COLOURS = ("red", "green", "blue", "white", "black", "brown", "amber", "violet")
REVISION = "r1"


def count_words(text: str) -> int:
    return len(EMBEDDER.token_starts(text))


TOKENS = PromptTokens(count_words, lambda _: 6, lambda _: 20)


def fact(number: int) -> str:
    return f"Lamp number{number} in hall{number % 7} shines {COLOURS[number % 8]}."


def make_document(name: str, numbers: range) -> str:
    """Return sections with a fact each, among other words.

    No two sections are as long as each other: which of equally good chunks an engine leaves out at
    the end of a ranking is its own affair.
    """
    sections = []
    for number in numbers:
        before = " ".join(f"word{(7 * number + place) % 97}" for place in range(5 + 2 * number))
        after = " ".join(f"end{(5 * number + place) % 89}" for place in range(4 + 3 * number))
        sections.append(f"## Lamp number{number}\n\n{before}. {fact(number)} {after}.\n")
    return f"# House {name}\n\n" + "\n".join(sections)


def make_snapshot(num_documents: int = 4, num_facts: int = 6) -> Snapshot:
    documents = []
    for place in range(num_documents):
        numbers = range(place * num_facts, (place + 1) * num_facts)
        text = parse_markdown(make_document(f"h{place}", numbers).encode())
        documents.append(SnapshotDocument(f"id{place}", f"h{place}.md", REVISION, text))
    return Snapshot(tuple(documents), LANGUAGE)


def make_questions(snapshot: Snapshot) -> list[Question]:
    """Return a question for each fact; each is a cluster of its own."""
    questions = []
    for document in snapshot.documents:
        for found in re.finditer(r"Lamp number(\d+) in hall\d+ shines (\w+)\.", document.text.text):
            number, colour = found.groups()
            span = Span(document.name, found.group(), found.start(), found.end())
            questions.append(
                Question(
                    question_id=f"q{number}",
                    text=f"Which colour has lamp number{number}?",
                    language="en",
                    cluster=f"c{number}",
                    facts=((span,),),
                    answers=(colour,),
                    kind="human",
                    tags=(),
                    weight=1.0,
                )
            )
    return questions


def make_chunker(max_tokens: int = 200, overlap_tokens: int = 0) -> Chunker:
    return Chunker(max_tokens, EMBEDDER.token_starts, overlap_tokens)


@contextmanager
def open_index(
    snapshot: Snapshot, chunker: Chunker | None = None, *, with_headings: bool = True
) -> Iterator[ChunkIndex]:
    chunker = chunker or make_chunker()
    with snapshot_index(
        snapshot, chunker, EMBEDDER, LANGUAGE, with_headings=with_headings
    ) as index:
        yield index


def make_replay(
    snapshot: Snapshot,
    questions: list[Question],
    chunker: Chunker | None = None,
    *,
    with_headings: bool = True,
) -> Replay:
    with open_index(snapshot, chunker, with_headings=with_headings) as index:
        return Replay(record(index, EMBEDDER, questions, "planted"), EMBEDDER)
