"""Links and images of an answer that do not come from what it cites do nothing.

An image is fetched as soon as an answer is shown, and its address can carry what the conversation
says to whoever planted an instruction in a document.
"""

import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping

from serving.citations import MARKER
from serving.streams import StreamRewriter

_SCHEMES = ("https://", "http://", "ftp://", "www.")
_SCHEME = re.compile(r"(?:(?:https?|ftp)://|www\.)", re.IGNORECASE)
_URL = re.compile(_SCHEME.pattern + r"[^\s<>\"'`|\\^{}\[\]]+", re.IGNORECASE)
# Punctuation behind a URL belongs to the sentence.
_TRAILING = ".,;:!?*_"
_FULL_STOPS = "\u3002\uff0c\u3001\uff1b\uff1a\uff01\uff1f\uff09\u300d\u300f\u3011"
MAX_AFTER = 8
_AFTER = rf"[{_TRAILING}'\")\]]{{0,{MAX_AFTER}}}"
_END = re.compile(rf"{_AFTER}(?:[\s<>|`{_FULL_STOPS}]|\Z)")
_MAY_END = re.compile(_AFTER)
# Behind the URL in `](URL)` or `](URL "title")`.
_TARGET_END = re.compile(r"[\s)]")
# How far behind a link the marker of its passage may stand, in the same line.
AHEAD = 100
_STOP = re.compile(r"[\[\]<]|https?|ftp|www|h(?:t(?:tp?)?)?\Z|f(?:t)?\Z|ww?\Z", re.IGNORECASE)
# Tags that only format, and without attributes can do nothing else.
_HARMLESS = re.compile(
    r"</?(?:b|br|code|del|details|em|hr|i|kbd|li|ol|p|pre|s|strong|sub|summary|sup|table|tbody|td|th"
    r"|thead|tr|u|ul)\s?/?>",
    re.IGNORECASE,
)
_MAY_BE_TAG = re.compile(r"</?[a-z]{0,8}\s?/?", re.IGNORECASE)
_TAG = re.compile(r"<[a-z/!?]", re.IGNORECASE)
_MAY_BE_MARKER = re.compile(r"\[\d{0,3}")

# Of printable ASCII but the quotation mark and the backslash.
_ESCAPE = re.compile(r"\\(?:/|u00(?!22|5c|7f)([2-7][0-9a-f]))", re.IGNORECASE)
_MAY_BE_ESCAPE = re.compile(r"\\(?:u[0-9a-f]{0,3})?", re.IGNORECASE)


def urls_in(texts: Iterable[str]) -> frozenset[str]:
    """Return the URLs that stand in texts, without the punctuation behind them."""
    return frozenset(_without_tail(url) for text in texts for url in _URL.findall(text))


class InertStream(StreamRewriter):
    """Puts one space into what makes a link, an image or HTML, unless its URL is allowed.

    A URL is allowed where a passage that has it is cited: anywhere before, or not far behind it.

    `](x)` becomes `] (x)`, `]: x` becomes `] : x`, `<img>` becomes `< img>`, `https://x` becomes
    `https: //x`: none of these is a link to a reader of Markdown or HTML, and people can still
    read them. HTML without attributes that only formats stays. Code is no exception, because a
    reader may see its end elsewhere. The output does not depend on how the text was split.

    A URL is held back while it is the beginning of one of a passage, and then until its passage is
    cited or no longer can be.
    """

    def __init__(self, urls: Mapping[str, Collection[int]]) -> None:
        """Set up.

        Args:
            urls: the numbers of the passages that have a URL, see `urls_in`; compared character by
                character.
        """
        super().__init__(_STOP)
        self._urls = urls
        self._sorted = sorted(urls)
        # A longer one first: it may go on where a shorter one ends.
        self._lengths = sorted({len(url) for url in urls}, reverse=True)
        # `](`, the longest URL and what may stand behind it; or a tag, or a scheme.
        self._longest = max(self._lengths, default=0) + 12
        self._cited: set[int] = set()

    def _is_open(self, text: str, position: int) -> bool:
        if self._may_be_cited(text, position):
            return True
        if len(text) - position > self._longest:
            return False
        rest = text[position:]
        if rest[0] == "[":
            return _MAY_BE_MARKER.fullmatch(rest) is not None
        if rest[0] == "]":
            return rest == "]" or (rest.startswith("](") and self._may_be_allowed(rest[2:]))
        if rest[0] == "<":
            return _MAY_BE_TAG.fullmatch(rest) is not None or self._may_be_allowed(rest[1:])
        lowered = rest.lower()
        is_scheme_open = any(scheme.startswith(lowered) for scheme in _SCHEMES)
        return is_scheme_open or self._may_be_allowed(rest)

    def _may_be_allowed(self, url: str) -> bool:
        """Tell whether a text that ends here may go on as an allowed URL and its end."""
        following = bisect_left(self._sorted, url)
        if following < len(self._sorted) and self._sorted[following].startswith(url):
            return True
        ends = range(max(0, len(url) - MAX_AFTER), len(url) + 1)
        return any(url[:end] in self._urls and _MAY_END.fullmatch(url, end) for end in ends)

    def _replace(self, text: str, position: int) -> tuple[str, int]:
        after = position + 1
        if marker := MARKER.match(text, position):
            self._cited.add(int(marker[1]))
            return "[", after
        if text.startswith("](", position):
            end = self._end_of_allowed(text, position)
            return (text[position:end], end) if end else ("] ", after)
        if text.startswith("]:", position):
            return "] ", after
        if _TAG.match(text, position):
            harmless = _HARMLESS.match(text, position)
            end = harmless.end() if harmless else self._end_of_allowed(text, position)
            return (text[position:end], end) if end else ("< ", after)
        for scheme in _SCHEMES:
            if text[position : position + len(scheme)].lower() == scheme:
                end = self._end_of_allowed(text, position)
                return (text[position:end], end) if end else _broken(text, position, scheme)
        return text[position], after

    def _end_of_allowed(self, text: str, position: int) -> int | None:
        """Return where the allowed URL of a link ends; None when it has none."""
        url, end = self._known_url(text, position)
        return end if self._is_cited(url, text[end : end + AHEAD]) else None

    def _may_be_cited(self, text: str, position: int) -> bool:
        """Tell whether a link begins here that more text may allow."""
        url, end = self._known_url(text, position)
        ahead = text[end : end + AHEAD]
        is_over = "\n" in ahead or len(ahead) == AHEAD
        return bool(url) and not is_over and not self._is_cited(url, ahead)

    def _is_cited(self, url: str, ahead: str) -> bool:
        near = map(int, MARKER.findall(ahead.partition("\n")[0]))
        return not self._cited.union(near).isdisjoint(self._urls.get(url, ()))

    def _known_url(self, text: str, position: int) -> tuple[str, int]:
        """Return the URL of the link that begins here, if a passage has it, and where it ends."""
        start, behind = position, _END
        if text.startswith("](", position):
            start, behind = position + 2, _TARGET_END
        elif text[position] == "<":
            start += 1
        if _SCHEME.match(text, start):
            for length in self._lengths:
                url, end = text[start : start + length], start + length
                if url in self._urls and behind.match(text, end):
                    return url, end
        return "", position


class PlainJson(StreamRewriter):
    r"""Writes characters of JSON plainly that an escape would hide until the JSON is read.

    `\/` becomes `/` and `\u003c` becomes `<`; the value stays the same.
    """

    def __init__(self) -> None:
        super().__init__(re.compile(r"\\"))

    def _is_open(self, text: str, position: int) -> bool:
        return _MAY_BE_ESCAPE.fullmatch(text, position) is not None

    def _replace(self, text: str, position: int) -> tuple[str, int]:
        if escape := _ESCAPE.match(text, position):
            return chr(int(escape[1], 16)) if escape[1] else "/", escape.end()
        return text[position : position + 2], position + 2


def _broken(text: str, position: int, scheme: str) -> tuple[str, int]:
    """Put the space before the slashes, or before the dot of `www.`."""
    middle = position + len(scheme.rstrip("./"))
    end = position + len(scheme)
    return f"{text[position:middle]} {text[middle:end]}", end


def _without_tail(url: str) -> str:
    """Cut off punctuation, and closing brackets that were opened before the URL."""
    tail = _TRAILING + _FULL_STOPS
    while url and (url[-1] in tail or (url[-1] == ")" and url.count(")") > url.count("("))):
        url = url[:-1]
    return url
