"""Certificates: what was shown of a profile, and whether it is about what is served now."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ingest.documents import Collection
from serving.alarms import Alarm

# A collection that has more than so many times as many documents, or as few, is another one.
GROWTH = 2


class Fingerprints(BaseModel):
    """What a profile was measured with.

    Attributes:
        embedder: that made the vectors.
        analyzer: language of the lexical index.
        chunker: that cut the documents.
        reranker: its name and depth; None: there was none.
        model: name of the one whose tokens were counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    embedder: str
    analyzer: str
    chunker: str
    reranker: str | None
    model: str

    @classmethod
    def of(cls, collection: Collection, reranker: str | None, model: str) -> "Fingerprints":
        """Return those of a collection that is searched with a reranker and read by a model."""
        return cls(
            embedder=collection.embedder_fingerprint,
            analyzer=collection.analyzer,
            chunker=collection.chunker_fingerprint,
            reranker=reranker,
            model=model,
        )

    def differences(self, now: "Fingerprints") -> list[str]:
        """Return in words what is another one now."""
        before, after = self.model_dump(), now.model_dump()
        return [f"another {part}" for part in before if before[part] != after[part]]


class Certificate(BaseModel):
    """What was shown of a profile, on questions that had no part in its choice.

    Attributes:
        statement: in words.
        collection: whose documents were searched.
        num_documents: that it had then; 0: it is not known.
        quality: what `eps` is of: `evidence` in the context, or `answers`.
        eps: by how much worse it may be than what it was compared with; None: it was compared with
            nothing, and `min_coverage` was shown.
        min_coverage: mean share of the evidence that its context holds at least; None: `eps` was
            shown.
        delta: the probability that it is worse all the same; None: that holds on average over
            tunings, and nothing is promised of this one.
        test: by which that was computed.
        num_questions: that it was tested on.
        num_clusters: independent groups of them.
        coverage: mean share of the evidence in the context.
        prompt_tokens: mean of the prompts.
        reference_prompt_tokens: mean of the prompts before.
        created: the day.
        questions: SHA-256 of their file.
        settings: SHA-256 of the values of the profile that it is about.
        fingerprints: of what it was measured with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    statement: str
    collection: str
    num_documents: int = Field(default=0, ge=0)
    quality: Literal["evidence", "answers"] = "evidence"
    eps: float | None = Field(ge=0, lt=1)
    min_coverage: float | None = Field(default=None, gt=0, lt=1)
    delta: float | None = Field(gt=0, lt=1)
    test: str
    num_questions: int = Field(ge=1)
    num_clusters: int = Field(ge=1)
    coverage: float = Field(ge=0, le=1)
    prompt_tokens: float = Field(ge=0)
    reference_prompt_tokens: float = Field(ge=0)
    created: date
    questions: str
    # Those of before it was named are about no settings.
    settings: str = ""
    fingerprints: Fingerprints

    def check(
        self, collection: Collection, num_documents: int, settings: str, now: Fingerprints
    ) -> "Standing":
        """Return whether it is about what is served now.

        Args:
            collection: that is asked.
            num_documents: that it has.
            settings: SHA-256 of the values that the profile comes to for this question.
            now: of what serves it.
        """
        differences = self.fingerprints.differences(now)
        then = self.num_documents
        if then and not then / GROWTH <= num_documents <= then * GROWTH:
            noun = "document" if then == 1 else "documents"
            differences.insert(0, f"{then:,} {noun} instead of {num_documents:,}")
        if settings != self.settings:
            differences.insert(0, "other settings")
        if collection.name != self.collection:
            # Which one, only those may know who may ask it.
            differences.insert(0, "another collection")
        return Standing(self, tuple(differences))


@dataclass(frozen=True, slots=True)
class Standing:
    """A certificate, and what of it is no more so.

    Attributes:
        differences: in words; with any of them the profile is uncertified.
        alarm: that makes the certificate stale, and the profile uncertified; None: there is none.
    """

    certificate: Certificate
    differences: tuple[str, ...]
    alarm: Alarm | None = None

    @property
    def is_certified(self) -> bool:
        """Whether the certificate is about what is served and asked now."""
        return not self.differences and self.alarm is None

    def describe(self) -> Mapping[str, object]:
        """Return it as the `certificate` of an answer."""
        return {
            "certified": self.is_certified,
            "statement": self.certificate.statement,
            "created": self.certificate.created.isoformat(),
            "differences": list(self.differences),
            "stale": self.alarm is not None,
            "alarm": self.alarm.describe() if self.alarm else None,
        }

    def warning(self, name: str | None) -> str:
        """Say why a profile is uncertified."""
        if self.differences:
            return (
                f"The profile {name!r} is uncertified here: it was measured with "
                f"{' and '.join(self.differences)}. Run `suffice eval tune` again, or undo the "
                "change."
            )
        return (
            f"The certificate of the profile {name!r} is stale: {self.alarm}. Run `suffice eval "
            "tune` again, with questions of these days."
        )
