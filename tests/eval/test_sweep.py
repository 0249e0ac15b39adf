"""A sweep measures what searching and packing one by one would."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.questions import Question
from eval.replay import Replay
from eval.snapshot import Snapshot
from eval.spans import RetrievedSpan, score_spans
from eval.sweep import sweep, sweep_plain
from ingest.sections import make_heads_in
from retrieval.late_interaction import LateInteractionReranker
from retrieval.packing import PackingPolicy, pack
from retrieval.profiles import RetrievalProfile
from retrieval.reranking import Reranking
from retrieval.sentence_ranking import SentenceRanker
from tests.eval.planted import (
    ANALYZER,
    EMBEDDER,
    TOKENS,
    make_chunker,
    make_questions,
    make_replay,
    make_snapshot,
)
from tests.eval.profiles import PROFILES

# Not as deep as many of the searches: what is reranked depends on how much is asked for.
RERANKING = Reranking(LateInteractionReranker(EMBEDDER), depth=8, max_seconds=60)


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return make_snapshot()


def measure(
    replay: Replay, question: Question, profile: RetrievalProfile, snapshot: Snapshot
) -> tuple[float, float, int, int]:
    """Search, pack and score as an answer would."""
    top_k = profile.most_hits(None, 10)
    hits = replay.search(question.question_id, profile, top_k).hits
    texts = snapshot.texts
    documents = {one.document_id: one.text for one in snapshot.documents}
    heads_in = make_heads_in(lambda document_id, _revision: documents[document_id])
    packing = pack(
        hits,
        lambda document_id, revision: texts[document_id, revision],
        TOKENS.count,
        profile.packing,
        TOKENS.label,
        SentenceRanker(ANALYZER, heads_in, EMBEDDER).rank(
            question.text,
            [hit.chunk for hit in hits],
            dense_weight=profile.packing.sentence_dense_weight,
            margin=profile.packing.sentence_margin,
        ),
    )
    spans = [
        RetrievedSpan(snapshot.names[one.document_id], one.start, one.end, one.num_tokens)
        for one in packing.passages
    ]
    scores = score_spans(question.facts, spans)
    return scores.recall, scores.sufficient, packing.tokens_after, packing.num_chunks


def check_one_by_one(
    replay: Replay,
    questions: list[Question],
    profiles: list[RetrievalProfile],
    snapshot: Snapshot,
) -> None:
    swept = sweep(replay, questions, profiles, snapshot, TOKENS, default_k=10)
    for row, profile in enumerate(profiles):
        for column, question in enumerate(questions):
            found = [
                values[row, column]
                for values in (swept.recall, swept.sufficient, swept.tokens, swept.num_chunks)
            ]
            alone = measure(replay, question, profile, snapshot)
            assert found == np.array(alone, np.float32).tolist()


CUTTINGS = pytest.mark.parametrize(
    ("overlap", "reranking"),
    [(0, None), (15, None), (0, RERANKING)],
    ids=["plain", "overlapping", "reranked"],
)


@CUTTINGS
def test_a_sweep_is_search_and_packing_of_each(
    snapshot: Snapshot, overlap: int, reranking: Reranking | None
) -> None:
    questions = make_questions(snapshot)[::4]
    log = make_replay(snapshot, questions, make_chunker(40, overlap)).log
    with closing(Replay(log, EMBEDDER, reranking)) as replay:

        @settings(max_examples=30)
        @given(profiles=st.lists(PROFILES, min_size=1, max_size=6))
        def check(profiles: list[RetrievalProfile]) -> None:
            check_one_by_one(replay, questions, profiles, snapshot)

        check()


@CUTTINGS
def test_what_settings_share_is_what_each_would_make(
    snapshot: Snapshot, overlap: int, reranking: Reranking | None
) -> None:
    """Rankings of the same chunks in other orders, some twice, filled up to budgets."""
    questions = make_questions(snapshot)[::8]
    copy = replace(snapshot.documents[0], document_id="id9", name="copy.md")
    snapshot = Snapshot((*snapshot.documents, copy), snapshot.language)
    log = make_replay(snapshot, questions, make_chunker(40, overlap)).log
    profiles = st.builds(
        RetrievalProfile,
        num_candidates=st.just(30),
        dense_weight=st.sampled_from([0.3, 0.5, 0.55, 0.6]),
        rerank=st.booleans(),
        top_k=st.sampled_from([1, 2, 5, 9, 30]),
        packing=st.builds(
            PackingPolicy,
            max_tokens=st.integers(20, 500),
            expand=st.sampled_from([False] * 4 + [True]),
        )
        | st.builds(
            PackingPolicy,
            max_tokens=st.integers(20, 500),
            sentences=st.just(True),
            sentence_dense_weight=st.sampled_from([0, 0.5]),
            sentence_margin=st.none() | st.sampled_from([0.3, 0.8]),
        ),
    )
    with closing(Replay(log, EMBEDDER, reranking)) as replay:

        @settings(max_examples=5)
        @given(profiles=st.lists(profiles, min_size=40, max_size=40))
        def check(profiles: list[RetrievalProfile]) -> None:
            check_one_by_one(replay, questions, profiles, snapshot)

        check()


@pytest.mark.parametrize("max_tokens", [None, 120])
def test_hits_that_are_not_packed_stand_as_they_are(
    snapshot: Snapshot, max_tokens: int | None
) -> None:
    questions = make_questions(snapshot)[::4]
    packing = PackingPolicy(max_tokens=max_tokens)
    profile = RetrievalProfile(top_k=6, rerank=False, packing=packing)
    with closing(make_replay(snapshot, questions, make_chunker(40, 15))) as replay:
        swept = sweep_plain(replay, questions, profile, snapshot, TOKENS, default_k=10)
        for column, question in enumerate(questions):
            chunks = [hit.chunk for hit in replay.search(question.question_id, profile, 6).hits]
            sizes = [TOKENS.count(one.passage) + TOKENS.label(one.document_id) for one in chunks]
            totals = np.cumsum(sizes)
            kept = int(np.sum(totals <= (max_tokens or np.inf)))
            spans = [
                RetrievedSpan(snapshot.names[one.document_id], one.start, one.end, 0)
                for one in chunks[:kept]
            ]
            assert swept.num_chunks[0, column] == kept
            assert swept.tokens[0, column] == totals[kept - 1]
            assert swept.recall[0, column] == np.float32(score_spans(question.facts, spans).recall)
        assert swept.tokens.mean() > 0


def test_more_context_finds_no_less(snapshot: Snapshot) -> None:
    questions = make_questions(snapshot)
    profiles = [RetrievalProfile(top_k=k, num_candidates=30) for k in (1, 2, 4, 8, 16, 30)]
    with closing(make_replay(snapshot, questions)) as replay:
        swept = sweep(replay, questions, profiles, snapshot, TOKENS, default_k=10)
    assert np.all(np.diff(swept.recall, axis=0) >= 0)
    assert np.all(np.diff(swept.tokens, axis=0) >= 0)
    assert swept.recall[-1].mean() == 1
    # Each lamp is named in one section alone, so the first chunk is the right one.
    assert swept.recall[0].mean() > 0.9


def test_documents_without_headings_have_the_same_texts(snapshot: Snapshot) -> None:
    assert any(one.text.headings for one in snapshot.documents)
    bare = snapshot.without_headings
    assert {one.text.headings for one in bare.documents} == {()}
    assert bare.texts == snapshot.texts
