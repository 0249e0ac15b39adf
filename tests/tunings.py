"""Results of tunings, made up: what a tuning of 240 questions about 80 documents might end with."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.answer_scores import Fault
from eval.decisions.pvalues import PairedTest
from eval.decisions.sequence import Mode
from eval.intervals import MeanInterval, cluster_t_interval
from eval.results import (
    AnsweredSetting,
    AnswerNoise,
    Answers,
    AnswerStage,
    CurvePoint,
    Cut,
    Decision,
    Fingerprints,
    JudgeState,
    Labelled,
    Loss,
    Measured,
    Quality,
    QuestionCounts,
    RaceCounts,
    Result,
    SearchNoise,
    Stage,
    TestedSetting,
    Verdict,
)
from retrieval.profiles import RetrievalProfile

NUM_QUESTIONS = 240
CLUSTERS = [f"document-{question // 3}" for question in range(NUM_QUESTIONS)]
KS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 32, 40, 50)
PROMPT = 170
PRICE = 0.15 / 1e6
# Rank of the chunk with the evidence, in the search of each chunk size; 60 of 1,000 are not found.
_RANDOM = np.random.default_rng(0)
_RANKS = np.where(
    _RANDOM.random(NUM_QUESTIONS) < 0.06, 1000, np.ceil(_RANDOM.exponential(3.2, NUM_QUESTIONS))
)
_SIZES = _RANDOM.normal(1, 0.13, NUM_QUESTIONS).clip(0.6, 1.4)
SETTINGS = {"served": (512, 10), "a": (256, 16), "b": (256, 10), "c": (128, 14), "d": (128, 8)}
SETTINGS |= {"e": (128, 5), "f": (128, 3), "g": (128, 1)}


def interval(values: NDArray[Any]) -> MeanInterval:
    found = cluster_t_interval(values.tolist(), CLUSTERS)
    assert found is not None
    return found


def coverage(size: int, k: int) -> NDArray[Any]:
    """Return the coverage of each question by k chunks of a size; small ones hold it in parts."""
    reach = k * (size / 256) ** 0.45
    found: NDArray[Any] = np.clip(1 - (_RANKS - reach) / 3, 0, 1).round(3)
    return found


def tokens(size: int, k: int) -> NDArray[Any]:
    return np.round(PROMPT + size * k * 0.85 * _SIZES).astype(int)


def measured(name: str, size: int, k: int) -> Measured:
    found, length = coverage(size, k), tokens(size, k)
    return Measured(
        name=name,
        label=f"{k} chunks of {size} tokens, hybrid",
        cut=Cut(max_tokens=size, overlap_tokens=0, min_tokens=32, fingerprint=f"chunker-{size}"),
        profile=RetrievalProfile(top_k=k),
        coverage=interval(found),
        sufficient=interval((found >= 0.8).astype(float)),
        prompt_tokens=interval(length),
        prompt_tokens_p50=float(np.median(length)),
        prompt_tokens_p95=float(np.quantile(length, 0.95)),
        num_chunks=float(k),
        usd_per_1000=1000 * PRICE * float(length.mean()),
        item_coverage=found.tolist(),
        item_tokens=length.tolist(),
    )


def make_result(changes: Mapping[str, Any] | None = None, /, **decision: Any) -> Result:
    """Return a result in which "c" was certified instead of what is served.

    Args:
        changes: fields of the result to have other values.
        decision: fields of the decision to have other values.
    """
    settings = [measured(name, size, k) for name, (size, k) in SETTINGS.items()]
    served, chosen = settings[0], settings[3]
    saved = np.array(served.item_tokens) - np.array(chosen.item_tokens)
    fields: dict[str, Any] = {
        "created": datetime(2026, 11, 26, 12, 0, tzinfo=UTC),
        "collection": "handbook",
        "questions": QuestionCounts(
            sha256="5e" * 32,
            num_answerable=396,
            num_unanswerable=44,
            num_tune=156,
            num_certify=NUM_QUESTIONS,
            num_clusters_tune=53,
            num_clusters_certify=80,
            seed=0,
            dropped={"q-17": "the evidence is not in the document any more"},
            by_kind={"human": 120, "synthetic-llm": 320},
        ),
        "fingerprints": Fingerprints(
            snapshot="d0" * 32,
            embedder="all-MiniLM-L6-v2",
            analyzer="english-3",
            chunker="chunker-512",
            reranker=None,
            tokenizer="all-MiniLM-L6-v2",
        ),
        "num_settings": 2304,
        "reference": "served",
        "settings": settings,
        "question_ids": [f"q-{number}" for number in range(NUM_QUESTIONS)],
        "clusters": CLUSTERS,
        "groups": {
            "synthetic-llm": [f"q-{number}" for number in range(180)],
            "human": [f"q-{number}" for number in range(180, NUM_QUESTIONS)],
        },
        "curve": [
            CurvePoint(
                k=k,
                coverage=interval(coverage(512, k)),
                prompt_tokens=float(tokens(512, k).mean()),
                sufficient=float((coverage(512, k) >= 0.8).mean()),
            )
            for k in KS
        ],
        "coverage_at": {
            str(size): {
                budget: float(coverage(size, budget // size).mean())
                for budget in (256, 512, 1024, 2048, 4096, 8192)
                if budget >= size
            }
            for size in (128, 256, 512)
        },
        "decision": {
            "verdict": Verdict.CERTIFIED,
            "statement": f"{chosen.label}, {chosen.prompt_tokens.mean:,.0f} tokens instead of "
            f"{served.prompt_tokens.mean:,.0f}: not worse than what is served now by 0.03 or more, "
            "with an error rate of 5 %.",
            "chosen": "c",
            "tested": [
                TestedSetting(name="a", p_value=0.0000004),
                TestedSetting(name="b", p_value=0.0019),
                TestedSetting(name="c", p_value=0.0334),
                TestedSetting(name="d", p_value=0.9108),
            ],
            "eps": 0.03,
            "delta": 0.05,
            "test": PairedTest.WSR,
            "mode": Mode.REFERENCE,
            "min_coverage": None,
            "num_clusters": 80,
            "questions_needed": None,
            "tokens_saved": interval(saved),
            "usd_saved_per_1000": 1000 * PRICE * float(saved.mean()),
        }
        | decision,
        "stages": [
            Stage(
                name="packing",
                coverage=MeanInterval(0.0, -0.001, 0.001, 80),
                prompt_tokens=MeanInterval(-212.0, -240.0, -184.0, 80),
                statement="Pays: the same evidence in fewer tokens.",
            ),
            Stage(
                name="lexical search",
                coverage=MeanInterval(0.061, 0.032, 0.09, 80),
                prompt_tokens=MeanInterval(3.0, -11.0, 17.0, 80),
                statement="Pays: more evidence in as many tokens.",
            ),
        ],
        "not_measured": {"Reranker": "There is none: RETRIEVAL_RERANKER is not set."},
        "loss": Loss(not_retrieved=0.06, cut_now=0.015, cut_chosen=0.034),
        "warnings": ["Tokens are counted by the embedder's tokenizer, because no model is set."],
    }
    fields["decision"] = Decision(**fields["decision"])
    changes = dict(changes or {})
    if "question_ids" in changes:
        fields["groups"] = {}
    return Result(**fields | changes)


def answered(name: str, flaw: str | None = None) -> AnsweredSetting:
    """Return the answers of a setting: right where enough evidence is there, graded or failed."""
    found, now = (coverage(*SETTINGS[one]) for one in (name, "served"))
    items, before = (np.where(one >= 0.8, 1.0, np.round(2 * one) / 2) for one in (found, now))
    wrong = int((items < 0.5).sum())
    length = tokens(*SETTINGS[name])
    return AnsweredSetting(
        name=name,
        quality=interval(items),
        change=None if name == "served" else interval(items - before),
        quality_low=max(0.0, float(items.mean()) - 0.01),
        quality_high=min(1.0, float(items.mean()) + 0.01),
        prompt_tokens=interval(length),
        usd_per_1000=1000 * (PRICE * float(length.mean()) + 0.00009),
        exact_match=0.31,
        f1=0.58,
        rouge_l=0.55,
        citation_precision=0.91,
        citation_recall=0.83,
        faithfulness=0.94,
        abstention_precision=0.75,
        abstention_recall=None,
        faults={
            Fault.NONE: NUM_QUESTIONS - wrong,
            Fault.READER: wrong // 3,
            Fault.RETRIEVAL: wrong - wrong // 3 - wrong // 4,
            Fault.ABSTENTION: wrong // 4,
        },
        flaw=flaw,
        items=items.tolist(),
    )


LABELLED = Labelled(num_labels=60, judged=0.89, mean=0.861, low=0.812, high=0.91)


def make_answers() -> Answers:
    """Return answers of three settings, of which one is invalid, as another was in the race."""
    flaw = "The model server read 2,048 of 4,310 tokens, and cut 12 of 20 prompts."
    return Answers(
        num_calls=2210,
        usd=1.84,
        race=RaceCounts(num_settings=7, num_questions=156, num_answers=700, invalid={"a": flaw}),
        judge=JudgeState(
            model="mistral-small-4", accuracy=0.93, num_cases=30, num_asked=1410, num_failed=28
        ),
        question_ids=[f"q-{number}" for number in range(NUM_QUESTIONS)],
        settings=[answered("served"), answered("c"), answered("d"), answered("b", flaw)],
        stages=[
            AnswerStage(
                name="Thinking before the answer",
                quality=MeanInterval(0.034, 0.011, 0.057, 80),
                prompt_tokens=MeanInterval(0.0, 0.0, 0.0, 80),
                completion_tokens=MeanInterval(412.0, 371.0, 453.0, 80),
                usd_per_1000=0.25,
                seconds=3.1,
                statement="Better answers, $0.25 more for 1,000 answers.",
            )
        ],
        noise=AnswerNoise(num_questions=30, quality=0.017, share_changed=0.1, unstable=["q-8"]),
    )


def make_answered(**decision: Any) -> Result:
    """Return a result that answers decided."""
    noise = SearchNoise(num_questions=30, share_same=0.997, num_same=29)
    changes = {"answers": make_answers(), "search_noise": noise}
    return make_result(changes, quality=Quality.ANSWERS, **decision)


def with_coverage(scores: Sequence[float]) -> Result:
    """Return a result whose served setting found so much for each question."""
    served, *others = make_result().settings
    return make_result(
        {"settings": [served.model_copy(update={"item_coverage": list(scores)}), *others]}
    )


def with_faults(faults: Mapping[Fault, int]) -> Result:
    """Return a result of answers of which so many had each fault, whatever the setting."""
    result = make_answered()
    assert result.answers is not None
    settings = [one.model_copy(update={"faults": faults}) for one in result.answers.settings]
    answers = result.answers.model_copy(update={"settings": settings})
    return result.model_copy(update={"answers": answers})
