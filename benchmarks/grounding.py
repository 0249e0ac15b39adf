"""How often is a sentence judged to be supported: where it is, and where it is not?

Usage: python -m benchmarks.grounding [--pairs N] DATA
DATA holds the folders squad2_dev, scifact and mtrag_un. Of each kind of pairs of sentence and
passage at most N are judged, evenly spaced:

- SQuAD 2.0: sentences with evidence and their paragraphs; the same with a number, a name or the
  negation changed, or with another paragraph of the article.
- MTRAG-UN: sentences of answers that people wrote, with the passages they wrote them from, and with
  those of another question of the same collection.
- SciFact: claims that experts wrote, with abstracts that support or contradict them.

Intervals are of Student's t at 95 % over articles, questions and claims. Writes grounding.json and
grounding.md to benchmarks/results.
"""

import argparse
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eval.beir import Document, load_dataset
from eval.intervals import question_t_interval
from eval.json_lines import read_json_lines
from retrieval.analyzer import get_analyzer
from retrieval.embedding import Embedder
from retrieval.packing import Passage
from retrieval.sentence_transformer import SentenceTransformerEmbedder
from retrieval.sentences import sentence_spans
from retrieval.settings import RetrievalSettings
from serving.context import ContextItem
from serving.grounding import Support, judge_support, what_lacks

RESULTS = Path(__file__).resolve().parent / "results"
ENGLISH = get_analyzer("english")
MIN_WORDS = 6
_RANDOM = random.Random(0)  # noqa: S311
_NUMBER = re.compile(r"\d+")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+")
_VERB = re.compile(r"\b(?:is|was|are|were|can|could|would|will|has|have|had)\b")
_NEGATION = re.compile(r"\b(?:not|no|never|without|nor|none)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pair:
    """A sentence and the passages it is said to rest on.

    Attributes:
        is_supported: whether one of them supports it.
        cluster: pairs of one cluster are not independent.
    """

    kind: str
    is_supported: bool
    cluster: str
    sentence: str
    passages: Sequence[str]


def main() -> None:
    """Judge all pairs, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--pairs", type=int, default=300)
    arguments = parser.parse_args()
    embedder = SentenceTransformerEmbedder(RetrievalSettings().embedder)
    kinds: defaultdict[str, list[Pair]] = defaultdict(list)
    for read in (_squad, _mtrag, _scifact):
        for pair in read(arguments.data):
            kinds[pair.kind].append(pair)
    rows = []
    for kind, pairs in kinds.items():
        step = max(1, len(pairs) // arguments.pairs)
        chosen = pairs[::step][: arguments.pairs]
        rows.append(
            {
                "kind": kind,
                "is_supported": chosen[0].is_supported,
                "pairs": len(chosen),
                "by_words": _share(chosen, None),
                "with_token_vectors": _share(chosen, embedder),
            }
        )
        print(rows[-1])
    figures = {"embedder": embedder.name, "kinds": rows}
    (RESULTS / "grounding.json").write_text(json.dumps(figures, indent=2) + "\n")
    (RESULTS / "grounding.md").write_text(_markdown(rows))
    print(_markdown(rows))


def _squad(data: Path) -> Iterator[Pair]:
    dataset = load_dataset(data / "squad2_dev")
    documents = {one.document_id: one for one in dataset.documents()}
    names: defaultdict[str, list[str]] = defaultdict(list)
    for one in documents.values():
        names[_article(one)] += _NAME.findall(one.text)
    seen = set()
    for line in read_json_lines(dataset.folder / "queries.jsonl"):
        for evidence in line.fields.get("evidence", [])[:1]:
            document = documents[evidence["doc_id"]]
            sentence = _sentence_at(document.text, evidence["start"])
            if sentence in seen or len(sentence.split()) < MIN_WORDS:
                continue
            seen.add(sentence)
            article = _article(document)
            others = [
                one.text
                for one in documents.values()
                if _article(one) == article and one is not document
            ]
            pair = Pair("SQuAD: as it stands", True, article, sentence, [document.text])
            yield pair
            yield replace(
                pair,
                kind="SQuAD: another paragraph",
                is_supported=False,
                passages=[_RANDOM.choice(others)],
            )
            yield from _changed(pair, names[article])


def _changed(pair: Pair, names: Sequence[str]) -> Iterator[Pair]:
    """Yield a sentence with one thing in it changed."""
    sentence = pair.sentence
    if numbers := list(_NUMBER.finditer(sentence)):
        match = _RANDOM.choice(numbers)
        other = str(int(match.group()) + _RANDOM.choice((1, 2, 10)))
        yield _replace(pair, "SQuAD: another number", match.span(), other)
    found = list(_NAME.finditer(sentence))
    if others := [name for name in names if name not in sentence and found]:
        match = _RANDOM.choice(found)
        yield _replace(pair, "SQuAD: another name", match.span(), _RANDOM.choice(others))
    verb = _VERB.search(sentence)
    if verb and not _NEGATION.search(sentence):
        yield _replace(pair, "SQuAD: negated", (verb.end(), verb.end()), " not")


def _replace(pair: Pair, kind: str, span: tuple[int, int], text: str) -> Pair:
    start, end = span
    sentence = pair.sentence[:start] + text + pair.sentence[end:]
    return replace(pair, kind=kind, is_supported=False, sentence=sentence)


def _mtrag(data: Path) -> Iterator[Pair]:
    dataset = load_dataset(data / "mtrag_un")
    texts = {one.document_id: one.text for one in dataset.documents()}
    answered = [
        line
        for line in read_json_lines(dataset.folder / "queries.jsonl")
        if line.fields["answerability"] == "ANSWERABLE"
    ]
    for line in answered:
        query_id = line.text("_id")
        passages = [texts[one] for one in dataset.qrels[query_id]]
        other = _RANDOM.choice(
            [
                one.text("_id")
                for one in answered
                if one is not line and one.fields["collection"] == line.fields["collection"]
            ]
        )
        other_passages = [texts[one] for one in dataset.qrels[other]]
        for sentence in _claims(line.fields["answers"][0]):
            pair = Pair("MTRAG-UN: people's answers", True, query_id, sentence, passages)
            yield pair
            yield replace(
                pair,
                kind="MTRAG-UN: passages of another question",
                is_supported=False,
                passages=other_passages,
            )


def _scifact(data: Path) -> Iterator[Pair]:
    dataset = load_dataset(data / "scifact")
    wanted = {one for grades in dataset.qrels.values() for one in grades}
    texts = {one.document_id: one.text for one in dataset.documents() if one.document_id in wanted}
    for line in read_json_lines(dataset.folder / "queries.jsonl"):
        for evidence in line.fields.get("evidence", []):
            is_supported = evidence["label"] == "SUPPORT"
            yield Pair(
                f"SciFact: {'supported' if is_supported else 'contradicted'} claims",
                is_supported,
                line.text("_id"),
                line.text("text"),
                [texts[evidence["doc_id"]]],
            )


def _article(document: Document) -> str:
    return document.document_id.partition("-")[0]


def _sentence_at(text: str, position: int) -> str:
    return next(
        text[start:end] for start, end in reversed(sentence_spans(text)) if start <= position
    )


def _claims(answer: str) -> Iterable[str]:
    """Return the sentences of an answer that claim something."""
    return [
        answer[one.start : one.end]
        for one in judge_support(answer, [], ENGLISH)
        if one.support is not Support.NO_CLAIM
    ]


def _share(pairs: Sequence[Pair], embedder: Embedder | None) -> dict[str, float]:
    """Return the share of pairs that are judged as supported, with its interval."""
    verdicts = [float(_is_supported(pair, embedder)) for pair in pairs]
    interval = question_t_interval(verdicts, [pair.cluster for pair in pairs])
    if interval is None:
        return {}
    return {
        "mean": round(interval.mean, 3),
        "low": round(max(0.0, interval.low), 3),
        "high": round(min(1.0, interval.high), 3),
    }


def _is_supported(pair: Pair, embedder: Embedder | None) -> bool:
    return any(
        not what_lacks(pair.sentence, _item(text), ENGLISH, embedder) for text in pair.passages
    )


def _item(text: str) -> ContextItem:
    return ContextItem(1, Passage("", "", 0, len(text), text, (), "", (), 0), "")


def _markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "| sentence and passage | supported? | pairs | judged so by words | with token vectors |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['kind']} | {'yes' if row['is_supported'] else 'no'} | {row['pairs']} "
            f"| {_cell(row['by_words'])} | {_cell(row['with_token_vectors'])} |"
        )
    return "\n".join(lines) + "\n"


def _cell(share: Mapping[str, float]) -> str:
    return f"{share['mean']:.3f} ({share['low']:.3f} to {share['high']:.3f})"


if __name__ == "__main__":
    main()
