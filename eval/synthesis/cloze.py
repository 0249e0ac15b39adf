"""Sentences with a gap: a rare number or name is left out and asked for."""

from collections.abc import Iterator

from eval.questions import Question
from eval.synthesis.corpus import Corpus, Sentence, one_line
from eval.synthesis.terms import find_terms

MAKER = "cloze"
GAP = "___"
# What stands in more sentences of all documents is not rare.
MOST_SENTENCES = 3
LEAST_WORDS = 5
MOST_CHARACTERS = 400


def cloze_questions(corpus: Corpus) -> Iterator[Question]:
    """Leave the rarest number or name out of each sentence that has one.

    The question is the heading path and the rest of the sentence, so it shares nearly all words
    with its evidence: use it to compare settings with each other, not to tell how good one is.
    """
    for source in corpus.sources.values():
        for sentence in source.sentences:
            if not sentence.is_prose or len(sentence.text) > MOST_CHARACTERS:
                continue
            term = _rarest(corpus, sentence)
            if term is None or len(corpus.words(sentence.text) - corpus.words(term)) < LEAST_WORDS:
                continue
            titles = source.titles(source.sections.at(sentence.start))
            if term in titles:
                continue
            rest = one_line(sentence.text.replace(term, GAP))
            text = f"{titles}: {rest}" if titles else rest
            yield source.question(MAKER, text, (sentence.start, sentence.end), (one_line(term),))


def _rarest(corpus: Corpus, sentence: Sentence) -> str | None:
    counted = [
        (len(corpus.sentences_with(corpus.words(term.text))), term.start, term.text)
        for term in find_terms(sentence.text)
    ]
    rare = [one for one in counted if 0 < one[0] <= MOST_SENTENCES]
    return min(rare)[2] if rare else None
