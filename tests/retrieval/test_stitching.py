"""Chunks make the same stretches in whatever order they come, and the most of one that fits."""

import re

from hypothesis import given
from hypothesis import strategies as st

from ingest.chunker import Chunker
from ingest.parsers.markdown import parse_markdown
from retrieval.chunks import Chunk
from retrieval.stitching import MAX_BLANK, Draft, Stitcher

# Each sentence says something of its own, so no chunk says what another one says.
TEXT = "\n\n".join(
    " ".join(f"In year {year} there were {count} bees." for count in range(year % 5 + 2))
    for year in range(1990, 2010)
)
LABEL_TOKENS = 3


def tokenize(text: str) -> list[int]:
    return [word.start() for word in re.finditer(r"\S+", text)]


def make_chunks(overlap_tokens: int) -> list[Chunk]:
    return Chunker(32, tokenize, overlap_tokens).split("bees", "r", parse_markdown(TEXT.encode()))


def make_stitcher(chunks: list[Chunk]) -> Stitcher:
    return Stitcher(
        chunks, lambda *_: TEXT, lambda text: len(tokenize(text)), lambda _: LABEL_TOKENS
    )


def stitch(stitcher: Stitcher, chunks: list[Chunk]) -> Draft:
    draft = Draft(stitcher)
    for chunk in chunks:
        assert draft.take(chunk, None)
    return draft


def spans(draft: Draft) -> list[tuple[int, int]]:
    return [(one.start, one.end) for one in draft.stretches]


@given(data=st.data(), overlap_tokens=st.sampled_from([0, 8]))
def test_the_order_of_chunks_does_not_matter(data: st.DataObject, overlap_tokens: int) -> None:
    chunks = make_chunks(overlap_tokens)
    some = data.draw(st.lists(st.sampled_from(range(len(chunks))), unique=True))
    others = data.draw(st.permutations(some))
    stitcher = make_stitcher(chunks)
    one, other = (stitch(stitcher, [chunks[key] for key in keys]) for keys in (some, others))
    assert one.chunk_ids == other.chunk_ids == {chunks[key].chunk_id for key in some}
    assert one.num_tokens == other.num_tokens
    assert spans(one) == spans(other)


def test_stretches_cover_their_chunks_and_cost_a_label_each() -> None:
    chunks = make_chunks(0)
    draft = stitch(make_stitcher(chunks), [chunks[number] for number in (6, 1, 2, 5, 9)])
    assert spans(draft) == [
        (chunks[1].start, chunks[2].end),
        (chunks[5].start, chunks[6].end),
        (chunks[9].start, chunks[9].end),
    ]
    words = sum(len(tokenize(TEXT[start:end])) for start, end in spans(draft))
    assert draft.num_tokens == words + 3 * LABEL_TOKENS


@given(data=st.data(), overlap_tokens=st.sampled_from([0, 8]))
def test_as_many_sentences_are_taken_as_fit(data: st.DataObject, overlap_tokens: int) -> None:
    chunks = make_chunks(overlap_tokens)
    *taken, last = data.draw(st.lists(st.sampled_from(range(len(chunks))), min_size=1, unique=True))
    stitcher = make_stitcher(chunks)
    draft, chunk = stitch(stitcher, [chunks[one] for one in taken]), chunks[last]

    def tokens_until(end: int) -> int:
        """Count the words of all characters that are covered, and a label for each stretch."""
        covered = {*range(chunk.start, end)}
        for start, stop in spans(draft):
            covered.update(range(start, stop))
        masked = "".join(
            letter if place in covered or letter.isspace() else "|"
            for place, letter in enumerate(TEXT)
        )
        stretches = [one for one in re.split(r"\|[|\s]*", masked) if one.strip()]
        return sum(len(tokenize(one)) + LABEL_TOKENS for one in stretches)

    ends = [*stitcher.sentence_ends(chunk), chunk.end]
    tokens = {end: tokens_until(end) for end in ends}
    for max_tokens in range(draft.num_tokens, tokens[chunk.end] + 2):
        longer = draft.copy()
        was_taken = longer.take(chunk, max_tokens)
        fitting = [end for end in ends if tokens[end] <= max_tokens]
        if chunk.end in fitting:
            assert (longer.num_tokens, longer.is_full) == (tokens[chunk.end], False)
        elif ends[0] in fitting:
            assert (longer.num_tokens, longer.is_full) == (tokens[max(fitting)], True)
        else:
            assert not was_taken
            assert spans(longer) == spans(draft)


def test_a_full_draft_takes_nothing_more() -> None:
    chunks = make_chunks(0)
    draft = stitch(make_stitcher(chunks), chunks[3:4])
    most = draft.num_tokens + LABEL_TOKENS + chunks[7].token_count - 1
    assert draft.take(chunks[7], most)
    assert draft.is_full
    assert not draft.take(chunks[0], None)


def test_a_copy_goes_its_own_way() -> None:
    chunks = make_chunks(0)
    draft = stitch(make_stitcher(chunks), chunks[:1])
    copy = draft.copy()
    assert copy.take(chunks[1], None)
    assert spans(draft) == [(chunks[0].start, chunks[0].end)]
    assert spans(copy) == [(chunks[0].start, chunks[1].end)]


def test_neighbours_are_no_more_than_a_blank_apart() -> None:
    chunks = make_chunks(8)
    stitcher = make_stitcher(chunks[::-1])
    for chunk in chunks:
        assert stitcher.neighbours[chunk.chunk_id] == [
            other.chunk_id
            for other in chunks
            if other is not chunk
            and other.start <= chunk.end + MAX_BLANK
            and chunk.start <= other.end + MAX_BLANK
        ]
