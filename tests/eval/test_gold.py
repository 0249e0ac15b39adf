"""Chunks near the evidence tell how much of it a context holds, and no others do."""

from itertools import permutations

import pytest

from eval.gold import Context, Gold
from eval.questions import Span
from eval.spans import RetrievedSpan, score_spans
from ingest.parsers.markdown import parse_markdown
from retrieval.chunks import Chunk
from retrieval.stitching import Draft, Stitcher
from tests.eval.planted import TOKENS, make_chunker

TEXT = "\n\n".join(f"Hive {number} has {number * number} bees. It is blue." for number in range(30))
CHUNKS = make_chunker(32).split("id", "r", parse_markdown(TEXT.encode()))
# From the middle of a chunk into the next one, and from the blank before another.
FACTS = (
    (Span("bees.md", "", CHUNKS[4].start + 5, CHUNKS[5].start + 8),),
    (Span("bees.md", "", CHUNKS[8].end + 1, CHUNKS[9].start + 8),),
)


def make_context() -> Context:
    stitcher = Stitcher(CHUNKS, lambda *_: TEXT, TOKENS.count, TOKENS.label)
    return Context(Draft(stitcher), Gold(FACTS, {"bees.md": ("id", "r")}))


def add(context: Context, chunk: Chunk, end: int) -> None:
    context.add(context.draft.seam(chunk), end)


def check(context: Context) -> None:
    draft = context.draft
    spans = [RetrievedSpan("bees.md", one.start, one.end, 0) for one in draft.stretches]
    scores = score_spans(FACTS, spans)
    assert context.evidence == (
        scores.recall,
        scores.sufficient,
        draft.num_tokens,
        len(draft.chunk_ids),
    )


def test_evidence_is_what_all_stretches_hold() -> None:
    for order in permutations([0, 4, 5, 8, 9]):
        context = make_context()
        for number in order:
            add(context, CHUNKS[number], CHUNKS[number].end)
            check(context)
        assert context.evidence[:2] == (1, 1)


@pytest.mark.parametrize("number", range(len(CHUNKS)))
def test_what_a_chunk_would_add_is_what_it_adds(number: int) -> None:
    context = make_context()
    add(context, CHUNKS[(number + 1) % len(CHUNKS)], CHUNKS[(number + 1) % len(CHUNKS)].end)
    before, chunk = context.evidence, CHUNKS[number]
    for end in range(chunk.start + 1, chunk.end + 1, 7):
        expected = context.copy()
        add(expected, chunk, end)
        check(expected)
        assert context.evidence_with(context.draft.seam(chunk), end) == expected.evidence
        assert context.evidence == before


def test_a_document_that_is_not_there_holds_nothing() -> None:
    stitcher = Stitcher(CHUNKS, lambda *_: TEXT, TOKENS.count, TOKENS.label)
    context = Context(Draft(stitcher), Gold(FACTS, {"bees.md": ("id", "another")}))
    for chunk in CHUNKS:
        add(context, chunk, chunk.end)
    assert context.evidence[:2] == (0, 0)
