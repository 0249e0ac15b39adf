"""Search: two rankings of one collection, fused, reranked and cut as a profile says."""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import Any

from retrieval.chunks import Hit
from retrieval.embedding import Matrix, QueryEmbedder
from retrieval.errors import EmbedderFailedError, IndexUnavailableError, RetrievalError
from retrieval.filters import Filter, check_keys
from retrieval.fusion import fuse
from retrieval.index import MAX_KEYS, Ranking, SearchableIndex
from retrieval.profiles import Mode, RetrievalProfile
from retrieval.reranking import Outcome, Reranking

logger = logging.getLogger(__name__)
# Searches that wait for a server at the same time.
NUM_THREADS = 32
# A chunk that the dense search found gets its lexical score from a list of this depth.
LEXICAL_DEPTH = 300
# Most hits where a rule was to say how many, but a step failed.
UNRULED_TOP_K = 10
RERANK = "rerank"
# With less of the query in the embedder's vocabulary, its search says next to nothing.
MIN_COVERAGE = 0.5


@dataclass(frozen=True, slots=True)
class Ranked:
    """What a search ranked, and how that came about.

    Attributes:
        timings: seconds of each step.
        warnings: what was done otherwise than asked, and why.
        rankings: what each step ranked, by its name; the last one ranks the hits.
        depth: how many chunks each search contributes; those further down in its ranking are
            only there because the other one found them.
        is_degraded: whether a step failed. The scores are then those of another step than the
            profile's thresholds were made for, so no threshold counts.
        coverage: how much of the query the embedder's vocabulary has, from 0 to 1.
    """

    timings: Mapping[str, float]
    warnings: list[str]
    rankings: Mapping[str, Ranking]
    depth: int
    is_degraded: bool
    coverage: float

    @property
    def final_ranking(self) -> Ranking:
        """The last ranking."""
        return _last(self.rankings)


@dataclass(frozen=True, slots=True)
class SearchResult(Ranked):
    """Hits, and how they came about.

    Attributes:
        hits: best first; `scores` of each tells the view of every step.
        dropped: chunk id -> why a chunk that was ranked is not among the hits.
    """

    hits: list[Hit]
    dropped: Mapping[str, str]


class Searcher:
    """Finds the chunks that answer a query. Safe to call from several threads."""

    def __init__(self, reranking: Reranking | None = None) -> None:
        """Set up.

        Args:
            reranking: what the best hits go through if the profile says so; None: nothing.
        """
        self.reranking = reranking
        self._threads = ThreadPoolExecutor(NUM_THREADS, thread_name_prefix="search")

    def close(self) -> None:
        """Give up the threads."""
        self._threads.shutdown()

    def search(
        self,
        index: SearchableIndex,
        embedder: QueryEmbedder,
        text: str,
        profile: RetrievalProfile,
        top_k: int,
        where: Filter | None = None,
    ) -> SearchResult:
        """Return at most `top_k` hits.

        Lexical search returns only chunks that share a word with the query; in hybrid mode one
        beyond its first 300 has no lexical score (beyond `num_candidates`, if that is more). When
        one of the two searches of hybrid mode fails, the other's ranking stands, and a warning
        says so; the profile's `min_score` and `rule` then do not count.

        Args:
            index: where to search.
            embedder: that the index was made with.
            text: the query in the user's words.
            profile: how to search.
            top_k: hits to return.
            where: filter that their documents must satisfy.

        Raises:
            InvalidFilterError: no chunk has a key of the filter, or none with values of its kind.
            IndexUnavailableError: none of the searches that were asked for could be made.
            EmbedderFailedError: the same, because of the embedder.
        """
        ranked = self.rank(index, embedder, text, profile, top_k, where)
        if ranked.is_degraded:
            top_k = top_k if profile.rule is None else min(top_k, UNRULED_TOP_K)
            profile = profile.model_copy(update={"min_score": None, "rule": None})
        dropped = _cut(ranked.final_ranking, profile, top_k) | _leave_out(ranked.rankings)
        hits = _to_hits(index, ranked.rankings, dropped)
        return SearchResult(
            timings=ranked.timings,
            warnings=ranked.warnings,
            rankings=ranked.rankings,
            depth=ranked.depth,
            is_degraded=ranked.is_degraded,
            coverage=ranked.coverage,
            hits=hits,
            dropped=dropped,
        )

    def rank(
        self,
        index: SearchableIndex,
        embedder: QueryEmbedder,
        text: str,
        profile: RetrievalProfile,
        top_k: int,
        where: Filter | None = None,
    ) -> Ranked:
        """Rank all candidates, of which `search` takes the hits; see there."""
        started = perf_counter()
        if where is not None:
            _check_keys(where, index)
        query = _Query(text, embedder, where)
        depth = max(top_k, profile.num_candidates)
        rankings, warnings = self._rank_arms(index, query, profile.mode, depth)
        is_degraded = bool(warnings)
        coverage = embedder.vocabulary_coverage(text)
        doubts = _doubt_language(text, coverage, rankings)
        if len(rankings) > 1:
            rankings["lexical"] = _shorten(rankings["lexical"], depth, rankings["dense"])
            rankings["fused"] = fuse(rankings["dense"], rankings["lexical"], profile, coverage)
        searched = perf_counter()
        timings = {
            "embed_seconds": query.embed_seconds,
            "search_seconds": searched - started - query.embed_seconds,
        }
        if self.reranking is not None and profile.rerank:
            faults = _rerank(index, text, rankings, self.reranking, top_k)
            warnings, is_degraded = warnings + faults, is_degraded or bool(faults)
            timings["rerank_seconds"] = perf_counter() - searched
        return Ranked(timings, warnings + doubts, rankings, depth, is_degraded, coverage)

    def _rank_arms(
        self, index: SearchableIndex, query: "_Query", mode: Mode, depth: int
    ) -> tuple[dict[str, Ranking], list[str]]:
        """Run the searches of a mode; return their rankings and warnings."""
        if mode is Mode.DENSE:
            return {"dense": index.rank_dense(query.embed(), depth, where=query.where)}, []
        if mode is Mode.LEXICAL:
            return {"lexical": index.rank_lexical(query.text, depth, where=query.where)}, []
        return self._rank_both(index, query, depth)

    def _rank_both(
        self, index: SearchableIndex, query: "_Query", depth: int
    ) -> tuple[dict[str, Ranking], list[str]]:
        """Run both searches, each of which scores the candidates of the other, too.

        A server searches by words while the query is embedded; beside the embedded engine no
        Python runs. The dense search comes last, because it can score given chunks in the same
        call. By words that would take as long as for all chunks, so that search looks deeper
        instead, and what is beyond shares no word that tells.
        """
        lexical_depth = max(depth, LEXICAL_DEPTH)
        steps: tuple[Callable[[], Any], ...] = (
            query.embed,
            lambda: index.rank_lexical(query.text, lexical_depth, where=query.where),
        )
        run = self._threads.map if index.is_remote else map
        vector, lexical = run(_attempt, steps)
        also = [] if isinstance(lexical, RetrievalError) else list(islice(lexical, depth))
        dense = vector
        if not isinstance(vector, RetrievalError):
            dense = _attempt(lambda: index.rank_dense(vector, depth, also=also, where=query.where))
        outcomes = {"dense": dense, "lexical": lexical}
        rankings = {n: one for n, one in outcomes.items() if not isinstance(one, RetrievalError)}
        faults = {n: one for n, one in outcomes.items() if isinstance(one, RetrievalError)}
        if not rankings:
            raise next(iter(faults.values()))
        for name, fault in faults.items():
            logger.warning("a search failed", extra={"search": name, "reason": str(fault)})
        warnings = [
            f"The {name} search failed, so the other one ranks alone: {fault.public}"
            for name, fault in faults.items()
        ]
        return rankings, warnings


class _Query:
    """A query, and how long its embedding took."""

    def __init__(self, text: str, embedder: QueryEmbedder, where: Filter | None) -> None:
        self.text = text
        self.where = where
        self.embed_seconds = 0.0
        self._embedder = embedder

    def embed(self) -> Matrix:
        """Return the vector: (dimension,) float32 of unit norm."""
        started = perf_counter()
        vector = self._embedder.embed_query(self.text)
        self.embed_seconds = perf_counter() - started
        return vector


def _check_keys(where: Filter, index: SearchableIndex) -> None:
    """Make sure that the keys of a filter are known, if the index tells which there are."""
    try:
        kinds = index.attribute_kinds()
    except IndexUnavailableError:
        return
    if sum(map(len, kinds.values())) < MAX_KEYS:
        check_keys(where, kinds)


def _doubt_language(text: str, coverage: float, rankings: Mapping[str, Ranking]) -> list[str]:
    """Return a warning where the vector of a query was used that says next to nothing."""
    # Codes and acronyms are in no language.
    if "dense" not in rankings or coverage >= MIN_COVERAGE or text.isascii():
        return []
    found_words = bool(rankings.get("lexical"))
    weight = "words decide" if found_words else "its ranking is little better than chance"
    return [
        f"Of this query's letters {1 - coverage:.0%} are in no word that the embedder knows, so "
        f"{weight}. RETRIEVAL_EMBEDDER may name a model that knows the language."
    ]


def _attempt(step: Callable[[], Any]) -> Any:
    """Return what a step of the search returns, or the error for which the others still count."""
    try:
        return step()
    except (IndexUnavailableError, EmbedderFailedError) as error:
        return error


def _shorten(lexical: Ranking, depth: int, dense: Ranking) -> Ranking:
    """Return the best by words, so many, and what the dense search found of the others."""
    best = dict(islice(lexical.items(), depth))
    others = lexical.keys() & dense.keys() - best.keys()
    in_order = sorted(others, key=lambda one: (-lexical[one], one))
    return best | {one: lexical[one] for one in in_order}


def _rerank(
    index: SearchableIndex,
    query: str,
    rankings: dict[str, Ranking],
    reranking: Reranking,
    top_k: int,
) -> list[str]:
    """Add the ranking of the best candidates, or return a warning that there is none.

    At least as many are judged as are asked for, so that no hit has a score of another method.
    """
    best = dict(islice(_last(rankings).items(), max(top_k, reranking.depth)))
    chunks = index.fetch(best)
    hits = [Hit(chunks[one], score) for one, score in best.items() if one in chunks]
    reranked = reranking.rerank(query, hits)
    if reranked.outcome is not Outcome.DONE:
        return [f"The hits are not reranked. {reranked.reason}"]
    rankings[RERANK] = {hit.chunk.chunk_id: hit.score for hit in reranked.hits}
    return []


def _leave_out(rankings: Mapping[str, Ranking]) -> dict[str, str]:
    """Return which candidates were not reranked, each with the reason."""
    ranking = _last(rankings)
    *_, candidates = (one for step, one in rankings.items() if step != RERANK)
    return {
        chunk_id: f"rank {rank} before reranking is beyond what is reranked"
        for rank, chunk_id in enumerate(candidates, start=1)
        if chunk_id not in ranking
    }


def _last(rankings: Mapping[str, Ranking]) -> Ranking:
    return list(rankings.values())[-1]


def _cut(ranking: Ranking, profile: RetrievalProfile, top_k: int) -> dict[str, str]:
    """Return which chunks of a ranking are no hits, each with the reason."""
    dropped = {}
    rule = profile.rule
    num_kept = top_k if rule is None else rule(list(ranking.values()))
    for rank, (chunk_id, score) in enumerate(ranking.items(), start=1):
        if profile.min_score is not None and score < profile.min_score:
            dropped[chunk_id] = f"score {score:.3f} is below min_score {profile.min_score:g}"
        elif rule is not None and rank > num_kept:
            dropped[chunk_id] = f"the rule {rule.family} keeps {num_kept}"
        elif rank > top_k:
            dropped[chunk_id] = f"rank {rank} is beyond top_k {top_k}"
    return dropped


def _to_hits(
    index: SearchableIndex, rankings: Mapping[str, Ranking], dropped: Mapping[str, str]
) -> list[Hit]:
    """Fetch the chunks that stay, each with its scores; one deleted meanwhile is left out."""
    best = {key: score for key, score in _last(rankings).items() if key not in dropped}
    chunks = index.fetch(best)
    *earlier, last = rankings
    steps = (last, *earlier)  # first the one that ranks
    return [
        Hit(
            chunks[chunk_id],
            score,
            {step: rankings[step][chunk_id] for step in steps if chunk_id in rankings[step]},
        )
        for chunk_id, score in best.items()
        if chunk_id in chunks
    ]
