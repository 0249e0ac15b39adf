"""What tests ask of a text."""

from ingest.texts import CanonicalText


def headings(text: CanonicalText) -> list[tuple[int, str]]:
    assert all(text.text[one.start : one.end] == one.title for one in text.headings)
    return [(one.level, one.title) for one in text.headings]


def place_of(text: CanonicalText, words: str) -> str | None:
    return text.place_at(text.text.index(words))
