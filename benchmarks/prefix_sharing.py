"""How much of its prompts a model server finds in its prefix cache: ours, and in a naive order.

The documents are the topics of Python's own help, which is at hand everywhere. Conversations ask
five questions about neighbouring paragraphs of a document each, all conversations in turns; the
second workload asks single questions about paragraphs of the same five documents. The naive prompt
puts the question first, then the passages by score, and repeats earlier turns without their
passages. Answers are what a model with random weights writes, so only the lengths of texts are like
those of real ones.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import httpx

from benchmarks.chat_client import NEVER_WRITTEN, Streamed, stream
from benchmarks.service_process import run_service
from serving.generation import NO_ANSWER
from serving.prompt import INSTRUCTIONS, REFUSAL
from suffice.client import Client
from tests.vllm.conftest import API_KEY, BLOCK_TOKENS, MODEL, VllmServer
from tests.vllm.proxy import Proxy

NUM_DOCUMENTS = 5
NUM_CONVERSATIONS, NUM_TURNS = 10, 5
NUM_SINGLE = 50
ANSWER_TOKENS = 48
TOP_K = 10
QUESTION_WORDS = 9
LEAST_WORDS = 20
Message = dict[str, str]


@dataclass(slots=True)
class Sharing:
    """Counts what prompts could share and what they did share."""

    server: VllmServer
    read: list[list[int]] = field(default_factory=list)
    prompt_tokens: list[int] = field(default_factory=list)
    cached_tokens: list[int] = field(default_factory=list)
    possible_tokens: list[int] = field(default_factory=list)

    def add(
        self, messages: Sequence[Message], answer: str, prompt_tokens: int, cached: int
    ) -> None:
        """Enter a prompt, its answer, and what the server counted."""
        prompt = self._tokenize(messages, is_prompt=True)
        if len(prompt) != prompt_tokens:
            raise RuntimeError("the server read another prompt")
        common = max((_common(prompt, earlier) for earlier in self.read), default=0)
        self.possible_tokens.append(min(common, len(prompt) - 1) // BLOCK_TOKENS * BLOCK_TOKENS)
        self.prompt_tokens.append(prompt_tokens)
        self.cached_tokens.append(cached)
        whole = [*messages, {"role": "assistant", "content": answer}]
        self.read.append(self._tokenize(whole, is_prompt=False))

    def summary(self) -> dict[str, Any]:
        """Return the shares of all prompt tokens."""
        total = sum(self.prompt_tokens)
        return {
            "num_prompts": len(self.prompt_tokens),
            "prompt_tokens": round(total / len(self.prompt_tokens)),
            "uncached_tokens": round((total - sum(self.cached_tokens)) / len(self.prompt_tokens)),
            "cached_share": round(sum(self.cached_tokens) / total, 4),
            "possible_share": round(sum(self.possible_tokens) / total, 4),
        }

    def _tokenize(self, messages: Sequence[Message], *, is_prompt: bool) -> list[int]:
        body = {"model": MODEL, "messages": messages, "add_generation_prompt": is_prompt}
        response = httpx.post(f"{self.server.root}/tokenize", json=body).raise_for_status()
        tokens: list[int] = response.json()["tokens"]
        return tokens


def measure_sharing(home: Path, vllm: VllmServer, proxy: Proxy) -> dict[str, Any]:
    """Return for both workloads and orders what was shared."""
    settings = {"SERVING_LLM_URL": proxy.url, "SERVING_LLM_API_KEY": API_KEY}
    paragraphs = documents()
    figures = {}
    with run_service(home, settings) as service, Client(service.url) as client:
        for workload, asked in (
            ("conversations", list(conversations(paragraphs))),
            ("single questions", list(single_questions(paragraphs))),
        ):
            collection = workload.replace(" ", "-")  # prompts of two collections share nothing
            _upload(client, home, paragraphs, collection)
            ours, naive = Sharing(vllm), Sharing(vllm)
            histories: dict[int, list[Message]] = {}
            for talk, question in asked:
                history = histories.setdefault(talk, [])
                answer = _ask(service.url, collection, [*history, _user(question)])
                exchange = proxy.exchanges[-1]
                raw = "".join(
                    choice["delta"].get("content") or ""
                    for chunk in exchange.chunks
                    for choice in chunk["choices"]
                )
                ours.add(exchange.request["messages"], raw, *_counts(answer))
                hits = client.search(question, collection, top_k=TOP_K)["hits"]
                passages = [hit["text"] for hit in hits]
                _ask_naively(vllm, naive, workload, history, question, passages)
                history += [_user(question), {"role": "assistant", "content": answer.text}]
            figures[workload] = {"ours": ours.summary(), "naive": naive.summary()}
    return figures


def documents() -> dict[str, list[str]]:
    """Return the paragraphs of the longest topics."""
    longest = sorted(topics, key=lambda name: -len(topics[name]))[:NUM_DOCUMENTS]
    return {
        name: [
            paragraph
            for paragraph in topics[name].split("\n\n")
            if len(paragraph.split()) >= LEAST_WORDS
        ]
        for name in longest
    }


def conversations(paragraphs: dict[str, list[str]]) -> Iterator[tuple[int, str]]:
    """Yield numbers of conversations and questions, one turn of all of them after the other."""
    chance = random.Random(0)  # noqa: S311
    names = list(paragraphs)
    texts = [paragraphs[names[number % len(names)]] for number in range(NUM_CONVERSATIONS)]
    starts = [chance.randrange(len(one) - NUM_TURNS) for one in texts]
    for turn in range(NUM_TURNS):
        for number, (text, start) in enumerate(zip(texts, starts, strict=True)):
            yield number, _question(text[start + turn])


def single_questions(
    paragraphs: dict[str, list[str]], number: int = NUM_SINGLE
) -> Iterator[tuple[int, str]]:
    """Yield numbers and questions, each about a paragraph of any document."""
    chance = random.Random(1)  # noqa: S311
    every = [text for texts in paragraphs.values() for text in texts]
    for place, text in enumerate(chance.sample(every, number)):
        yield place, _question(text)


def _question(paragraph: str) -> str:
    return f"What is said about {' '.join(paragraph.split()[:QUESTION_WORDS])}?"


def _upload(client: Client, home: Path, paragraphs: dict[str, list[str]], collection: str) -> None:
    for name in paragraphs:
        path = home / f"{name}.txt"
        path.write_text(topics[name])
        client.wait(client.upload(path, collection)["id"])


def _ask(url: str, collection: str, messages: Sequence[Message]) -> Streamed:
    options = {"collection": collection, "profile": {"answering": {"rewrite": "off"}}}
    return stream(f"{url}/v1", None, {**_sampling("suffice", messages), "suffice": options})


def _ask_naively(
    vllm: VllmServer,
    sharing: Sharing,
    workload: str,
    history: Sequence[Message],
    question: str,
    passages: Sequence[str],
) -> None:
    instructions = INSTRUCTIONS.format(nonce="item", refusal=REFUSAL.format(no_answer=NO_ANSWER))
    excerpts = "\n\n".join(f"[item-{n}]\n{text}\n[/item]" for n, text in enumerate(passages, 1))
    messages = [
        # Begins otherwise than those of the other workload, like ours.
        {"role": "system", "content": f"Naive, {workload}.\n{instructions}"},
        *history,
        _user(f"Question: {question}\n\nExcerpts:\n\n{excerpts}"),
    ]
    answer = stream(vllm.url, API_KEY, _sampling(MODEL, messages))
    sharing.add(messages, answer.text, *_counts(answer))


def _sampling(model: str, messages: Sequence[Message]) -> dict[str, Any]:
    return {
        "model": model,
        "messages": messages,
        "max_tokens": ANSWER_TOKENS,
        "temperature": 1,
        "stop": [NEVER_WRITTEN],
    }


def _counts(answer: Streamed) -> tuple[int, int]:
    return answer.prompt_tokens, int(answer.usage["prompt_tokens_details"]["cached_tokens"])


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
