"""Grounding: does each sentence of an answer stand in what it cites?

By words first. In the sentence of the passage that it resembles most there must be its numbers and
its negation, and around that sentence its names and most of its other words. A paraphrase is then
compared by late interaction, token vector by token vector.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from retrieval.analyzer import Analyzer
from retrieval.embedding import Embedder
from retrieval.late_interaction import mean_of_best_matches
from retrieval.sentences import sentence_spans
from serving.citations import LIST_MARK, MARKER, find_quote, sentences_of
from serving.context import Context, ContextItem
from serving.numerals import numbers_of

# Chosen on MTRAG-UN and SciFact: of people's answers 0.72 are found supported, of the same against
# the passages of other questions 0.003 (docs/benchmarks.md).
ENOUGH_WORDS = 0.85  # share of the content words that stand in the evidence: it says so
SOME_WORDS = 0.5  # and with less than this it says something else, however similar
ENOUGH_SIMILARITY = 0.65  # mean cosine of best matches, between the two
# Share of the letters of a sentence that the embedder must have words for, to compare it at all: of
# a language that it does not know every two sentences are similar.
ENOUGH_COVERAGE = 0.5
# Sentences on each side of the best one that belong to the evidence.
NEIGHBOURS = 1

_LEADING_MARKERS = re.compile(r"(?:\[\d{1,3}\][\s,;.]*)+")
_DIGIT = re.compile(r"\d")
# Inside of a sentence; the first word is in capitals anyway.
_WORD = re.compile(r"(?<=[\w,;:)\"'] )[^\W\d_]\w+")
# "One" is a pronoun as well.
_SMALL_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), start=2
    )
}
_SMALL_NUMBER = re.compile(rf"\b(?:{'|'.join(_SMALL_NUMBERS)})\b", re.IGNORECASE)
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|neither|nor|without|cannot|nicht|kein\w*|nie|niemals|ohne"
    r"|ne|pas|jamais|sans|aucune?|nunca|sin|ningún|ninguna|non|senza|mai|não|sem|не|нет|без|никогда"
    r")\b|n['\u2019]t\b|[\u4e0d\u6ca1\u65e0\u975e]",
    re.IGNORECASE,
)
_NO_CLAIM = re.compile(
    r"\W*(?:sure|of course|certainly|sorry|gerne|based on the (?:documents|excerpts|context))\W*$"
    r"|\W*(?:hello|hi|hey|thanks?|thank you|you(?:'re| are) welcome|hallo|guten tag|danke|bonjour"
    r"|merci|hola|gracias)\b\W*(?:\w+\W*){0,2}$"
    r"|\W*(?:let me know|feel free|I(?:'m| am) (?:sorry|glad|happy)|I (?:do not|don't|cannot|can't"
    r"|could not|couldn't) (?:know|find|answer|have|see|help|tell))\b"
    r"|.*\b(?:documents?|excerpts?|context|sources?|passages?|text)\b.{0,20}"
    r"\b(?:do(?:es)? not|don't|doesn't|did not|cannot) (?:contain|mention|say|state|provide|include"
    r"|specify|give|have|cover|address|answer|discuss)\b"
    r"|.*\b(?:dokumente?|auszüge?)\b.{0,30}\b(?:enthalten|enthält|nennen|nennt)\b.{0,20}\bkein"
    r"|.*\b(?:documents?|extraits?)\b.{0,10}\bne (?:contien|mentionn|préci|fourni)"
    r"|.*\b(?:documentos?|extractos?)\b.{0,10}\bno (?:contien|mencion|especific|dice)",
    re.IGNORECASE | re.DOTALL,
)
# Behind it there is a claim.
_CONTRAST = re.compile(
    r"\b(?:but|however|although|aber|jedoch|mais|cependant|pero)\b|;", re.IGNORECASE
)
_HEADING = re.compile(r"#{1,6}\s|\*\*[^*\n]+\*\*:?$")
_QUESTION = ("?", "\uff1f", "\u061f")
_INTRODUCTION = (":", "\uff1a")
# Why a sentence was not judged.
NO_TIME = "There was no time to judge it."


class Support(StrEnum):
    """Whether a sentence stands in what it cites."""

    SUPPORTED = "supported"
    UNSUPPORTED = "unsupported"
    NO_CLAIM = "no_claim"
    """There is nothing to support: a greeting, a question, a heading, or that nothing is known."""


class Grounded(StrEnum):
    """Whether an answer stands in the documents."""

    YES = "yes"
    """All of its claims do."""
    PARTLY = "partly"
    NO = "no"
    """None does, or it makes none."""


@dataclass(frozen=True, slots=True)
class SentenceSupport:
    """A sentence of an answer.

    Attributes:
        start: first character of the sentence in the answer.
        end: one past its last; markers behind it are not part of it.
        support: the verdict.
        numbers: of the context items it was compared with, in order.
        reason: what the evidence lacks; empty where it lacks nothing.
    """

    start: int
    end: int
    support: Support
    numbers: tuple[int, ...] = ()
    reason: str = ""


def judge_support(
    answer: str,
    context: Context,
    analyzer: Analyzer,
    embedder: Embedder | None = None,
    is_late: Callable[[], bool] = lambda: False,
) -> list[SentenceSupport]:
    """Judge each sentence of an answer by the items that it cites.

    A sentence cites the markers in it and right behind it; one without any shares the next ones of
    its paragraph, or else those before. It is supported when one of the items supports it.

    Args:
        answer: with markers of the form `[3]`.
        context: the items they name.
        analyzer: of the collection.
        embedder: recognises paraphrases; None judges by words alone.
        is_late: tells whether to stop; what was not judged by then counts as unsupported.
    """
    items = {item.number: item for item in context}

    @cache  # some models repeat themselves until they are cut
    def lacks(sentence: str, number: int) -> str:
        return what_lacks(sentence, items[number], analyzer, embedder)

    judged = []
    for start, end, numbers in _cited_sentences(answer):
        sentence = MARKER.sub("", answer[start:end]).strip()
        known = tuple(number for number in numbers if number in items)
        if not _is_claim(sentence, analyzer):
            judged.append(SentenceSupport(start, end, Support.NO_CLAIM, known))
            continue
        if is_late():
            judged.append(SentenceSupport(start, end, Support.UNSUPPORTED, known, NO_TIME))
            continue
        reason = "It cites nothing."
        for number in known:
            reason = lacks(sentence, number)
            if not reason:
                break
        support = Support.UNSUPPORTED if reason else Support.SUPPORTED
        judged.append(SentenceSupport(start, end, support, known, reason))
    return judged


def is_grounded(sentences: Sequence[SentenceSupport]) -> Grounded:
    """Sum up the sentences of an answer."""
    claims = {one.support for one in sentences} - {Support.NO_CLAIM}
    if claims == {Support.SUPPORTED}:
        return Grounded.YES
    return Grounded.PARTLY if Support.SUPPORTED in claims else Grounded.NO


def what_lacks(
    sentence: str, item: ContextItem, analyzer: Analyzer, embedder: Embedder | None = None
) -> str:
    """Say what of a sentence an item does not support; nothing when it supports it."""
    sentence = _with_digits(LIST_MARK.sub("", sentence))
    quote, evidence = map(_with_digits, _evidence(item.passage.text, sentence))
    words = set(analyzer.query_tokens(_NEGATION.sub(" ", sentence)))
    share = len(words & set(analyzer.passage_tokens(evidence))) / max(1, len(words))
    if share < SOME_WORDS:
        return "The cited text says something else."
    if missing := numbers_of(sentence) - numbers_of(quote):
        return f"The cited text does not say {', '.join(sorted(missing))}."
    named = set(analyzer.passage_tokens(f"{_head(item)} {evidence}"))
    if unnamed := [name for name in _names(sentence) if set(analyzer.query_tokens(name)) - named]:
        return f"The cited text does not name {', '.join(unnamed)}."
    if _NEGATION.search(sentence) and not _NEGATION.search(quote):
        return "The cited text does not deny it."
    if share >= ENOUGH_WORDS or _is_paraphrase(sentence, evidence, embedder):
        return ""
    return "The cited text does not say as much."


def _is_paraphrase(sentence: str, evidence: str, embedder: Embedder | None) -> bool:
    if embedder is None or embedder.vocabulary_coverage(sentence) < ENOUGH_COVERAGE:
        return False
    (tokens,) = embedder.embed_passage_tokens([evidence])
    similarity = mean_of_best_matches(embedder.embed_query_tokens(sentence), tokens)
    return similarity >= ENOUGH_SIMILARITY


def _evidence(text: str, sentence: str) -> tuple[str, str]:
    """Return the sentence of a text that resembles another most, alone and with its neighbours.

    The neighbours of a row of a table say nothing of it; what does is the first row.
    """
    start, end = find_quote(text, sentence)
    spans, _ = sentences_of(text)
    first = max((i for i, span in enumerate(spans) if span[0] <= start), default=0)
    if text.startswith("|", start):
        header_start, header_end = spans[_first_row(text, spans, first)]
        return text[start:end], f"{text[header_start:header_end]}\n{text[start:end]}"
    last = min((i for i, span in enumerate(spans) if span[1] >= end), default=len(spans) - 1)
    around = slice(
        spans[max(0, first - NEIGHBOURS)][0], spans[min(len(spans) - 1, last + NEIGHBOURS)][1]
    )
    return text[start:end], text[around]


def _first_row(text: str, spans: Sequence[tuple[int, int]], row: int) -> int:
    """Return which sentence is the first row of the table that a row is in."""
    while row and text.startswith("|", spans[row - 1][0]):
        row -= 1
    return row


def _head(item: ContextItem) -> str:
    """Return what the prompt says of an item besides its text."""
    passage = item.passage
    return f"{item.filename} {' '.join(passage.headings)} {passage.table_header}"


def _names(sentence: str) -> list[str]:
    return [word for word in _WORD.findall(sentence) if word[0].isupper()]


def _with_digits(text: str) -> str:
    return _SMALL_NUMBER.sub(lambda word: _SMALL_NUMBERS[word[0].lower()], text)


def _is_claim(sentence: str, analyzer: Analyzer) -> bool:
    if sentence.endswith(_QUESTION) or _HEADING.match(sentence):
        return False
    if _NO_CLAIM.match(sentence) and not _CONTRAST.search(sentence):
        return False
    is_introduction = sentence.endswith(_INTRODUCTION) and not _DIGIT.search(sentence)
    return not is_introduction and bool(analyzer.query_tokens(sentence))


def _cited_sentences(answer: str) -> list[tuple[int, int, list[int]]]:
    """Return start and end of each sentence, and the numbers that it cites."""
    sentences: list[tuple[int, int, list[int]]] = []
    for paragraph_start, paragraph_end in _paragraphs(answer):
        found: list[tuple[int, int, list[int]]] = []
        for start, end in sentence_spans(answer[paragraph_start:paragraph_end]):
            first, last = paragraph_start + start, paragraph_start + end
            # Markers behind a full stop belong to the sentence before.
            leading = _LEADING_MARKERS.match(answer, first, last) if found else None
            if leading:
                found[-1][2].extend(_markers(leading.group()))
                first = leading.end()
            if first < last:
                found.append((first, last, _markers(answer[first:last])))
        sentences += _share_markers(found)
    return sentences


def _share_markers(
    sentences: Sequence[tuple[int, int, list[int]]],
) -> list[tuple[int, int, list[int]]]:
    """Give sentences without markers the next ones, or else those before."""
    last = next((numbers for _, _, numbers in reversed(sentences) if numbers), [])
    shared = []
    for start, end, numbers in reversed(sentences):
        last = numbers or last
        shared.append((start, end, last))
    return shared[::-1]


def _paragraphs(text: str) -> list[tuple[int, int]]:
    breaks = [match.span() for match in re.finditer(r"\n[^\S\n]*\n\s*", text)]
    starts = [0, *(end for _, end in breaks)]
    return list(zip(starts, [*(start for start, _ in breaks), len(text)], strict=True))


def _markers(text: str) -> list[int]:
    return list(dict.fromkeys(int(number) for number in MARKER.findall(text)))
