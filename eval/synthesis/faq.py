"""Questions that the documents ask and answer themselves."""

import re
from collections.abc import Iterator

from eval.questions import Question
from eval.synthesis.corpus import Corpus, Source
from eval.synthesis.paragraphs import lead_paragraph

MAKER = "faq"
_QUESTION_MARKS = ("?", "\uff1f", "\u061f")
# `Q: ...` and below it `A: ...`, up to a blank line or the next question; maybe emphasised.
_BLOCK = re.compile(
    r"""
    ^ [^\S\n]* [*_]* (?:Q|Question) [^\S\n]* \d* [*_]* [:.] [*_]* [^\S\n]*
    (?P<question> \S[^\n]* ) \n
    \s* [*_]* (?:A|Answer) [^\S\n]* \d* [*_]* [:.] [*_]* [^\S\n]*
    (?P<answer> \S .*? ) (?= \n \s* (?:\n | [*_]* (?:Q|Question) [^\S\n]* \d* [*_]* [:.]) | \s*\Z )
    """,
    re.MULTILINE | re.VERBOSE | re.DOTALL,
)


def faq_questions(corpus: Corpus) -> Iterator[Question]:
    """Take headings that end in a question mark, and blocks of `Q:` and `A:`."""
    for source in corpus.sources.values():
        yield from _headings(source)
        for block in _BLOCK.finditer(source.text.text):
            text = block["question"].strip(" *_")
            yield source.question(MAKER, text, block.span("answer"))


def _headings(source: Source) -> Iterator[Question]:
    for section in source.sections.all:
        if not section.path or not section.path[-1].title.rstrip().endswith(_QUESTION_MARKS):
            continue
        if evidence := lead_paragraph(source, section):
            yield source.question(MAKER, section.path[-1].title, evidence)
