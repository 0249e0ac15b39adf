"""A replay finds what the search finds, for every profile."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from eval.errors import DatasetError, EvalError
from eval.questions import Question
from eval.replay import DEPTH, Replay, ReplayLog, record
from eval.snapshot import Snapshot
from eval.temporary_index import snapshot_index
from ingest.chunker import Chunker
from ingest.settings import IngestSettings
from retrieval.adaptive import LargestGap, MarginToBest
from retrieval.late_interaction import LateInteractionReranker
from retrieval.profiles import Fusion, Mode, RetrievalProfile
from retrieval.reranking import Reranking
from retrieval.search import Searcher
from suffice.client import Client
from suffice.snapshots import read_collection
from tests.eval.planted import (
    EMBEDDER,
    make_document,
    make_questions,
    make_replay,
    make_snapshot,
    open_index,
)
from tests.eval.profiles import PROFILES
from tests.fakes import HashEmbedder
from tests.serving.application import DIMENSION, Application, run_application

# All chunks of the service are as long as they may be, and many equally good: none is cut off.
LIVE_PROFILES = [
    RetrievalProfile(num_candidates=DEPTH, **options)
    for options in (
        {},
        {"mode": Mode.DENSE},
        {"mode": Mode.LEXICAL},
        {"dense_weight": 0.1},
        {"fusion": Fusion.RECIPROCAL_RANK, "rrf_k": 5},
        {"min_score": 0.4},
        {"rule": MarginToBest(margin=0.3, k_max=100)},
        {"rule": LargestGap(extra=2)},
    )
]
RERANKING = Reranking(LateInteractionReranker(EMBEDDER), depth=8, max_seconds=60)


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return make_snapshot()


@pytest.fixture(scope="module")
def questions(snapshot: Snapshot) -> list[Question]:
    return make_questions(snapshot)


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with run_application(tmp_path_factory.mktemp("home")) as application:
        for place in range(3):
            text = make_document(f"h{place}", range(place * 6, place * 6 + 6))
            application.ingest(f"lodge{place}.md", text)
        yield application


def test_replay_is_the_search(snapshot: Snapshot, questions: list[Question]) -> None:
    # Every other one is half in letters that the embedder does not know.
    questions = [
        replace(one, text=f"{one.text} {'ж' * len(one.text)}") if place % 2 else one
        for place, one in enumerate(questions)
    ]
    with open_index(snapshot) as index, closing(Searcher(RERANKING)) as searcher:
        log = record(index, EMBEDDER, questions, "f")
        with closing(Replay(log, EMBEDDER, RERANKING)) as replay:

            @given(profile=PROFILES)
            def check(profile: RetrievalProfile) -> None:
                top_k = profile.most_hits(None, 10)
                for question in questions[::5]:
                    live = searcher.search(index, EMBEDDER, question.text, profile, top_k)
                    replayed = replay.search(question.question_id, profile, top_k)
                    assert [hit.chunk for hit in replayed.hits] == [hit.chunk for hit in live.hits]
                    # The engine adds the scores of words in any order.
                    assert replayed.rankings == {
                        step: pytest.approx(ranking) for step, ranking in live.rankings.items()
                    }
                    assert replayed.dropped.keys() == live.dropped.keys()

            check()


def test_replay_is_the_running_service(application: Application) -> None:
    embedder = HashEmbedder(dimension=DIMENSION)
    with Client(application.url) as client:
        served = read_collection(client, "default")
    chunker = Chunker.for_embedder(
        IngestSettings.model_construct(chunk_tokens=32), embedder.max_tokens, embedder.token_starts
    )
    assert served.fingerprints["chunker"] == chunker.fingerprint
    questions = [
        replace(one, text=f"{one.text} See lodge1.") for one in make_questions(served.snapshot)
    ]
    assert len(questions) == 18
    with snapshot_index(served.snapshot, chunker, embedder, "english") as index:
        replay = Replay(record(index, embedder, questions, "f"), embedder)

    with closing(replay):
        for profile in LIVE_PROFILES:
            body = profile.model_dump(mode="json")
            for question in questions[::6]:
                hits = application.search(question.text, profile=body, top_k=DEPTH)
                replayed = replay.search(question.question_id, profile, DEPTH).hits
                assert [(hit["chunk_id"], hit["score"]) for hit in hits] == [
                    (hit.chunk.chunk_id, pytest.approx(hit.score, rel=1e-6)) for hit in replayed
                ]


def test_a_log_is_read_as_it_was_written(
    snapshot: Snapshot, questions: list[Question], tmp_path: Path
) -> None:
    path = tmp_path / "log.jsonl"
    assert ReplayLog.load(path, "planted", snapshot.texts) is None
    with closing(make_replay(snapshot, questions)) as replay:
        replay.log.save(path)
        assert ReplayLog.load(path, "planted", snapshot.texts) == replay.log
    assert ReplayLog.load(path, "another", snapshot.texts) is None
    # No word of a document is kept, only of the questions.
    assert "Nobody knows" not in path.read_text()
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], '{"question_id": "q0"}']))
    with pytest.raises(DatasetError, match="is damaged"):
        ReplayLog.load(path, "planted", snapshot.texts)


def test_records_end_somewhere(snapshot: Snapshot, questions: list[Question]) -> None:
    with (
        closing(make_replay(snapshot, questions)) as replay,
        pytest.raises(EvalError, match="201 candidates, and searches are recorded 200 deep"),
    ):
        replay.search("q0", RetrievalProfile(num_candidates=201), 10)
