"""Which pages of a document were not read, and why, in words."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby

_MAX_RANGES = 20


class UnreadPages:
    """Collects pages with what keeps them from being read."""

    def __init__(self, without_font: Iterable[int] = ()) -> None:
        """Begin with the pages that have text in a font that is not there."""
        self._scans: defaultdict[str, list[int]] = defaultdict(list)
        self._damaged: list[int] = []
        self._without_font = list(without_font)
        self._remarks: list[str] = []

    def add_scan(self, number: int, advice: str) -> None:
        """Add a page that shows text, but only as an image; `advice` says what to do."""
        self._scans[advice].append(number)

    def add_damaged(self, number: int) -> None:
        """Add a page that could not be read."""
        self._damaged.append(number)

    def add_remark(self, sentence: str) -> None:
        """Add what else readers of the pages should know, and what to do."""
        self._remarks.append(sentence)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the pages, from 1."""
        scans = (number for one in self._scans.values() for number in one)
        return tuple(sorted({*self._damaged, *self._without_font, *scans}))

    @property
    def are_damaged(self) -> bool:
        """Whether pages are damaged and all others were read."""
        return bool(self._damaged) and not (self._scans or self._without_font)

    @property
    def reason(self) -> str | None:
        """The reasons, such as `Pages 3-7 need OCR. Install ...`, or None when all was read."""
        sentences = [
            f"{as_ranges(numbers)} {'needs' if len(numbers) == 1 else 'need'} OCR. {advice}"
            for advice, numbers in self._scans.items()
        ]
        if self._damaged:
            verb = "is" if len(self._damaged) == 1 else "are"
            sentences.append(f"{as_ranges(self._damaged)} {verb} damaged and could not be read.")
        if self._without_font:
            verb = "has" if len(self._without_font) == 1 else "have"
            sentences.append(
                f"{as_ranges(self._without_font)} {verb} text in a font that is not in the file; "
                "save the PDF with its fonts in it and upload that."
            )
        return " ".join(sentences + self._remarks) or None


def as_ranges(numbers: Sequence[int]) -> str:
    """Return ascending page numbers in words: `Pages 1, 3-7`."""
    runs = [
        [number for _, number in run]
        for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    ]
    words = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    more = " and more" if len(words) > _MAX_RANGES else ""
    return f"{'Page' if len(numbers) == 1 else 'Pages'} {', '.join(words[:_MAX_RANGES])}{more}"
