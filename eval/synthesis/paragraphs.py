"""The paragraph that a heading leads to."""

import re

from eval.passages import Interval
from eval.synthesis.corpus import Source
from ingest.sections import Section
from retrieval.sentences import sentence_spans

# Less says too little to be an answer, more is no paragraph that anybody marked.
LEAST_CHARACTERS = 40
MOST_CHARACTERS = 1000
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")
_NO_PROSE = re.compile(r"[|#<]|```|~~~|!\[")


def lead_paragraph(source: Source, section: Section) -> Interval | None:
    """Return the first paragraph of a section, of a long one whole sentences from its start.

    None when there is only the heading, a table, code, what introduces these, or next to nothing.
    """
    text = source.text.text
    start = section.body_start
    if section.is_bare or _NO_PROSE.match(text, start):
        return None
    blank = _BLANK_LINE.search(text, start, section.end)
    end = blank.start() if blank else section.end
    if end - start > MOST_CHARACTERS:
        sentences = sentence_spans(text[start : start + MOST_CHARACTERS])
        # The last one may be cut.
        end = start + (sentences[-2] if len(sentences) > 1 else sentences[-1])[1]
    end = start + len(text[start:end].rstrip())
    is_introduction = text[end - 1] == ":"
    return None if is_introduction or end - start < LEAST_CHARACTERS else (start, end)
