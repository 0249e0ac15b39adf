"""Does a tuning find the fewest chunks that suffice, where the truth is planted?

Usage: python -m benchmarks.planted_optimum [--runs N]
Documents are generated; each question has a section in each of them that matches it as well as the
others. Which one holds the evidence is drawn anew in each run, so the ranking is the engine's own
and the chance that the first k chunks hold the evidence is known: more than six add nothing, five
are worse by more than `eps`. Each run is `eval.tuning.tune` with 800 questions and the whole grid.
Writes benchmarks/results/planted_optimum.json.
"""

import argparse
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from numpy.random import Generator

from eval.choice import Goal
from eval.questions import Question, Span
from eval.replay import Replay, record
from eval.results import Cut, Verdict
from eval.snapshot import Snapshot, SnapshotDocument
from eval.sweep import PromptTokens
from eval.temporary_index import snapshot_index
from eval.tuning import Cutting, Material, Served, tune
from ingest.chunker import Chunker
from ingest.parsers.markdown import parse_markdown
from retrieval.embedding import Embedder
from retrieval.profiles import RetrievalProfile
from retrieval.vector_cache import CachingEmbedder, VectorCache
from tests.fakes import HashEmbedder

RESULTS = Path(__file__).resolve().parent / "results"
NUM_QUESTIONS, NUM_DOCUMENTS = 800, 12
LANGUAGE = "english"
CACHE_BYTES = 1 << 30
# One section fits, two do not.
CHUNK_TOKENS, SECTION_WORDS = 48, 30
LABEL_TOKENS, FRAME_TOKENS = 6, 20
SERVED_CHUNKS, BEST_CHUNKS = 10, 6
# The evidence is in the first chunk, in the second ...; of the rest it is nowhere to be found.
CHANCES = (0.5, 0.09, 0.09, 0.09, 0.09, 0.09)
# What is chosen may be a grid's step from the optimum, in this share of the runs at the least.
STEP, SHARE_NEAR = 1, 0.95


@dataclass(frozen=True, slots=True)
class World:
    """Generated documents, what was found in them, and where each question's sections are.

    Attributes:
        sections: of each question, by rank in what is served; the last is another question's.
    """

    snapshot: Snapshot
    material: Material
    questions: Sequence[str]
    sections: Sequence[Sequence[Span]]

    def draw(self, random: Generator) -> list[Question]:
        """Return the questions with evidence that is drawn anew."""
        chances = [*CHANCES, 1 - sum(CHANCES)]
        places = random.choice(len(chances), NUM_QUESTIONS, p=chances)
        return [
            _question(number, text, (ranked[place],))
            for number, (text, ranked, place) in enumerate(
                zip(self.questions, self.sections, places, strict=True)
            )
        ]


def _question(number: int, text: str, fact: tuple[Span, ...]) -> Question:
    return Question(
        question_id=str(number),
        text=text,
        language="en",
        cluster=str(number),
        facts=(fact,),
        answers=(),
        kind="human",
        tags=(),
        weight=1,
    )


def main() -> None:
    """Tune again and again, write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    num_runs = parser.parse_args().runs
    # As in a service, no sentence is embedded twice.
    with (
        TemporaryDirectory() as folder,
        closing(VectorCache(Path(folder) / "vectors.sqlite", CACHE_BYTES)) as vectors,
    ):
        results = _measure(CachingEmbedder(HashEmbedder(dimension=256), vectors), num_runs)
    (RESULTS / "planted_optimum.json").write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


def _measure(embedder: Embedder, num_runs: int) -> dict[str, Any]:
    random = np.random.default_rng(1)
    snapshot = _make_snapshot(random)
    texts = [f"Which colour has lamp number{number}?" for number in range(NUM_QUESTIONS)]
    chunker = Chunker(CHUNK_TOKENS, embedder.token_starts, 0)
    asked = [_question(number, text, ()) for number, text in enumerate(texts)]
    with snapshot_index(snapshot, chunker, embedder, LANGUAGE) as index:
        log = record(index, embedder, asked, "planted")
    with closing(Replay(log, embedder)) as replay:
        cut = Cut(
            max_tokens=CHUNK_TOKENS, overlap_tokens=0, min_tokens=0, fingerprint=chunker.fingerprint
        )
        tokens = PromptTokens(
            lambda text: len(embedder.token_starts(text)),
            lambda _: LABEL_TOKENS,
            lambda _: FRAME_TOKENS,
        )
        material = Material([Cutting(cut, replay)], snapshot, tokens)
        sections = _rank_sections(replay, snapshot)
        return _run(World(snapshot, material, texts, sections), random, num_runs)


def _make_snapshot(random: Generator) -> Snapshot:
    documents = []
    for place in range(NUM_DOCUMENTS):
        sections = []
        for number in range(NUM_QUESTIONS):
            words = " ".join(f"word{word}" for word in random.integers(0, 5000, SECTION_WORDS))
            sections.append(f"## Lamp number{number}\n\n{words}.\n")
        text = parse_markdown((f"# Book {place}\n\n" + "\n".join(sections)).encode())
        documents.append(SnapshotDocument(f"id{place}", f"b{place}.md", "r1", text))
    return Snapshot(tuple(documents), LANGUAGE)


def _rank_sections(replay: Replay, snapshot: Snapshot) -> list[list[Span]]:
    """Return the sections of each question in the order in which what is served finds them."""
    names = {one.document_id: one.name for one in snapshot.documents}
    ranked: list[list[Span]] = []
    for number in range(NUM_QUESTIONS):
        hits = replay.search(str(number), RetrievalProfile(), len(CHANCES)).hits
        chunks = [hit.chunk for hit in hits]
        if any(f"number{number}" not in chunk.passage.split() for chunk in chunks):
            raise RuntimeError(f"question {number}: sections of others come before its own")
        ranked.append([Span(names[one.document_id], "", one.start, one.end) for one in chunks])
    following = [*ranked[1:], ranked[0]]
    return [[*own, other[0]] for own, other in zip(ranked, following, strict=True)]


def _run(world: World, random: Generator, num_runs: int) -> dict[str, Any]:
    served = Served(RetrievalProfile(), SERVED_CHUNKS, None)
    start = perf_counter()
    chosen: list[float] = []
    num_certified = 0
    for seed in range(num_runs):
        tuning = tune(world.draw(random), world.material, served, Goal(), seed)
        setting = next(one for one in tuning.settings if one.name == tuning.decision.chosen)
        num_certified += tuning.decision.verdict is Verdict.CERTIFIED
        chosen.append(setting.num_chunks)
        print(f"{seed}: {setting.label}", flush=True)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "num_runs": num_runs,
        "num_questions": NUM_QUESTIONS,
        "num_settings": tuning.num_settings,
        "best_chunks": BEST_CHUNKS,
        "num_certified": num_certified,
        "share_near": float(np.mean([abs(one - BEST_CHUNKS) <= STEP for one in chosen])),
        "share_near_wanted": SHARE_NEAR,
        "chunks": {"least": min(chosen), "mean": float(np.mean(chosen)), "most": max(chosen)},
        "seconds": round(perf_counter() - start),
    }


if __name__ == "__main__":
    main()
