"""What keeps questions from flattering a search: copies go, repetitions go, other answers count."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum

import numpy as np

from eval.questions import Fact, Question, Span
from eval.synthesis import cloze
from eval.synthesis.corpus import Corpus
from retrieval.embedding import Embedder, Matrix

# Largest share of a question's groups of four words that its evidence may have.
MOST_COPIED = 0.5
GROUP_WORDS = 4
# Two questions above either of these are one.
MOST_SHARED_WORDS = 0.8
MOST_COSINE = 0.9
# A sentence with the answer and so many of the question's other words answers it, too.
LEAST_SHARED = 0.6
LEAST_SHARED_WORDS = 3
# Alternatives beyond these are not looked for: what stands everywhere is no evidence.
MOST_ALTERNATIVES = 20
_WORD = re.compile(r"\w+")


class Rejection(StrEnum):
    """Why a question was left out."""

    COPIED = "more than half of its four-word groups stand in the evidence"
    REPEATED = "nearly the same as another question"


class Sieve:
    """Lets questions through one by one.

    Attributes:
        kept: what came through, in order, with all places that answer it.
    """

    def __init__(
        self, corpus: Corpus, rejected: Counter[str], embedder: Embedder | None = None
    ) -> None:
        """Set up.

        Args:
            corpus: the documents.
            rejected: where questions that are left out are counted, see `Rejection`.
            embedder: that compares questions by meaning; None: only their words are compared.
        """
        self.kept: list[Question] = []
        self._corpus = corpus
        self._rejected = rejected
        self._embedder = embedder
        self._words: list[frozenset[str]] = []
        self._vectors: list[Matrix] = []

    def offer(self, question: Question) -> bool:
        """Keep a question unless it fails a filter; return whether it is kept."""
        if is_copied(question):
            self._rejected[Rejection.COPIED] += 1
            return False
        words = frozenset(_WORD.findall(question.text.casefold()))
        vector = None if self._embedder is None else self._embedder.embed_query(question.text)
        if self._is_repeated(words, vector):
            self._rejected[Rejection.REPEATED] += 1
            return False
        self._words.append(words)
        if vector is not None:
            self._vectors.append(vector)
        self.kept.append(with_alternatives(self._corpus, question))
        return True

    def _is_repeated(self, words: frozenset[str], vector: Matrix | None) -> bool:
        if any(_jaccard(words, others) > MOST_SHARED_WORDS for others in self._words):
            return True
        if vector is None or not self._vectors:
            return False
        return float(np.max(np.stack(self._vectors) @ vector)) > MOST_COSINE


def is_copied(question: Question) -> bool:
    """Tell whether a question is written with the words of its evidence; a cloze always is."""
    if cloze.MAKER in question.tags:
        return False
    evidence = " ".join(span.text for fact in question.facts for span in fact)
    return copied_share(question.text, evidence) > MOST_COPIED


def copied_share(question: str, evidence: str) -> float:
    """Return the share, in [0, 1], of the question's groups of four words that evidence has."""
    asked, known = _groups(question), _groups(evidence)
    return len(asked & known) / len(asked) if asked else 0.0


def with_alternatives(corpus: Corpus, question: Question) -> Question:
    """Return a question whose facts name all other places that state them.

    These are where the evidence stands again, white space aside, and sentences that have the
    answer as it is and most of the other words of the question.
    """
    facts = tuple(_with_copies(corpus, fact) for fact in question.facts)
    if len(facts) == 1 and question.answers:
        others = [span for span in _stating(corpus, question) if not _is_within(span, facts[0])]
        facts = (facts[0] + tuple(others[:MOST_ALTERNATIVES]),)
    return replace(question, facts=facts)


def _with_copies(corpus: Corpus, fact: Fact) -> Fact:
    spans = list(fact)
    for text in {"".join(span.text.split()): span.text for span in fact}.values():
        for source in corpus.sources.values():
            places = source.searchable.find_ignoring_space(text)[:MOST_ALTERNATIVES]
            found = [source.span(start, end) for start, end in places]
            spans += [span for span in found if not _is_within(span, spans)]
    return tuple(spans)


def _stating(corpus: Corpus, question: Question) -> Iterator[Span]:
    words = corpus.words(question.text)
    for answer in question.answers:
        answer_words = corpus.words(answer)
        rest = words - answer_words
        least = max(LEAST_SHARED_WORDS, LEAST_SHARED * len(rest))
        is_answer = re.compile(rf"(?<!\w){re.escape(answer)}(?!\w)", re.IGNORECASE)
        for number in sorted(corpus.sentences_with(answer_words)):
            sentence = corpus.sentences[number]
            shared = rest & corpus.words(sentence.text)
            if len(shared) >= least and is_answer.search(sentence.text):
                yield corpus.sources[sentence.document].span(sentence.start, sentence.end)


def _is_within(span: Span, spans: Fact | list[Span]) -> bool:
    """Tell whether a placed span shares a character with one of several."""
    return any(
        span.document == other.document
        and span.start is not None
        and span.end is not None
        and other.start is not None
        and other.end is not None
        and span.start < other.end
        and other.start < span.end
        for other in spans
    )


def _groups(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(text.casefold())
    return set(zip(*(words[i:] for i in range(GROUP_WORDS)), strict=False))


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    union = len(one | other)
    return len(one & other) / union if union else 1.0
