"""How much of its prompts a prefix cache would hold, by the order of the passages: simulated.

Usage: python -m benchmarks.context_order
The questions are those of benchmarks.prefix_sharing, which asks a real server; here they are
replayed through a simulated cache of vLLM's kind (eval/prefix_cache.py) under six orders. "Popular"
draws from 300 single questions, the n-th with a chance proportional to 1/n. Tokens are those of the
embedder. A turn of a conversation stands behind all of the turn before it, without its answer.
Writes benchmarks/results/context_order.json and context_order.md.
"""

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

from benchmarks.prefix_sharing import TOP_K, conversations, documents, single_questions
from eval.prefix_cache import CachedShares, Part, Request, Tokens, simulate
from eval.temporary_index import temporary_index
from ingest.chunker import Chunker
from ingest.settings import IngestSettings
from ingest.texts import CanonicalText
from retrieval.embedding import Embedder
from retrieval.index import ChunkIndex
from retrieval.packing import Order, PackingPolicy, pack
from retrieval.profiles import RetrievalProfile
from retrieval.search import Searcher
from retrieval.sentence_transformer import SentenceTransformerEmbedder
from retrieval.settings import RetrievalSettings
from serving.generation import NO_ANSWER
from serving.prompt import INSTRUCTIONS, REFUSAL

RESULTS = Path(__file__).resolve().parent / "results"
NUM_MANY, NUM_POPULAR = 300, 500
# Of a small GPU's key-value cache, beside none of a limit.
CAPACITIES = {"unlimited": None, "50,000 tokens": 50_000}
_NONCE = "item"


def main() -> None:
    """Simulate all workloads; write both files."""
    settings = RetrievalSettings()
    embedder = SentenceTransformerEmbedder(settings.embedder)
    with (
        closing(Searcher()) as searcher,
        temporary_index(embedder.dimension, settings.language) as index,
    ):
        writer = Writer(embedder, searcher, index, settings.profile())
        writer.index_topics()
        results = {
            workload: {
                capacity: _to_json(simulate(requests, tokens))
                for capacity, tokens in CAPACITIES.items()
            }
            for workload, requests in _workloads(writer)
        }
    (RESULTS / "context_order.json").write_text(json.dumps(results, indent=2) + "\n")
    table = _table(results)
    (RESULTS / "context_order.md").write_text(table)
    print(table)


@dataclass(frozen=True, slots=True)
class Writer:
    """Searches the topics and writes prompts whose passages may stand in any order."""

    embedder: Embedder
    searcher: Searcher
    index: ChunkIndex
    profile: RetrievalProfile

    def index_topics(self) -> None:
        """Cut, embed and index them as the service does."""
        embedder = self.embedder
        chunker = Chunker.for_embedder(IngestSettings(), embedder.max_tokens, embedder.token_starts)
        for name in documents():
            chunks = chunker.split(name, "", CanonicalText(topics[name]))
            vectors = embedder.embed_passages([chunk.passage for chunk in chunks])
            self.index.upsert(chunks, vectors)

    def write(self, question: str) -> Request:
        """Write the prompt of a question that stands alone."""
        instructions = INSTRUCTIONS.format(
            nonce=_NONCE, refusal=REFUSAL.format(no_answer=NO_ANSWER)
        )
        head, tail = self._tokens(instructions), self._tokens(question)
        return Request(head, tuple(self._parts(question)), tail)

    def _parts(self, question: str) -> Iterator[Part]:
        found = self.searcher.search(self.index, self.embedder, question, self.profile, TOP_K)
        policy = PackingPolicy(order=Order.SCORE)
        packing = pack(
            found.hits, lambda name, _: topics[name], lambda text: len(self._tokens(text)), policy
        )
        for one in packing.passages:
            # The tag has its number by place, so it is the same in any order.
            text = f"[{_NONCE}] {one.document_id}.txt\n{one.prompt_text}\n[/{_NONCE}]\n\n"
            yield Part(one.document_id, one.revision, one.start, self._tokens(text))

    def _tokens(self, text: str) -> Tokens:
        starts = [*self.embedder.token_starts(text), len(text)]
        return tuple(text[start:end].rstrip() for start, end in pairwise(starts))


def _workloads(writer: Writer) -> Iterator[tuple[str, list[Request]]]:
    paragraphs = documents()
    single = [writer.write(question) for _, question in single_questions(paragraphs)]
    yield f"{len(single)} questions, each once", single
    many = [writer.write(question) for _, question in single_questions(paragraphs, NUM_MANY)]
    yield f"{len(many)} questions, each once", many
    chance = random.Random(2)  # noqa: S311
    weights = [1 / rank for rank in range(1, len(many) + 1)]
    popular = chance.choices(many, weights, k=NUM_POPULAR)
    yield f"{NUM_POPULAR} questions, popular ones often", popular
    turns = list(_turns(writer, conversations(paragraphs)))
    yield f"{len(turns)} turns of conversations", turns


def _turns(writer: Writer, asked: Iterable[tuple[int, str]]) -> Iterator[Request]:
    """Yield turns that bring, as in the service, only passages that were not there before."""
    last: dict[int, int] = {}
    known: defaultdict[int, set[Part]] = defaultdict(set)
    for number, (talk, question) in enumerate(asked):
        alone = writer.write(question)
        parts = tuple(part for part in alone.parts if part not in known[talk])
        head = () if talk in last else alone.head
        yield Request(head, parts, alone.tail, last.get(talk))
        last[talk] = number
        known[talk].update(parts)


def _to_json(shares: CachedShares) -> dict[str, Any]:
    orders = {name: round(share, 4) for name, share in shares.by_order.items()}
    return {"orders": orders, "possible": round(shares.possible, 4)}


def _table(results: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Return the figures as Markdown."""
    first = next(iter(results.values()))
    orders = list(next(iter(first.values()))["orders"])
    lines = [
        f"| workload | cache | {' | '.join(orders)} | possible |".replace("_", "-"),
        f"|---|---|{'---|' * (len(orders) + 1)}",
    ]
    for workload, by_capacity in results.items():
        for capacity, shares in by_capacity.items():
            cells = [f"{shares['orders'][order]:.3f}" for order in orders]
            lines.append(
                f"| {workload} | {capacity} | {' | '.join(cells)} | {shares['possible']:.3f} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
