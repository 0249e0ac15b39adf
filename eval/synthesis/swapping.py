"""Questions without an answer, by a rule: a name or number is exchanged for another document's.

What the rule cannot know: a document may give the answer in words that the question does not use.
So a few of these questions may have one after all.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from eval.passages import Interval
from eval.questions import Question
from eval.synthesis import cells, definitions, headings
from eval.synthesis.cloze import MOST_SENTENCES
from eval.synthesis.corpus import Corpus, digest
from eval.synthesis.terms import ACRONYM, NAME, Term, find_terms

MAKER = "swapped"
# Further terms are not tried for a question.
MOST_TRIES = 50
# Nobody expects an answer to a chapter's number, and a name that is asked for as such has its
# answer where the new name is explained.
_LEFT_ALONE = frozenset({headings.MAKER, definitions.MAKER})
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")


@dataclass(frozen=True, slots=True)
class _Rare:
    """A term that few sentences have, by their numbers in the corpus."""

    text: str
    documents: frozenset[str]
    sentences: frozenset[int]


def swapped_questions(
    corpus: Corpus, questions: Iterable[Question], seed: int
) -> Iterator[Question]:
    """Yield an unanswerable question for each given one that can be changed into one.

    A number or name of the question that few sentences have is exchanged for one of the same shape
    that few have, too, and none of the question's document, so that no sentence of all documents
    has both the new term and the rarest other word of the question. Never exchanged is what the
    question does not turn on: the titles in front of it, the header of a column, what stands in
    brackets, and what cites.

    Args:
        corpus: the documents.
        questions: that the documents answer.
        seed: another one exchanges for others.
    """
    by_shape = _rare_terms(corpus, seed)
    for question in questions:
        if not _LEFT_ALONE.isdisjoint(question.tags):
            continue
        for term in _exchangeable(corpus, question):
            pool = by_shape.get(_shape(term), {})
            if term.text in pool and (new := _choose(corpus, question, term, list(pool.values()))):
                yield _exchange(corpus, question, term, new)
                break


def _exchangeable(corpus: Corpus, question: Question) -> Iterator[Term]:
    text = question.text
    start, end = _turning(corpus, question)
    brackets = [match.span() for match in _BRACKETS.finditer(text)]
    for term in find_terms(text, is_sentence=False):
        is_bracketed = any(first < term.start < last for first, last in brackets)
        if start <= term.start and term.end <= end and not is_bracketed:
            yield term


def _turning(corpus: Corpus, question: Question) -> Interval:
    """Return the part of a question that its answer turns on."""
    text, ((span, *_), *_) = question.text, question.facts
    if cells.MAKER in question.tags:
        return 0, text.rfind(", ")
    source = corpus.sources[span.document]
    titles = source.titles(source.sections.at(span.start or 0))
    return (len(titles) if text.startswith(titles) else 0), len(text)


def _shape(term: Term) -> str:
    """Return what a term and its successor have in common: also words, or digits of a number."""
    is_name = term.shape in {NAME, ACRONYM}
    return f"{term.shape} {len(term.text.split()) if is_name else len(term.text)}"


def _rare_terms(corpus: Corpus, seed: int) -> dict[str, dict[str, _Rare]]:
    """Return the rare terms of all prose by shape and text, in an order by chance."""
    rare: defaultdict[str, dict[str, _Rare]] = defaultdict(dict)
    found = {
        (_shape(term), term.text)
        for sentence in corpus.sentences
        if sentence.is_prose
        for term in find_terms(sentence.text)
    }
    for shape, text in sorted(found, key=lambda one: digest(str(seed), *one)):
        numbers = corpus.sentences_with(corpus.words(text))
        if 0 < len(numbers) <= MOST_SENTENCES:
            documents = frozenset(corpus.sentences[number].document for number in numbers)
            rare[shape][text] = _Rare(text, documents, frozenset(numbers))
    return rare


def _choose(corpus: Corpus, question: Question, old: Term, pool: Sequence[_Rare]) -> _Rare | None:
    rest = corpus.words(question.text) - corpus.words(old.text)
    counted = sorted((number, word) for word in rest if (number := corpus.frequency(word)))
    if not counted:
        return None
    with_rest = corpus.sentences_with([counted[0][1]])
    own = {span.document for fact in question.facts for span in fact}
    # Not every question gets the first term of the pool.
    first = int(digest(question.question_id), 16) % len(pool)
    for new in [*pool[first:], *pool[:first]][:MOST_TRIES]:
        if own.isdisjoint(new.documents) and new.sentences.isdisjoint(with_rest):
            return new
    return None


def _exchange(corpus: Corpus, question: Question, old: Term, new: _Rare) -> Question:
    text = question.text[: old.start] + new.text + question.text[old.end :]
    made = corpus.sources[question.cluster].question(MAKER, text, None, kind=question.kind)
    return replace(made, language=question.language)
