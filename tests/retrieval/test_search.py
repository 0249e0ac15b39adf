"""Hybrid search over a real index."""

import re
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from retrieval import search as search_module
from retrieval.adaptive import MarginToBest, Threshold
from retrieval.chunks import Chunk
from retrieval.edge import EdgeStore
from retrieval.embedding import Matrix
from retrieval.errors import EmbedderFailedError, IndexUnavailableError, InvalidFilterError
from retrieval.explanation import explain, words_not_found
from retrieval.filters import parse_filter
from retrieval.index import ChunkIndex
from retrieval.late_interaction import LateInteractionReranker
from retrieval.profiles import Fusion, Mode, RetrievalProfile
from retrieval.reranking import Reranking
from retrieval.search import Searcher, SearchResult
from tests.fakes import HashEmbedder
from tests.rankings import search_dense, search_lexical

EMBEDDER = HashEmbedder()
TEXTS = [
    "cats chase mice",
    "a cat sleeps all day",
    "dogs chase cats and dogs bark",
    "mice eat cheese",
    "the moon is far away",
    "tides follow the moon",
    *(f"filler number {n} about cheese" for n in range(30)),
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChunkIndex]:
    store = EdgeStore(Path(tmp_path_factory.mktemp("index")), EMBEDDER.dimension, "english")
    index = store.open("default")
    chunks = [
        Chunk(
            chunk_id=str(uuid.uuid5(uuid.NAMESPACE_OID, text)),
            document_id="doc",
            revision="r",
            start=0,
            end=len(text),
            text=text,
            headings=(),
            page_start=None,
            page_end=None,
            token_count=5,
            parent_start=0,
            parent_end=len(text),
        )
        for text in TEXTS
    ]
    index.upsert(chunks, EMBEDDER.embed_passages(TEXTS))
    yield index
    store.close()


@pytest.fixture(scope="module")
def searcher() -> Iterator[Searcher]:
    searcher = Searcher()
    yield searcher
    searcher.close()


Search = Callable[..., SearchResult]


@pytest.fixture(scope="module")
def search(searcher: Searcher, index: ChunkIndex) -> Search:
    def run(query: str, top_k: int, **profile: Any) -> SearchResult:
        chosen = RetrievalProfile(**{"num_candidates": 5, **profile})
        return searcher.search(index, EMBEDDER, query, chosen, top_k)

    return run


@pytest.mark.parametrize("mode", [Mode.DENSE, Mode.LEXICAL])
def test_one_method_ranks_as_its_index_does(index: ChunkIndex, search: Search, mode: Mode) -> None:
    hits = search("cats and mice", 4, mode=mode).hits
    if mode is Mode.DENSE:
        expected = search_dense(index, EMBEDDER.embed_query("cats and mice"), 4)
    else:
        expected = search_lexical(index, "cats and mice", 4)
    assert [(hit.chunk, hit.score) for hit in hits] == [(hit.chunk, hit.score) for hit in expected]
    assert [hit.scores for hit in hits] == [{mode.value: hit.score} for hit in expected]


def test_hybrid_hits_know_every_score(index: ChunkIndex, search: Search) -> None:
    """A candidate of one search is scored by the other, too, however few candidates there are."""
    query = "cats chase the moon cheese"
    dense = {
        hit.chunk.chunk_id: hit.score
        for hit in search_dense(index, EMBEDDER.embed_query(query), len(TEXTS))
    }
    lexical = {hit.chunk.chunk_id: hit.score for hit in search_lexical(index, query, len(TEXTS))}
    for num_candidates in (1, 3, 10):
        hits = search(query, 3, num_candidates=num_candidates, dense_weight=0.25).hits
        assert len(hits) == 3
        for hit in hits:
            key = hit.chunk.chunk_id
            assert hit.scores["dense"] == pytest.approx(dense[key], abs=1e-6)
            # Without a common word there is no BM25 score.
            assert hit.scores.get("lexical") == pytest.approx(lexical.get(key))
            assert hit.scores["fused"] == hit.score
            assert hit.score == pytest.approx(
                0.25 * max(0, dense[key]) + 0.75 * lexical.get(key, 0) / max(lexical.values()),
                abs=1e-5,
            )


def test_what_the_lexical_search_ranks_too_low_has_no_lexical_score(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = "cats chase mice and dogs"
    lexical = list(search(query, 36, mode=Mode.LEXICAL).rankings["lexical"])
    dense = list(search(query, 36, mode=Mode.DENSE).rankings["dense"])[:4]
    monkeypatch.setattr(search_module, "LEXICAL_DEPTH", 3)
    rankings = search(query, 2, num_candidates=2).rankings
    assert set(rankings["lexical"]) == {*lexical[:2], *set(dense[:2]) & {*lexical[:3]}}
    assert set(rankings["dense"]) == {*lexical[:2], *dense[:2]} == set(rankings["fused"])


class MeetingEmbedder(HashEmbedder):
    """Embeds no query before somebody else has come, too."""

    def __init__(self) -> None:
        super().__init__()
        self._both = threading.Barrier(2)

    def meet(self) -> None:
        self._both.wait(timeout=20)

    def embed_query(self, text: str) -> Matrix:
        self.meet()
        return super().embed_query(text)


def test_queries_of_several_callers_are_embedded_at_the_same_time(
    index: ChunkIndex, searcher: Searcher
) -> None:
    """Otherwise there is nothing to gather into one batch."""
    embedder = MeetingEmbedder()

    def ask(text: str) -> int:
        return len(searcher.search(index, embedder, text, RetrievalProfile(), 3).hits)

    with ThreadPoolExecutor(2) as callers:
        assert list(callers.map(ask, ["cats", "mice"])) == [3, 3]


def test_searches_that_wait_for_a_server_wait_side_by_side(
    index: ChunkIndex, searcher: Searcher
) -> None:
    class Remote(BrokenIndex):
        is_remote = True

        def rank_lexical(self, *arguments: Any, **options: Any) -> Any:
            embedder.meet()
            return self._index.rank_lexical(*arguments, **options)

    embedder = MeetingEmbedder()
    remote: Any = Remote(index)
    found = searcher.search(remote, embedder, "cats chase mice", RetrievalProfile(), 3)
    assert found.hits[0].chunk.text == "cats chase mice"


def test_hybrid_hits_are_best_first_and_each_once(search: Search) -> None:
    hits = search("cats chase mice", len(TEXTS), num_candidates=8).hits
    assert hits[0].chunk.text == "cats chase mice"
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    ids = [hit.chunk.chunk_id for hit in hits]
    assert len(set(ids)) == len(ids) == len(TEXTS)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("top_k", [1, 2, 20])
def test_top_k_is_a_prefix_of_a_longer_list(search: Search, mode: Mode, top_k: int) -> None:
    profile = {"num_candidates": 36, "mode": mode}
    longest = [hit.chunk.text for hit in search("cheese mice", 36, **profile).hits]
    hits = search("cheese mice", top_k, **profile).hits
    if mode is Mode.LEXICAL or top_k == 20:
        # Equal scores at the cut may fall either way.
        assert len(hits) == top_k
    else:
        assert [hit.chunk.text for hit in hits] == longest[:top_k]


def test_a_query_without_known_words_is_answered_by_similarity(search: Search) -> None:
    hybrid = search("zebra", 3).hits
    assert [hit.scores.keys() for hit in hybrid] == [{"dense", "fused"}] * 3
    assert search("zebra", 3, mode=Mode.LEXICAL).hits == []


@pytest.mark.parametrize("fusion", list(Fusion))
def test_the_weight_moves_the_ranking(search: Search, fusion: Fusion) -> None:
    query = "the moon"
    for weight, mode in ((1.0, Mode.DENSE), (0.0, Mode.LEXICAL)):
        fused = search(query, 2, num_candidates=36, dense_weight=weight, fusion=fusion).hits
        alone = search(query, 2, num_candidates=36, mode=mode).hits
        assert [hit.chunk.text for hit in fused] == [hit.chunk.text for hit in alone]


def test_timings_tell_embedding_from_searching(search: Search) -> None:
    timings = search("moon", 3).timings
    assert timings.keys() == {"embed_seconds", "search_seconds"}
    assert all(seconds >= 0 for seconds in timings.values())


def test_an_empty_index_gives_no_hits(tmp_path: Path, searcher: Searcher) -> None:
    store = EdgeStore(tmp_path, EMBEDDER.dimension, "english")
    for mode in Mode:
        profile = RetrievalProfile(mode=mode)
        index = store.open("default")
        result = searcher.search(index, EMBEDDER, "cat", profile, 5)
        assert (result.hits, result.dropped) == ([], {})
    store.close()


def test_hits_below_the_lowest_score_are_dropped_and_say_so(search: Search) -> None:
    query = "cats chase mice"
    everything = search(query, 5)
    lowest = everything.hits[1].score
    result = search(query, 5, min_score=lowest)
    assert [hit.score for hit in result.hits] == [hit.score for hit in everything.hits[:2]]
    reason = result.dropped[everything.hits[2].chunk.chunk_id]
    assert reason.endswith(f"is below min_score {lowest:g}")


def test_a_rule_decides_by_the_scores_and_says_so(search: Search) -> None:
    query = "cats chase mice"
    scores = [hit.score for hit in search(query, 5).hits]
    rule = MarginToBest(margin=scores[0] - scores[2])
    result = search(query, 5, rule=rule)
    assert [hit.score for hit in result.hits] == scores[:3]
    assert set(result.dropped.values()) == {"the rule margin_to_best keeps 3"}
    assert len(search(query, 2, rule=rule).hits) == 2


def test_every_candidate_is_a_hit_or_dropped_for_a_reason(search: Search) -> None:
    result = search("cats chase mice", 2)
    hits = {hit.chunk.chunk_id for hit in result.hits}
    assert hits | result.dropped.keys() == result.rankings["fused"].keys()
    assert not hits & result.dropped.keys()
    assert set(list(result.dropped.values())[:1]) == {"rank 3 is beyond top_k 2"}


@pytest.mark.parametrize("mode", Mode)
def test_hits_are_the_first_of_what_is_ranked(
    index: ChunkIndex, searcher: Searcher, search: Search, mode: Mode
) -> None:
    query = "cats chase mice"
    profile = RetrievalProfile(mode=mode, num_candidates=5)
    ranked = searcher.rank(index, EMBEDDER, query, profile, 3)
    result = search(query, 3, mode=mode)
    assert result.rankings == ranked.rankings
    assert [hit.chunk.chunk_id for hit in result.hits] == list(ranked.final_ranking)[:3]


def test_explanation_tells_ranks_of_those_that_found_a_chunk(search: Search) -> None:
    """A chunk that only one search found has a score in the other, and no rank."""
    result = search("cats chase mice", 3, num_candidates=3)
    explained = explain(result)
    assert list(explained) == list(result.rankings["fused"])
    for chunk_id, one in explained.items():
        assert one.scores == {
            step: ranking[chunk_id]
            for step, ranking in result.rankings.items()
            if chunk_id in ranking
        }
        assert one.dropped == result.dropped.get(chunk_id)
    for step in ("dense", "lexical"):
        ranks = sorted(one.ranks[step] for one in explained.values() if step in one.ranks)
        assert ranks == [1, 2, 3]
    assert [one.ranks["fused"] for one in explained.values()] == list(range(1, len(explained) + 1))


def test_explanation_has_no_ranks_below_the_depth(search: Search) -> None:
    """The lexical list is read further down for scores, of which no rank is told."""
    result = search("number about cheese", 3, num_candidates=3)
    deep = set(list(result.rankings["lexical"])[3:])
    explained = explain(result)
    assert deep & explained.keys()
    for chunk_id in deep & explained.keys():
        assert explained[chunk_id].ranks.keys() == {"dense", "fused"}
        assert explained[chunk_id].scores.keys() == {"dense", "lexical", "fused"}


class BrokenEmbedder(HashEmbedder):
    def embed_query(self, text: str) -> Matrix:
        raise EmbedderFailedError("The embedder gave numbers that are no vector.")


class WordlessEmbedder(HashEmbedder):
    def vocabulary_coverage(self, text: str) -> float:
        return 0


class BrokenIndex:
    """An index whose engine fails in some of its calls, and otherwise is a real one."""

    def __init__(self, index: ChunkIndex, *broken: str) -> None:
        self._index = index
        self._broken = broken

    def __getattr__(self, name: str) -> Any:
        if name in self._broken:
            return self._fail
        return getattr(self._index, name)

    def _fail(self, *_arguments: Any, **_options: Any) -> Any:
        raise IndexUnavailableError("Qdrant did not answer.")


@pytest.mark.parametrize(
    ("broken", "embedder", "left", "warning"),
    [
        (["rank_dense"], EMBEDDER, "lexical", "The dense search failed.*Qdrant"),
        (["rank_lexical"], EMBEDDER, "dense", "The lexical search failed.*Qdrant"),
        ([], BrokenEmbedder(), "lexical", "The dense search failed.*no vector"),
    ],
)
def test_one_search_stands_in_for_both_and_says_so(
    index: ChunkIndex,
    searcher: Searcher,
    search: Search,
    broken: list[str],
    embedder: HashEmbedder,
    left: str,
    warning: str,
) -> None:
    profile = RetrievalProfile()
    half: Any = BrokenIndex(index, *broken)
    result = searcher.search(half, embedder, "cats chase mice", profile, 3)
    assert result.hits == search("cats chase mice", 3, mode=left).hits
    assert len(result.warnings) == 1
    assert re.search(warning, result.warnings[0])
    assert search("cats chase mice", 3).warnings == []


def test_words_decide_in_a_language_that_the_embedder_does_not_know(search: Search) -> None:
    query = "рис cats сыр"
    lexical = search(query, 36, mode=Mode.LEXICAL)
    result = search(query, 36)
    # 4 of 10 letters are in words that it knows.
    assert result.coverage == 0.4
    for chunk_id, score in result.rankings["fused"].items():
        weight = RetrievalProfile().dense_weight * 0.4**3
        dense = max(0, result.rankings["dense"][chunk_id])
        by_words = lexical.rankings["lexical"].get(chunk_id, 0)
        share = by_words / max(lexical.rankings["lexical"].values())
        assert score == pytest.approx(weight * dense + (1 - weight) * share, abs=1e-6)
    [warning] = result.warnings
    assert "60% are in no word that the embedder knows, so words decide" in warning
    assert not result.is_degraded
    assert lexical.warnings == search("cats chase mice", 3).warnings == []
    for chance in (search(query, 3, mode=Mode.DENSE), search("рис", 3)):  # no chunk has that word
        assert "little better than chance" in chance.warnings[0]


def test_a_language_is_told_for_what_ranks(index: ChunkIndex, searcher: Searcher) -> None:
    """Nothing is said of codes, nor of vectors where words alone ranked or were meant to."""

    def warnings(query: str, broken: str = "", mode: Mode = Mode.HYBRID) -> list[str]:
        half: Any = BrokenIndex(index, broken)
        result = searcher.search(half, WordlessEmbedder(), query, RetrievalProfile(mode=mode), 3)
        assert result.coverage == 0
        return result.warnings

    assert warnings("PA10") == []
    assert warnings("рис", mode=Mode.LEXICAL) == []
    [failure] = warnings("рис", "rank_dense")
    assert "The dense search failed" in failure
    failure, language = warnings("рис", "rank_lexical")
    assert "The lexical search failed" in failure
    assert "100% are in no word" in language
    assert "little better than chance" in language


@pytest.mark.parametrize(
    "profile",
    [
        RetrievalProfile(min_score=0.9),
        RetrievalProfile(rule=Threshold(threshold=0.9, k_max=3)),
    ],
)
def test_thresholds_of_fused_scores_are_not_for_those_of_one_search(
    index: ChunkIndex, searcher: Searcher, profile: RetrievalProfile
) -> None:
    query = "mice in the moon cheese"
    whole = searcher.search(index, EMBEDDER, query, profile, 3)
    half: Any = BrokenIndex(index, "rank_lexical")
    alone = searcher.search(half, EMBEDDER, query, profile, 3)
    assert (whole.is_degraded, alone.is_degraded) == (False, True)
    assert alone.hits[0].score < 0.9
    assert len(alone.hits) == 3


def test_where_a_rule_cannot_say_how_many_there_are_ten(
    index: ChunkIndex, searcher: Searcher
) -> None:
    profile = RetrievalProfile(rule=Threshold(threshold=0.0, k_max=36), num_candidates=36)
    half: Any = BrokenIndex(index, "rank_lexical")
    whole, alone = (
        searcher.search(one, EMBEDDER, "cheese number", profile, 36) for one in (index, half)
    )
    assert (len(whole.hits), len(alone.hits)) == (36, 10)


def test_any_key_is_taken_where_not_all_are_known(
    index: ChunkIndex, searcher: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = parse_filter({"type": "eq", "key": "year", "value": 2024})
    monkeypatch.setattr(search_module, "MAX_KEYS", 0)
    found = searcher.search(index, EMBEDDER, "cats", RetrievalProfile(), 3, where)
    assert found.hits == []


def test_a_filter_counts_though_nobody_tells_which_keys_there_are(
    index: ChunkIndex, searcher: Searcher
) -> None:
    where = parse_filter({"type": "eq", "key": "year", "value": 2024})
    with pytest.raises(InvalidFilterError):
        searcher.search(index, EMBEDDER, "cats", RetrievalProfile(), 3, where)
    silent: Any = BrokenIndex(index, "attribute_kinds")
    found = searcher.search(silent, EMBEDDER, "cats", RetrievalProfile(), 3, where)
    assert found.hits == []


def test_without_any_search_there_is_an_error(index: ChunkIndex, searcher: Searcher) -> None:
    dead: Any = BrokenIndex(index, "rank_dense", "rank_lexical")
    with pytest.raises(IndexUnavailableError):
        searcher.search(dead, EMBEDDER, "cats", RetrievalProfile(), 3)
    dense = RetrievalProfile(mode=Mode.DENSE)
    with pytest.raises(EmbedderFailedError):
        searcher.search(index, BrokenEmbedder(), "cats", dense, 3)


@pytest.mark.parametrize("fusion", list(Fusion))
def test_the_same_query_always_gives_the_same_order(search: Search, fusion: Fusion) -> None:
    orders = {
        tuple(hit.chunk.chunk_id for hit in search("cheese number", 36, fusion=fusion).hits)
        for _ in range(20)
    }
    assert len(orders) == 1


def search_and_rerank(
    index: ChunkIndex, top_k: int, max_seconds: float = 600.0, **profile: Any
) -> SearchResult:
    """Search for dogs that chase cats; the reranker judges eight hits, unless more are wanted."""
    searcher = Searcher(Reranking(LateInteractionReranker(EMBEDDER), 8, max_seconds))
    chosen = RetrievalProfile(num_candidates=12, **profile)
    result = searcher.search(index, EMBEDDER, "dogs chase cats", chosen, top_k)
    searcher.close()
    return result


@pytest.mark.parametrize("mode", [Mode.HYBRID, Mode.DENSE])
@pytest.mark.parametrize("top_k", [3, 12])
def test_the_best_candidates_are_reranked(
    index: ChunkIndex, search: Search, mode: Mode, top_k: int
) -> None:
    """More than asked for are judged, and the best of them are hits."""
    result = search_and_rerank(index, top_k, mode=mode)
    plain = search("dogs chase cats", top_k, num_candidates=12, mode=mode)
    num_judged = max(top_k, 8)
    judged = list(plain.final_ranking)[:num_judged]
    assert set(result.rankings["rerank"]) == set(judged)
    assert [hit.chunk.chunk_id for hit in result.hits] == list(result.final_ranking)[:top_k]
    scores = [hit.score for hit in result.hits]
    assert scores == [hit.scores["rerank"] for hit in result.hits]
    assert scores == sorted(scores, reverse=True)
    assert result.warnings == []
    assert result.timings.keys() == {"embed_seconds", "search_seconds", "rerank_seconds"}
    explained = explain(result)
    assert explained.keys() == plain.final_ranking.keys()
    for place, chunk_id in enumerate(plain.final_ranking, start=1):
        if place > num_judged:
            assert explained[chunk_id].dropped == (
                f"rank {place} before reranking is beyond what is reranked"
            )


def test_a_profile_may_leave_the_reranker_out(index: ChunkIndex, search: Search) -> None:
    result = search_and_rerank(index, 3, rerank=False)
    assert result.hits == search("dogs chase cats", 3, num_candidates=12).hits
    assert "rerank" not in result.rankings


def test_reranking_out_of_time_changes_nothing_and_is_told(
    index: ChunkIndex, search: Search
) -> None:
    result = search_and_rerank(index, 12, max_seconds=1e-6)
    assert result.hits == search("dogs chase cats", 12, num_candidates=12).hits
    assert result.warnings == [
        "The hits are not reranked. 1e-06 s were enough for 8 of 12 passages."
    ]


def test_reranking_nothing(index: ChunkIndex) -> None:
    searcher = Searcher(Reranking(LateInteractionReranker(EMBEDDER), 8, 600.0))
    profile = RetrievalProfile(mode=Mode.LEXICAL)
    assert searcher.search(index, EMBEDDER, "zebra", profile, 3).hits == []
    searcher.close()


@pytest.mark.parametrize(
    ("query", "not_found"),
    [
        ("cats chase mice", []),
        ("katz chased the moon", ["katz"]),
        ("Katz, katz? (mise)", ["Katz", "katz", "mise"]),
        ("cat-dog number-99 tail-wag", ["tail-wag"]),  # parts are enough
        ("who follows WHO", ["WHO"]),
        ("WHERE WAS THE MOON THERE", []),  # in a shout no word is an acronym
        ("the ?! of", []),
        ("", []),
    ],
)
def test_words_that_no_chunk_has_are_told(
    index: ChunkIndex, query: str, not_found: list[str]
) -> None:
    assert words_not_found(index, query) == not_found
