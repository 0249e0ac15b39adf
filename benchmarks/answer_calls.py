"""How many of a full grid's calls does a choice by answers take, and what does it lose by that?

Usage: python -m benchmarks.answer_calls DATA --cache DIR
DATA and DIR are those of benchmarks.context, which records the searches. What is retrieved is real:
all settings of `suffice eval tune` on squad2_dev and chunking_eval, cut in several ways. What a
model makes of it is drawn: of each context the chance of a right answer is known, so the quality of
each setting is. A full grid asks the model about every setting that takes no more tokens than what
is served, and every question of the part to choose with, and takes the best mean; the tuner asks
about what its replay left over, and races these. Regret is of the questions that were not asked, so
even one who knows the chances of those to choose with has some.
Writes benchmarks/results/answer_calls.json.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from benchmarks.context import RESULTS, SERVED, MeasuredSettings, measure_settings
from benchmarks.cuttings import Logs, cached_embedder
from benchmarks.evidence_sets import chunking_eval, squad
from eval.answer_quality import BLOCK
from eval.choice import Chooser, Goal
from eval.decisions.items import Floats
from eval.decisions.racing import Race
from eval.pareto import thin
from eval.split import split_by_cluster
from eval.tuning import MOST_ANSWERED
from retrieval.settings import RetrievalSettings

NUM_RUNS = 100
REGRET = 0.01
# Chance of a right answer from all of the evidence in a short context, and from none of it.
READING, GUESSING = 0.9, 0.1
# What each doubling of the context beyond so many tokens takes of it.
DILUTION, SHORT = 0.02, 500
# Share of the questions that are right or wrong alike under all settings of equal chances.
ALIKE = 0.7


@dataclass(frozen=True, slots=True)
class Choice:
    """What one way to choose took and chose.

    Attributes:
        num_calls: of the model, one for each answer.
        regret: by how much what was chosen is worse than the best that it was chosen from.
        tokens: of the prompts of what was chosen.
    """

    num_calls: int
    regret: float
    tokens: float


def main() -> None:
    """Measure both sets and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    arguments = parser.parse_args()
    with cached_embedder(arguments.cache) as embedder:
        logs = Logs(arguments.cache / "context", embedder, RetrievalSettings().language)
        data_sets = {
            data.name: _figures(measure_settings(data, embedder, logs))
            for data in (
                squad(arguments.data / "squad2_dev", whole_articles=True),
                chunking_eval(arguments.data / "chunking_eval"),
            )
        }
    results = {"date": datetime.now(UTC).date().isoformat(), "data_sets": data_sets}
    (RESULTS / "answer_calls.json").write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


def _figures(settings: MeasuredSettings) -> dict[str, Any]:
    chances = _chances(settings)
    runs = [_run(settings, chances, seed) for seed in range(NUM_RUNS)]
    choices = np.array([[astuple(choice) for choice in run] for run in runs])
    knowing, grid, tuner = choices.transpose(1, 0, 2)
    return {
        "num_settings": len(settings.grid),
        "num_questions": len(settings.questions),
        "ways_to_cut": settings.ways,
        "num_runs": NUM_RUNS,
        "share_of_calls": float(np.mean(tuner[:, 0] / grid[:, 0])),
        "knowing": _summary(knowing),
        "full_grid": _summary(grid),
        "tuner": _summary(tuner),
    }


def _summary(choices: Floats) -> dict[str, float]:
    calls, regrets, tokens = choices.T
    return {
        "num_calls": float(calls.mean()),
        "regret": round(float(regrets.mean()), 4),
        "regret_p95": round(float(np.percentile(regrets, 95)), 4),
        f"regret_above_{REGRET}": float(np.mean(regrets > REGRET)),
        "tokens": round(float(tokens.mean())),
    }


def _chances(settings: MeasuredSettings) -> Floats:
    """Return how probable a right answer is: (settings of the grid, questions)."""
    found = settings.measurements
    coverage, tokens = found.coverage[settings.grid], found.tokens[settings.grid]
    dilution = DILUTION * np.log2(np.maximum(tokens, SHORT) / SHORT)
    chances: Floats = np.clip(GUESSING + (READING - GUESSING) * coverage - dilution, 0, 1)
    return chances


def _run(settings: MeasuredSettings, chances: Floats, seed: int) -> tuple[Choice, Choice, Choice]:
    """Return what one who knows the chances, the full grid and the tuner choose."""
    random = np.random.default_rng(seed)
    split = split_by_cluster(settings.questions, seed)
    numbers = {one.question_id: place for place, one in enumerate(settings.questions)}
    tune = [numbers[one.question_id] for one in split.tune]
    certify = [numbers[one.question_id] for one in split.certify]
    right = _draw(chances[:, tune], random)
    tokens = settings.measurements.tokens[settings.grid]
    costs = tokens[:, tune].mean(axis=1)
    served = settings.grid.index(settings.references[SERVED])
    grid = np.flatnonzero(costs <= costs[served])
    truth, paid = chances[:, certify].mean(axis=1), tokens[:, certify].mean(axis=1)

    def judge(number: int, num_calls: int) -> Choice:
        return Choice(num_calls, float(truth[grid].max() - truth[number]), float(paid[number]))

    clusters = [settings.questions[place].cluster for place in tune]
    leader, num_calls = _race(_survivors(settings, tune, certify), right, clusters, random)
    known = grid[chances[grid][:, tune].mean(axis=1).argmax()]
    best = grid[right[grid].mean(axis=1).argmax()]
    return judge(int(known), 0), judge(int(best), grid.size * len(tune)), judge(leader, num_calls)


def _draw(chances: Floats, random: Generator) -> Floats:
    """Draw right and wrong answers; most luck is that of the question, whatever the setting."""
    alike = random.random((1, chances.shape[1]))
    alone = random.random(chances.shape)
    luck = np.where(random.random((1, chances.shape[1])) < ALIKE, alike, alone)
    return (luck < chances).astype(float)


def _survivors(
    settings: MeasuredSettings, tune: Sequence[int], certify: Sequence[int]
) -> list[int]:
    """Return what the tuner lets a model answer with: the reference, and its candidates."""
    rows = [settings.references[SERVED], *settings.grid]
    chooser = Chooser(settings.part(tune, rows), settings.part(certify, rows), str, None)
    candidates = thin(chooser.choose(Goal()).candidates, MOST_ANSWERED)
    places = {row: number for number, row in enumerate(settings.grid)}
    return [places[rows[one]] for one in (0, *candidates)]


def _race(
    survivors: Sequence[int], right: Floats, clusters: Sequence[str], random: Generator
) -> tuple[int, int]:
    """Return what leads at the end of a race, and the answers that it took."""
    order = random.permutation(len(clusters))
    race = Race(len(survivors), ceil(len(order) / BLOCK), margin=Goal().eps)
    for start in range(0, len(order), BLOCK):
        block = order[start : start + BLOCK]
        running = [survivors[one] for one in race.remaining]
        race.add(right[running][:, block], [clusters[place] for place in block])
        if len(race.remaining) == 1:
            break
    return survivors[race.leader], race.num_scores


if __name__ == "__main__":
    main()
