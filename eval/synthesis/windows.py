"""Windows on documents that a model writes questions about, cut without regard to any chunks."""

from collections.abc import Iterator
from dataclasses import dataclass

from eval.synthesis.corpus import Corpus, Source, digest

WINDOW_CHARACTERS = 1500
# Less says too little to ask about.
LEAST_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Window:
    """Whole sentences of a document."""

    source: Source
    start: int
    end: int

    @property
    def text(self) -> str:
        """What stands there."""
        return self.source.text.text[self.start : self.end]


def draw_windows(corpus: Corpus, seed: int) -> list[Window]:
    """Return windows that do not overlap, in an order in which documents take turns.

    None begins in a bibliography, a list of links or the like.

    Args:
        corpus: the documents.
        seed: where the first window of each document begins, and which come first.
    """
    turns = []
    for source in corpus.sources.values():
        windows = sorted(_cut(source, seed), key=lambda one: _chance(one, seed))
        turns += [(turn, _chance(window, seed), window) for turn, window in enumerate(windows)]
    return [window for _, _, window in sorted(turns, key=lambda one: one[:2])]


def _cut(source: Source, seed: int) -> Iterator[Window]:
    """Cut between sentences, the first window of a long document shorter by chance."""
    is_long = len(source.text.text) > 2 * WINDOW_CHARACTERS
    border = _number(source.name, seed) % WINDOW_CHARACTERS if is_long else WINDOW_CHARACTERS
    start = end = 0
    for sentence in source.sentences:
        if sentence.end > border and end > start:
            yield from _window(source, start, end)
            start, border = sentence.start, sentence.start + WINDOW_CHARACTERS
        end = sentence.end
    yield from _window(source, start, end)


def _window(source: Source, start: int, end: int) -> Iterator[Window]:
    if end - start >= LEAST_CHARACTERS and not source.is_back_matter(start):
        # What has no sentences may go on and on.
        yield Window(source, start, min(end, start + 2 * WINDOW_CHARACTERS))


def _number(name: str, seed: int) -> int:
    return int(digest(str(seed), name), 16)


def _chance(window: Window, seed: int) -> str:
    return digest(str(seed), window.source.name, str(window.start))
