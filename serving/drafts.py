"""Drafts: answers as they are being written, before anybody has looked at them."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from serving.context import Context
from serving.links import InertStream, PlainJson, urls_in
from serving.markers import MarkerStream, bracketed_numbers


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer as the model wrote it.

    Attributes:
        text: with markers such as `[3]`.
        raw: with the tags of the prompt.
        finish_reason: `stop` or `length`.
        thought: what the model thought before it.
        num_unknown: tags of items that there are not.
    """

    text: str
    raw: str
    finish_reason: str
    thought: str = ""
    num_unknown: int = 0


class Desk:
    """What the writers of answers from one context have in common."""

    def __init__(
        self, context: Context, nonce: str, *, uses_tags: bool, is_json: bool = False
    ) -> None:
        """Set up.

        Args:
            context: that the answers cite.
            nonce: of its tags.
            uses_tags: false where whoever writes sets markers himself, and copies those of
                documents in another form.
            is_json: whether they are JSON, in which numbers in square brackets are lists.
        """
        self._num_items = len(context)
        self._own_numbers = bracketed_numbers(item.passage.text for item in context)
        self._urls = _urls(context)
        self._nonce = nonce
        self._uses_tags = uses_tags
        self._is_json = is_json

    def writer(self) -> "DraftWriter":
        """Return a writer of one more answer."""
        markers = None
        if self._uses_tags:
            markers = MarkerStream(
                self._nonce, self._num_items, self._own_numbers, tags_only=self._is_json
            )
        return DraftWriter(markers, InertStream(self._urls), is_json=self._is_json)


class DraftWriter:
    """Takes the pieces of one answer, and gives out those that may be shown.

    Tags become markers, and links that no cited passage has do nothing.
    """

    def __init__(self, markers: MarkerStream | None, links: InertStream, *, is_json: bool) -> None:
        self._markers = markers
        stages = [PlainJson() if is_json else None, markers, links]
        self._stages = [stage for stage in stages if stage is not None]
        self._raw: list[str] = []
        self._text: list[str] = []

    def feed(self, delta: str) -> str:
        """Take the next piece and return what may be shown by now."""
        if not delta:
            return ""
        self._raw.append(delta)
        text = delta
        for stage in self._stages:
            text = stage.feed(text)
        self._text.append(text)
        return text

    def finish(self) -> str:
        """Return what was held back."""
        text = ""
        for stage in self._stages:
            text = stage.feed(text) + stage.finish()
        self._text.append(text)
        return text

    @property
    def text(self) -> str:
        """All that may be shown by now."""
        return "".join(self._text)

    def draft(self, finish_reason: str, thought: str) -> Draft:
        """Return the whole answer."""
        unknown = 0 if self._markers is None else self._markers.num_unknown
        return Draft(self.text, "".join(self._raw), finish_reason, thought, unknown)


def _urls(context: Context) -> Mapping[str, Collection[int]]:
    """Return the URLs of the passages with the numbers of those that have them."""
    numbers: defaultdict[str, set[int]] = defaultdict(set)
    for item in context:
        for url in urls_in([item.passage.text]):
            numbers[url].add(item.number)
    return numbers


def most_common(texts: Sequence[str]) -> int | None:
    """Return the place of the first of the answers that most agree on; None: no two agree.

    Answers agree when they are the same but for case, white space and punctuation at the end
    (self-consistency: Wang et al., arXiv 2203.11171).
    """
    plain = [" ".join(text.lower().split()).rstrip(" .!") for text in texts]
    best = max(plain, key=plain.count)
    return plain.index(best) if plain.count(best) > 1 else None
