"""Counting tokens as a model server counts them.

vLLM tells at /tokenize. Asking it for every chunk would cost a round trip each, so counts are kept,
and where the model's own tokenizer lies on this machine it counts - if the server agrees with it on
a sample. A server that does not tell is counted for by the bytes of a text, rather too many.
"""

import hashlib
import json
import logging
import math
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock, RLock
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
from tokenizers import Tokenizer

from serving.errors import ModelUnavailableError
from serving.generation import Message, Thinking

logger = logging.getLogger(__name__)
MAX_COUNTS = 50_000
# Scripts, digits, code, white space and an emoji: what tokenizers differ in.
SAMPLE = (
    "Suffice counts 1,234.50 tokens.\n\n  def count(text): return len(text)  # na\u00efve\n"
    "Gr\u00f6\u00dfe, \u5927\u304d\u3055, \u0440\u0430\u0437\u043c\u0435\u0440, "
    "\u0906\u0915\u093e\u0930 - \U0001f41d\t\t| a | b |"
)
# English has about 4, Chinese 3 to 4; a server that does not tell gets too little, never too much.
BYTES_PER_TOKEN = 3
# Of a server that does not tell: what templates put around a message, rather too much.
TEMPLATE_TOKENS = 12
_TIMEOUT_SECONDS = 10.0
_ABSENT = {404, 405, 501}
_FORBIDDEN = {401, 403}
# What reading an answer raises that is another one; the last of JSON that is nested too deep.
_NO_ANSWER = (LookupError, TypeError, ValueError, RecursionError)


class ServedTokenCounter:
    """Counts as the model of a server does, see `TokenCounter`. Can be used from any thread."""

    def __init__(
        self,
        url: str,
        model: str | None,
        api_key: str | None,
        context_tokens: int | None = None,
        tokenizer: Path | None = None,
    ) -> None:
        """Set up.

        Args:
            url: of the server, up to and including `/v1`.
            model: None takes the first one that the server lists.
            api_key: None for servers without keys.
            context_tokens: window to keep to, if less than the server's, or if it tells none.
            tokenizer: the model's tokenizer.json; None: looked for where the server says that its
                model lies.
        """
        parts = urlsplit(url.rstrip("/"))
        self._url = url.rstrip("/")
        self._root = urlunsplit(parts._replace(path=parts.path.removesuffix("/v1")))
        self._configured_model = model
        self._model = model
        self._context_tokens = context_tokens
        self._path = tokenizer
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.Client(headers=headers, timeout=_TIMEOUT_SECONDS)
        self._lock = Lock()
        self._meeting = RLock()
        self._counts: OrderedDict[bytes, int] = OrderedDict()
        self._templates: dict[tuple[object, ...], int] = {}
        self._card: dict[str, Any] | None = None
        self._tokenizer: Tokenizer | None = None
        self._can_ask = True

    def forget(self) -> None:
        """Ask the server anew for its model and window before the next count."""
        self._card = None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @property
    def is_exact(self) -> bool:
        """Whether the counts are the model's own, and not an estimate."""
        return self._can_ask

    def window(self) -> int | None:
        """Return the most tokens of prompt and answer together, as server and setting allow."""
        told = self._meet().get("max_model_len")
        limits = [limit for limit in (told, self._context_tokens) if isinstance(limit, int)]
        return min(limits, default=None)

    def count_text(self, text: str) -> int:
        """Count the tokens of a part of a prompt."""
        self._meet()
        if self._tokenizer is not None:
            return self._encode(text, self._tokenizer)
        asked = self._ask({"prompt": text, "add_special_tokens": False}) if self._can_ask else None
        return math.ceil(len(text.encode()) / BYTES_PER_TOKEN) if asked is None else asked

    def count_messages(
        self, messages: Sequence[Message], thinking: Thinking | None, *, exactly: bool = False
    ) -> int:
        """Count the tokens of a prompt, with all that the model's template adds.

        Args:
            messages: the prompt.
            thinking: switches parts of some templates.
            exactly: ask the server, even where its tokenizer is at hand and the sum of the texts
                and the template is right but for a token or two at the seams.
        """
        self._meet()
        form = (tuple(message["role"] for message in messages), thinking and thinking.is_on)
        known = self._templates.get(form)
        if self._tokenizer is not None and known is not None and not exactly:
            return self._count_texts(messages) + known
        question: dict[str, Any] = {"messages": list(messages), "add_generation_prompt": True}
        if thinking is not None:
            question["chat_template_kwargs"] = {"enable_thinking": thinking.is_on}
        whole = self._ask(question) if self._can_ask else None
        if whole is None:
            return self._count_texts(messages) + TEMPLATE_TOKENS * len(messages)
        if self._tokenizer is not None:
            self._templates[form] = whole - self._count_texts(messages)
        return whole

    def _count_texts(self, messages: Sequence[Message]) -> int:
        return sum(self.count_text(message["content"]) for message in messages)

    def _meet(self) -> dict[str, Any]:
        """Return what the server tells of its model; the first call looks for its tokenizer."""
        with self._meeting:  # or another thread would forget what this one found out
            return self._introduce() if self._card is None else self._card

    def _introduce(self) -> dict[str, Any]:
        listed, name = self._list_models(), self._configured_model
        card = next((one for one in listed if one.get("id") == name or name is None), None)
        if card is None:  # nothing to remember: the server may be about to start
            return {}
        with self._lock:  # it may be another model than before it went away
            self._counts.clear()
            self._templates.clear()
        self._model = name or card.get("id")
        self._can_ask = True
        self._tokenizer = self._find_tokenizer(card.get("root"))
        self._card = card
        return card

    def _list_models(self) -> list[dict[str, Any]]:
        response = self._send("GET", f"{self._url}/models")
        try:
            return [card for card in response.json()["data"] if isinstance(card, dict)]
        except _NO_ANSWER:
            return []

    def _find_tokenizer(self, root: object) -> Tokenizer | None:
        path = self._path or (Path(root, "tokenizer.json") if isinstance(root, str) else None)
        if path is None or not path.is_file():
            return None
        tokenizer = Tokenizer.from_file(str(path))
        counted = len(tokenizer.encode(SAMPLE, add_special_tokens=False).ids)
        told = self._ask({"prompt": SAMPLE, "add_special_tokens": False})
        if told not in {None, counted}:
            logger.warning(
                "%s counts %d tokens where %s counts %d; the server is asked instead.",
                *(path, counted, self._url, told),
            )
            return None
        return tokenizer

    def _encode(self, text: str, tokenizer: Tokenizer) -> int:
        """Count with a tokenizer at hand; the same passages come again and again."""
        key = hashlib.sha256(text.encode()).digest()
        count = self._recall(key)
        if count is None:
            count = len(tokenizer.encode(text, add_special_tokens=False).ids)
            self._keep(key, count)
        return count

    def _ask(self, question: dict[str, Any]) -> int | None:
        """Return the server's count, from the last ones or anew; None: it does not tell."""
        key = hashlib.sha256(json.dumps(question).encode()).digest()
        if (known := self._recall(key)) is not None:
            return known
        response = self._send("POST", f"{self._root}/tokenize", {"model": self._model, **question})
        if response.status_code in _ABSENT:
            if self._has_changed():
                return self._ask(question)
            self._can_ask = False
            return None
        if response.is_server_error:
            self._card = None
            raise ModelUnavailableError(
                f"The model server cannot count now: {response.text[:200]}", self._url
            )
        count = _read_count(response)
        if count is not None:
            self._keep(key, count)
        elif response.is_success or response.status_code in _FORBIDDEN:
            self._can_ask = False  # some servers and gateways answer whatever is asked
        return count

    def _has_changed(self) -> bool:
        """Tell whether another model is served than the one that was met, which nobody chose."""
        if self._configured_model is not None or self._card is None:
            return False
        listed = self._list_models()
        if not listed or listed[0].get("id") == self._model:
            return False
        self.forget()
        self._meet()
        return True

    def _recall(self, key: bytes) -> int | None:
        with self._lock:
            if key in self._counts:
                self._counts.move_to_end(key)
            return self._counts.get(key)

    def _keep(self, key: bytes, count: int) -> None:
        with self._lock:
            self._counts[key] = count
            if len(self._counts) > MAX_COUNTS:
                self._counts.popitem(last=False)

    def _send(self, method: str, url: str, body: object = None) -> httpx.Response:
        try:
            try:
                return self._http.request(method, url, json=body)
            except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
                # A connection was kept that the server has closed meanwhile.
                return self._http.request(method, url, json=body)
        except httpx.TimeoutException as error:
            raise ModelUnavailableError(
                f"The model server was silent for {_TIMEOUT_SECONDS:g} s. Ask again.", self._url
            ) from error
        except httpx.HTTPError as error:
            self._card = None  # it may come up again with another window
            raise ModelUnavailableError(
                "The model server does not answer. Check that it runs and that "
                "SERVING_LLM_URL is right; `suffice doctor` tests it.",
                self._url,
            ) from error


def _read_count(response: httpx.Response) -> int | None:
    """Return the count that a server tells; None: it tells something else."""
    try:
        count = response.json()["count"]
    except _NO_ANSWER:
        return None
    return count if isinstance(count, int) else None
