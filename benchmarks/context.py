"""How small can the context be: tuned and certified, beside the peers' defaults and other rules.

Usage: python -m benchmarks.context DATA --cache DIR [--minutes N]
DATA holds the folders chunking_eval, squad2_dev, scifact and uda_pdf. DIR keeps vectors and what
was found; a run that was ended goes on from there. After N minutes no further way to cut documents
is embedded, and those that are there are measured. Writes benchmarks/results/context.json and
context.md; `python -m benchmarks.plots context` draws them.

Settings are chosen on one part of the questions and measured on the other; the split, the tests and
the grid are those of `suffice eval tune`. Every context is ranked by our hybrid search and its
tokens are the embedder's, with 8 for the label of each passage; the question and the instructions
do not count. So the peers' rows differ from ours in how many chunks of what size they take, and in
that they put them into the prompt as they are.
"""

import argparse
import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from math import ceil
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from benchmarks.cuttings import PEER_TOKENS, SIZES, Logs, Way, cached_embedder, ways
from benchmarks.evidence_sets import EvidenceSet, chunking_eval, scifact, squad, uda_pdf
from eval.choice import Chooser, Goal
from eval.clusters import split_few_clusters
from eval.grid import MOST_CHUNKS, NUM_CHUNKS, make_grid
from eval.measurements import Measurements
from eval.pareto import thin
from eval.questions import Question
from eval.replay import DEPTH, Replay
from eval.results import Cut, Verdict
from eval.spans import RetrievedSpan, score_spans
from eval.split import split_by_cluster
from eval.sweep import PromptTokens, Sweep, sweep
from eval.tuning import describe
from retrieval.adaptive import LargestGap
from retrieval.embedding import Embedder
from retrieval.profiles import Mode, RetrievalProfile
from retrieval.settings import RetrievalSettings
from serving.settings import ServingSettings

RESULTS = Path(__file__).resolve().parent / "results"
LABEL_TOKENS = 8
# Splits into a half that is tuned and certified on and a half that sees what came of it.
NUM_HALVES = 40
# Further splits into questions to choose with and questions to test on.
NUM_SPLITS = 20
MIN_COVERAGE = 0.8
ALL_EVIDENCE = "all evidence"
MEDIAN_PEER = "NVIDIA RAG"
SERVED, ADAPTIVE_K, ARGMAX = "served", "adaptive-k", "most coverage"
NUM_SHOWN = 16


@dataclass(frozen=True, slots=True)
class Peer:
    """What a peer puts into the prompt by default.

    Attributes:
        num_chunks: how many.
        way: how documents are cut.
        num_candidates: of each search, as far as records go (`DEPTH`).
    """

    num_chunks: int
    way: str = f"{PEER_TOKENS}/0"
    num_candidates: int = 30


# From the peers' sources, read in August 2026. Only Onyx's 512 tokens and R2R's 1,024 characters
# are known to be their sizes of a chunk; the others are given 512 as well.
PEERS = {
    "AnythingLLM": Peer(4),
    "RAGFlow": Peer(6, num_candidates=1024),
    MEDIAN_PEER: Peer(10, num_candidates=100),
    "R2R": Peer(10, way="1024/512 characters"),
    "LightRAG": Peer(20),
    "Onyx": Peer(25, num_candidates=50),
    "PrivateGPT": Peer(32),
}
# The values of its authors' scripts (Taguchi et al., arXiv 2506.08479): five chunks beyond the
# largest gap between the cosines of neighbours; gaps among the last tenth do not count.
ADAPTIVE = LargestGap(extra=5, k_max=DEPTH * 9 // 10)


def main() -> None:
    """Record what is not yet recorded, measure, write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    arguments = parser.parse_args()
    language = RetrievalSettings().language
    with cached_embedder(arguments.cache) as embedder:
        logs = Logs(arguments.cache / "context", embedder, language)
        results = _run(arguments.data, embedder, logs, monotonic() + 60 * arguments.minutes)
    (RESULTS / "context.json").write_text(json.dumps(results, indent=1) + "\n")
    table = _table(results["data_sets"])
    (RESULTS / "context.md").write_text(table)
    print(table)


def _run(data: Path, embedder: Embedder, logs: Logs, end: float) -> dict[str, Any]:
    data_sets = (
        squad(data / "squad2_dev", whole_articles=True),
        chunking_eval(data / "chunking_eval"),
        scifact(data / "scifact"),
        scifact(data / "scifact", rationales_only=True),
        uda_pdf(data / "uda_pdf"),
    )
    for way in ways(embedder):
        for one in data_sets:
            if monotonic() < end:
                logs.record(one, way)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "embedder": embedder.name,
        "eps": Goal().eps,
        "delta": Goal().delta,
        "data_sets": {one.name: measure(one, embedder, logs) for one in data_sets},
    }


def measure(data: EvidenceSet, embedder: Embedder, logs: Logs) -> dict[str, Any]:
    """Return what was found about a data set, see `_Comparison`."""
    settings = measure_settings(data, embedder, logs)
    return {
        "num_documents": len(data.texts),
        "cut_at": settings.ways,
        **_Comparison(settings).results(),
    }


def measure_settings(data: EvidenceSet, embedder: Embedder, logs: Logs) -> "MeasuredSettings":
    """Return what all settings find, of the ways to cut the documents that were recorded."""
    settings = MeasuredSettings(data, embedder, logs.folder)
    for way in ways(embedder):
        log = logs.find(data, way)
        if log is not None:
            with closing(Replay(log, embedder)) as replay:
                settings.add(way, replay)
    return settings


class Family(StrEnum):
    """What decides how much goes into the context."""

    FIXED = "fixed number"
    BUDGET = "budget of tokens"
    RULE = "rule on scores"
    SENTENCES = "best sentences"


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of the measurements.

    Attributes:
        label: in words.
        way: how documents are cut.
        family: what decides how much.
        is_packed: whether chunks are stitched and doubles left out; else each is there as it is.
        num_chunks: of those that search as the service does and take a fixed number, without the
            sections around, else None.
    """

    label: str
    way: str
    family: Family = Family.FIXED
    is_packed: bool = True
    num_chunks: int | None = None


class MeasuredSettings:
    """Settings of a data set with what they find: a grid, and references that are not in it.

    Attributes:
        questions: of the data set, the columns of the measurements.
        rows: all settings.
        references: name -> its row.
        grid: rows that may be chosen.
        ways: names of the ways to cut the documents that the grid has.
    """

    def __init__(self, data: EvidenceSet, embedder: Embedder, folder: Path) -> None:
        """Set up without settings.

        Args:
            data: that is searched.
            embedder: counts tokens.
            folder: keeps what was found.
        """
        self._data = data
        self._folder = folder
        self._count = embedder.count_tokens
        self._base = (
            RetrievalSettings().profile().model_copy(update={"top_k": ServingSettings().top_k})
        )
        self._sweeps: list[Sweep] = []
        # As the tuner does, which tries no chunks of the peers' size.
        self.questions = split_few_clusters(data.questions, max(SIZES))
        self.rows: list[Setting] = []
        self.references: dict[str, int] = {}
        self.grid: list[int] = []
        self.ways: list[str] = []

    @cached_property
    def measurements(self) -> Measurements:
        """A row for each setting, in their order; to be asked for when all are there."""
        frames = np.zeros(len(self.questions))
        return Measurements.of(self._sweeps, frames, [one.cluster for one in self.questions])

    def part(self, questions: Sequence[int], rows: Sequence[int] | None = None) -> Measurements:
        """Return some rows of some questions; without rows, all."""
        whole = self.measurements
        places = np.ix_(range(len(self.rows)) if rows is None else rows, questions)
        return Measurements(
            whole.coverage[places],
            whole.sufficient[places],
            whole.tokens[places],
            whole.num_chunks[places],
            [whole.clusters[place] for place in questions],
        )

    def add(self, way: Way, replay: Replay) -> None:
        """Measure what cuts documents in a way; the first way is that of the service."""
        if way.is_served:
            self.ways.append(way.name)
            self.grid += self._add_packed(way, replay)
            self.grid += self._add_plain(way, replay, self._base, NUM_CHUNKS)
        if SERVED not in self.references:
            self.references[SERVED] = 0
            self.references[ADAPTIVE_K] = self._add_adaptive(way, replay)
        for name, peer in PEERS.items():
            if peer.way == way.name:
                candidates = min(peer.num_candidates, DEPTH)
                search = self._base.model_copy(update={"num_candidates": candidates})
                (row,) = self._add_plain(way, replay, search, [peer.num_chunks])
                self.references[name] = row

    def _add_packed(self, way: Way, replay: Replay) -> range:
        base, chunker = self._base, way.chunker
        cut = Cut(
            max_tokens=chunker.max_tokens,
            overlap_tokens=chunker.overlap_tokens,
            min_tokens=chunker.min_tokens,
            fingerprint=chunker.fingerprint,
        )
        most_now = ceil(ServingSettings().top_k * SIZES[0] / cut.max_tokens)
        profiles = list(
            dict.fromkeys([base, *make_grid(base, min(most_now, MOST_CHUNKS), has_reranker=False)])
        )
        settings = []
        for profile in profiles:
            family = Family.FIXED
            if profile.rule is not None:
                family = Family.RULE
            elif profile.packing.sentences:
                family = Family.SENTENCES
            elif profile.packing.max_tokens is not None:
                family = Family.BUDGET
            searches_so = (profile.mode, profile.dense_weight) == (base.mode, base.dense_weight)
            is_plain = family is Family.FIXED and not profile.packing.expand
            num_chunks = profile.top_k if is_plain and searches_so else None
            label = describe(profile, base, cut)
            settings.append(Setting(label, way.name, family, num_chunks=num_chunks))
        return self._add(settings, self._sweep(replay, profiles))

    def _add_adaptive(self, way: Way, replay: Replay) -> int:
        profile = RetrievalProfile(mode=Mode.DENSE, num_candidates=DEPTH, rule=ADAPTIVE)
        setting = Setting("adaptive-k", way.name, Family.RULE)
        return self._add([setting], self._sweep(replay, [profile]))[0]

    def _sweep(self, replay: Replay, profiles: Sequence[RetrievalProfile]) -> Sweep:
        """Sweep, or read what an earlier run has found."""
        asked = [(one.question_id, one.text, one.facts) for one in self.questions]
        digest = hashlib.sha256(f"{replay.log.fingerprint} {asked}".encode())
        for profile in profiles:
            digest.update(profile.model_dump_json().encode())
        path = self._folder / f"{digest.hexdigest()[:16]}.npz"
        if path.exists():
            with np.load(path) as arrays:
                return Sweep(**arrays)
        tokens = PromptTokens(self._count, lambda _: LABEL_TOKENS, lambda _: 0)
        snapshot, top_k = self._data.snapshot, ServingSettings().top_k
        found = sweep(replay, self.questions, profiles, snapshot, tokens, default_k=top_k)
        np.savez(path, **asdict(found))
        return found

    def _add_plain(
        self, way: Way, replay: Replay, search: RetrievalProfile, numbers: Sequence[int]
    ) -> range:
        """Put the first hits into the context as they are, each with its head and a label."""
        shape = (len(numbers), len(self.questions))
        recall, sufficient, tokens = (np.zeros(shape, np.float32) for _ in range(3))
        for column, question in enumerate(self.questions):
            hits = replay.search(question.question_id, search, max(numbers)).hits
            spans = [
                RetrievedSpan(
                    hit.chunk.document_id,
                    hit.chunk.start,
                    hit.chunk.end,
                    self._count(hit.chunk.passage) + LABEL_TOKENS,
                )
                for hit in hits
            ]
            for row, number in enumerate(numbers):
                scores = score_spans(question.facts, spans[:number])
                recall[row, column] = scores.recall
                sufficient[row, column] = scores.sufficient
                tokens[row, column] = sum(span.token_count for span in spans[:number])
        num_chunks = np.repeat(np.array(numbers, np.float32)[:, None], shape[1], axis=1)
        settings = [
            Setting(
                f"{number} chunks of {way.name}, unpacked",
                way.name,
                is_packed=False,
                num_chunks=number,
            )
            for number in numbers
        ]
        return self._add(settings, Sweep(recall, sufficient, tokens, num_chunks))

    def _add(self, settings: Sequence[Setting], found: Sweep) -> range:
        start = len(self.rows)
        self.rows += settings
        self._sweeps.append(found)
        return range(start, len(self.rows))


class _Comparison:
    """What can take the place of what, chosen and measured on different questions."""

    def __init__(self, settings: MeasuredSettings) -> None:
        self._settings = settings
        self._rows = settings.rows
        self._questions = settings.questions
        split = split_by_cluster(self._questions)
        self._sides = (self._places(split.tune), self._places(split.certify))
        self._tune, self._held_out = (self._settings.part(side) for side in self._sides)
        tuned = self._tune.means(self._tune.coverage)
        most = max(settings.grid, key=lambda row: float(tuned[row]))
        self._references = {**settings.references, ARGMAX: most}

    def results(self) -> dict[str, Any]:
        """Return all that is compared."""
        choosers = {
            name: self._chooser(row, *self._sides) for name, row in self._references.items()
        }
        front = thin(choosers[SERVED].front(), NUM_SHOWN)
        return {
            "num_questions": len(self._questions),
            "num_clusters": self._settings.measurements.num_items,
            "num_tune": len(self._sides[0]),
            "num_held_out": len(self._sides[1]),
            "num_settings": len(self._settings.grid),
            "references": {
                name: self._replace(row, choosers[name]) for name, row in self._references.items()
            },
            "families": self._families(),
            "splits": {name: self._splits(name) for name in self._main_references()},
            "halves": {
                **{name: self._halves(name, Goal()) for name in self._main_references()},
                ALL_EVIDENCE: self._halves(SERVED, Goal(min_coverage=MIN_COVERAGE)),
            },
            "curves": self._curves(),
            "front": [self._point(self._row(SERVED, number)) for number in front],
        }

    def _main_references(self) -> list[str]:
        return [name for name in (SERVED, MEDIAN_PEER) if name in self._references]

    def _places(self, questions: Sequence[Question]) -> list[int]:
        numbers = {one.question_id: number for number, one in enumerate(self._questions)}
        return [numbers[one.question_id] for one in questions]

    def _chooser(self, reference: int, tune: Sequence[int], certify: Sequence[int]) -> Chooser:
        rows = [reference, *self._settings.grid]
        return Chooser(
            self._settings.part(tune, rows),
            self._settings.part(certify, rows),
            lambda number: self._rows[rows[number]].label,
            None,
        )

    def _row(self, reference: str, number: int) -> int:
        """Return the row of a chooser's setting."""
        return [self._references[reference], *self._settings.grid][number]

    def _replace(self, reference: int, chooser: Chooser) -> dict[str, Any]:
        """Return what could take the place of a reference.

        That is what is certified, what is served, and the cheapest that found as much: of the
        questions that settings are chosen with. What it finds of the others is measured.
        """
        choice = chooser.choose(Goal())
        certified = [reference, *self._settings.grid][choice.chosen]
        return {
            **self._point(reference),
            "certified": {
                "verdict": choice.verdict,
                "questions_needed": choice.questions_needed,
                **self._compare(reference, certified),
            },
            "untuned": self._compare(reference, self._references[SERVED]),
            "as_much": self._compare(reference, self._cheapest(reference, self._settings.grid)),
        }

    def _cheapest(self, reference: int, rows: Sequence[int]) -> int:
        """Return the cheapest row that finds no less than a reference, else the one with most."""
        tokens = self._tune.means(self._tune.tokens)
        coverage = self._tune.means(self._tune.coverage)
        as_much = [row for row in rows if coverage[row] >= coverage[reference]]
        if not as_much:
            return max(rows, key=lambda row: float(coverage[row]))
        return min(as_much, key=lambda row: (float(tokens[row]), -float(coverage[row])))

    def _families(self) -> dict[str, Any]:
        """Return the cheapest of each family that finds as much as what is served.

        Each is compared with the fixed number.
        """
        served = self._references[SERVED]
        chosen = {
            family: self._cheapest(
                served, [row for row in self._settings.grid if self._rows[row].family is family]
            )
            for family in Family
        }
        fixed = chosen[Family.FIXED]
        return {family: self._compare(fixed, row) for family, row in chosen.items()}

    def _splits(self, reference: str) -> dict[str, Any]:
        """Return what other splits of the questions certify; nothing certified saves nothing."""
        row = self._references[reference]
        savings = []
        for seed in range(1, NUM_SPLITS + 1):
            split = split_by_cluster(self._questions, seed)
            tune, certify = self._places(split.tune), self._places(split.certify)
            chosen = self._row(reference, self._chooser(row, tune, certify).choose(Goal()).chosen)
            part = self._settings.part(certify, [row, chosen])
            before, after = part.means(part.tokens)
            savings.append(float(1 - after / before))
        return {
            "num_splits": NUM_SPLITS,
            "num_certified": sum(saving != 0 for saving in savings),
            "mean_share_saved": float(np.mean(savings)),
            "least": min(savings),
            "most": max(savings),
        }

    def _halves(self, reference: str, goal: Goal) -> dict[str, Any]:
        """Tune and certify on one half of the questions again and again; see what the other says.

        The other half has no part in choice or test, so it tells what was really lost: of what the
        reference finds, or of all evidence where a coverage is asked for.
        """
        row = self._references[reference]
        losses = []
        for seed in range(NUM_HALVES):
            halves = split_by_cluster(self._questions, seed, 0.5)
            split = split_by_cluster(halves.tune, NUM_HALVES + seed)
            chooser = self._chooser(row, self._places(split.tune), self._places(split.certify))
            choice = chooser.choose(goal)
            if choice.verdict is Verdict.CERTIFIED:
                chosen = self._row(reference, choice.chosen)
                unseen = self._settings.part(self._places(halves.certify), [row, chosen])
                before, after = unseen.means(unseen.coverage)
                losses.append(float((1 if goal.min_coverage else before) - after))
        promised = 1 - goal.min_coverage if goal.min_coverage else goal.eps
        return {
            "num_halves": NUM_HALVES,
            "num_certified": len(losses),
            "promised": round(promised, 6),
            "mean_loss": float(np.mean(losses)) if losses else None,
            "most_loss": max(losses, default=None),
            "num_above": sum(loss > promised for loss in losses),
        }

    def _curves(self) -> list[dict[str, Any]]:
        """Return coverage and tokens over the number of chunks, for each way to cut, both ways."""
        return [
            {"num_chunks": one.num_chunks, "is_packed": one.is_packed, **self._point(row)}
            for row, one in enumerate(self._rows)
            if row in self._settings.grid and one.num_chunks is not None
        ]

    def _point(self, row: int) -> dict[str, Any]:
        coverage = self._held_out.interval(self._held_out.coverage[row])
        return {
            "label": self._rows[row].label,
            "cut_at": self._rows[row].way,
            "tokens": float(self._held_out.means(self._held_out.tokens[row])),
            "coverage": asdict(coverage),
            "coverage_when_chosen": float(self._tune.means(self._tune.coverage[row])),
        }

    def _compare(self, reference: int, row: int) -> dict[str, Any]:
        held_out = self._held_out
        tokens, coverage = held_out.tokens, held_out.coverage
        saved = held_out.interval(tokens[reference] - tokens[row])
        before = float(held_out.means(tokens[reference]))
        return {
            **self._point(row),
            "coverage_gained": asdict(held_out.interval(coverage[row] - coverage[reference])),
            "share_saved": {
                "mean": saved.mean / before,
                "low": saved.low / before,
                "high": saved.high / before,
            },
        }


def _table(data_sets: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the figures as Markdown."""
    replaced = "instead | tokens | saved, 95 % | coverage gained, 95 %"
    parts = {
        "Certified: not worse than the reference by more than 0.03, with error at most 5 %": (
            f"reference | tokens | coverage | certified {replaced}",
            _replacements(data_sets, "certified"),
        ),
        "What is served, untuned": (
            f"reference | tokens | coverage | {replaced}",
            _replacements(data_sets, "untuned"),
        ),
        "The cheapest that found as much as the reference on the questions to choose with": (
            f"reference | tokens | coverage | {replaced}",
            _replacements(data_sets, "as_much"),
        ),
        "The cheapest of each family that found as much as what is served": (
            "family | setting | tokens | coverage | saved against the fixed number, 95 % "
            "| coverage gained, 95 %",
            _families(data_sets),
        ),
        f"What {NUM_SPLITS} other splits certify; where nothing is, nothing is saved": (
            "reference | certified | saved | least | most",
            _splits(data_sets),
        ),
        f"Tuned and certified on one of {NUM_HALVES} random halves, seen on the other": (
            "reference | promised loss | certified | mean loss | most | above the promise",
            _halves(data_sets),
        ),
    }
    text = ""
    for title, (head, rows) in parts.items():
        rule = "|---" * (head.count(" | ") + 2)
        text += "\n".join([f"{title}:\n", f"| data set | {head} |", f"{rule}|", *rows]) + "\n\n"
    return text.rstrip() + "\n"


def _families(data_sets: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, result in data_sets.items():
        for family, one in result["families"].items():
            yield (
                f"| {name} | {family} | {one['label']} | {one['tokens']:,.0f} "
                f"| {one['coverage']['mean']:.3f} | {_percent(one['share_saved'])} "
                f"| {_interval(one['coverage_gained'])} |"
            )


def _splits(data_sets: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, result in data_sets.items():
        for reference, one in result["splits"].items():
            yield (
                f"| {name} | {reference} | {one['num_certified']} of {one['num_splits']} "
                f"| {one['mean_share_saved']:.0%} | {one['least']:.0%} | {one['most']:.0%} |"
            )


def _halves(data_sets: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, result in data_sets.items():
        for reference, one in result["halves"].items():
            loss = " | "
            if one["num_certified"]:
                loss = f"{one['mean_loss']:+.3f} | {one['most_loss']:+.3f}"
            yield (
                f"| {name} | {reference} | {one['promised']:.2f} "
                f"| {one['num_certified']} of {one['num_halves']} | {loss} | {one['num_above']} |"
            )


def _replacements(data_sets: Mapping[str, Mapping[str, Any]], kind: str) -> Iterator[str]:
    for name, result in data_sets.items():
        for reference, one in result["references"].items():
            coverage = f"{one['coverage']['mean']:.3f}"
            before = f"{reference}: {one['label']} | {one['tokens']:,.0f} | {coverage}"
            other = one[kind]
            if other.get("verdict", Verdict.CERTIFIED) is Verdict.CERTIFIED:
                after = (
                    f"{other['label']} | {other['tokens']:,.0f} | {_percent(other['share_saved'])} "
                    f"| {_interval(other['coverage_gained'])}"
                )
            elif other["questions_needed"]:
                after = f"cannot tell: about {other['questions_needed']:,} more questions | | |"
            else:
                after = "keep it | | |"
            yield f"| {name} | {before} | {after} |"


def _percent(share: Mapping[str, float]) -> str:
    return f"{share['mean']:.0%} ({share['low']:.0%} to {share['high']:.0%})"


def _interval(one: Mapping[str, float]) -> str:
    return f"{one['mean']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f})"


if __name__ == "__main__":
    main()
