"""Stages: does an optional part of retrieval pay on these questions?"""

from collections.abc import Mapping

from eval.counted import counted
from eval.decisions.items import Floats
from eval.grid import MOST_CHUNKS, NUM_IN_SENTENCES, SENTENCE_DENSE_WEIGHT
from eval.measurements import Measurements
from eval.results import Stage
from retrieval.packing import PackingPolicy
from retrieval.profiles import Mode, RetrievalProfile

NUM_EXPANDED = 3
# A smaller change of the coverage is written as none.
LEAST_CHANGE = 0.0005
BUDGET = 1024
RULE = "Adaptive number of chunks"
RERANKER = "Reranker"
PACKING = "Packing, against the same hits as they are"
HEADINGS = "Headings above each chunk"
REWRITING = "Rewriting of follow-ups"


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
        stages[RERANKER] = (
            base.model_copy(update={"rerank": True}),
            base.model_copy(update={"rerank": False}),
        )
    filled = PackingPolicy(max_tokens=BUDGET, order=base.packing.order)
    expanded = filled.model_copy(update={"expand": True})
    stages[f"Sections around the best {NUM_EXPANDED} hits instead of more hits"] = (
        base.model_copy(update={"top_k": NUM_EXPANDED, "rule": None, "packing": expanded}),
        base.model_copy(update={"top_k": MOST_CHUNKS, "rule": None, "packing": filled}),
    )
    parts = filled.model_copy(update={"sentences": True})
    in_sentences = base.model_copy(update={"top_k": NUM_IN_SENTENCES, "rule": None})
    stages[f"The best sentences of {NUM_IN_SENTENCES} hits instead of whole chunks"] = (
        in_sentences.model_copy(update={"packing": parts}),
        base.model_copy(update={"top_k": MOST_CHUNKS, "rule": None, "packing": filled}),
    )
    vectors = parts.model_copy(update={"sentence_dense_weight": SENTENCE_DENSE_WEIGHT})
    stages["Vectors of sentences beside their words"] = (
        in_sentences.model_copy(update={"packing": vectors}),
        in_sentences.model_copy(update={"packing": parts}),
    )
    return stages


def judge_stage(name: str, held_out: Measurements, coverage: Floats, tokens: Floats) -> Stage:
    """Say what a stage does on questions that had no part in any choice.

    Args:
        name: of the stage.
        held_out: the measurements of these questions.
        coverage: of each question with the stage minus without it.
        tokens: of its prompt, likewise.
    """
    gained, more = held_out.interval(coverage), held_out.interval(tokens)
    if abs(gained.mean) < LEAST_CHANGE or gained.low <= 0 <= gained.high:
        statement = "No difference shown"
    else:
        statement = "Finds more" if gained.mean > 0 else "Finds less"
    if number := round(abs(more.mean)):
        word = "more" if more.mean > 0 else "fewer"
        statement += f", {counted(number, f'{word} token')} a question"
    return Stage(name=name, coverage=gained, prompt_tokens=more, statement=f"{statement}.")
