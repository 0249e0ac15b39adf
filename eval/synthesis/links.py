"""The words of a link ask for what it leads to: a person's own paraphrase of a section.

Only Markdown keeps the targets of links in its canonical text.
"""

import posixpath
import re
from collections import Counter
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from eval.questions import Question
from eval.synthesis.corpus import Corpus, Source
from eval.synthesis.paragraphs import lead_paragraph
from ingest.sections import Section

MAKER = "link"
LEAST_WORDS = 2
_LINK = re.compile(r"(?<!!)\[([^\[\]]+)\]\(\s*<?([^\s<>()]+)>?(?:\s+[\"'][^\"'\n]*[\"'])?\s*\)")
_NO_SLUG = re.compile(r"[^\w\- ]")


def link_questions(corpus: Corpus) -> Iterator[Question]:
    """Ask with the words of each link to a section of a known document.

    The evidence is the first paragraph of the section.
    """
    for source in corpus.sources.values():
        for link in _LINK.finditer(source.text.text):
            words, target = link.groups()
            if len(corpus.words(words)) < LEAST_WORDS:
                continue
            found = _find(corpus, source, target)
            if found and (evidence := lead_paragraph(*found)):
                yield found[0].question(MAKER, words.replace("`", "").replace("*", ""), evidence)


def _find(corpus: Corpus, source: Source, target: str) -> tuple[Source, Section] | None:
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return None
    path = posixpath.join(posixpath.dirname(source.name), unquote(parts.path))
    name = posixpath.normpath(path) if parts.path else source.name
    if name not in corpus.sources:
        return None
    document = corpus.sources[name]
    if not parts.fragment:
        return document, document.sections.all[0]
    section = _anchors(document).get(unquote(parts.fragment).lower())
    return None if section is None else (document, section)


def _anchors(source: Source) -> dict[str, Section]:
    """Return the sections by the anchors that GitHub and most renderers give to headings."""
    seen: Counter[str] = Counter()
    anchors = {}
    for section in source.sections.all:
        if not section.path:
            continue
        title = section.path[-1].title.strip().lower()
        slug = _NO_SLUG.sub("", title).replace(" ", "-")
        anchors[f"{slug}-{seen[slug]}" if seen[slug] else slug] = section
        seen[slug] += 1
    return anchors
