"""Recording: a question as JSON, so complete that it can be asked again as it was."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError

from retrieval.errors import InvalidFilterError
from retrieval.filters import parse_filter, to_json
from retrieval.packing import PackingPolicy
from serving.errors import NotReplayableError
from serving.generation import Sampling, Turn
from serving.planning import Budget
from serving.profiles import AnsweringProfile
from serving.question import Question


def record(question: Question) -> dict[str, Any]:
    """Return all that a question asks for."""
    return {
        "question": question.text,
        "history": [asdict(turn) for turn in question.history],
        "collection": question.collection,
        # What was shown of it may be about a collection that the caller is not to know of.
        "profile": question.profile.model_dump(mode="json", exclude={"certificate"}),
        "profile_name": question.profile_name,
        "profile_digest": question.profile_digest,
        "watched_profile": question.watched_profile,
        "top_k": question.top_k,
        "filter": None if question.where is None else to_json(question.where),
        "packing": question.packing.model_dump(mode="json"),
        "sampling": asdict(question.sampling),
        "has_fixed_answer": question.has_fixed_answer,
        "budget": asdict(question.budget),
    }


def play_back(recorded: Mapping[str, Any], caller: str) -> Question:
    """Return the question that was recorded, asked by somebody who may be another.

    Raises:
        NotReplayableError: another version of the service wrote it, and it lacks something.
    """
    try:
        sampling = recorded["sampling"]
        return Question(
            text=recorded["question"],
            history=[Turn(**turn) for turn in recorded["history"]],
            collection=recorded["collection"],
            profile=AnsweringProfile.model_validate(recorded["profile"]),
            top_k=recorded["top_k"],
            where=None if recorded["filter"] is None else parse_filter(recorded["filter"]),
            packing=PackingPolicy.model_validate(recorded["packing"]),
            sampling=Sampling(**{**sampling, "stop": tuple(sampling["stop"])}),
            has_fixed_answer=recorded["has_fixed_answer"],
            budget=Budget(**recorded["budget"]),
            caller=caller,
            profile_name=recorded["profile_name"],
            profile_digest=recorded["profile_digest"],
        )
    except (KeyError, TypeError, ValidationError, InvalidFilterError) as error:
        raise NotReplayableError(
            "This trace was written by another version of Suffice and does not hold all that was "
            "asked for. Ask the question anew; its trace can be replayed."
        ) from error
