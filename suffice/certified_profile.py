"""The profile of a certified setting: written beside the result, and put into service."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.decisions.pvalues import RiskTest
from eval.errors import EvalError
from eval.results import Cut, Decision, Result, Verdict
from eval.synthesis.corpus import RULE
from serving import certificates
from serving.profiles import AnsweringProfile
from suffice.client import Client
from suffice.errors import SufficeError

RESULT, PROFILE = "result.json", "profile.json"


def save_profile(path: Path, served: AnsweringProfile, result: Result) -> None:
    """Write the profile of a certified setting; without one there is no file."""
    path.unlink(missing_ok=True)
    decision = result.decision
    if decision.verdict is not Verdict.CERTIFIED:
        return
    chosen = result.chosen
    statement, kinds = decision.statement, result.questions.by_kind
    if 2 * kinds.get(RULE, 0) > sum(kinds.values()):  # the warning beside the result stays there
        statement += " Shown with questions made by rules."
    made = result.fingerprints
    profile = AnsweringProfile(**chosen.profile.model_dump(), answering=served.answering)
    certificate = certificates.Certificate(
        statement=statement,
        collection=result.collection,
        num_documents=result.num_documents,
        quality=decision.quality.value,
        eps=decision.eps,
        min_coverage=decision.min_coverage,
        delta=None if decision.on_average else decision.delta,
        test=_test_of(decision),
        num_questions=len(result.answers.question_ids if result.answers else result.question_ids),
        num_clusters=decision.num_clusters,
        coverage=chosen.coverage.mean,
        prompt_tokens=result.prompt_tokens(chosen.name),
        reference_prompt_tokens=result.prompt_tokens(result.reference),
        created=result.created.date(),
        questions=result.questions.sha256,
        settings=profile.settings_digest,
        fingerprints=certificates.Fingerprints(
            embedder=made.embedder,
            analyzer=made.analyzer,
            chunker=chosen.cut.fingerprint,
            reranker=made.reranker if chosen.profile.rerank else None,
            model=made.tokenizer,
        ),
    )
    profile.model_copy(update={"certificate": certificate}).save(path)


def _test_of(decision: Decision) -> str:
    """Return by what a decision was made: a coverage that is asked for has tests of its own."""
    if decision.min_coverage is None:
        return decision.test.value
    return "conformal_risk_control" if decision.on_average else RiskTest.WSR.value


def apply(client: Client, folder: Path, name: str) -> tuple[Mapping[str, Any], Cut | None]:
    """Save the profile of a tuning and serve its collection with it.

    Returns:
        The collection, and how its documents must be cut first; None: they are cut as measured.

    Raises:
        SufficeError: there is no certified profile in the folder.
    """
    path, result = folder / PROFILE, Result.load(folder / RESULT)
    if not path.exists():
        raise SufficeError(f"There is nothing to apply: {result.decision.statement}")
    profile = AnsweringProfile.load(path)
    if profile.certificate is None:
        raise EvalError(f"{path} has no certificate; `suffice profiles save` takes it as it is.")
    client.save_profile(name, profile.model_dump(mode="json"))
    collection = client.serve_profile(profile.certificate.collection, name)
    cut = result.chosen.cut
    is_cut = collection["fingerprints"]["chunker"] == cut.fingerprint
    return collection, None if is_cut else cut
