"""A certified profile, for services to be served with."""

from typing import Any

from serving.profiles import AnsweringProfile
from tests.serving.application import Application

STATEMENT = "2 chunks: 300 tokens instead of 1,500."


def certified_profile(
    application: Application, num_documents: int | None = None, **other: Any
) -> dict[str, Any]:
    """Return a profile of two chunks, certified with what the service has now.

    Args:
        application: the service, with documents.
        num_documents: that there were then; None: those that are there now.
        other: fingerprints that it was certified with instead.
    """
    collections = application.http.get("/v1/collections").json()["collections"]
    [default] = [one for one in collections if one["name"] == "default"]
    num_documents = num_documents or default["num_documents"]
    return {
        "top_k": 2,
        "certificate": {
            "statement": STATEMENT,
            "collection": "default",
            "num_documents": num_documents,
            "eps": 0.03,
            "delta": 0.05,
            "test": "wsr",
            "num_questions": 200,
            "num_clusters": 150,
            "coverage": 0.95,
            "prompt_tokens": 300,
            "reference_prompt_tokens": 1500,
            "created": "2026-11-26",
            "questions": "abc",
            "settings": AnsweringProfile(top_k=2).settings_digest,
            "fingerprints": {
                **default["fingerprints"],
                "reranker": None,
                "model": "extractive",
                **other,
            },
        },
    }
