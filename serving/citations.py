"""Citations: `[3]` in an answer becomes the sentence of context item 3 that supports it."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from operator import itemgetter
from typing import Protocol

from retrieval.analyzer import WITHOUT_SPACES
from retrieval.sentences import sentence_spans
from serving.context import Context, ContextItem
from serving.numerals import with_plain_numbers

MARKER = re.compile(r"\[(\d{1,3})\]")
# Markers side by side, with no more than this between them, stand behind the same claim.
BESIDE = r"(?:[\s,;&]|\b(?:and|or|und|oder|et|ou|y|o|e)\b)*"
_GROUP = re.compile(rf"(?:\[\d{{1,3}}\]{BESIDE})+")
_WORD = re.compile(rf"[{WITHOUT_SPACES}]|[^\W{WITHOUT_SPACES}]+")
# A number that counts the items of a list says nothing.
LIST_MARK = re.compile(r"^\W*\d{1,3}[.)]\s")
# How `re.escape` writes a number in round brackets.
_NUMBER = re.compile(r"\\\((\d{1,3})\\\)")
_NO_WORD = re.compile(r"\W+")
# A string of JSON, which may be cut, or a list of one number.
_STRING_OR_LIST = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)|\[\d{1,3}\]', re.DOTALL)
# Between backticks, or up to where they are missing.
_CODE = re.compile(r"```.*?(?:```|\Z)|(`{1,2})[^\n]*?(?:\1|\n|\Z)", re.DOTALL)
_INDEX = re.compile(r"(?<=[\w)\]])\[\d{1,3}\]")
# Share of words (F1) from which a further sentence belongs to the quote.
MATCH = 0.5
# What it adds to that when a row of a table has all numbers of a claim. Not a sentence of prose:
# where one has the words and another one the number, the claim mixes them up.
NUMBERS_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Citation:
    """A verbatim quote behind a marker.

    Attributes:
        marker: as it stands in the answer, such as `[3]`.
        revision: of the document, SHA-256.
        quote: canonical text of the document from `start` to `end`, exactly.
        page: of the first character of the quote, from 1; None without pages.
        place: where the quote begins, such as `page 12` or `sheet Prices, row 17`; None when there
            is no telling.
        text_start: where the marker begins in the answer.
        text_end: one past its last character.
    """

    marker: str
    document_id: str
    revision: str
    filename: str
    page: int | None
    place: str | None
    start: int
    end: int
    quote: str
    text_start: int
    text_end: int


class Locator(Protocol):
    """Tells where a character of a document's canonical text stands."""

    def __call__(
        self, document_id: str, revision: str, offset: int
    ) -> tuple[int | None, str | None]:
        """Return page and place, see `Citation`."""


def cite(answer: str, context: Context, locate: Locator) -> list[Citation]:
    """Resolve the markers of an answer; one that names no context item is left out."""
    items = {item.number: item for item in context}

    sentences = sentence_spans(answer)

    @cache  # some models repeat themselves until they are cut
    def quote(number: int, claim: str, rest: str) -> tuple[int, int]:
        return find_quote(items[number].passage.text, claim, rest)

    citations = []
    claim = rest = ""
    claim_start = 0
    for group in _GROUP.finditer(answer):
        claim_end = _end_of_claim(answer, sentences, group)
        if answer[claim_start : group.start()].strip() or claim_end > group.end():
            claim, rest = answer[claim_start : group.start()], answer[group.end() : claim_end]
        claim_start = claim_end
        for marker in MARKER.finditer(answer, group.start(), group.end()):
            if item := items.get(int(marker.group(1))):
                citations.append(_citation(marker, item, quote(item.number, claim, rest), locate))
    return citations


def without_lists(answer: str) -> str:
    """Return JSON with blanks for its lists of one number, which look like markers.

    Those in strings are markers, and stay where they are.
    """
    return _STRING_OR_LIST.sub(lambda one: one[0] if one[0][0] == '"' else _blank(one), answer)


def without_indexes(answer: str) -> str:
    """Return an answer with blanks for what its code has as `x[1]`, which looks like a marker."""
    return _CODE.sub(lambda code: _INDEX.sub(_blank, code[0]), answer)


def words_of(answer: str) -> str:
    """Return the words of an answer, in small letters and without markers."""
    return _NO_WORD.sub(" ", MARKER.sub(" ", answer)).casefold().strip()


def _end_of_claim(answer: str, sentences: Sequence[tuple[int, int]], markers: re.Match[str]) -> int:
    """Return where ends what some markers stand for.

    With them, or, where they are the last ones in their sentence, as in `According to [1], bees
    sleep.`, with that. Those that begin a sentence stand behind the one before, if there is one in
    the paragraph.
    """
    place = bisect_right(sentences, markers.start(), key=itemgetter(0)) - 1
    start, end = sentences[place]
    gap = answer[sentences[place - 1][1] : start] if place else "\n\n"
    is_behind = start == markers.start() and "\n\n" not in gap
    is_last = not MARKER.search(answer, markers.end(), end)
    return end if is_last and not is_behind and end > markers.end() else markers.end()


def _citation(
    marker: re.Match[str], item: ContextItem, quote: tuple[int, int], locate: Locator
) -> Citation:
    passage = item.passage
    start, end = quote
    page, place = locate(passage.document_id, passage.revision, passage.start + start)
    return Citation(
        marker=marker.group(),
        document_id=passage.document_id,
        revision=passage.revision,
        filename=item.filename,
        page=page,
        place=place,
        start=passage.start + start,
        end=passage.start + end,
        quote=passage.text[start:end],
        text_start=marker.start(),
        text_end=marker.end(),
    )


def find_quote(text: str, claim: str, rest: str = "") -> tuple[int, int]:
    """Return the span of the sentences of a text that a claim rests on.

    A claim, or else its last paragraph, that stands in the text word for word is quoted whole, and
    so is what follows the marker, if that is longer: before it may be no more than `According to`.
    Otherwise each sentence of that paragraph looks for the sentence that shares most words with it
    (F1, the first one wins), or for the row of a table that has its numbers, and the quote is the
    best match with those of its neighbours that were matched, too.

    Args:
        text: with the sentences.
        claim: up to its marker.
        rest: what its sentence says behind the marker.
    """
    spans, _ = sentences_of(text)
    last_paragraph = claim.rpartition("\n\n")[2]
    if len(rest) > len(last_paragraph):
        copied = _find_copy(text, rest)
    else:
        copied = _find_copy(text, claim) or _find_copy(text, last_paragraph)
    if copied is not None:
        start = max((start for start, _ in spans if start <= copied[0]), default=copied[0])
        end = min((end for _, end in spans if end >= copied[1]), default=copied[1])
        return start, end
    return _best_match(text, f"{last_paragraph}{rest}")


# Of the passages of some answers, each of which is asked about once for each claim.
@lru_cache(maxsize=256)
def sentences_of(text: str) -> tuple[Sequence[tuple[int, int]], Sequence[frozenset[str]]]:
    """Return the sentences of a text as spans and as sets of words."""
    spans = sentence_spans(text) or [(0, len(text))]
    return spans, [_words(text[start:end]) for start, end in spans]


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])


def _find_copy(text: str, claim: str) -> tuple[int, int] | None:
    """Find a claim word for word; line wraps may differ, and its `(2)` may stand for `[2]`."""
    words = claim.lstrip("| \n").split()  # a row of a table, behind the end of the one before
    # What may stand between it and the marker before, if not in the text as well (`.NET`).
    bare = claim.lstrip("| \n.,;:").split()
    found = _find_words(text, words)
    return _find_words(text, bare) if found is None and bare != words else found


def _find_words(text: str, words: Sequence[str]) -> tuple[int, int] | None:
    if not all(word in text for word in words if "(" not in word):
        return None  # told sooner than a pattern is compiled
    copy = r"\s+".join(_NUMBER.sub(r"[\[(]\1[\])]", re.escape(word)) for word in words)
    match = re.search(rf"(?<!\w){copy}(?!\w)", text) if words else None
    return match.span() if match else None


def _best_match(text: str, claim: str) -> tuple[int, int]:
    spans, sentences = sentences_of(text)
    rows = [place for place, (start, _) in enumerate(spans) if text.startswith("|", start)]
    matched: dict[int, float] = {}
    for start, end in sentence_spans(claim):
        words = _words(LIST_MARK.sub("", claim[start:end]))
        numbers = frozenset(word for word in words if word[0].isdecimal())
        overlaps = [_overlap(sentence, words) for sentence in sentences]
        scores = overlaps.copy()
        for row in rows if numbers else ():
            scores[row] += NUMBERS_WEIGHT * len(numbers & sentences[row]) / len(numbers)
        best = max(range(len(spans)), key=scores.__getitem__)
        matched[best] = max(overlaps[best], matched.get(best, 0.0))
    first = last = max(matched, key=lambda i: matched[i], default=0)
    while matched.get(first - 1, 0.0) >= MATCH:
        first -= 1
    while matched.get(last + 1, 0.0) >= MATCH:
        last += 1
    return spans[first][0], spans[last][1]


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(with_plain_numbers(text.lower())))


def _overlap(these: frozenset[str], others: frozenset[str]) -> float:
    return 2 * len(these & others) / max(1, len(these) + len(others))
