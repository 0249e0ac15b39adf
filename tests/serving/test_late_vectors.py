"""Vectors of sentences that take long, and what goes on meanwhile."""

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from serving.service import open_service
from tests.fakes import GatedEmbedder
from tests.serving.application import make_settings, serve

BY_VECTORS = {"sentences": True, "sentence_dense_weight": 0.5}


def test_of_a_document_that_is_deleted_meanwhile_no_vector_stays(tmp_path: Path) -> None:
    embedder = GatedEmbedder()
    settings = make_settings(tmp_path, refusal_threshold=0)
    with open_service(settings, embedder) as service, serve(service) as application:
        application.ingest("wax.txt", "Wax is soft.")
        document = application.ingest("bees.txt", "Bees sleep. Bees dance.")
        embedder.close()
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(
                application.ask, "Do bees sleep?", suffice={"profile": {"packing": BY_VECTORS}}
            )
            assert embedder.reached.wait(10)
            application.http.delete(f"/v1/documents/{document['id']}").raise_for_status()
            embedder.gate.set()
            answer = asked.result().json()
        assert "Bees" not in answer["choices"][0]["message"]["content"]
        with closing(sqlite3.connect(service.home.vectors)) as cache:
            assert cache.execute("SELECT count(*) FROM vectors").fetchone() == (0,)


def test_other_questions_do_not_wait_for_them(tmp_path: Path) -> None:
    embedder = GatedEmbedder()
    settings = make_settings(tmp_path, refusal_threshold=0, max_concurrent=200)
    # More than asyncio has threads.
    num_waiting = (os.cpu_count() or 1) + 8
    with open_service(settings, embedder) as service, serve(service) as application:
        application.ingest("bees.txt", "Bees sleep. Bees dance.")
        embedder.close()
        with ThreadPoolExecutor(num_waiting) as threads:
            asked = [
                threads.submit(
                    application.ask, "Do bees sleep?", suffice={"profile": {"packing": BY_VECTORS}}
                )
                for _ in range(num_waiting)
            ]
            try:
                assert embedder.reached.wait(10)
                assert application.ask("Do bees dance?").status_code == 200
                assert not any(one.done() for one in asked)
            finally:
                embedder.gate.set()
            assert {one.result().status_code for one in asked} == {200}


def test_where_no_time_is_left_for_them_words_choose(tmp_path: Path) -> None:
    embedder = GatedEmbedder()
    settings = make_settings(tmp_path, refusal_threshold=0)
    with open_service(settings, embedder) as service, serve(service) as application:
        application.ingest("bees.txt", "Bees sleep at night. Bees dance in the sun.")
        embedder.close()
        try:
            suffice = {"profile": {"packing": BY_VECTORS}, "budget": {"max_latency_ms": 4000}}
            answer = application.ask("Do bees dance?", suffice=suffice).json()
            assert embedder.reached.is_set()
        finally:
            embedder.gate.set()
        assert "Bees dance in the sun." in answer["choices"][0]["message"]["content"]
        warning = (
            "Sentences were chosen by their words alone: max_latency_ms leaves no time for their "
            "vectors."
        )
        assert warning in answer["suffice"]["warnings"]
        trace = application.http.get(f"/v1/traces/{answer['suffice']['trace_id']}").json()["body"]
        assert warning in trace["warnings"]
        assert trace["packing"]["sentence_dense_weight"] == 0.5  # as it was asked
