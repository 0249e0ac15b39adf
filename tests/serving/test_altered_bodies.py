"""Whatever stands in the place of a value of a request, the service does not fail inside."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving.application import Application

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["text", "auto", "default", "none", "\x00", "\ud800", "2024-02-30", "0" * 400]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=4,
)
FILTER = {
    "type": "and",
    "filters": [
        {"type": "gte", "key": "year", "value": 2020},
        {"type": "in", "key": "kind", "value": ["a", 1]},
    ],
}
RETRIEVAL = {
    "mode": "hybrid",
    "num_candidates": 20,
    "fusion": "convex_combination",
    "dense_weight": 0.5,
    "rrf_k": 60,
    "rerank": False,
    "min_score": 0.1,
    "rule": {"family": "threshold", "threshold": 0.3, "k_max": 5},
    "packing": {"max_tokens": 200, "order": "stable", "expand": True},
}
CHAT = {
    "model": "suffice",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Do bees sleep?"}]},
        {"role": "assistant", "content": "Yes.", "annotations": []},
        {"role": "user", "content": "And bats?"},
    ],
    "stream": False,
    "stream_options": {"include_usage": True},
    "n": 1,
    "stop": ["END"],
    "seed": 1,
    "temperature": 0.5,
    "top_p": 0.5,
    "max_tokens": 50,
    "max_completion_tokens": 50,
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}},
    "reasoning_effort": "low",
    "logprobs": False,
    "top_logprobs": 0,
    "tools": [],
    "user": "someone",
    "metadata": {"a": "b"},
    "suffice": {
        "collection": "default",
        "top_k": 3,
        "filter": FILTER,
        "profile": {**RETRIEVAL, "answering": {"model": None, "thinking": False, "samples": 1}},
        "max_context_tokens": 300,
        "budget": {"max_prompt_tokens": 900, "max_cost_usd": 1.0, "max_steps": 3},
    },
}
BODIES = {
    ("POST", "/v1/chat/completions"): CHAT,
    ("POST", "/v1/search"): {
        "query": "bees",
        "collection": "default",
        "top_k": 3,
        "mode": "hybrid",
        "filter": FILTER,
        "profile": RETRIEVAL,
        "explain": True,
    },
    ("POST", "/v1/feedback"): {"trace_id": "trace-1", "rating": "up", "comment": "Good."},
    ("POST", "/v1/keys"): {
        "name": "reader",
        "scopes": ["read"],
        "collections": ["default"],
        "requests_per_minute": 5,
    },
    ("PUT", "/v1/profiles/altered"): RETRIEVAL,
    ("PUT", "/v1/collections/default/profile"): {"profile": "altered"},
    ("POST", "/v1/collections/default/reindex"): {"only_outdated": True},
    ("POST", "/v1/traces/trace-1/replay"): {"search_only": True},
}


def places(body: Any) -> list[tuple[Any, ...]]:
    """Return the paths to all values of a body, its own included."""
    inner = body.items() if isinstance(body, dict) else enumerate(body)
    below = [
        (name, *path)
        for name, value in inner
        for path in (places(value) if isinstance(value, dict | list) else [()])
    ]
    return [(), *below]


def altered(body: Any, place: tuple[Any, ...], value: Any) -> Any:
    """Return a copy of the body with a value in a place."""
    if not place:
        return value
    copy = deepcopy(body)
    inside = copy
    for name in place[:-1]:
        inside = inside[name]
    inside[place[-1]] = value
    return copy


# Threads of the service draw from `random` meanwhile, which hypothesis takes for the test's doing.
@pytest.mark.filterwarnings("ignore:Do not use the .random. module")
@pytest.mark.parametrize(("method", "path"), BODIES)
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_no_value_in_any_place_fails_inside(
    application: Application, documents: dict[str, str], method: str, path: str, data: st.DataObject
) -> None:
    assert documents
    body = BODIES[method, path]
    place = data.draw(st.sampled_from(places(body)))
    content = json.dumps(altered(body, place, data.draw(VALUES)))
    headers = {"Content-Type": "application/json"}
    response = application.http.request(method, path, content=content, headers=headers)
    assert response.status_code < 500, (content, response.text)
    if not response.is_success:
        error = response.json()["error"]
        assert error["message"]
        assert error["type"] != "server_error"
