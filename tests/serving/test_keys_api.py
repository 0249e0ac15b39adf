"""Keys and usage over HTTP, as an administrator and as the owner of a key."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from serving.usage import Entry
from tests.serving.application import Application, assert_refused

Call = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def admin(application: Application) -> str:
    """The secret of the first key, which whoever is on this machine may make."""
    made = application.http.post("/v1/keys", json={"name": "admin", "scopes": ["admin"]})
    assert made.status_code == 201
    return str(made.json()["secret"])


@pytest.fixture
def call(application: Application, admin: str) -> Call:
    def call(method: str, path: str, secret: str = admin, **arguments: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {secret}"}
        return application.http.request(method, path, headers=headers, **arguments)

    return call


def make_key(call: Call, **fields: Any) -> tuple[str, str]:
    """Return the id and the secret of a new key."""
    made = call("POST", "/v1/keys", json={"name": "web page", **fields})
    assert made.status_code == 201, made.text
    return made.json()["id"], made.json()["secret"]


def test_key_from_creation_to_revocation(call: Call) -> None:
    body = {
        "name": "web page",
        "scopes": ["read"],
        "collections": ["laws"],
        "expires_at": "2099-12-31T00:00:00Z",
        "requests_per_minute": 60,
        "tokens_per_minute": 10_000,
        "max_concurrent": 4,
        "tokens_per_day": 1_000_000,
        "usd_per_day": 2.5,
    }
    made = call("POST", "/v1/keys", json=body).json()
    secret = made.pop("secret")
    assert {name: made[name] for name in body} == body
    assert made in call("GET", "/v1/keys").json()["keys"]
    assert call("GET", "/v1/models", secret).status_code == 200
    revoked = call("DELETE", f"/v1/keys/{made['id']}").json()
    assert revoked["revoked_at"] is not None
    assert call("GET", "/v1/models", secret).status_code == 401  # at once


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"name": ""}, "name", "1 to 100 characters"),
        ({"scopes": ["all"]}, "scopes.0", "read"),
        ({"scopes": []}, "scopes", "at least one scope"),
        ({"collections": ["a"], "scopes": ["admin"]}, "collections", "admin are for all"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at", "expired already"),
        ({"expires_at": "2099-01-01T00:00:00"}, "expires_at", "timezone"),
        ({"expires_at": "9999-12-31T23:00:00-02:00"}, "expires_at", "after the year 9999"),
        ({"requests_per_minute": 0}, "requests_per_minute", "greater than or equal to 1"),
        ({"tokens_per_day": 10**18}, "tokens_per_day", "less than or equal"),
        ({"usd_per_day": -1}, "usd_per_day", "greater than 0"),
        ({"usd_per_day": "much"}, "usd_per_day", "number"),
        ({"budget": 5}, "budget", "not permitted"),
    ],
)
def test_key_that_makes_no_sense(call: Call, fields: dict[str, Any], param: str, says: str) -> None:
    response = call("POST", "/v1/keys", json={"name": "web page", **fields})
    assert_refused(response, 400, "invalid_value", param, says)


def test_unknown_key_is_not_revoked(call: Call) -> None:
    says = "There is no key 'x'"
    assert_refused(call("DELETE", "/v1/keys/x"), 404, "key_not_found", None, says)


def test_usage_of_all_keys_is_for_administrators(application: Application, call: Call) -> None:
    (first, first_secret), (second, second_secret) = make_key(call), make_key(call)
    # A third of a cent each: 3,000 of them are ten dollars, to the cent and beyond.
    for key_id, number in ((first, 2), (second, 1)):
        for _ in range(number):
            entry = Entry(key_id, "laws", "m", 100, 40, 20, 5, nano_usd=3_333_333, seconds=0.5)
            application.service.usage.count(entry)
    own = call("GET", "/v1/usage", first_secret, params={"group_by": "key"}).json()
    sums = {
        "num_answers": 2,
        "prompt_tokens": 200,
        "cached_tokens": 80,
        "completion_tokens": 40,
        "reasoning_tokens": 10,
        "seconds": 1.0,
        "usd": 0.006666666,
    }
    assert own == {"group_by": "key", "usage": [{"key": first, **sums}], "total": sums}
    assert call("GET", "/v1/usage", second_secret).json()["total"]["num_answers"] == 1
    everything = call("GET", "/v1/usage", params={"group_by": "key"}).json()
    assert {one["key"]: one["num_answers"] for one in everything["usage"]} == {first: 2, second: 1}
    assert everything["total"]["usd"] == 0.009999999
    later = call("GET", "/v1/usage", params={"start": "2099-01-01"}).json()
    assert (later["usage"], later["total"]["num_answers"]) == ([], 0)


@pytest.mark.parametrize(
    ("params", "param"), [({"group_by": "hour"}, "group_by"), ({"start": "yesterday"}, "start")]
)
def test_usage_of_what_makes_no_sense(call: Call, params: dict[str, str], param: str) -> None:
    response = call("GET", "/v1/usage", params=params)
    assert_refused(response, 400, "invalid_value", param, f"^{param}: ")


def test_search_beyond_the_limit_of_a_minute(application: Application, call: Call) -> None:
    _, secret = make_key(call, requests_per_minute=2)
    search = {"json": {"query": "bees", "collection": "nowhere"}}
    for _ in range(2):
        assert call("POST", "/v1/search", secret, **search).status_code == 404
    refused = call("POST", "/v1/search", secret, **search)
    says = "'web page' may have 2 requests a minute. Ask again in [56][0-9] s"
    assert_refused(refused, 429, "rate_limit_exceeded", None, says)
    assert 55 <= int(refused.headers["Retry-After"]) <= 60
    assert call("GET", "/v1/models", secret).status_code == 200  # what costs nothing
