"""The question: what a caller wants to know, and how it is to be answered."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from retrieval.filters import Filter
from retrieval.packing import PackingPolicy
from serving.certificates import Standing
from serving.generation import Sampling, Turn
from serving.planning import Budget
from serving.profiles import AnsweringProfile


@dataclass(frozen=True, slots=True)
class Question:
    """What the caller asks.

    Attributes:
        text: the question.
        history: earlier turns.
        collection: where to look.
        profile: how to look and to answer.
        top_k: chunks to retrieve.
        where: filter on the documents to look in.
        packing: how they become the context.
        sampling: how to generate.
        has_fixed_answer: whether the caller said how long the answer may be.
        budget: what the answer may take.
        caller: who asks; conversations of different callers share nothing.
        profile_name: of a saved profile, or `default`; None: the caller brought it along.
        profile_digest: of what the profile of that name said, see `settings_digest`.
        standing: of the profile's certificate; None: it has none.
        is_as_served: whether nothing is asked otherwise than the collection is served to all.
        warnings: about the profile.
    """

    text: str
    history: Sequence[Turn]
    collection: str
    profile: AnsweringProfile
    top_k: int
    where: Filter | None
    packing: PackingPolicy
    sampling: Sampling
    has_fixed_answer: bool = False
    budget: Budget = field(default_factory=Budget)
    caller: str = ""
    profile_name: str | None = None
    profile_digest: str | None = None
    standing: Standing | None = None
    is_as_served: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def num_choices(self) -> int:
        """How many answers are given."""
        return self.sampling.num_choices

    @property
    def watched_profile(self) -> str | None:
        """Digest of the profile whose streams the answer is part of; None: it is of none."""
        is_certified = self.standing is not None and self.standing.is_certified
        return self.profile.digest if self.is_as_served and is_certified else None

    def describe_profile(self) -> dict[str, Any]:
        """Return by what profile the answer comes about, and what was shown of it."""
        certificate = self.standing.describe() if self.standing else None
        return {"name": self.profile_name, "certificate": certificate}

    @property
    def scope(self) -> str:
        """What conversations must have in common to share passages."""
        return repr((self.caller, self.collection, self.where))
