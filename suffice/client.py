"""The Python client of the REST API."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from suffice.errors import ServiceError

TIMEOUT_SECONDS = 600.0
POLL_SECONDS = 0.2
FINAL_STATES = frozenset({"searchable", "partial", "failed"})


class Client:
    """Talks to one service. Methods return the JSON that the API documents."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._url = url
        try:
            self._http = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS)
        except httpx.InvalidURL as error:
            raise self._unreachable(error) from error

    def __enter__(self) -> Self:
        """Return itself; the context closes the connections."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self._http.close()

    def health(self) -> dict[str, Any]:
        """Ask whether the service is alive."""
        return self._call("GET", "/healthz")

    def upload(
        self,
        path: Path,
        collection: str = "default",
        external_id: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Upload a file; return its document."""
        fields = {"collection": collection, "metadata": json.dumps(metadata or {})}
        if external_id is not None:
            fields["external_id"] = external_id
        with path.open("rb") as file:
            answer = self._call(
                "POST", "/v1/documents", data=fields, files={"file": (path.name, file)}
            )
        document: dict[str, Any] = answer["documents"][0]
        return document

    def document(self, document_id: str) -> dict[str, Any]:
        """Show a document."""
        return self._call("GET", f"/v1/documents/{document_id}")

    def documents(
        self, collection: str | None = None, status: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield all documents, page by page."""
        params = {"collection": collection, "status": status, "cursor": None}
        while True:
            query = {name: value for name, value in params.items() if value is not None}
            page = self._call("GET", "/v1/documents", params=query)
            yield from page["documents"]
            if page["next_cursor"] is None:
                return
            params["cursor"] = page["next_cursor"]

    def wait(self, document_id: str) -> dict[str, Any]:
        """Return a document once its state is final."""
        while (document := self.document(document_id))["status"] not in FINAL_STATES:
            time.sleep(POLL_SECONDS)
        return document

    def retry(self, document_id: str) -> dict[str, Any]:
        """Queue a failed document again."""
        return self._call("POST", f"/v1/documents/{document_id}/retry")

    def delete(self, document_id: str) -> dict[str, Any]:
        """Delete a document."""
        return self._call("DELETE", f"/v1/documents/{document_id}")

    def text(self, document_id: str) -> str:
        """Return the canonical text of a document."""
        return str(self._call("GET", f"/v1/documents/{document_id}/text")["text"])

    def search(
        self, query: str, collection: str = "default", top_k: int = 10, mode: str = "hybrid"
    ) -> dict[str, Any]:
        """Search."""
        body = {"query": query, "collection": collection, "top_k": top_k, "mode": mode}
        return self._call("POST", "/v1/search", json=body)

    def ask(
        self, question: str, collection: str = "default", top_k: int | None = None
    ) -> dict[str, Any]:
        """Ask; return the whole completion."""
        return self._call("POST", "/v1/chat/completions", json=_chat(question, collection, top_k))

    def stream(
        self, question: str, collection: str = "default", top_k: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Ask; yield the chunks of the completion as they come."""
        body = {**_chat(question, collection, top_k), "stream": True}
        try:
            with self._http.stream("POST", "/v1/chat/completions", json=body) as response:
                if response.is_error:
                    response.read()
                    raise _service_error(response)
                for line in response.iter_lines():
                    data = line.removeprefix("data: ")
                    if data and data != "[DONE]":
                        chunk = json.loads(data)
                        if "error" in chunk:
                            raise ServiceError(chunk["error"]["message"])
                        yield chunk
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        try:
            response = self._http.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise _service_error(response)
        try:
            answer: dict[str, Any] = response.json()
        except ValueError as error:  # something else listens there
            raise self._unreachable(error) from error
        return answer

    def _unreachable(self, error: Exception) -> ServiceError:
        return ServiceError(f"No Suffice service answers at {self._url} ({error}).")


def _chat(question: str, collection: str, top_k: int | None) -> dict[str, Any]:
    options: dict[str, Any] = {"collection": collection}
    if top_k is not None:
        options["top_k"] = top_k
    messages = [{"role": "user", "content": question}]
    return {"model": "suffice", "messages": messages, "suffice": options}


def _service_error(response: httpx.Response) -> ServiceError:
    try:
        message = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = f"The service answered {response.status_code}: {response.text[:200]}"
    return ServiceError(message, response.status_code)
