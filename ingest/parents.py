"""Parent windows: the stretch of text around each chunk, for context beyond the chunk itself."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import ceil

from ingest.sections import Sections
from ingest.token_positions import TokenPositions

# A parent window is at most so many times as long as the longest chunk.
PARENT_CHUNKS = 4

Span = tuple[int, int]


def parent_windows(
    chunks: Sequence[Span], sections: Sections, tokens: TokenPositions, max_tokens: int
) -> Iterator[Span]:
    """Yield the parent window of each chunk, from the start of a chunk to the end of one.

    It is the section or sections that the chunk has a part in. Where these are longer than
    `PARENT_CHUNKS` chunks, they are divided into stretches of like size, and it is one of those.

    Args:
        chunks: start and end of each, in order.
        sections: of the text.
        tokens: of the text.
        max_tokens: of the longest chunk.
    """
    for run in _runs(chunks, sections):
        start, end = run[0][0], run[-1][1]
        num_tokens = max(1, tokens.count(start, end))
        num_stretches = 1
        if num_tokens > PARENT_CHUNKS * max_tokens:
            # A stretch ends with the chunk that reaches its share: it may be one chunk longer.
            num_stretches = ceil(num_tokens / ((PARENT_CHUNKS - 1) * max_tokens))
        shares = [
            tokens.count(start, chunk_start) * num_stretches // num_tokens for chunk_start, _ in run
        ]
        for _, numbers in groupby(range(len(run)), shares.__getitem__):
            members = [run[number] for number in numbers]
            yield from ((members[0][0], members[-1][1]) for _ in members)


def _runs(chunks: Sequence[Span], sections: Sections) -> Iterator[list[Span]]:
    """Yield the chunks that are linked by sections of which each has a part."""
    run: list[Span] = []
    for start, end in chunks:
        if run:
            last_end = run[-1][1]
            if sections.at(last_end - 1) != sections.at(max(start, last_end)):
                yield run
                run = []
        run.append((start, end))
    if run:
        yield run
