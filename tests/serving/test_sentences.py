"""Contexts of sentences: the best of what was found in few tokens, cited as exactly."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from retrieval.chunks import Chunk, Hit
from retrieval.embedding import Matrix
from retrieval.errors import EmbedderFailedError
from retrieval.packing import PackingPolicy
from serving.context import build_context
from serving.memory import Exchange
from serving.service import open_service
from tests.fakes import HashEmbedder
from tests.serving.application import Application, make_settings, serve
from tests.serving.test_citations import make_chunk, make_item
from tests.serving.test_layout import NoDocuments, layout

MEADOW = "Grass was mown for the fair."
HONEY = "A hive gives twenty kilograms of honey in a good year."
SMOKE = "Smoke calms the hive before honey is taken."
TEXT = f"{HONEY} {MEADOW} {SMOKE}"
NONCE = "k7f4"
QUESTION = "How many kilograms of honey does a hive give?"


class FragileEmbedder(HashEmbedder):
    """Reads no more passages once it is broken; queries it reads."""

    is_broken = False

    def embed_passages(self, texts: Sequence[str]) -> Matrix:
        if self.is_broken:
            raise EmbedderFailedError("The embedder failed: CUDA out of memory.")
        return super().embed_passages(texts)


@pytest.fixture(scope="module")
def embedder() -> FragileEmbedder:
    return FragileEmbedder(dimension=512)


@pytest.fixture(scope="module")
def application(
    tmp_path_factory: pytest.TempPathFactory, embedder: FragileEmbedder
) -> Iterator[Application]:
    settings = make_settings(tmp_path_factory.mktemp("home"), refusal_threshold=0)
    with open_service(settings, embedder) as service, serve(service) as application:
        application.ingest("bees.txt", TEXT)
        yield application


def test_the_best_sentences_are_the_context(application: Application) -> None:
    profile = {"packing": {"max_tokens": 30, "sentences": True}}
    body = application.ask(QUESTION, suffice={"profile": profile}).json()
    context = body["suffice"]["context"]
    assert context["tokens"] <= 30 < context["tokens_before"]
    assert (context["chunks"], context["passages"]) == (1, 1)
    assert HONEY in body["choices"][0]["message"]["content"]
    assert trace_of(application, body) == {HONEY: True}


def trace_of(application: Application, body: dict[str, Any]) -> dict[str, bool]:
    """Return the passages of an answer with whether they are cited; look at its only hit, too."""
    trace = application.http.get(f"/v1/traces/{body['suffice']['trace_id']}").json()["body"]
    [cited] = [one["number"] for one in trace["passages"] if one["is_cited"]]
    assert [one["outcome"] for one in trace["candidates"]] == [f"cited as [{cited}]"]
    return {TEXT[one["start"] : one["end"]]: one["is_cited"] for one in trace["passages"]}


def test_extracts_are_whole_sentences_of_the_context(application: Application) -> None:
    profile = {"packing": {"max_tokens": 25, "sentences": True}}
    question = "Does smoke calm the hive before honey is taken?"
    body = application.ask(question, suffice={"profile": profile}).json()
    assert body["choices"][0]["message"]["content"] == f"{SMOKE} [1]"
    assert trace_of(application, body) == {SMOKE: True}


def test_vectors_choose_sentences_and_where_they_fail_words_do(
    application: Application, embedder: FragileEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question has stop words alone. By its words the first sentence stays in front."""

    def ask() -> tuple[list[str], list[str]]:
        packing = {"max_tokens": 24, "sentences": True, "sentence_dense_weight": 1}
        body = application.ask("Was for the?", suffice={"profile": {"packing": packing}}).json()
        trace = application.http.get(f"/v1/traces/{body['suffice']['trace_id']}").json()["body"]
        texts = [TEXT[one["start"] : one["end"]] for one in trace["passages"]]
        return texts, body["suffice"]["warnings"]

    with monkeypatch.context() as patch:
        patch.setattr(embedder, "is_broken", True)
        assert ask() == (
            [HONEY],
            [
                "Sentences were chosen by their words alone: The embedder failed: CUDA out of "
                "memory."
            ],
        )
    assert ask() == ([MEADOW], [])


def test_both_ways_to_use_a_budget_at_once_are_refused(application: Application) -> None:
    profile = {"packing": {"sentences": True, "expand": True}}
    response = application.ask(QUESTION, suffice={"profile": profile})
    assert response.status_code == 400
    assert "exclude each other" in response.text


def part(chunk: Chunk, text: str) -> Chunk:
    start = chunk.start + chunk.text.index(text)
    chunk_id = f"{chunk.chunk_id}:{start}"
    return replace(chunk, chunk_id=chunk_id, start=start, end=start + len(text), text=text)


def test_a_sentence_that_an_earlier_turn_has_is_not_repeated() -> None:
    chunk = make_chunk(1, f"{HONEY} {SMOKE}")

    def pack(*recalled: str) -> list[str]:
        items = [make_item(number, part(chunk, text)) for number, text in enumerate(recalled, 1)]
        turn = replace(
            layout(num_recalled=0, num_found=0),
            hits=[Hit(chunk, 1.0)],
            policy=PackingPolicy(sentences=True),
            query="honey",
            exchanges=(Exchange("How?", items, "So [1]."),),
        )
        context, packing = turn.pack(None)
        assert not packing.dropped
        return [item.passage.text for item in context]

    assert pack() == [HONEY, SMOKE]
    assert pack(HONEY) == [SMOKE]
    assert pack(HONEY, SMOKE) == []


@pytest.mark.parametrize(
    ("num_chunks", "max_tokens", "num_passages", "num_digits"),
    [(5, None, 10, 2), (50, None, 100, 3), (60, 1000, 29, 2)],
)
def test_labels_are_counted_with_as_many_digits_as_numbers_have(
    num_chunks: int, max_tokens: int | None, num_passages: int, num_digits: int
) -> None:
    """Each chunk has three sentences, of which two may be packed, apart from each other."""
    texts = [f"Bee {number} dances. {MEADOW} Bee {number} rests." for number in range(num_chunks)]

    def rank_sentences(chunks: Sequence[Chunk]) -> list[Chunk]:
        return [part(chunk, text) for chunk in chunks for text in chunk.text.split(f" {MEADOW} ")]

    context, _ = build_context(
        NoDocuments(),
        [Hit(make_chunk(number, text), 1.0) for number, text in enumerate(texts)],
        len,
        PackingPolicy(max_tokens=max_tokens, sentences=True),
        NONCE,
        rank_sentences=rank_sentences,
    )
    assert len(context) == num_passages
    for item in context:
        spare = num_digits - len(str(item.number))
        assert item.passage.num_tokens == len(f"\n\n{item.fenced(NONCE)}") + spare
