"""Links and images of an answer that do not come from the documents do nothing.

An image is fetched as soon as an answer is shown, and its address can carry what the conversation
says to whoever planted an instruction in a document.
"""

import re
from collections.abc import Iterable

from serving.streams import StreamRewriter

_SCHEMES = ("https://", "http://", "ftp://", "www.")
_URL = re.compile(r"(?:(?:https?|ftp)://|www\.)[^\s<>\"'`|\\^{}\[\]]+", re.IGNORECASE)
# Punctuation behind a URL belongs to the sentence.
_TRAILING = ".,;:!?*_"
_FULL_STOPS = "\u3002\uff0c\u3001\uff1b\uff1a\uff01\uff1f\uff09\u300d\u300f\u3011"
_AFTER = rf"[{_TRAILING}'\")\]]{{0,8}}"
_END = re.compile(rf"{_AFTER}(?:[\s<>|`{_FULL_STOPS}]|\Z)")
_MAY_END = re.compile(_AFTER)
# Behind the URL in `](URL)` or `](URL "title")`.
_TARGET_END = re.compile(r"[\s)]")
_STOP = re.compile(r"[\]<]|https?|ftp|www|h(?:t(?:tp?)?)?\Z|f(?:t)?\Z|ww?\Z", re.IGNORECASE)
# Tags that only format, and without attributes can do nothing else.
_HARMLESS = re.compile(
    r"</?(?:b|br|code|del|details|em|hr|i|kbd|li|ol|p|pre|s|strong|sub|summary|sup|table|tbody|td|th"
    r"|thead|tr|u|ul)\s?/?>",
    re.IGNORECASE,
)
_MAY_BE_TAG = re.compile(r"</?[a-z]{0,8}\s?/?", re.IGNORECASE)
_TAG = re.compile(r"<[a-z/!?]", re.IGNORECASE)


def urls_in(texts: Iterable[str]) -> frozenset[str]:
    """Return the URLs that stand in texts, without the punctuation behind them."""
    return frozenset(_without_tail(url) for text in texts for url in _URL.findall(text))


def inert(answer: str, allowed_urls: frozenset[str]) -> str:
    """Return an answer in which only allowed URLs are links, see `InertStream`."""
    stream = InertStream(allowed_urls)
    return stream.feed(answer) + stream.finish()


class InertStream(StreamRewriter):
    """Puts one space into what makes a link, an image or HTML, unless its URL is allowed.

    `](x)` becomes `] (x)`, `]: x` becomes `] : x`, `<img>` becomes `< img>`, `https://x` becomes
    `https: //x`: none of these is a link to a reader of Markdown or HTML, and people can still
    read them. HTML without attributes that only formats stays. Code is no exception, because a
    reader may see its end elsewhere. The output does not depend on how the text was split.

    A URL is held back while it is the beginning of an allowed one.
    """

    def __init__(self, allowed_urls: frozenset[str]) -> None:
        """Set up.

        Args:
            allowed_urls: compared character by character, see `urls_in`.
        """
        super().__init__(_STOP)
        # A longer one first: it may go on where a shorter one ends.
        self._allowed = sorted(allowed_urls, key=len, reverse=True)
        # `](`, the longest URL and what may stand behind it; or a tag, or a scheme.
        self._longest = max(map(len, allowed_urls), default=0) + 12

    def _is_open(self, text: str, position: int) -> bool:
        if len(text) - position > self._longest:
            return False
        rest = text[position:]
        if rest[0] == "]":
            return rest == "]" or (rest.startswith("](") and self._may_be_allowed(rest[2:]))
        if rest[0] == "<":
            return _MAY_BE_TAG.fullmatch(rest) is not None or self._may_be_allowed(rest[1:])
        lowered = rest.lower()
        is_scheme_open = any(scheme.startswith(lowered) for scheme in _SCHEMES)
        return is_scheme_open or self._may_be_allowed(rest)

    def _may_be_allowed(self, url: str) -> bool:
        """Tell whether a text that ends here may go on as an allowed URL and its end."""
        return any(
            one.startswith(url) or (url.startswith(one) and _MAY_END.fullmatch(url, len(one)))
            for one in self._allowed
        )

    def _replace(self, text: str, position: int) -> tuple[str, int]:
        after = position + 1
        if text.startswith("](", position):
            end = self._end_of_allowed(text, position + 2, _TARGET_END)
            return (text[position:end], end) if end else ("] ", after)
        if text.startswith("]:", position):
            return "] ", after
        if _TAG.match(text, position):
            harmless = _HARMLESS.match(text, position)
            end = harmless.end() if harmless else self._end_of_allowed(text, after, _END)
            return (text[position:end], end) if end else ("< ", after)
        for scheme in _SCHEMES:
            if text[position : position + len(scheme)].lower() == scheme:
                end = self._end_of_allowed(text, position, _END)
                return (text[position:end], end) if end else _broken(text, position, scheme)
        return text[position], after

    def _end_of_allowed(self, text: str, position: int, end: re.Pattern[str]) -> int | None:
        """Return where the allowed URL that begins at a position ends; None when there is none."""
        for url in self._allowed:
            if text.startswith(url, position) and end.match(text, position + len(url)):
                return position + len(url)
        return None


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
