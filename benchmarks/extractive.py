"""Extractive answers on examples/questions.jsonl: do they cite the evidence, do they refuse?

Usage: python benchmarks/extractive.py
A question counts as answered when a cited span touches a gold span of one of its facts and the
answer is not a refusal. The documents are split in halves by a hash of their names; the refusal
threshold is chosen on one half (highest one that refuses at most 8 % of its answerable questions)
and the figures of the other half are the result. Prints JSON.
"""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.anchoring import anchor
from eval.questions import Question, load_questions
from serving.context import ContextItem, name_hits
from serving.extractive import choose_passages, rank_passages
from serving.server import run_in_thread
from serving.service import Service, Settings, open_service
from suffice.client import Client

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
REFUSED_ANSWERABLE = 0.08


@dataclass(frozen=True)
class Outcome:
    """What became of a question: support of the best passage, and whether a citation is right."""

    question: Question
    support: float
    is_hit: bool


def main() -> None:
    """Ingest the library, answer all questions, print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.read(Path(folder))
        with run_in_thread(settings) as url, Client(url) as client:
            ids = [client.upload(path)["id"] for path in sorted((EXAMPLES / "library").iterdir())]
            names = {client.wait(one)["id"]: client.wait(one)["external_id"] for one in ids}
            texts = {name: client.text(one) for one, name in names.items()}
        questions = anchor(load_questions(EXAMPLES / "questions.jsonl"), texts).questions
        with open_service(settings) as service:
            outcomes = [_answer(service, question, names) for question in questions]
    tuning = [one for one in outcomes if _is_tuning(one.question)]
    held_out = [one for one in outcomes if not _is_tuning(one.question)]
    threshold = float(
        np.quantile([o.support for o in tuning if o.question.answerable], REFUSED_ANSWERABLE)
    )
    served = settings.serving.refusal_threshold
    figures = {
        "threshold_chosen_on_tuning_half": round(threshold, 3),
        "tuning_half": _figures(tuning, threshold),
        "held_out_half": _figures(held_out, threshold),
        "threshold_served": served,
        "all_at_threshold_served": _figures(outcomes, served),
    }
    print(json.dumps(figures, indent=2))


def _is_tuning(question: Question) -> bool:
    return hashlib.sha256(question.cluster.encode()).digest()[0] % 2 == 0


def _answer(service: Service, question: Question, names: dict[str, str]) -> Outcome:
    index = service.library.open_index("default")
    top_k = service.settings.serving.top_k
    hits = service.searcher.search(index, question.text, top_k).hits
    context = [
        ContextItem(number, hit.chunk, filename, hit.score)
        for number, (hit, filename) in enumerate(name_hits(service.library, hits), start=1)
    ]
    ranked = rank_passages(service.searcher.embedder, question.text, context)
    is_hit = any(
        span.document == names[passage.item.chunk.document_id]
        and span.start < passage.item.chunk.start + passage.span[1]
        and span.end > passage.item.chunk.start + passage.span[0]
        for passage in choose_passages(ranked)
        for fact in question.facts
        for span in fact
        if span.start is not None and span.end is not None
    )
    return Outcome(question, max((one.support for one in ranked), default=0.0), is_hit)


def _figures(outcomes: Sequence[Outcome], threshold: float) -> dict[str, float]:
    answerable = [one for one in outcomes if one.question.answerable]
    unanswerable = [one for one in outcomes if not one.question.answerable]
    refused = [one for one in answerable if one.support < threshold]
    hits = [one for one in answerable if one.is_hit]
    cited = [one for one in hits if one.support >= threshold]
    return {
        "num_answerable": len(answerable),
        "num_unanswerable": len(unanswerable),
        "touches_evidence": _share(len(hits), len(answerable)),
        "touches_evidence_and_not_refused": _share(len(cited), len(answerable)),
        "answerable_refused": _share(len(refused), len(answerable)),
        "unanswerable_refused": _share(
            sum(one.support < threshold for one in unanswerable), len(unanswerable)
        ),
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 3) if whole else 0.0


if __name__ == "__main__":
    main()
