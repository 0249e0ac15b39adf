"""The Python client of the REST API."""

import hashlib
import io
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self
from urllib.parse import quote

import httpx

from suffice.errors import FileChangedError, ServiceError
from suffice.folders import readable

TIMEOUT_SECONDS = 600.0
CONNECT_TIMEOUT_SECONDS = 20.0
POLL_SECONDS = 0.2
FINAL_STATES = frozenset({"searchable", "partial", "failed"})


class Client:
    """Talks to one service. Methods return the JSON that the API documents. Thread-safe.

    Attributes:
        is_embedded: whether the service lives only as long as this client.
    """

    def __init__(self, url: str, api_key: str | None = None, *, is_embedded: bool = False) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        timeout = httpx.Timeout(TIMEOUT_SECONDS, connect=CONNECT_TIMEOUT_SECONDS)
        self.is_embedded = is_embedded
        self._url = url
        try:
            self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout)
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
        revision: str | None = None,
        password: str | None = None,
        language: str | None = None,
    ) -> dict[str, Any]:
        """Upload a file; return its document.

        Args:
            path: the file.
            collection: where to.
            external_id: your own id of the document; None takes the file name.
            metadata: kept and returned with the document; None keeps what it has.
            revision: SHA-256 that the bytes must have, in hex; None takes any.
            password: opens an encrypted PDF.
            language: that a new collection gets, and another one must have; None: any.

        Raises:
            FileChangedError: the bytes have another SHA-256; nothing was accepted.
            OSError: the file cannot be read.
            ServiceError: the service refused the file or cannot be reached.
        """
        filename = readable(path.name)
        fields = {"collection": collection}
        if metadata is not None:
            fields["metadata"] = json.dumps(metadata)
        if external_id is not None:
            fields["external_id"] = external_id
        if password is not None:
            fields["password"] = password
        if language is not None:
            fields["language"] = language
        with _open(path, revision) as file:
            answer = self._call(
                "POST", "/v1/documents", data=fields, files={"file": (filename, file)}
            )
        document: dict[str, Any] = answer["documents"][0]
        return document

    def document(self, document_id: str) -> dict[str, Any]:
        """Show a document."""
        return self._call("GET", f"/v1/documents/{document_id}")

    def documents(
        self,
        collection: str | None = None,
        status: str | Sequence[str] | None = None,
        page_size: int = 100,
    ) -> Iterator[dict[str, Any]]:
        """Yield all documents, or those in one of some states, page by page of 1 to 1000."""
        params: dict[str, Any] = {
            "collection": collection,
            "status": status,
            "limit": page_size,
        }
        yield from self._pages("/v1/documents", "documents", params)

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

    def collections(self) -> list[dict[str, Any]]:
        """List the collections."""
        found: list[dict[str, Any]] = self._call("GET", "/v1/collections")["collections"]
        return found

    def reindex(
        self, collection: str, *, language: str | None = None, force: bool = False
    ) -> dict[str, Any]:
        """Make a collection anew with the settings of the service; return the collection.

        Args:
            collection: its name.
            language: that it gets; None: it keeps its own.
            force: also if nothing of it is outdated and the language stays.
        """
        path = f"/v1/collections/{quote(collection, safe='')}/reindex"
        body = _given({"language": language})
        return self._call("POST", path, params={"force": force}, json=body)

    def text(self, document_id: str) -> str:
        """Return the canonical text of a document."""
        return str(self.described_text(document_id)["text"])

    def described_text(self, document_id: str) -> dict[str, Any]:
        """Return the canonical text of a document with its headings and what its file tells."""
        return self._call("GET", f"/v1/documents/{document_id}/text")

    def search(self, query: str, collection: str = "default", **options: Any) -> dict[str, Any]:
        """Search; `options` are further fields of the request, those that are None left out."""
        body = {"query": query, "collection": collection, **_given(options)}
        return self._call("POST", "/v1/search", json=body)

    def ask(self, question: str, collection: str = "default", **options: Any) -> dict[str, Any]:
        """Ask; return the whole completion.

        Args:
            question: what to ask.
            collection: where to look.
            options: further fields of the request's object `suffice`; None is left out.
        """
        body = _chat(question, {"collection": collection, **options})
        return self._call("POST", "/v1/chat/completions", json=body)

    def stream(
        self, question: str, collection: str = "default", **options: Any
    ) -> Iterator[dict[str, Any]]:
        """Ask, see `ask`; yield the chunks of the completion as they come."""
        body = {**_chat(question, {"collection": collection, **options}), "stream": True}
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

    def profiles(self) -> dict[str, Any]:
        """Return the retrieval profiles by name, and of damaged ones the reason."""
        return self._call("GET", "/v1/profiles")

    def profile(self, name: str) -> dict[str, Any]:
        """Show a retrieval profile."""
        return self._call("GET", f"/v1/profiles/{quote(name, safe='')}")

    def save_profile(self, name: str, profile: dict[str, Any]) -> dict[str, Any]:
        """Save a retrieval profile; return it with its defaults."""
        return self._call("PUT", f"/v1/profiles/{quote(name, safe='')}", json=profile)

    def serve_profile(self, collection: str, name: str) -> dict[str, Any]:
        """Serve a collection with a saved profile from now on; return the collection."""
        path = f"/v1/collections/{quote(collection, safe='')}/profile"
        return self._call("PUT", path, json={"profile": name})

    def delete_profile(self, name: str) -> dict[str, Any]:
        """Delete a saved retrieval profile."""
        return self._call("DELETE", f"/v1/profiles/{quote(name, safe='')}")

    def trace(self, trace_id: str) -> dict[str, Any]:
        """Show how an answer came about."""
        return self._call("GET", f"/v1/traces/{quote(trace_id, safe='')}")

    def replay(self, trace_id: str, *, search_only: bool = False) -> dict[str, Any]:
        """Ask the question of a trace again; return what changed.

        Args:
            trace_id: of the answer.
            search_only: ask no model.
        """
        path = f"/v1/traces/{quote(trace_id, safe='')}/replay"
        return self._call("POST", path, json={"search_only": search_only})

    def traces(self, collection: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield what was asked and answered, page by page."""
        yield from self._pages("/v1/traces", "traces", {"collection": collection})

    def shadow_pairs(self) -> Iterator[dict[str, Any]]:
        """Yield the pairs of answers to one question, page by page."""
        yield from self._pages("/v1/shadow", "pairs", {"limit": 1000})

    def rate(self, trace_id: str, rating: str, comment: str | None = None) -> dict[str, Any]:
        """Say what an answer was worth: `up` or `down`."""
        body = {"trace_id": trace_id, "rating": rating, **_given({"comment": comment})}
        return self._call("POST", "/v1/feedback", json=body)

    def _pages(self, path: str, name: str, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield what a call lists, asking for the next page at the end of each."""
        cursor = None
        while True:
            page = self._call("GET", path, params=_given({**params, "cursor": cursor}))
            yield from page[name]
            cursor = page["next_cursor"]
            if cursor is None:
                return

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


class _SealedFile(io.FileIO):
    """A file that is read to its end only when it holds the expected bytes.

    An upload breaks off on the error, before its last byte, so that a file that is being written
    is never accepted in parts.
    """

    def __init__(self, path: Path, revision: str) -> None:
        super().__init__(path)
        self._revision = revision
        self._hash = hashlib.sha256()
        self._num_left = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(-1 if size is None else size)
        self._hash.update(piece)
        self._num_left -= len(piece)
        is_at_end = not piece and self._hash.hexdigest() == self._revision
        if self._num_left < 0 or not (piece or is_at_end):
            raise FileChangedError(f"{self.name} changed while it was read.")
        return piece


def _open(path: Path, revision: str | None) -> BinaryIO:
    return path.open("rb") if revision is None else _SealedFile(path, revision)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _chat(question: str, options: dict[str, Any]) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}]
    return {"model": "suffice", "messages": messages, "suffice": _given(options)}


def _service_error(response: httpx.Response) -> ServiceError:
    try:
        message = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = f"The service answered {response.status_code}: {response.text[:200]}"
    retry_after = response.headers.get("Retry-After", "")
    seconds = float(retry_after) if retry_after.isdecimal() else None  # a date is not used by us
    return ServiceError(message, response.status_code, seconds)
