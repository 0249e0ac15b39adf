"""Prompt injection: text in documents that gives orders to a model, told and taken the edge off.

What is found here is data for a trace and a reader, not a filter: an item is never left out for its
score. What protects is elsewhere: fences (`serving/markers.py`), chat-template tokens that are
broken (`defuse`), links that do nothing (`serving/links.py`), and that no text of a document
reaches a tool or a setting.
"""

import base64
import binascii
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from serving.instructions import RULES, Kind

# How likely text of a kind alone is meant as an instruction. Kinds below one half are there in
# ordinary documents: a score of `SUSPICIOUS` takes two of them (docs/decisions.md).
WEIGHTS: Mapping[Kind, float] = {
    Kind.OVERRIDE: 0.8,
    Kind.TEMPLATE: 0.7,
    Kind.ROLE: 0.25,
    Kind.FENCE: 0.4,
    Kind.ADDRESS: 0.4,
    Kind.DICTATION: 0.35,
    Kind.EXFILTRATION: 0.7,
    Kind.AUTHORITY: 0.25,
    Kind.HIDDEN: 0.6,
}
SUSPICIOUS = 0.5


@dataclass(frozen=True, slots=True)
class Match:
    """Instruction-like text from `start` to `end`."""

    start: int
    end: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class InjectionReport:
    """What was found in a text.

    Attributes:
        score: from 0 to 1.
        matches: by place.
    """

    score: float
    matches: tuple[Match, ...]

    @property
    def is_suspicious(self) -> bool:
        """Whether people should be told."""
        return self.score >= SUSPICIOUS


# Special tokens of the chat templates of open models.
_CONTROL = (
    r"<\|[^|<>\s][^|<>\n]{0,60}\|>|<\uff5c[^\uff5c<>\n]{1,60}\uff5c>"
    r"|(?-i:\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|THINK)\])"
    r"|<</?SYS>>|</?(?:start|end)_of_turn>|<seed:[a-z_]{1,20}>"
)
# So are these, but documents have them for other reasons, too.
_AMBIGUOUS = (
    r"</?(?:s|bos|eos|pad|unk|think|tools?|tool_calls?|tool_response|image|mask|sop|eop)>"
    r"|\[g?MASK\]|<(?:unused|extra_id_|reserved_token_)\d{1,4}>|<0x[0-9A-F]{2}>"
)
_ANY_CONTROL = re.compile(rf"{_CONTROL}|{_AMBIGUOUS}", re.IGNORECASE)
# Tags of Unicode spell text that only models see; overrides of direction show another text.
_SMUGGLED = re.compile("[\U000e0000-\U000e007f\u202a-\u202e\u2066-\u2069]")
_INVISIBLE = re.compile("[\u200b\u2060-\u2064\ufeff\u00ad\u180e]")
_UNSEEN = re.compile(f"{_INVISIBLE.pattern}|[\U000e0020-\U000e007e]")
_SMUGGLED_RUN = re.compile("[\U000e0020-\U000e007f]{4,}|[\u202d\u202e]|[\u200b\u2060-\u2064]{4,}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{32,}={0,2}")
# Words of Latin and other letters.
_MIXED = re.compile(r"\b(?=\w*[a-z])(?=\w*[\u0370-\u04ff])\w+", re.IGNORECASE)
_LOOK_ALIKES = str.maketrans(
    "\u0430\u0435\u0456\u043e\u0440\u0441\u0443\u0445\u0455\u0458\u0501\u04bb\u03bf\u03b1\u03b9\u03bd"
    "\u0410\u0412\u0415\u0406\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425",
    "aeiopcyxsjdhoaivABEIKMHOPCTX",
)

_TEMPLATE = re.compile(_CONTROL, re.IGNORECASE)
_ROLE = re.compile(
    r"^[^\S\n]*(?:\#{1,6}[^\S\n]*|\*{1,2})?(?:system|assistant|developer|human|instruction)s?\b"
    r"[^\S\n]?(?:prompt|message|note)?\*{0,2}[^\S\n]?:"
    r"|[\"']role[\"']\s*:\s*[\"'](?:system|developer|assistant)[\"']",
    re.IGNORECASE | re.MULTILINE,
)


# Of each passage one asks for the warning and one for the trace, and good passages come again.
@lru_cache(maxsize=512)
def score_instructions(text: str) -> InjectionReport:
    """Find what in a text gives orders to a model.

    Words are recognised in English, German, French, Spanish, Italian, Portuguese, Russian, Chinese,
    Japanese and Korean, whatever hides them: invisible characters, letters that look like others,
    Base64. The score is 1 - the product of (1 - weight) over the kinds that were found.
    """
    matches = sorted(_matches(text), key=lambda match: (match.start, match.end))
    doubt = 1.0
    for kind in {match.kind for match in matches}:
        doubt *= 1 - WEIGHTS[kind]
    return InjectionReport(1 - doubt, tuple(matches))


def defuse(text: str) -> str:
    """Return a text in which no tokenizer finds a token of a chat template.

    A space is put behind the first character of each, and what only models see is taken out. For
    the prompt only: quotes come from the document.
    """
    text = _SMUGGLED.sub("", text)
    # What a token hides may be one, too: `<|a<|b|>|>`.
    while (broken := _ANY_CONTROL.sub(lambda token: f"{token[0][0]} {token[0][1:]}", text)) != text:
        text = broken
    return text


def _matches(text: str) -> Iterator[Match]:
    readable, origins = _read(text)
    lowered = readable.lower()
    for rule in RULES:
        if not any(trigger in lowered for trigger in rule.triggers):
            continue
        for found in rule.pattern.finditer(readable):
            start, end = origins[found.start()], origins[found.end() - 1] + 1
            yield Match(start, end, rule.kind)
            if _is_disguised(found.group(), text[start:end]):
                yield Match(start, end, Kind.HIDDEN)
    for kind, pattern in ((Kind.TEMPLATE, _TEMPLATE), (Kind.ROLE, _ROLE)):
        for found in pattern.finditer(text):
            yield Match(*found.span(), kind)
    for found in _SMUGGLED_RUN.finditer(text):
        yield Match(*found.span(), Kind.HIDDEN)
    for found in _BASE64.finditer(text):
        if any(match.kind is not Kind.ROLE for match in _matches(_decode(found.group()))):
            yield Match(*found.span(), Kind.HIDDEN)


def _read(text: str) -> tuple[str, Sequence[int]]:
    """Return a text as people read it, and where each of its characters stands in the original."""
    if text.isascii():
        return text, range(len(text))
    if unicodedata.is_normalized("NFKC", text) and not _UNSEEN.search(text):
        return _undisguised(text), range(len(text))
    characters: list[str] = []
    origins: list[int] = []
    for i, original in enumerate(text):
        if _INVISIBLE.match(original):
            continue
        for character in unicodedata.normalize("NFKC", _untagged(original)):
            characters.append(character)
            origins.append(i)
    readable = "".join(characters)
    return _undisguised(readable), origins


def _undisguised(text: str) -> str:
    """Return a text with Latin letters for those that only look like them; it stays as long."""
    return _MIXED.sub(lambda word: word[0].translate(_LOOK_ALIKES), text)


def _untagged(character: str) -> str:
    """Return the ASCII character that a tag character of Unicode stands for."""
    return chr(ord(character) - 0xE0000) if "\U000e0020" <= character < "\U000e007f" else character


def _is_disguised(readable: str, original: str) -> bool:
    """Tell whether a text is written in other letters than people read.

    Soft hyphens and full-width letters are ordinary.
    """
    return readable.isascii() and not original.replace("\u00ad", "").isascii()


def _decode(code: str) -> str:
    """Return what Base64 stands for; nothing when that is no text."""
    try:
        text = base64.b64decode(code[: len(code) // 4 * 4]).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return text if text.isprintable() else ""
