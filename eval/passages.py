"""Finding a quotation in a text that may have changed since it was copied."""

from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Interval = tuple[int, int]
"""First character and one past the last."""

# At least 95 % of a quotation is unchanged where it is found again.
CHARACTERS_PER_EDIT = 20


class SearchableText:
    """A text in which quotations are found exactly, up to white space, or nearly."""

    def __init__(self, text: str) -> None:
        self.text = text

    def find_exact(self, quotation: str) -> list[Interval]:
        """Return where the quotation stands, in order."""
        return [(start, start + len(quotation)) for start in _occurrences(self.text, quotation)]

    def find_ignoring_space(self, quotation: str) -> list[Interval]:
        """Return where the quotation stands when white space is left out of both texts."""
        compact = _without_space(quotation)
        return [
            self._interval(start, start + len(compact))
            for start in _occurrences(self._compact, compact)
        ]

    def find_similar(self, quotation: str) -> list[Interval]:
        """Return the places at most one edit per 20 characters away, white space left out.

        An edit is a character more, less or another (Levenshtein). A quotation with up to e edits,
        cut into e + 1 pieces, has one piece unharmed, so only around such pieces is compared.
        """
        compact = _without_space(quotation)
        max_edits = len(compact) // CHARACTERS_PER_EDIT
        found: set[Interval] = set()
        for start, end in self._candidates(compact, max_edits):
            for first, last in _similar(compact, self._compact[start:end], max_edits):
                found.add(self._interval(start + first, start + last))
        return sorted(found)

    @cached_property
    def _compact(self) -> str:
        return _without_space(self.text)

    @cached_property
    def _offsets(self) -> NDArray[np.intp]:
        """Offset in the text of each character that is no white space."""
        return np.flatnonzero([not character.isspace() for character in self.text])

    def _interval(self, start: int, end: int) -> Interval:
        return int(self._offsets[start]), int(self._offsets[end - 1]) + 1

    def _candidates(self, compact: str, max_edits: int) -> list[Interval]:
        """Return disjoint intervals of the compact text around all unharmed pieces."""
        borders = np.linspace(0, len(compact), max_edits + 2).astype(int).tolist()
        margin = 2 * max_edits
        windows = sorted(
            (position - start - margin, position - start + len(compact) + margin)
            for start, end in pairwise(borders)
            for position in _occurrences(self._compact, compact[start:end])
        )
        merged: list[Interval] = []
        for start, end in windows:
            if merged and start < merged[-1][1]:
                merged[-1] = (merged[-1][0], end)
            else:
                merged.append((max(0, start), end))
        return merged


def nearest(places: list[Interval], start: int) -> Interval:
    """Return the place that begins nearest to a position; of two, the first."""
    return min(places, key=lambda place: abs(place[0] - start))


def _without_space(text: str) -> str:
    return "".join(text.split())


def _occurrences(text: str, part: str) -> list[int]:
    positions = []
    position = text.find(part)
    while position >= 0:
        positions.append(position)
        position = text.find(part, position + 1)
    return positions


def _similar(quotation: str, window: str, max_edits: int) -> list[Interval]:
    """Return the best place in a window, and one more if another lies clear of it."""
    distances = _end_distances(quotation, window, is_anchored=False)
    end = int(distances.argmin())
    if distances[end] > max_edits:
        return []
    backwards = _end_distances(quotation[::-1], window[:end][::-1], is_anchored=True)
    places = [(end - int(backwards.argmin()), end)]
    far = np.abs(np.arange(len(distances)) - end) > len(quotation) // 2
    if (others := np.flatnonzero(far & (distances <= max_edits))).size:
        places.append((max(0, int(others[0]) - len(quotation)), int(others[0])))
    return places


def _end_distances(quotation: str, text: str, *, is_anchored: bool) -> NDArray[np.intp]:
    """Return for each end in the text the fewest edits that turn a part before it into the quote.

    Sellers, Journal of Algorithms 1 (1980). The part begins at 0 when anchored, else anywhere.
    """
    codes = np.array([ord(character) for character in text], dtype=np.intp)
    columns = np.arange(len(text) + 1)
    row = columns.copy() if is_anchored else np.zeros_like(columns)
    for edits, character in enumerate(quotation, start=1):
        above = np.minimum(row[:-1] + (codes != ord(character)), row[1:] + 1)
        row = np.concatenate(([edits], above))
        # An insertion costs 1 per column, so it is a running minimum along the diagonal.
        row = np.minimum.accumulate(row - columns) + columns
    return row
