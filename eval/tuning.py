"""Tuning: the cheapest context that is not worse than the one that is served now.

Settings are tried and put in order on one half of the questions, tested and measured on the other,
which had no part in the choice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np

from eval.answer_choice import Candidate
from eval.answering import Setting
from eval.budgets import BudgetSearch
from eval.choice import REFERENCE, Choice, Chooser, Goal
from eval.clusters import split_few_clusters
from eval.counted import counted
from eval.decisions.items import Floats
from eval.errors import NoQuestionsError
from eval.grid import BUDGETS, MOST_CHUNKS, NUM_CHUNKS, deepest, make_grid
from eval.measurements import Measurements
from eval.pareto import thin
from eval.planning import fewest_for, weaker_goal
from eval.progress import Progress, silent
from eval.questions import Question
from eval.replay import Replay
from eval.results import (
    BudgetAnswer,
    CurvePoint,
    Cut,
    Decision,
    Loss,
    Measured,
    Stage,
    TestedSetting,
    Verdict,
)
from eval.snapshot import Snapshot
from eval.split import Split, split_by_cluster
from eval.stages import (
    HEADINGS,
    PACKING,
    RERANKER,
    REWRITING,
    RULE,
    judge_stage,
    stage_profiles,
)
from eval.sweep import PromptTokens, sweep, sweep_plain
from retrieval.packing import PackingPolicy
from retrieval.profiles import Mode, RetrievalProfile
from serving.pricing import Price

NUM_SHOWN = 12
# Each is answered by a model.
MOST_ANSWERED = 8
DEEPEST = 1
_THOUSAND = 1000


@dataclass(frozen=True, slots=True)
class Cutting:
    """One way to cut the documents, with a replay of the searches in their chunks."""

    cut: Cut
    replay: Replay


@dataclass(frozen=True, slots=True)
class Material:
    """What is searched.

    Attributes:
        cuttings: first the one that is served.
        snapshot: of the documents.
        tokens: how a prompt is counted.
        bare: replay of the served cutting without headings; None: they are not tried.
    """

    cuttings: Sequence[Cutting]
    snapshot: Snapshot
    tokens: PromptTokens
    bare: Replay | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """What is served now.

    Attributes:
        profile: how it searches.
        default_k: most hits of a profile that does not say.
        price: of the model that reads the prompts; None: nothing is known.
    """

    profile: RetrievalProfile
    default_k: int
    price: Price | None


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was found, see `Result`.

    Attributes:
        not_measured: stage -> why nothing is said of it.
        candidates: the reference and what was to be tested, for a choice by answers.
    """

    split: Split
    num_settings: int
    reference: str
    settings: list[Measured]
    curve: list[CurvePoint]
    coverage_at: dict[str, dict[int, float]]
    decision: Decision
    stages: list[Stage]
    not_measured: dict[str, str]
    loss: Loss
    candidates: list[Candidate]
    budget: BudgetAnswer | None
    warnings: list[str] = field(default_factory=list)


def tune(
    questions: Sequence[Question],
    material: Material,
    served: Served,
    goal: Goal,
    seed: int = 0,
    progress: Progress = silent,
) -> Tuning:
    """Find the cheapest setting that is not worse.

    Args:
        questions: anchored.
        material: what is searched.
        served: the reference.
        goal: what is wanted.
        seed: of the split.
        progress: told of `settings` as questions are swept.

    Raises:
        NoQuestionsError: too few questions have an answer.
    """
    chunk_tokens = max(one.cut.max_tokens for one in material.cuttings)
    answerable = [one for one in split_few_clusters(questions, chunk_tokens) if one.answerable]
    split = split_by_cluster(answerable, seed)
    if not split.tune or len({one.cluster for one in split.certify}) < 2:  # noqa: PLR2004
        num_clusters = len({one.cluster for one in answerable})
        raise NoQuestionsError(
            f"Questions with an answer: {len(answerable):,}, in {counted(num_clusters, 'cluster')} "
            "(parts of documents, or what `cluster` says). A tuning chooses with some clusters and "
            "tests on others: it needs three, and some hundred to certify anything. `suffice eval "
            "synth` makes them."
        )
    tuning = _Tuner(material, served, split).run(goal, progress)
    clusters = {one.cluster for one in questions if one.answerable}
    if clusters != {one.cluster for one in answerable}:
        tuning.warnings.append(
            f"The documents or threads that the questions are about are few ({len(clusters)}), so "
            "parts of documents count as independent: what is shown is about new questions on "
            "these documents, and not on others."
        )
    return tuning


class _Tuner:
    def __init__(self, material: Material, served: Served, split: Split) -> None:
        self._material = material
        self._served = served
        self._split = split
        # A profile may be of a kind that says more; what it says about retrieval is compared.
        parts = served.profile.model_dump(include=set(RetrievalProfile.model_fields))
        profile = RetrievalProfile(**parts)
        top_k = profile.most_hits(None, served.default_k)
        self._base = profile.model_copy(update={} if profile.rule else {"top_k": top_k})
        self._has_reranker = material.cuttings[0].replay.reranking is not None
        self._stage_profiles = stage_profiles(self._base, has_reranker=self._has_reranker)
        self._settings = self._list_settings()
        self._numbers = {setting: number for number, setting in enumerate(self._settings)}

    def run(self, goal: Goal, progress: Progress) -> Tuning:
        """Sweep, choose, test, measure."""
        tune, held_out = self._sweep(progress)
        chooser = Chooser(tune, held_out, self._label, self._served.price)
        choice = chooser.choose(goal)
        front = thin(chooser.front(), NUM_SHOWN)
        stages = self._stages(tune, held_out)
        search = BudgetSearch(goal.prompt_limits, tune, held_out) if goal.prompt_limits else None
        bought = search.numbers if search else []
        shown = dict.fromkeys([REFERENCE, choice.chosen, *choice.candidates, *bought, *front])
        return Tuning(
            split=self._split,
            num_settings=len(self._settings),
            reference=_name(REFERENCE),
            settings=[self._measure(number, held_out) for number in shown],
            curve=self._curve(held_out),
            coverage_at=self._coverage_at(held_out),
            decision=self._decision(choice, goal, held_out),
            stages=stages,
            not_measured=self._not_measured(stages),
            loss=_loss(choice.chosen, held_out),
            candidates=self._candidates(choice, tune),
            budget=search.answer(_name, self._label, self._served.price) if search else None,
            warnings=[
                *_warnings(choice.verdict, goal, held_out.num_items),
                *self._doubts(choice.chosen),
            ],
        )

    def _doubts(self, chosen: int) -> Iterator[str]:
        """Yield what coverage does not show of what was chosen."""
        packing = self._settings[chosen].profile.packing
        if chosen == REFERENCE or not packing.sentences:
            return
        if packing.sentence_dense_weight:
            yield (
                "What was chosen has the embedder read the sentences of each question's hits, if "
                "they were not read before: that takes time on a CPU, some tenths of a second."
            )
        yield (
            "What was chosen takes sentences out of their paragraphs. That the evidence is in "
            "the prompt does not show that a model understands it there as well: compare "
            "answers, too (`--answers`), if they were not."
        )

    def _list_settings(self) -> list[Setting]:
        """Return all settings: the reference, the deepest, and cutting by cutting the others."""
        base = self._base
        settings = [Setting(0, base), Setting(0, deepest(base))]
        for pair in self._stage_profiles.values():
            settings += [Setting(0, profile) for profile in pair]
        for number, cutting in enumerate(self._material.cuttings):
            most_now = self._most_now(cutting.cut)
            grid = make_grid(base, most_now, has_reranker=cutting.replay.reranking is not None)
            profiles = [*self._curve_profiles(), *self._budget_profiles(), *grid]
            settings += [Setting(number, profile) for profile in profiles]
        return list(dict.fromkeys(settings))

    def _most_now(self, cut: Cut) -> int:
        """Return how many chunks of a cut hold as much text as what is served takes at the most."""
        most = self._base.most_hits(None, self._served.default_k)
        tokens = most * self._material.cuttings[0].cut.max_tokens
        tokens = min(tokens, self._base.packing.max_tokens or tokens)
        return min(ceil(tokens / cut.max_tokens), MOST_CHUNKS)

    def _curve_profiles(self) -> list[RetrievalProfile]:
        depth = max(self._base.num_candidates, MOST_CHUNKS)
        base = self._base.model_copy(update={"rule": None, "num_candidates": depth})
        return [base.model_copy(update={"top_k": k}) for k in NUM_CHUNKS]

    def _budget_profiles(self) -> list[RetrievalProfile]:
        base = self._curve_profiles()[-1]
        return [
            base.model_copy(
                update={"packing": base.packing.model_copy(update={"max_tokens": budget})}
            )
            for budget in BUDGETS
        ]

    def _sweep(self, progress: Progress) -> tuple[Measurements, Measurements]:
        questions = [*self._split.tune, *self._split.certify]
        cuttings = self._material.cuttings
        sweeps = []
        for number, cutting in enumerate(cuttings):
            num_before = number * len(questions)

            def tell(
                step: str,
                done: int,
                total: int,
                note: str = "",
                num_before: int = num_before,
            ) -> None:
                progress(step, num_before + done, total * len(cuttings), note)

            sweeps.append(
                sweep(
                    cutting.replay,
                    questions,
                    [one.profile for one in self._settings if one.cutting == number],
                    self._material.snapshot,
                    self._material.tokens,
                    default_k=self._served.default_k,
                    progress=tell,
                )
            )
        frames = np.array([self._material.tokens.frame(one.text) for one in questions], float)
        both = Measurements.of(sweeps, frames, [question.cluster for question in questions])
        border = len(self._split.tune)
        return both.of_questions(slice(border)), both.of_questions(slice(border, None))

    def _candidates(self, choice: Choice, tune: Measurements) -> list[Candidate]:
        tokens = tune.means(tune.tokens)
        numbers = [REFERENCE, *thin(choice.candidates, MOST_ANSWERED)]
        return [
            Candidate(_name(one), self._label(one), self._settings[one], float(tokens[one]))
            for one in numbers
        ]

    def _decision(self, choice: Choice, goal: Goal, held_out: Measurements) -> Decision:
        saved = None
        if choice.verdict is Verdict.CERTIFIED:
            tokens = held_out.tokens
            saved = held_out.interval(tokens[REFERENCE] - tokens[choice.chosen])
        price = self._served.price
        return Decision(
            verdict=choice.verdict,
            statement=choice.statement,
            chosen=_name(choice.chosen),
            tested=[TestedSetting(name=_name(one), p_value=value) for one, value in choice.tested],
            eps=goal.eps if goal.min_coverage is None else None,
            delta=goal.delta,
            test=goal.test,
            mode=goal.mode,
            min_coverage=goal.min_coverage,
            on_average=goal.on_average,
            num_clusters=held_out.num_items,
            questions_needed=choice.questions_needed,
            tokens_saved=saved,
            usd_saved_per_1000=saved.mean * price.prompt * _THOUSAND if saved and price else None,
        )

    def _measure(self, number: int, held_out: Measurements) -> Measured:
        setting, tokens = self._settings[number], held_out.tokens[number]
        prompt_tokens = held_out.interval(tokens)
        price = self._served.price
        return Measured(
            name=_name(number),
            label=self._label(number),
            cut=self._material.cuttings[setting.cutting].cut,
            profile=setting.profile,
            coverage=held_out.share(held_out.coverage[number]),
            sufficient=held_out.share(held_out.sufficient[number]),
            prompt_tokens=prompt_tokens,
            prompt_tokens_p50=float(np.percentile(tokens, 50)),
            prompt_tokens_p95=float(np.percentile(tokens, 95)),
            num_chunks=float(held_out.num_chunks[number].mean()),
            usd_per_1000=prompt_tokens.mean * price.prompt * _THOUSAND if price else None,
            item_coverage=[round(value, 6) for value in held_out.coverage[number].tolist()],
            item_tokens=[int(value) for value in tokens],
        )

    def _curve(self, held_out: Measurements) -> list[CurvePoint]:
        numbers = [self._numbers[Setting(0, profile)] for profile in self._curve_profiles()]
        return [
            CurvePoint(
                k=k,
                coverage=held_out.share(held_out.coverage[number]),
                prompt_tokens=float(held_out.means(held_out.tokens[number])),
                sufficient=float(held_out.means(held_out.sufficient[number])),
            )
            for k, number in zip(NUM_CHUNKS, numbers, strict=True)
        ]

    def _coverage_at(self, held_out: Measurements) -> dict[str, dict[int, float]]:
        means = held_out.means(held_out.coverage)
        return {
            _describe_cut(cutting.cut): {
                budget: float(means[self._numbers[Setting(number, profile)]])
                for budget, profile in zip(BUDGETS, self._budget_profiles(), strict=True)
            }
            for number, cutting in enumerate(self._material.cuttings)
        }

    def _stages(self, tune: Measurements, held_out: Measurements) -> list[Stage]:
        pairs = {
            name: (self._numbers[Setting(0, with_it)], self._numbers[Setting(0, without)])
            for name, (with_it, without) in self._stage_profiles.items()
        }
        if (rules := self._best_rule(tune)) is not None:
            pairs[RULE] = rules
        coverage, tokens = held_out.coverage, held_out.tokens
        differences = {
            name: (coverage[with_it] - coverage[without], tokens[with_it] - tokens[without])
            for name, (with_it, without) in pairs.items()
        }
        differences |= self._other_stages(held_out)
        return [judge_stage(name, held_out, *pair) for name, pair in differences.items()]

    def _other_stages(self, held_out: Measurements) -> dict[str, tuple[Floats, Floats]]:
        """Compare what is served with what no profile does: differences in coverage and tokens."""
        material, questions, default_k = self._material, self._split.certify, self._served.default_k
        snapshot, tokens = material.snapshot, material.tokens
        replay = material.cuttings[0].replay
        plain = sweep_plain(replay, questions, self._base, snapshot, tokens, default_k=default_k)
        others = {PACKING: plain}
        if material.bare is not None:
            profiles, bare = [self._base], snapshot.without_headings
            others[HEADINGS] = sweep(
                material.bare, questions, profiles, bare, tokens, default_k=default_k
            )
        frames = np.array([tokens.frame(one.text) for one in questions], float)
        return {
            name: (
                held_out.coverage[REFERENCE] - other.recall[0],
                held_out.tokens[REFERENCE] - frames - other.tokens[0],
            )
            for name, other in others.items()
        }

    def _not_measured(self, stages: Sequence[Stage]) -> dict[str, str]:
        reasons = {REWRITING: "No question has earlier turns."}
        if not self._has_reranker:
            reasons[RERANKER] = "There is none: RETRIEVAL_RERANKER is not set."
        if RULE not in {one.name for one in stages}:
            reasons[RULE] = "None takes as few tokens as what is served now."
        return reasons

    def _best_rule(self, tune: Measurements) -> tuple[int, int] | None:
        """Return the rule and the fixed number with the most coverage in today's tokens."""
        tokens, coverage = tune.means(tune.tokens), tune.means(tune.coverage)
        kinds: dict[bool, list[int]] = {True: [], False: []}
        for number, setting in enumerate(self._settings):
            packing = setting.profile.packing
            is_whole = packing.max_tokens is None and not packing.sentences
            if setting.cutting == 0 and is_whole and tokens[number] <= tokens[REFERENCE]:
                kinds[setting.profile.rule is not None].append(number)
        if not (kinds[True] and kinds[False]):
            return None
        with_rule, fixed = (
            max(kinds[has_rule], key=lambda number: float(coverage[number]))
            for has_rule in (True, False)
        )
        return with_rule, fixed

    def _label(self, number: int) -> str:
        setting, cuttings = self._settings[number], self._material.cuttings
        cut = cuttings[setting.cutting].cut if setting.cutting else None
        return describe(setting.profile, self._base, cut)


def describe(profile: RetrievalProfile, base: RetrievalProfile, cut: Cut | None = None) -> str:
    """Say in words what a setting is, as far as it differs from what is served.

    Args:
        profile: of the setting.
        base: what is served.
        cut: how the documents are cut, if otherwise than now.
    """
    parts = [_describe_amount(profile)]
    if cut is not None:
        parts.append(f"cut at {_describe_cut(cut)} tokens")
    if profile.mode is not base.mode:
        parts.append(f"{profile.mode} search")
    elif profile.mode is Mode.HYBRID and profile.dense_weight != base.dense_weight:
        parts.append(f"dense weight {profile.dense_weight:g}")
    if profile.rerank and not base.rerank:
        parts.append("reranked")
    if profile.packing.expand:
        parts.append("with the sections around")
    return ", ".join(parts)


def _describe_amount(profile: RetrievalProfile) -> str:
    packing = profile.packing
    most = counted(profile.most_hits(None, 0), "chunk")  # what is measured has a number or a rule
    if packing.max_tokens is not None:
        whole = f"up to {counted(packing.max_tokens, 'token')}"
        return f"{whole} of the best sentences{_ranked_by(packing)}" if packing.sentences else whole
    if packing.sentence_margin is not None:
        margin = packing.sentence_margin
        return f"sentences within {margin:g} of the best, of {most}{_ranked_by(packing)}"
    if profile.rule is not None:
        rule = profile.rule
        values = rule.model_dump(exclude={"family", "k_min", "k_max", "temperature"}).values()
        name = " ".join([rule.family.replace("_", " "), *map(str, values)])
        return f"up to {most} by {name}"
    return most


def _ranked_by(packing: PackingPolicy) -> str:
    return ", by words and vectors" if packing.sentence_dense_weight else ""


def _describe_cut(cut: Cut) -> str:
    overlap = f" overlapping by {cut.overlap_tokens}" if cut.overlap_tokens else ""
    return f"{cut.max_tokens}{overlap}"


def _loss(chosen: int, held_out: Measurements) -> Loss:
    coverage = held_out.means(held_out.coverage)
    most = max(coverage[DEEPEST], coverage[REFERENCE], coverage[chosen])
    return Loss(
        not_retrieved=float(1 - most),
        cut_now=float(most - coverage[REFERENCE]),
        cut_chosen=float(most - coverage[chosen]),
    )


def _warnings(verdict: Verdict, goal: Goal, num_items: int) -> list[str]:
    if verdict is not Verdict.NOT_CERTIFIED or num_items >= fewest_for(goal):
        return []
    weaker = weaker_goal(goal, num_items)
    return [
        f"The tests have {counted(num_items, 'independent item')}, because questions about the "
        f"same part of a document count as one. With fewer than {fewest_for(goal)} not even a "
        f"setting that finds {'everything' if goal.min_coverage else 'exactly the same'} is "
        "certified. Questions about other parts help more than more questions about the same ones."
        + ("" if weaker is None else f" Where there are none, ask for less: {_option(weaker)}.")
    ]


def _option(goal: Goal) -> str:
    """Return what is wanted, as it is given to `suffice eval tune`."""
    if goal.min_coverage is not None:
        return f"--min-coverage {goal.min_coverage:g}"
    return f"--eps {goal.eps:g}"


def _name(number: int) -> str:
    return f"s{number}"
