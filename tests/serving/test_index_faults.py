"""Calls while the embedded index is broken."""

import time
from pathlib import Path

import pytest

from serving.keys import Scope
from tests.serving.application import WAIT_SECONDS, Application, assert_refused, run_application

CALLS = {
    "/v1/search": {"query": "honey"},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "How much honey?"}]},
}


def wait_for_error(application: Application, document_id: str, headers: dict[str, str]) -> str:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        response = application.http.get(f"/v1/documents/{document_id}", headers=headers)
        if error := response.json()["error"]:
            return f"{error['code']}: {error['reason']}"
        time.sleep(0.03)
    raise TimeoutError


def test_only_admins_and_the_log_are_told_where_the_index_lies(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with run_application(tmp_path) as application:
        application.ingest("bees.md", "One hive gives twenty kilograms of honey.")
    (tmp_path / "index" / "default" / "1").rename(tmp_path / "elsewhere")
    with run_application(tmp_path) as application:

        def secret(*scopes: Scope) -> dict[str, str]:
            return {"Authorization": f"Bearer {application.service.keys.create('x', scopes)[1]}"}

        user, admin = secret(Scope.READ, Scope.WRITE), secret(Scope.ADMIN)
        for path, body in CALLS.items():
            says = r"The index does not open\. Stop the service and run `suffice doctor --repair`"
            told = application.http.post(path, json=body, headers=user)
            assert_refused(told, 503, "index_unavailable", None, says)
            assert str(tmp_path) not in told.text
            told = application.http.post(path, json=body, headers=admin)
            assert_refused(told, 503, "index_unavailable", None, str(tmp_path / "index"))
        file = {"file": ("tides.md", b"The tide rises twice each day.")}
        told = application.http.post("/v1/documents", files=file, headers=user)
        document_id = told.json()["documents"][0]["id"]
        reason = wait_for_error(application, document_id, user)
        assert reason.startswith("index_unavailable: The index does not open.")
        assert str(tmp_path) not in reason
    logged = [one.__dict__["details"] for one in caplog.records if hasattr(one, "details")]
    assert len(logged) == 2 * len(CALLS)
    assert all(str(tmp_path / "index") in details for details in logged)
