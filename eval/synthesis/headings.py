"""The titles above a section ask for what its first paragraph says."""

from collections.abc import Iterator

from eval.questions import Question
from eval.synthesis.corpus import Corpus
from eval.synthesis.paragraphs import lead_paragraph

MAKER = "heading"
LEAST_WORDS = 2
# A longer title is a sentence that was taken for one.
MOST_TITLE_WORDS = 20
# Parts that any document may have: they do not say which one is asked for.
_PARTS = (
    "abstract appendix background conclusion conclusions discussion experiment experiments general "
    "information introduction method methods note notes overview related results settings summary "
    "work"
)


def heading_questions(corpus: Corpus) -> Iterator[Question]:
    """Ask with the heading path of each section.

    No user asks so, and the titles help every search alike: use them to compare settings with each
    other, not to tell how good one is.
    """
    parts = corpus.words(_PARTS)
    for source in corpus.sources.values():
        for section in source.sections.all:
            if not section.path or section.path[-1].title.rstrip().endswith("?"):
                continue  # these are questions already, see `faq`
            titles = source.titles(section)
            names = {word for word in corpus.words(titles) - parts if any(map(str.isalpha, word))}
            is_title = len(section.path[-1].title.split()) <= MOST_TITLE_WORDS
            if len(names) < LEAST_WORDS or not is_title or source.is_back_matter(section.start):
                continue
            evidence = lead_paragraph(source, section)
            if evidence and source.says_something(*evidence):
                yield source.question(MAKER, titles, evidence)
