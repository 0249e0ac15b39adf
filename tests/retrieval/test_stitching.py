"""Chunks make the same stretches in whatever order they come, and the most of one that fits."""

import re

from hypothesis import given
from hypothesis import strategies as st

from ingest.chunker import Chunker
from ingest.parsers.markdown import parse_markdown
from retrieval.chunks import Chunk
from retrieval.stitching import Draft, Stitcher

# Each sentence says something of its own, so no chunk says what another one says.
TEXT = "\n\n".join(
    " ".join(f"In year {year} there were {count} bees." for count in range(year % 5 + 2))
    for year in range(1990, 2010)
)
LABEL_TOKENS = 3


def tokenize(text: str) -> list[tuple[int, int]]:
    return [word.span() for word in re.finditer(r"\S+", text)]


def make_chunks(overlap_tokens: int) -> list[Chunk]:
    return Chunker(32, tokenize, overlap_tokens).split("bees", "r", parse_markdown(TEXT.encode()))


def make_stitcher() -> Stitcher:
    return Stitcher(lambda *_: TEXT, lambda text: len(tokenize(text)), lambda _: LABEL_TOKENS)


def stitch(stitcher: Stitcher, chunks: list[Chunk]) -> Draft:
    draft = Draft()
    for chunk in chunks:
        draft = stitcher.options(draft, chunk).within(None)
    return draft


@given(data=st.data(), overlap_tokens=st.sampled_from([0, 8]))
def test_the_order_of_chunks_does_not_matter(data: st.DataObject, overlap_tokens: int) -> None:
    ids = {chunk.chunk_id: chunk for chunk in make_chunks(overlap_tokens)}
    some = data.draw(st.lists(st.sampled_from(sorted(ids)), unique=True))
    others = data.draw(st.permutations(some))
    stitcher = make_stitcher()
    one, other = (stitch(stitcher, [ids[key] for key in keys]) for keys in (some, others))
    assert one.chunk_ids == other.chunk_ids == set(some)
    assert one.num_tokens == other.num_tokens
    assert [stretch[:4] for stretch in one.stretches] == [
        stretch[:4] for stretch in other.stretches
    ]


def test_stretches_cover_their_chunks_and_cost_a_label_each() -> None:
    chunks = make_chunks(0)
    draft = stitch(make_stitcher(), [chunks[6], chunks[1], chunks[2], chunks[5], chunks[9]])
    assert [(one.start, one.end) for one in draft.stretches] == [
        (chunks[1].start, chunks[2].end),
        (chunks[5].start, chunks[6].end),
        (chunks[9].start, chunks[9].end),
    ]
    words = sum(len(tokenize(TEXT[one.start : one.end])) for one in draft.stretches)
    assert draft.num_tokens == words + 3 * LABEL_TOKENS


@given(data=st.data(), overlap_tokens=st.sampled_from([0, 8]))
def test_as_many_sentences_are_taken_as_fit(data: st.DataObject, overlap_tokens: int) -> None:
    chunks = make_chunks(overlap_tokens)
    *taken, last = data.draw(st.lists(st.sampled_from(range(len(chunks))), min_size=1, unique=True))
    stitcher = make_stitcher()
    draft, chunk = stitch(stitcher, [chunks[one] for one in taken]), chunks[last]
    options = stitcher.options(draft, chunk)
    whole = options.within(None)
    ends = stitcher.sentence_ends(chunk)
    cuts = [stitcher.stitch(draft, chunk, chunk.start, end) for end in ends]
    for max_tokens in range(draft.num_tokens, whole.num_tokens + 2):
        found = options.within(max_tokens)
        if whole.num_tokens <= max_tokens:
            expected, is_full = whole, False
        elif cuts and cuts[0].num_tokens <= max_tokens:
            expected, is_full = (
                max(
                    (cut for cut in cuts if cut.num_tokens <= max_tokens),
                    key=lambda cut: cut.num_tokens,
                ),
                True,
            )
        else:
            expected, is_full = draft, False
        assert found.num_tokens == expected.num_tokens
        assert found.is_full == is_full
