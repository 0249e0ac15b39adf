"""Sentences that say what something is ask for it: by rules, in English only."""

import re
from collections.abc import Iterator
from dataclasses import replace

from eval.questions import Question
from eval.synthesis.corpus import Corpus, one_line

MAKER = "definition"
MOST_CHARACTERS = 400
_DEFINITION = re.compile(
    r"""
    (?P<article> an?\ )? (?P<subject> [^\s,.;:()|]+ (?: \ [^\s,.;:()|]+ ){0,4}? ) \ (?:
        (?P<verb> means | stands\ for | refers\ to | denotes ) \ (?!that\b)
      | (?P<be> is | are ) \ (?= (?:an?|any|one\ of|those) \ )
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A subject that begins so points at something else, or is none.
_NO_SUBJECT = _words(
    "a above all an and another any as at because below both but by each either every few for from "
    "he her here his how i if in it its many more most my neither no nobody none not nothing of on "
    "one only or other our set she so some such that the their then there these they this those to "
    "we what when where whether which while who why with without you your"
)
# With these in it, it is half a sentence.
_NO_NAME = _words("between own per that which who")
_ASKING = {
    "is": "What is {}?",
    "are": "What are {}?",
    "means": "What does {} mean?",
    "stands for": "What does {} stand for?",
    "refers to": "What does {} refer to?",
    "denotes": "What does {} denote?",
}
_SHORT_FORM = re.compile(r"\(([A-Z][A-Za-z0-9]{1,7})\)")


def definition_questions(corpus: Corpus) -> Iterator[Question]:
    """Ask `What is X?` of "X is a ...", and `What does LF stand for?` of "Long Form (LF)"."""
    for source in corpus.sources.values():
        for sentence in source.sentences:
            if not sentence.is_prose or len(sentence.text) > MOST_CHARACTERS:
                continue
            evidence = (sentence.start, sentence.end)
            plain = one_line(re.sub(r"[*_`\"]", "", sentence.text))
            if asked := _ask_what_it_is(plain):
                yield replace(source.question(MAKER, asked, evidence), language="en")
            for short, long in abbreviations(plain):
                asked = f"What does {short} stand for?"
                yield replace(source.question(MAKER, asked, evidence, (long,)), language="en")


def _ask_what_it_is(sentence: str) -> str | None:
    match = _DEFINITION.match(sentence)
    if match is None:
        return None
    first, *_ = subject = match["subject"].split(" ")
    is_pointing = first.lower() in _NO_SUBJECT or not _NO_NAME.isdisjoint(subject)
    if is_pointing or not any(word[0].isalpha() for word in subject):
        return None
    # Only what is a name keeps its capital within a sentence.
    if not any(letter.isupper() or letter.isdigit() for letter in match["subject"][1:]):
        subject[0] = first.lower()
    verb = (match["verb"] or match["be"]).lower()
    return _ASKING[verb].format((match["article"] or "").lower() + " ".join(subject))


def abbreviations(sentence: str) -> Iterator[tuple[str, str]]:
    """Yield short and long form of each "Long Form (LF)".

    The long form is the shortest stretch in front whose letters contain those of the short one in
    order, the first of them at the beginning of a word (Schwartz and Hearst, PSB 2003).
    """
    for match in _SHORT_FORM.finditer(sentence):
        short, before = match[1], sentence[: match.start()].rstrip()
        if sum(letter.isupper() for letter in short) < 2:  # noqa: PLR2004 - a word in brackets
            continue
        long = _long_form(short, before)
        if long and len(long.split()) <= min(len(short) + 5, 2 * len(short)):
            yield short, long


def _long_form(short: str, before: str) -> str | None:
    place = len(before)
    for index, letter in reversed(list(enumerate(short.lower()))):
        place -= 1
        while place >= 0 and not (
            before[place].lower() == letter
            and (index > 0 or place == 0 or not before[place - 1].isalnum())
        ):
            place -= 1
        if place < 0:
            return None
    long = before[place:]
    return long if len(long) > len(short) and " " in long else None
