"""The bundled documents, and small ones, as sources of questions."""

from functools import cache
from pathlib import Path

from eval.questions import Question
from eval.synthesis.corpus import Corpus, Source
from ingest.parsers.markdown import parse_markdown
from ingest.parsers.media_types import detect_media_type
from ingest.parsers.parse import parse

LIBRARY = Path(__file__).parents[3] / "examples" / "library"


def corpus_of(**texts: str) -> Corpus:
    """Return Markdown documents by name, without the suffix."""
    sources = [Source(f"{n}.md", "1", parse_markdown(text.encode())) for n, text in texts.items()]
    return Corpus(sources, "english")


@cache
def library() -> Corpus:
    """Return the bundled documents."""
    return Corpus((read(path) for path in LIBRARY.iterdir()), "english")


def read(path: Path) -> Source:
    with path.open("rb") as file:
        media_type = detect_media_type(file, path.name)
    return Source(path.name, "1", parse(path, media_type, max_pages=100))


def check_spans(corpus: Corpus, question: Question) -> None:
    """Every span is the slice that it says."""
    for fact in question.facts:
        for span in fact:
            text = corpus.sources[span.document].text.text
            assert span.text == text[span.start : span.end]
            assert span.text.strip() == span.text
