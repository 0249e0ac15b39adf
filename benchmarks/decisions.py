"""Do the decisions of eval/decisions err as rarely as they promise? Simulated, the truth is known.

Usage: python -m benchmarks.decisions [--runs N]
Draws questions from the worlds of simulated_worlds.py, decides N times, and counts errors: ours,
and those of the plain rules that people use instead. Writes benchmarks/results/decisions.json and
decisions.md. The tests make the same experiments with fewer runs.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import stdtr  # type: ignore[import-untyped]

from benchmarks.simulated_worlds import (
    BEYOND,
    BOUNDARY,
    EPS,
    GRIDS,
    INFEASIBLE,
    JUDGED_MEAN,
    RETRIEVALS,
    WITHIN,
    InvertedU,
    Retrieval,
    clustered_losses,
    equal_flips,
    judged,
    losses,
    racers,
)
from eval.decisions.gate import Outcome, compare
from eval.decisions.items import Floats, cluster_means
from eval.decisions.prediction_powered import prediction_powered_mean
from eval.decisions.pvalues import PairedTest, RiskTest, paired_p_value
from eval.decisions.racing import Race
from eval.decisions.risk_control import (
    RiskControl,
    Verdict,
    conformal_risk_control,
    learn_then_test,
)
from eval.decisions.sequence import Mode, certify
from serving.drift import DriftDetector

RESULTS = Path(__file__).resolve().parent / "results"
DELTA = 0.05


@dataclass(frozen=True, slots=True)
class Figure:
    """How often a method erred, beside what it promises.

    Attributes:
        items: how many each decision had.
        error: share of the runs, or the mean of what must stay below the promise.
        promise: the largest error that is allowed; None where none is promised.
        standard_error: of the error, were it as large as the promise.
        also: what else the runs showed.
    """

    case: str
    method: str
    items: int
    error: float
    promise: float | None
    standard_error: float
    also: Mapping[str, float] = field(default_factory=dict)

    @property
    def kept(self) -> bool:
        """Whether the error is at most two standard errors above the promise."""
        return self.promise is None or self.error <= self.promise + 2 * self.standard_error


def share(
    method: str,
    errors: Sequence[bool] | NDArray[np.bool_],
    promise: float | None,
    *,
    case: str = "",
    items: int = 0,
    **also: float,
) -> Figure:
    """Return the figure of errors that were counted."""
    at_most = 0.5 if promise is None else promise
    standard_error = sqrt(at_most * (1 - at_most) / len(errors))
    return Figure(case, method, items, float(np.mean(errors)), promise, standard_error, also)


def plain_t(differences: Floats, eps: float) -> Floats:
    """Return p-values of the t test as it is; without any spread it is certain."""
    num_items = differences.shape[-1]
    errors = differences.std(axis=-1, ddof=1) / sqrt(num_items)
    excess = differences.mean(axis=-1) - eps
    limits = np.where(excess < 0, -np.inf, np.inf)
    p_values: Floats = stdtr(num_items - 1, np.divide(excess, errors, out=limits, where=errors > 0))
    return p_values


def type_one_errors(random: Generator, num_runs: int) -> list[Figure]:
    """Test a candidate that is worse by exactly eps: every success is an error."""
    figures = []
    for case, draw in BOUNDARY.items():
        for items in (30, 50, 100, 200, 400):
            drawn = draw(random, (num_runs, items))
            errors = plain_t(drawn, EPS) <= DELTA
            figures.append(share("plain t", errors, DELTA, case=case, items=items))
            for test in PairedTest:
                errors = paired_p_value(test, drawn, EPS, DELTA) <= DELTA
                figures.append(share(test, errors, DELTA, case=case, items=items))
    return figures


def power(random: Generator, num_runs: int) -> list[Figure]:
    """Test a candidate that is as good as the reference: failures are misses, not errors."""
    figures = []
    for items in (200, 400, 800):
        drawn = equal_flips(random, (num_runs, items))
        for test in PairedTest:
            missed = paired_p_value(test, drawn, EPS, DELTA) > DELTA
            figures.append(share(test, missed, None, case="equally good", items=items))
    return figures


def cluster_errors(random: Generator, num_runs: int) -> list[Figure]:
    """Test as in `type_one_errors`, with questions that lose together."""
    num_clusters, cluster_size = 100, 10
    drawn = clustered_losses(random, num_runs, num_clusters, cluster_size)
    labels = [str(cluster) for cluster in range(num_clusters) for _ in range(cluster_size)]
    items = {"clusters": cluster_means(drawn, labels), "questions": drawn}
    return [
        share(
            f"{test} over {name}",
            paired_p_value(test, values, EPS, DELTA) <= DELTA,
            DELTA,
            case=f"{num_clusters} clusters of {cluster_size}",
            items=values.shape[1],
        )
        for name, values in items.items()
        for test in PairedTest
    ]


def within_of_best(quality: Floats, eps: float) -> int:
    """Choose as people do: the first row whose mean is within eps of the best mean."""
    means = quality.mean(axis=1)
    return int(np.argmax(means >= means.max() - eps))


def fixed_sequence(
    random: Generator, num_runs: int, sizes: Sequence[int] = (200, 400, 800, 1600)
) -> list[Figure]:
    """Choose the smallest k that is not worse than the best one by 0.03 or more."""
    world = InvertedU()
    order = range(world.reference, -1, -1)
    bad = np.array(world.means) <= max(world.means) - world.eps + 1e-9

    def certified(quality: Floats, test: PairedTest, mode: Mode) -> int | None:
        return certify(quality, order, eps=world.eps, delta=DELTA, test=test, mode=mode).certified

    methods: dict[str, Callable[[Floats], int | None]] = {
        "within eps of the best mean": lambda quality: within_of_best(quality, world.eps),
        "wsr": lambda quality: certified(quality, PairedTest.WSR, Mode.REFERENCE),
        "t_plus_one": lambda quality: certified(quality, PairedTest.T_PLUS_ONE, Mode.REFERENCE),
        "t_plus_one, mode best": lambda quality: certified(
            quality, PairedTest.T_PLUS_ONE, Mode.BEST
        ),
    }
    figures = []
    for items in sizes:
        drawn = [world.draw(random, items) for _ in range(num_runs)]
        for name, choose in methods.items():
            chosen = [choose(quality) for quality in drawn]
            rows = [world.reference if row is None else row for row in chosen]
            figures.append(
                share(
                    name,
                    [bool(bad[row]) for row in rows],
                    DELTA,
                    case="inverted U",
                    items=items,
                    mean_k=float(np.mean([world.ks[row] for row in rows])),
                    certified=float(np.mean([row is not None for row in chosen])),
                )
            )
    return figures


ALPHA = 0.1
RISK_DELTA = 0.1


def plug_in(drawn: Floats, alpha: float) -> RiskControl:
    """Choose the least context whose mean loss is within the bound on the questions at hand."""
    risks = drawn.mean(axis=1)
    num_within = int(np.sum(risks <= alpha))
    verdict = Verdict.CERTIFIED if num_within else Verdict.INFEASIBLE
    return RiskControl(verdict, num_within - 1 if num_within else None, tuple(risks.tolist()))


def risk_control(
    random: Generator, num_runs: int, sizes: Sequence[int] = (100, 200, 400, 800)
) -> list[Figure]:
    """Choose the least context whose risk of missing the evidence is at most alpha."""
    return [
        figure
        for case, world in RETRIEVALS.items()
        for items in sizes
        for figure in _risk_control(random, num_runs, case, world, items)
    ]


RISK_METHODS: dict[str, Callable[[Floats], RiskControl]] = {
    "plug-in": partial(plug_in, alpha=ALPHA),
    "crc": partial(conformal_risk_control, alpha=ALPHA),
    **{
        f"ltt, {test}": partial(learn_then_test, alpha=ALPHA, delta=RISK_DELTA, test=test)
        for test in RiskTest
    },
}


def _risk_control(
    random: Generator, num_runs: int, case: str, world: Retrieval, items: int
) -> list[Figure]:
    truth = world.depths(random, 100_000)
    drawn = [world.depths(random, items) for _ in range(num_runs)]
    figures = []
    for family, grid in GRIDS.items():
        true_risks = losses(truth[family], grid).mean(axis=1)
        for name, control in RISK_METHODS.items():
            chosen = [control(losses(depths[family], grid)).chosen for depths in drawn]
            risks = np.array([true_risks[row] if row is not None else 0.0 for row in chosen])
            also = {"certified": float(np.mean([row is not None for row in chosen]))}
            if family == "fixed count":
                also["mean_k"] = float(np.mean([grid[row or 0] for row in chosen]))
            figure = share(
                name, risks > ALPHA, RISK_DELTA, case=f"{case}, {family}", items=items, **also
            )
            figures.append(_on_average(figure, risks) if name == "crc" else figure)
    return figures


def _on_average(figure: Figure, risks: Floats) -> Figure:
    """Return what conformal risk control promises: the mean of the risks, not how often."""
    standard_error = float(risks.std() / sqrt(len(risks)))
    also = {**figure.also, "above_alpha": figure.error}
    return Figure(
        figure.case, figure.method, figure.items, float(risks.mean()), ALPHA, standard_error, also
    )


def infeasible(random: Generator, num_runs: int) -> list[Figure]:
    """Control the risk where a fifth of the evidence is never found: no rule may be certified."""
    items, family = 200, "fixed count"
    drawn = [
        losses(INFEASIBLE.depths(random, items)[family], GRIDS[family]) for _ in range(num_runs)
    ]
    figures = []
    for name, control in RISK_METHODS.items():
        verdicts = [control(one).verdict for one in drawn]
        figures.append(
            share(
                name,
                [verdict is Verdict.CERTIFIED for verdict in verdicts],
                RISK_DELTA,
                case="a fifth is never found",
                items=items,
                infeasible=float(np.mean([verdict is Verdict.INFEASIBLE for verdict in verdicts])),
            )
        )
    return figures


def falling_and_rising(random: Generator, num_runs: int) -> list[Figure]:
    """Control the risk of wrong answers, which is least at a middle k."""
    world, items = InvertedU(), 800
    # The means from the most context to the least; 8 chunks have a risk of exactly alpha.
    alpha = 1 - world.means[world.ks.index(8)]
    errors = []
    for _ in range(num_runs):
        wrong = 1 - world.draw(random, items)[::-1]
        chosen = learn_then_test(wrong, alpha, RISK_DELTA).chosen
        errors.append(chosen is not None and world.ks[::-1][chosen] <= 8)  # noqa: PLR2004
    return [share("ltt, wsr", errors, RISK_DELTA, case="inverted U", items=items)]


def selection_bias(
    random: Generator, num_runs: int, sizes: Sequence[int] = (50, 100, 200, 400)
) -> list[Figure]:
    """Choose the best of 40 equal settings; by how much does its mean overstate it?"""
    mean, num_configs = 0.5, 40
    figures = []
    for items in sizes:
        same, held_out = [], []
        for _ in range(num_runs):
            race = Race(num_configs, max_looks=1)
            tuned = (random.random((num_configs, items)) < mean).astype(np.float64)
            race.add(tuned, [str(question) for question in range(items)])
            same.append(tuned[race.leader].mean() - mean)
            held_out.append((random.random(items) < mean).mean() - mean)
        for name, biases in (("same questions", same), ("held-out questions", held_out)):
            standard_error = float(np.std(biases) / sqrt(num_runs))
            figures.append(
                Figure("40 equal settings", name, items, float(np.mean(biases)), 0, standard_error)
            )
    return figures


JUDGES = {"poor": (0.95, 0.60), "good": (0.97, 0.85), "lenient": (1.0, 0.85)}


def prediction_powered(
    random: Generator, num_runs: int, sizes: Sequence[int] = (20, 50, 100, 200)
) -> list[Figure]:
    """Estimate the share of right answers from few labels and 2,000 verdicts of a judge."""
    figures = []
    for case, quality in JUDGES.items():
        for items in sizes:
            weights = {"judge alone": None, "people alone": 0.0, "ppi": 1.0, "default": None}
            missed: dict[str, list[bool]] = {name: [] for name in weights}
            widths: dict[str, list[float]] = {name: [] for name in weights}
            for _ in range(num_runs):
                labels, predictions = judged(random, items, *quality)
                _, unlabelled = judged(random, 2000, *quality)
                for name, weight in weights.items():
                    if name == "judge alone":
                        one = prediction_powered_mean(unlabelled, unlabelled, unlabelled, weight=0)
                    else:
                        one = prediction_powered_mean(
                            labels, predictions, unlabelled, weight=weight
                        )
                    missed[name].append(not one.low <= JUDGED_MEAN <= one.high)
                    widths[name].append(one.high - one.low)
            figures += [
                share(
                    name,
                    missed[name],
                    DELTA,
                    case=f"{case} judge",
                    items=items,
                    width=float(np.mean(widths[name])),
                )
                for name in weights
            ]
    return figures


def racing(
    random: Generator, num_runs: int, num_configs: int = 48, num_questions: int = 400
) -> list[Figure]:
    """Race configurations in blocks of 20 questions; is the best one dropped?"""
    block = 20
    dropped, shares, regrets, grid_regrets = [], [], [], []
    for _ in range(num_runs):
        means, scores = racers(random, num_configs, num_questions)
        race = Race(num_configs, max_looks=num_questions // block)
        for start in range(0, num_questions, block):
            questions = range(start, start + block)
            race.add(scores[race.remaining, start : start + block], [str(q) for q in questions])
        dropped.append(int(np.argmax(means)) not in race.remaining)
        shares.append(race.num_scores / scores.size)
        regrets.append(means.max() - means[race.leader])
        grid_regrets.append(means.max() - means[np.argmax(scores.mean(axis=1))])
    return [
        share(
            "race",
            dropped,
            DELTA,
            case=f"{num_configs} settings",
            items=num_questions,
            share_of_calls=float(np.mean(shares)),
            regret=float(np.mean(regrets)),
            regret_of_all_calls=float(np.mean(grid_regrets)),
        )
    ]


KEPT_MEAN = 0.85
RUN_LENGTH = 5000


def watch(
    random: Generator, detector: DriftDetector, mean: float, max_events: int
) -> DriftDetector:
    """Observe values of 0 and 1 until the alarm, or so many."""
    for value in random.random(max_events) < mean:
        detector = detector.observe(float(value))
        if detector.alarm:
            break
    return detector


def false_alarms(random: Generator, num_runs: int, run_length: int = RUN_LENGTH) -> list[Figure]:
    """Watch a stream that keeps its mean; within t events an alarm may come with t / run_length."""
    start = DriftDetector(KEPT_MEAN, run_length)
    figures = []
    for part in (0.1, 0.25, 0.5):
        events = int(part * run_length)
        alarms = [watch(random, start, KEPT_MEAN, events).alarm for _ in range(num_runs)]
        case = f"run length {run_length}"
        figures.append(share("e-detector", alarms, part, case=case, items=events))
    return figures


def delays(random: Generator, num_runs: int) -> list[Figure]:
    """Watch a stream whose mean falls after 1,000 events; missed is what 5,000 more do not show."""
    start = DriftDetector(KEPT_MEAN, RUN_LENGTH)
    figures = []
    for fall in (0.03, 0.05, 0.10):
        waits, missed = [], []
        for _ in range(num_runs):
            before = watch(random, start, KEPT_MEAN, 1000)
            # After an alarm one starts afresh.
            before = start if before.alarm else before
            after = watch(random, before, KEPT_MEAN - fall, 5000)
            waits.append(after.num_events - before.num_events)
            missed.append(not after.alarm)
        delay = float(np.mean(waits))
        case = f"fall of {fall}"
        figures.append(share("e-detector", missed, None, case=case, items=5000, mean_delay=delay))
    return figures


def gate_errors(
    random: Generator, num_runs: int, sizes: Sequence[int] = (30, 60, 120, 300)
) -> list[Figure]:
    """Compare two runs with a fall of exactly what is allowed: each clear outcome is an error."""

    def clustered(random: Generator, shape: tuple[int, int]) -> Floats:
        means: Floats = clustered_losses(random, *shape, 3).reshape(*shape, 3).mean(axis=-1)
        return means

    return [
        share(f"{method}: {wrong}", outcomes == wrong, DELTA / 2, case=case, items=items)
        for items in sizes
        for case, draw in {**BOUNDARY, "clusters of 3": clustered}.items()
        for method, outcomes in _gate(draw(random, (num_runs, items))).items()
        for wrong in (Outcome.PASS, Outcome.FAIL)
    ]


def gate_power(
    random: Generator, num_runs: int, sizes: Sequence[int] = (30, 60, 120, 300)
) -> list[Figure]:
    """Compare two runs with a fall that is less than what is allowed, or more; is it seen?"""
    worlds = [(Outcome.PASS, WITHIN), (Outcome.FAIL, BEYOND)]
    return [
        share(f"{method}: {right}", outcomes != right, None, case=case, items=items)
        for items in sizes
        for right, cases in worlds
        for case, draw in cases.items()
        for method, outcomes in _gate(draw(random, (num_runs, items))).items()
    ]


def _gate(falls: Floats) -> dict[str, NDArray[np.str_]]:
    """Return for each run what the gate says where EPS may be lost, and what t intervals would."""
    clusters = [str(item) for item in range(falls.shape[1])]
    bets = [compare(fall.clip(0), (-fall).clip(0), clusters, EPS).outcome for fall in falls]
    of_loss = plain_t(falls, EPS) <= DELTA / 2
    of_more = plain_t(-falls, -EPS) <= DELTA / 2
    return {
        "t interval": np.select([of_loss, of_more], ["pass", "fail"], "inconclusive"),
        "gate": np.array(bets),
    }


EXPERIMENTS: dict[str, Callable[[Generator, int], list[Figure]]] = {
    "Type I error of one test": type_one_errors,
    "Missed: a candidate that is as good": power,
    "Type I error with clusters": cluster_errors,
    "The smallest k that is not worse by 0.03": fixed_sequence,
    "The least context that misses a tenth": risk_control,
    "The evidence is not there": infeasible,
    "A risk that falls and rises": falling_and_rising,
    "Bias of the best mean": selection_bias,
    "Intervals with a judge": prediction_powered,
    "Racing": racing,
    "False alarms": false_alarms,
    "Delay of an alarm": delays,
    "The gate": gate_errors,
    "Missed by the gate": gate_power,
}


def main() -> None:
    """Make all experiments and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    num_runs = parser.parse_args().runs
    results: dict[str, list[Figure]] = {}
    for seed, (name, experiment) in enumerate(EXPERIMENTS.items()):
        results[name] = experiment(np.random.default_rng(seed), num_runs)
        print(name, flush=True)
    text = {name: [asdict(figure) for figure in figures] for name, figures in results.items()}
    (RESULTS / "decisions.json").write_text(
        json.dumps({"num_runs": num_runs, **text}, indent=2) + "\n"
    )
    (RESULTS / "decisions.md").write_text(to_markdown(results, num_runs))


def to_markdown(results: Mapping[str, Sequence[Figure]], num_runs: int) -> str:
    """Return a table for each experiment."""
    lines = [
        "# Decisions",
        "",
        f"Written by `python -m benchmarks.decisions`, {num_runs:,} runs in each row. Errors in "
        "bold are more than two standard errors above what is promised.",
    ]
    for name, figures in results.items():
        columns = list(dict.fromkeys(column for figure in figures for column in figure.also))
        titles = ["case", "method", "items", "error", "promised", *columns]
        lines += ["", f"## {name}", "", _row(titles), _row(["---"] * len(titles))]
        lines += [_row(_cells(figure, columns)) for figure in figures]
    return "\n".join(lines) + "\n"


def _cells(figure: Figure, columns: Sequence[str]) -> list[str]:
    error = f"{figure.error:.3f}"
    promise = "" if figure.promise is None else f"{figure.promise:g}"
    also = [f"{figure.also[name]:.3f}" if name in figure.also else "" for name in columns]
    error = error if figure.kept else f"**{error}**"
    return [figure.case, figure.method, str(figure.items), error, promise, *also]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
