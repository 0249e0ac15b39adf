"""The titles above a section ask for what its first paragraph says."""

from collections.abc import Iterator

from eval.questions import Question
from eval.synthesis.corpus import Corpus
from eval.synthesis.paragraphs import lead_paragraph

MAKER = "heading"
LEAST_WORDS = 2


def heading_questions(corpus: Corpus) -> Iterator[Question]:
    """Ask with the heading path of each section.

    No user asks so, and the titles help every search alike: use them to compare settings with each
    other, not to tell how good one is.
    """
    for source in corpus.sources.values():
        for section in source.sections.all:
            if not section.path or section.path[-1].title.rstrip().endswith("?"):
                continue  # these are questions already, see `faq`
            titles = source.titles(section)
            if len(corpus.words(titles)) < LEAST_WORDS:
                continue
            if evidence := lead_paragraph(source, section):
                yield source.question(MAKER, titles, evidence)
