"""The question, and what conversations share."""

from dataclasses import replace

from retrieval.filters import Comparison
from retrieval.packing import PackingPolicy
from serving.generation import Sampling
from serving.profiles import AnsweringProfile
from serving.question import Question

QUESTION = Question(
    text="Why?",
    history=(),
    collection="laws",
    profile=AnsweringProfile(),
    top_k=3,
    where=None,
    packing=PackingPolicy(),
    sampling=Sampling(100),
    caller="alice",
)


def test_conversations_share_passages_within_a_caller_a_collection_and_a_filter() -> None:
    assert replace(QUESTION, text="How?", top_k=9).scope == QUESTION.scope
    where = Comparison("year", "eq", (2024,))
    others = [
        replace(QUESTION, caller="bob"),
        replace(QUESTION, collection="contracts"),
        replace(QUESTION, where=where),
    ]
    assert len({QUESTION.scope, *(other.scope for other in others)}) == 4
