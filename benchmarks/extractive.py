"""Extractive answers on examples/questions.jsonl: do they cite the evidence, do they refuse?

Usage: python -m benchmarks.extractive
A question counts as answered when a cited span touches a gold span of one of its facts and the
answer is not a refusal. The documents are split in halves by a hash of their names; each half is
judged with the refusal threshold of the other (the highest that refuses at most 8 % of its
answerable questions), so no question has a part in the threshold it is judged with. Prints JSON.
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
from retrieval.packing import PackingPolicy
from retrieval.profiles import DEFAULT
from serving.citations import cite
from serving.context import build_context
from serving.extractive import choose_extracts, rank_extracts
from serving.server import run_in_thread
from serving.service import Service, Settings, open_service
from suffice.client import Client

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
REFUSED_ANSWERABLE = 0.08


@dataclass(frozen=True)
class Outcome:
    """What became of a question: support of its context, and whether a citation is right."""

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
    served = settings.serving.refusal_threshold
    figures = {
        "thresholds_of_the_halves": [
            round(_choose_threshold(outcomes, half), 3) for half in (0, 1)
        ],
        "each_half_at_the_threshold_of_the_other": _figures(
            outcomes, [_choose_threshold(outcomes, 1 - _half(one.question)) for one in outcomes]
        ),
        "threshold_served": served,
        "all_at_threshold_served": _figures(outcomes, [served] * len(outcomes)),
    }
    print(json.dumps(figures, indent=2))


def _half(question: Question) -> int:
    return hashlib.sha256(question.cluster.encode()).digest()[0] % 2


def _choose_threshold(outcomes: Sequence[Outcome], half: int) -> float:
    supports = [o.support for o in outcomes if o.question.answerable and _half(o.question) == half]
    return float(np.quantile(supports, REFUSED_ANSWERABLE))


def _answer(service: Service, question: Question, names: dict[str, str]) -> Outcome:
    top_k = service.settings.serving.top_k
    profile = service.profiles.get(DEFAULT)
    with service.library.open_index("default") as opened:
        embedder = opened.embedder
        hits = service.searcher.search(opened.index, embedder, question.text, profile, top_k).hits
    policy = PackingPolicy()
    context, _ = build_context(service.library, hits, embedder.count_tokens, policy, nonce="")
    ranking = rank_extracts(embedder, question.text, context)
    answer = "\n\n".join(extract.cited_text for extract in choose_extracts(ranking.extracts))
    is_hit = any(
        span.document == names[citation.document_id]
        and span.start < citation.end
        and span.end > citation.start
        for citation in cite(answer, context, lambda *_: (None, None))
        for fact in question.facts
        for span in fact
        if span.start is not None and span.end is not None
    )
    return Outcome(question, ranking.support, is_hit)


def _figures(outcomes: Sequence[Outcome], thresholds: Sequence[float]) -> dict[str, float]:
    judged = [(one, one.support < limit) for one, limit in zip(outcomes, thresholds, strict=True)]
    answerable = [(one, refused) for one, refused in judged if one.question.answerable]
    unanswerable = [refused for one, refused in judged if not one.question.answerable]
    return {
        "num_answerable": len(answerable),
        "num_unanswerable": len(unanswerable),
        "touches_evidence": _share([one.is_hit for one, _ in answerable]),
        "touches_evidence_and_not_refused": _share(
            [one.is_hit and not refused for one, refused in answerable]
        ),
        "answerable_refused": _share([refused for _, refused in answerable]),
        "unanswerable_refused": _share(unanswerable),
    }


def _share(flags: Sequence[bool]) -> float:
    return round(sum(flags) / len(flags), 3) if flags else 0.0


if __name__ == "__main__":
    main()
