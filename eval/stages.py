"""Stages: does an optional part of retrieval pay on these questions?"""

from collections.abc import Mapping

from eval.grid import MOST_CHUNKS
from eval.measurements import Measurements
from eval.results import Stage
from retrieval.packing import PackingPolicy
from retrieval.profiles import Mode, RetrievalProfile

NUM_EXPANDED = 3
BUDGET = 1024
RULE = "Adaptive number of chunks"


def stage_profiles(
    base: RetrievalProfile, *, has_reranker: bool
) -> Mapping[str, tuple[RetrievalProfile, RetrievalProfile]]:
    """Return for each stage a profile with it and one without.

    Args:
        base: what is served now.
        has_reranker: whether reranked searches are possible.
    """
    hybrid = base.model_copy(update={"mode": Mode.HYBRID})
    stages = {
        "Lexical search beside dense": (hybrid, base.model_copy(update={"mode": Mode.DENSE})),
        "Dense search beside lexical": (hybrid, base.model_copy(update={"mode": Mode.LEXICAL})),
    }
    if has_reranker:
        stages["Reranker"] = (
            base.model_copy(update={"rerank": True}),
            base.model_copy(update={"rerank": False}),
        )
    filled = PackingPolicy(max_tokens=BUDGET, order=base.packing.order)
    expanded = filled.model_copy(update={"expand": True})
    stages[f"Sections around the best {NUM_EXPANDED} hits instead of more hits"] = (
        base.model_copy(update={"top_k": NUM_EXPANDED, "rule": None, "packing": expanded}),
        base.model_copy(update={"top_k": MOST_CHUNKS, "rule": None, "packing": filled}),
    )
    return stages


def judge_stage(name: str, held_out: Measurements, with_it: int, without: int) -> Stage:
    """Compare two settings, by their rows, on questions that had no part in their choice."""
    coverage = held_out.interval(held_out.coverage[with_it] - held_out.coverage[without])
    tokens = held_out.interval(held_out.tokens[with_it] - held_out.tokens[without])
    if coverage.low > 0:
        statement = "Finds more"
    elif coverage.high < 0:
        statement = "Finds less"
    else:
        statement = "No difference shown"
    if tokens.mean:
        more = "more" if tokens.mean > 0 else "fewer"
        statement += f", {abs(tokens.mean):,.0f} {more} tokens a question"
    return Stage(name=name, coverage=coverage, prompt_tokens=tokens, statement=f"{statement}.")
