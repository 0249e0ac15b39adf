"""The reranker that asks a model server: vLLM, or any other with a `/v1/rerank` like Jina's."""

import hashlib
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from time import monotonic
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from retrieval.errors import RerankerFailedError

CONNECT_SECONDS = 1.0
# Of a timeout, in seconds; httpx takes no 0.
SHORTEST = 0.001
REFUSALS = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Model]


class _Result(BaseModel):
    index: int
    relevance_score: float


class _Results(BaseModel):
    results: list[_Result]


_Answer = TypeVar("_Answer", _Models, _Results)


class ServedReranker:
    """Sends all passages in one request; the server makes its own batches."""

    def __init__(self, url: str, model: str | None, api_key: str | None) -> None:
        """Set up; the server is asked nothing yet.

        Args:
            url: up to and including `/v1`.
            model: None takes the first one that the server lists.
            api_key: None for servers without keys.
        """
        # Callers see the name, and are not to know addresses inside.
        self.name = model or f"server {hashlib.sha256(url.encode()).hexdigest()[:8]}"
        self._url = url
        self._model = model
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.Client(headers=headers)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def score(self, query: str, passages: Sequence[str], deadline: float) -> Iterator[list[float]]:
        """Yield all scores at once, or nothing when the deadline comes first; see `Reranker`.

        What the model cannot read is cut or refused, as the server is set up.
        """
        try:
            if self._model is None:
                self._model = self._first_model(deadline)
            body = {
                "model": self._model,
                "query": query,
                "documents": list(passages),
                "top_n": len(passages),
            }
            answer = self._call("POST", "/rerank", deadline, _Results, json=body)
        except httpx.ReadTimeout:
            return
        if sorted(result.index for result in answer.results) != list(range(len(passages))):
            raise self._nonsense(f"it did not score each of {len(passages)} passages once")
        in_order = sorted(answer.results, key=lambda result: result.index)
        yield [result.relevance_score for result in in_order]

    def _first_model(self, deadline: float) -> str:
        models = self._call("GET", "/models", deadline, _Models).data
        if not models:
            raise self._failure("The reranker's server lists no model.")
        return models[0].id

    def _call(
        self, method: str, path: str, deadline: float, kind: type[_Answer], **arguments: Any
    ) -> _Answer:
        seconds = max(deadline - monotonic(), SHORTEST)
        timeout = httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))
        url = f"{self._url.rstrip('/')}{path}"
        try:
            with self._http.stream(method, url, timeout=timeout, **arguments) as response:
                content = _read(response, deadline)
        except httpx.ReadTimeout:
            raise
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._failure(
                "The reranker does not answer. Check that it runs and that RETRIEVAL_RERANKER_URL "
                "is right; `suffice doctor` tests it."
            ) from error
        if response.status_code in REFUSALS:
            raise self._failure("The reranker refuses the key. Set RETRIEVAL_RERANKER_API_KEY.")
        shown = content[:300].decode(errors="replace")
        if not response.is_success:
            raise self._nonsense(f"it answered {response.status_code}", shown)
        try:
            return kind.model_validate_json(content)
        except ValidationError as error:
            raise self._nonsense("its answer is of another kind", shown) from error

    def _nonsense(self, what: str, said: str = "") -> RerankerFailedError:
        return self._failure(
            f"The reranker's server does not rerank: {what}. Check RETRIEVAL_RERANKER_URL and "
            "RETRIEVAL_RERANKER.",
            said,
        )

    def _failure(self, message: str, said: str = "") -> RerankerFailedError:
        # What it said may name addresses, too.
        words = f" It said: {said}" if said else ""
        return RerankerFailedError(message, f"The server: {self._url}{words}")


def _read(response: httpx.Response, deadline: float) -> bytes:
    """Read a body until the deadline; the timeout of httpx is for each piece of it alone."""
    content = bytearray()
    for piece in response.iter_bytes():
        if monotonic() > deadline:
            raise httpx.ReadTimeout("The answer takes too long.", request=response.request)
        content += piece
    return bytes(content)
