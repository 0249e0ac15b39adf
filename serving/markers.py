"""Markers: how the items of a prompt are fenced and named, and what the answer makes of the names.

    [k7f4-3] handbook.pdf          The notice period is
    The notice period is ...  ->   a month [k7f4-3].      ->   a month [3].
    [/k7f4]
    in the prompt                  what the model writes       what the reader gets

The nonce `k7f4` cannot be known to those who write documents, so no text in a document can close
its fence or pass for another item.
"""

import hmac
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from serving.injection import defuse
from serving.streams import StreamRewriter

# No vowels, and no digits that look like letters: a nonce is no word and no number.
_LETTERS = "bcdfghjkmnpqrstvwxz"
_DIGITS = "23456789"
_NONCE = rf"[{_LETTERS}][{_DIGITS}][{_LETTERS}][{_DIGITS}]"

MAX_BODY = 80  # ten tags
MAX_SPACES = 8
# More items at once support nothing.
MAX_RANGE = 10
# Longest piece of an answer that waits for the rest of a marker, in characters.
MAX_HELD = MAX_SPACES + 1 + MAX_BODY

_OPENING = r"\[\u3010\uff3b"
_CLOSING = r"\]\u3011\uff3d"
# Models write any of these for the hyphen of a tag.
_DASHES = r"\u2010-\u2015\u2212\ufe63\uff0d-"
_JOINT = rf"[_:{_DASHES}]"
_BODY = rf"[\w ,;:&.#^/\u2020{_DASHES}]"
_SPACE = r"[ \t\u00a0]"
# What models write before a number of their own accord.
_LABEL = (
    "(?:sources?|excerpts?|documents?|docs?|passages?|items?|refs?|references?|citations?|context"
    r"|quelle|auszug|extrait|fuente|extracto|fonte|\u6765\u6e90|\u6587\u6863)"
)
_SEPARATOR = re.compile(r"[,;&]|\band\b")
_PLAIN = re.compile(
    rf"\s*(?:{_LABEL}\W*)?[#^]?([1-9]\d{{0,2}})(?:\s*[{_DASHES}]\s*([1-9]\d{{0,2}}))?\s*"
    r"(?:\u2020.*)?",
    re.IGNORECASE,
)
_OWN = re.compile(r"\[([\d ,;\u2013-]{1,40})\]")
_NUMBER = re.compile(r"\d{1,3}")
# Looks like a fence, whatever its nonce.
_FENCE = re.compile(rf"\[(/?{_NONCE}(?:-\d+)?)\]", re.IGNORECASE)
_ROUND = str.maketrans("[]\u3010\u3011\uff3b\uff3d", "()()()")
_MAX_FILENAME = 120


def make_nonce(secret: bytes, scope: str) -> str:
    """Return the nonce of a scope: four characters, 1 of 23,104.

    It must be the same for all prompts that are to share a prefix in the model server's cache, and
    must not be known to those who write documents; so it is derived (HMAC-SHA256), not drawn.

    Args:
        secret: of the service, at least 16 random bytes.
        scope: what shares prompts, such as the name of a collection.
    """
    digest = hmac.digest(secret, scope.encode(), "sha256")
    alphabets = (_LETTERS, _DIGITS, _LETTERS, _DIGITS)
    return "".join(
        letters[int.from_bytes(digest[i * 4 : i * 4 + 4], "big") % len(letters)]
        for i, letters in enumerate(alphabets)
    )


def fence(number: int, filename: str, text: str, nonce: str) -> str:
    """Return what stands in the prompt for one item: text between lines with the nonce.

    Neither the name nor the text can close the fence: what looks like one is written in round
    brackets, and the nonce itself, should somebody have guessed it, in two parts. Tokens of chat
    templates are broken, see `defuse`.
    """
    return f"[{nonce}-{number}] {_one_line(filename, nonce)}\n{_tame(text, nonce)}\n[/{nonce}]"


def bracketed_numbers(texts: Iterable[str]) -> frozenset[int]:
    """Return the numbers that documents themselves have in square brackets, such as `[2]`."""
    return frozenset(
        int(number)
        for text in texts
        for group in _OWN.findall(text)
        for number in _NUMBER.findall(group)
    )


class MarkerStream(StreamRewriter):
    """Rewrites each marker in a stream of text to the form `[3]`.

    A tag in any form (`[k7f4-3]`, `[k7f4-1, k7f4-2]`, `k7f4-3`) becomes the marker of its item; one
    without such an item is dropped with the space before it. No tag comes out, not even a part of
    one that the end of the answer cuts. The output does not depend on how the text was split.

    Models also write `[3]`, `[1, 2]`, `[1-3]`, `【3】`, `[^3]` or `[Source 3]`, out of habit. These
    count when all their items exist, because small models never learn another form in one prompt.
    The exception is a number that the documents have in brackets themselves, once the model has
    shown that it knows tags: then it was copied, and becomes `(3)`, which is no marker. In code
    plain numbers are code.

    At most `MAX_HELD` characters are held back.

    Attributes:
        num_unknown: tags that were dropped because there is no such item.
    """

    def __init__(
        self,
        nonce: str,
        num_items: int,
        own_numbers: frozenset[int] = frozenset(),
        *,
        tags_only: bool = False,
    ) -> None:
        """Set up.

        Args:
            nonce: of the prompt.
            num_items: items are numbered from 1 to it.
            own_numbers: see `bracketed_numbers`.
            tags_only: plain numbers are no markers, as in JSON, where `[1, 2]` is a list.
        """
        self._tags_only = tags_only
        self._grammar = _grammar(nonce)
        super().__init__(self._grammar.stop)
        self.num_unknown = 0
        self._num_items = num_items
        self._own_numbers = own_numbers
        self._knows_tags = False
        self._code = ""  # the backticks that opened it

    def finish(self) -> str:
        """Return what was held back, without a tag that was cut."""
        self._held = self._grammar.cut.sub("", self._held)
        return super().finish()

    def _is_open(self, text: str, position: int) -> bool:
        return self._grammar.partial.fullmatch(text, position) is not None

    def _replace(self, text: str, position: int) -> tuple[str, int]:
        token = self._grammar.token.match(text, position)
        if token is None:
            return text[position], position + 1
        if token["ticks"] or token["line"]:
            self._switch_code(token.group())
            return token.group(), token.end()
        numbers = self._grammar.tagged_numbers(token["body"] or token["bare"])
        if numbers is not None:
            return self._cite(token["space"], numbers), token.end()
        return token["space"] + self._plain(token["body"], token.group().strip()), token.end()

    def _switch_code(self, sign: str) -> None:
        """Code ends with the backticks that opened it, and inside of a line with the line."""
        if sign == self._code or (sign == "\n" and self._code != "```"):
            self._code = ""
        elif sign != "\n" and not self._code:
            self._code = sign

    def _cite(self, space: str, numbers: Sequence[int]) -> str:
        self._knows_tags = True
        known = [number for number in numbers if 1 <= number <= self._num_items]
        self.num_unknown += max(1, len(numbers)) - len(known)
        return space + _markers(known) if known else ""

    def _plain(self, body: str, raw: str) -> str:
        numbers = [] if self._code or self._tags_only else _plain_numbers(body)
        if not numbers or max(numbers) > self._num_items:
            return raw
        if self._knows_tags and self._own_numbers.issuperset(numbers):
            # A group is no marker to `cite` as it stands.
            return f"({numbers[0]})" if len(numbers) == 1 else raw
        return _markers(numbers)


class _Grammar:
    """Patterns of the markers of one nonce.

    Attributes:
        stop: where a token may begin.
        token: a whole marker with the space before it, or what switches code on and off.
        partial: matches a text that may become a token, or a longer one, when it goes on.
        cut: a bracketed tag that ends too early.
    """

    def __init__(self, nonce: str) -> None:
        bare = rf"{nonce}(?:{_JOINT}\d{{1,4}})?"
        beginning = _beginning(nonce, rf"(?:{_JOINT}\d{{0,3}})?")
        self.stop = re.compile(rf"{_SPACE}|[`\n{_OPENING}]|{nonce[0]}", re.IGNORECASE)
        self.token = re.compile(
            rf"(?P<ticks>`{{1,3}})|(?P<line>\n)"
            rf"|(?P<space>{_SPACE}{{0,{MAX_SPACES}}})"
            rf"(?:[{_OPENING}](?P<body>{_BODY}{{1,{MAX_BODY}}})[{_CLOSING}]|(?P<bare>{bare}))",
            re.IGNORECASE,
        )
        self.partial = re.compile(
            rf"`{{1,2}}|{_SPACE}{{1,{MAX_SPACES}}}"
            rf"|{_SPACE}{{0,{MAX_SPACES}}}(?:[{_OPENING}]{_BODY}{{0,{MAX_BODY}}}|{beginning})",
            re.IGNORECASE,
        )
        self.cut = re.compile(
            rf"{_SPACE}*[{_OPENING}](?:/?{beginning}|{_BODY}*{nonce}{_BODY}*)\Z", re.IGNORECASE
        )
        self._nonce = re.compile(nonce, re.IGNORECASE)
        self._tag = re.compile(
            rf"{nonce}(?:{_JOINT}|\s)?(\d{{1,4}})"
            rf"(?:\s*[{_DASHES}]\s*(?:{nonce}{_JOINT})?(\d{{1,4}}))?",
            re.IGNORECASE,
        )

    def tagged_numbers(self, text: str) -> list[int] | None:
        """Return the numbers of the tags in a marker, and those listed with them, in order.

        None when there is no nonce in it.
        """
        if not self._nonce.search(text):
            return None
        numbers: list[int] = []
        for part in _SEPARATOR.split(text):
            tags = list(self._tag.finditer(part))
            for match in tags or filter(None, [_PLAIN.fullmatch(part)]):
                numbers += _range(match)
        return list(dict.fromkeys(numbers))


_grammar = lru_cache(1024)(_Grammar)


def _beginning(word: str, end: str) -> str:
    """Write a pattern of all beginnings of a word, and of the whole with that end."""
    for character in reversed(word[1:]):
        end = f"(?:{character}{end})?"
    return word[0] + end


def _plain_numbers(body: str) -> list[int]:
    """Return the numbers of a marker without a tag; none when it is other text."""
    numbers: list[int] = []
    for part in _SEPARATOR.split(body):
        match = _PLAIN.fullmatch(part)
        span = _range(match) if match else []
        if not span:
            return []
        numbers += span
    return list(dict.fromkeys(numbers))


def _range(match: re.Match[str]) -> list[int]:
    first, last = int(match[1]), int(match[2] or match[1])
    return list(range(first, last + 1)) if last - first < MAX_RANGE else []


def _markers(numbers: Sequence[int]) -> str:
    return "".join(f"[{number}]" for number in numbers)


def _one_line(filename: str, nonce: str) -> str:
    line = " ".join(defuse(filename).translate(_ROUND).split())
    if len(line) > _MAX_FILENAME:
        line = f"{line[:_MAX_FILENAME]}\u2026"
    return _break_nonce(line, nonce)


def _tame(text: str, nonce: str) -> str:
    return _break_nonce(_FENCE.sub(r"(\1)", defuse(text)), nonce)


def _break_nonce(text: str, nonce: str) -> str:
    return re.sub(nonce, lambda guess: f"{guess[0][:2]} {guess[0][2:]}", text, flags=re.IGNORECASE)
