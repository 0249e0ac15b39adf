"""Sentence boundaries of prose, Markdown and text out of PDFs, by rules and in linear time."""

import re
from collections.abc import Iterator


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Before the next word these never end a sentence, with a capital or a number after them.
_TITLES = _words(
    "adm app appt approx assn ave cap capt cf cmdr col comdr corr dept dr e.g eq eqn eqs est esp "
    "ext fig figs fr gen gov hon i.e incl lt maj messrs mgr mme mr mrs ms mt op pres prof pvt ref "
    "refs rep resp rev sen sgt st tab vs viz v bzw ca d.h u.a z.b"
)
# These end a sentence unless a number follows: `No. 5`, `pp. 12-14`, `Jan. 3`.
_BEFORE_NUMBERS = _words(
    "art bd ch chap cl const div ed eds exp ext item no nos nr p par para pp pt pts reg s sec sect "
    "ser ss subsec ver vol vols jan feb mar apr jun jul aug sep sept oct nov dec"
)
# These may end a sentence; the next word tells.
_AMBIGUOUS = _words(
    "a.d a.m al b.c bros co corp d.c e.u etc hrs inc jr ltd mo no.s p.m ph.d plc sr u.k u.n u.s "
    "u.s.a b.a m.a m.d b.s m.s ft oz lb lbs min max sq"
)
_STARTERS = _words(
    "a after all although an and another any are as at because before both but by can could do "
    "does during each every few finally first for from furthermore had has have he her here his "
    "how however i if in instead is it its later many may meanwhile moreover most my next no not "
    "now of on once one only or other our over please second several she should since so some such "
    "that the their then there therefore these they this those though through thus to today under "
    "unlike until was we were what when where whereas whether which while who why will with would "
    "yet you your"
)

# Opening and closing quotation marks and brackets, as escapes because many look alike.
_OPENING = r"(\[{\"'*_\u201c\u2018\u00ab\u300c\u300e\uff08"
_CLOSING = r")\]}\"'*_\u201d\u2019\u00bb\u300d\u300f\uff09\u3011\u300b"
# Full stops and the like of scripts that write no space after them.
_FULL_STOPS = r"\u3002\uff01\uff1f\uff61\u0964\u0965\u061f\u06d4"
_BULLETS = r"-*+\u2022\u25aa\u2023\u25e6\u2013\u00b7"
_LIST_MARK = rf"(?:[{_BULLETS}]|\(?(?:\d{{1,3}}|[a-zA-Z]|[ivx]{{1,5}})\)|\d{{1,3}}\.)[^\S\n]"
_BREAK = re.compile(
    # Where no break can begin, the kinds are not tried one by one: that is four fifths of the time.
    rf"""
    (?: (?<![^\n]) | (?=[\n.!?\u2026{_FULL_STOPS}]) )
    (?:
      (?P<paragraph> \n [^\S\n]*+ (?=\n) )
    | (?P<item> (?:^|\n) [^\S\n]*+ (?: > [^\S\n]*+)*+ {_LIST_MARK} )
    | (?P<line> (?:^|(?<=\n)) [^\S\n]*+ (?: \#{{1,6}}[^\S\n] | \| ) [^\n]*+
              | (?:^|(?<=\n)) [^\S\n]*+ `{{3,}}[^\n]*+ )
    | (?P<rule> (?:^|(?<=\n)) (?: ={{3,}}+ | -{{3,}}+ ) [^\S\n]*+ (?=\n|\Z) )
    | (?P<full> [{_FULL_STOPS}]++ [{_CLOSING}]*+ )
    | (?<![.!?\u2026]) (?P<stop> [.!?\u2026]++ [{_CLOSING}]*+ (?:\[\d{{1,3}}\])*+ ) (?=\s|\Z)
    )
    """,
    re.VERBOSE,
)
_LAST_WORD = re.compile(rf"[^\s/\u2013\u2014{_OPENING}{_CLOSING}]*\Z")
_NEXT_WORD = re.compile(rf"\s*+[{_OPENING}]*+([^\W_]*)")
_INITIAL = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
# Longer than any abbreviation.
_WORD_WINDOW = 16


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return the (start, end) of each sentence, in order.

    Spans carry no white space at their ends, do not overlap and cover every other character.
    Blank lines, headings, list items and table rows break; a line end inside of a paragraph does
    not, because texts out of PDFs break lines anywhere.
    """
    spans = []
    start = 0
    for end in _breaks(text):
        span = _trim(text, start, end)
        if span:
            spans.append(span)
        start = end
    return spans


def _breaks(text: str) -> Iterator[int]:
    for match in _BREAK.finditer(text):
        kind = match.lastgroup
        if kind == "stop":
            if _ends_sentence(text, match):
                yield match.end()
        elif kind == "item":
            yield match.start()
        elif kind == "line":
            yield match.start()
            yield match.end()
        else:
            yield match.end()
    yield len(text)


def _ends_sentence(text: str, stop: re.Match[str]) -> bool:
    following = _NEXT_WORD.match(text, stop.end())
    next_word = following.group(1) if following else ""
    mark = stop.group("stop")
    if next_word[:1].islower():
        return False
    if mark.startswith(("..", "\u2026")):
        # Dot leaders of a table of contents run up to a page number.
        return not next_word[:1].isdigit()
    return not mark.startswith(".") or _period_ends(text, stop.start(), next_word)


def _period_ends(text: str, position: int, next_word: str) -> bool:
    before = _LAST_WORD.search(text, max(0, position - _WORD_WINDOW), position)
    word = before.group() if before else ""
    lowered = word.lower()
    if lowered in _TITLES:
        return False
    if lowered in _BEFORE_NUMBERS:
        return not next_word[:1].isdigit()
    if lowered in _AMBIGUOUS or (_INITIAL.fullmatch(word) and word != "I"):
        return not next_word or next_word.lower() in _STARTERS
    return True


def _trim(text: str, start: int, end: int) -> tuple[int, int] | None:
    piece = text[start:end]
    stripped = piece.strip()
    if not stripped:
        return None
    start += len(piece) - len(piece.lstrip())
    return start, start + len(stripped)
