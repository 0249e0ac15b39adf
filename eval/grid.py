"""The grid: the profiles that a tuning tries, for one way to cut documents."""

from collections.abc import Iterator

from eval.replay import DEPTH
from retrieval.adaptive import LargestGap, MarginToBest, Rule, SoftmaxMass, TailDeviation, Threshold
from retrieval.packing import PackingPolicy
from retrieval.profiles import Mode, RetrievalProfile

NUM_CHUNKS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 24, 28, 32, 40, 50)
BUDGETS = (192, 256, 320, 384, 512, 640, 768, 896, 1024, 1280, 1536, 2048, 3072, 4096)
DENSE_WEIGHTS = (0.4, 0.55, 0.7, 0.8, 0.9)
# The most chunks that a rule keeps, and that a budget is filled with.
MOST_CHUNKS = 50
# Hits of which the best sentences are taken, how much their vectors count where they do, and how
# far sentences may score below the best.
NUM_IN_SENTENCES = 20
SENTENCE_DENSE_WEIGHT = 0.7
SENTENCE_MARGINS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.4)
# Hits that bring the sections around them along, and the most that a rule keeps of these.
NUM_EXPANDED = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12)


def make_grid(
    base: RetrievalProfile, most_now: int, *, has_reranker: bool
) -> list[RetrievalProfile]:
    """Return all profiles to try, each once.

    Args:
        base: what is served now; the grid keeps what it does not vary.
        most_now: chunks that hold about as much text as what is served now takes at the most, so
            that a rule that keeps no more than these makes hardly any prompt longer than today's.
        has_reranker: whether reranked searches are possible.
    """
    profiles = [
        profile
        for search in _searches(base, has_reranker=has_reranker)
        for profile in _amounts(search, most_now)
    ]
    profiles += _in_sentences(base, has_reranker=has_reranker)
    return list(dict.fromkeys(profiles))


def _bare(base: RetrievalProfile) -> RetrievalProfile:
    """Return what the grid does not vary."""
    return RetrievalProfile(
        num_candidates=max(base.num_candidates, MOST_CHUNKS),
        fusion=base.fusion,
        rrf_k=base.rrf_k,
        packing=PackingPolicy(order=base.packing.order),
    )


def _searches(base: RetrievalProfile, *, has_reranker: bool) -> Iterator[RetrievalProfile]:
    """Yield ways to rank."""
    bare = _bare(base)
    for rerank in (False, True) if has_reranker else (False,):
        for weight in sorted({*DENSE_WEIGHTS, base.dense_weight}):
            yield bare.model_copy(update={"dense_weight": weight, "rerank": rerank})
        for mode in (Mode.DENSE, Mode.LEXICAL):
            yield bare.model_copy(update={"mode": mode, "rerank": rerank})


def _amounts(search: RetrievalProfile, most_now: int) -> Iterator[RetrievalProfile]:
    """Yield ways to say how much of a ranking goes into the context."""
    for top_k in NUM_CHUNKS:
        yield search.model_copy(update={"top_k": top_k})
    for max_tokens in BUDGETS:
        packing = search.packing.model_copy(update={"max_tokens": max_tokens})
        yield search.model_copy(update={"top_k": MOST_CHUNKS, "packing": packing})
    packing = search.packing.model_copy(update={"expand": True})
    expanded = search.model_copy(update={"packing": packing})
    for top_k in NUM_EXPANDED:
        yield expanded.model_copy(update={"top_k": top_k})
    if search.mode is Mode.HYBRID and not search.rerank:
        for k_max in (most_now, MOST_CHUNKS):
            for rule in _rules(k_max):
                yield search.model_copy(update={"rule": rule})
        # The other rules find no more with the sections around, and chance finds more among more.
        for rule in _margins(NUM_EXPANDED[-1]):
            yield expanded.model_copy(update={"rule": rule})


def _in_sentences(base: RetrievalProfile, *, has_reranker: bool) -> Iterator[RetrievalProfile]:
    """Yield the best sentences of what ranks best now, up to a budget or within a margin."""
    ranking = {
        "mode": base.mode,
        "dense_weight": base.dense_weight,
        "rerank": base.rerank and has_reranker,
        "top_k": NUM_IN_SENTENCES,
    }
    search = _bare(base).model_copy(update=ranking)
    by_words = search.packing.model_copy(update={"sentences": True})
    by_vectors = by_words.model_copy(update={"sentence_dense_weight": SENTENCE_DENSE_WEIGHT})
    for packing in (by_words, by_vectors):
        for max_tokens in BUDGETS:
            within = packing.model_copy(update={"max_tokens": max_tokens})
            yield search.model_copy(update={"packing": within})
    # More hits by words alone: reading all of their sentences takes time at each question.
    for packing, top_k in (
        (by_words, NUM_IN_SENTENCES),
        (by_words, MOST_CHUNKS),
        (by_vectors, NUM_IN_SENTENCES),
    ):
        for margin in SENTENCE_MARGINS:
            within = packing.model_copy(update={"sentence_margin": margin})
            yield search.model_copy(update={"top_k": top_k, "packing": within})


def _rules(k_max: int) -> Iterator[Rule]:
    """Yield adaptive rules for fused scores, which are from 0 to 1."""
    for percent in range(30, 100, 5):
        yield Threshold(threshold=percent / 100, k_max=k_max)
    yield from _margins(k_max)
    for deviations in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10):
        yield TailDeviation(deviations=deviations, k_max=k_max)
    for percent in (5, 10, 15, 20, 25, 30, 40, 50, 60):
        yield SoftmaxMass(mass=percent / 100, k_max=k_max)
    for extra in (0, 1, 2, 3, 5, 8):
        yield LargestGap(extra=extra, k_max=k_max)


def _margins(k_max: int) -> Iterator[Rule]:
    for percent in (2, 5, 8, 11, 14, 17, 20, 25, 30, 35, 40, 50):
        yield MarginToBest(margin=percent / 100, k_max=k_max)


def deepest(base: RetrievalProfile) -> RetrievalProfile:
    """Return the profile with the most context: what it does not find, no amount of it will."""
    packing = PackingPolicy(order=base.packing.order)
    return base.model_copy(
        update={"num_candidates": DEPTH, "top_k": DEPTH, "rule": None, "packing": packing}
    )
