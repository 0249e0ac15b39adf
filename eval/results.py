"""The result of a tuning, as it is kept in `result.json`."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from eval.answer_scores import Fault
from eval.decisions.pvalues import PairedTest
from eval.decisions.sequence import Mode
from eval.errors import DatasetError
from eval.intervals import MeanInterval
from retrieval.profiles import RetrievalProfile
from retrieval.whole_files import write_whole

FORMAT = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Share = Annotated[float, Field(ge=0, le=1)]


class Cut(_Frozen):
    """How documents are cut, in tokens of the embedder; see `Chunker`."""

    max_tokens: int
    overlap_tokens: int
    min_tokens: int
    fingerprint: str

    @property
    def settings(self) -> str:
        """The settings of a service that cuts like this."""
        return (
            f"INGEST_CHUNK_TOKENS={self.max_tokens} "
            f"INGEST_CHUNK_OVERLAP_TOKENS={self.overlap_tokens} "
            f"INGEST_CHUNK_MIN_TOKENS={self.min_tokens}"
        )


class Measured(_Frozen):
    """One setting on the questions that had no part in its choice.

    Attributes:
        name: short, unique in the result.
        label: in words.
        cut: how the documents are cut.
        profile: how they are searched and packed.
        coverage: share of the evidence in the context, 95 % interval over clusters.
        sufficient: share of questions with all of it there, likewise.
        prompt_tokens: mean of the whole prompt, 95 % interval over clusters.
        prompt_tokens_p50: median.
        prompt_tokens_p95: 95th percentile.
        num_chunks: mean.
        usd_per_1000: of reading 1,000 such prompts; None: nothing is known of the price.
        item_coverage: of each question.
        item_tokens: of each question.
    """

    name: str
    label: str
    cut: Cut
    profile: RetrievalProfile
    coverage: MeanInterval
    sufficient: MeanInterval
    prompt_tokens: MeanInterval
    prompt_tokens_p50: float
    prompt_tokens_p95: float
    num_chunks: float
    usd_per_1000: float | None
    item_coverage: list[Share]
    item_tokens: list[int]


class CurvePoint(_Frozen):
    """The first k chunks of the search that is served now, on the held-out questions.

    Attributes:
        coverage: see `Measured`.
        prompt_tokens: mean.
        sufficient: share of questions with all their evidence there.
    """

    k: int
    coverage: MeanInterval
    prompt_tokens: float
    sufficient: float


class Verdict(StrEnum):
    """What a tuning ends with.

    Attributes:
        CERTIFIED: a cheaper setting is not worse, with the error rate promised.
        NOT_CERTIFIED: no cheaper one was shown to be not worse by these questions.
        INFEASIBLE: what was asked for cannot be had: retrieval does not find enough evidence.
    """

    CERTIFIED = "certified"
    NOT_CERTIFIED = "not_certified"
    INFEASIBLE = "infeasible"


class Quality(StrEnum):
    """What was compared.

    Attributes:
        EVIDENCE: the share of the evidence in the context.
        ANSWERS: the quality of the answers.
    """

    EVIDENCE = "evidence"
    ANSWERS = "answers"


class TestedSetting(_Frozen):
    """A setting that the sequence looked at."""

    name: str
    p_value: float


class Decision(_Frozen):
    """What was decided, and how surely.

    Attributes:
        verdict: see there.
        statement: the same in words.
        chosen: name of the setting to serve; the reference's unless the verdict is CERTIFIED.
        tested: in order, until one failed.
        eps: how much less coverage than the reference is no loss; None: `min_coverage` was asked
            for instead.
        delta: error rate.
        test: by which p-values were computed.
        mode: what was compared with.
        min_coverage: that was asked for; None: only not to be worse than the reference.
        on_average: whether it is promised on average over all tunings, and not with `delta`.
        num_clusters: independent items that the tests had.
        questions_needed: how many more, for a verdict that there is none yet; None: there is one,
            or no number of questions would tell.
        tokens_saved: of the prompt, mean and 95 % interval, below 0 where the coverage that was
            asked for takes more than the reference; None: nothing was chosen.
        usd_saved_per_1000: questions, likewise; None: no price, or nothing was chosen.
        quality: what was compared; `eps` is a loss of it.
    """

    verdict: Verdict
    statement: str
    chosen: str
    tested: list[TestedSetting]
    eps: float | None
    delta: float
    test: PairedTest
    mode: Mode
    min_coverage: float | None
    num_clusters: int
    questions_needed: int | None
    tokens_saved: MeanInterval | None
    usd_saved_per_1000: float | None
    quality: Quality = Quality.EVIDENCE
    on_average: bool = False


class Neighbour(_Frozen):
    """A setting that finds more or less than another one: it minus the other, 95 % intervals.

    Attributes:
        name: of the setting.
        coverage: paired difference.
        prompt_tokens: likewise.
        usd_per_1000: dollars for 1,000 questions; None: nothing is known of the price.
        coverage_per_usd: of these dollars; None: no price, or it costs the same.
    """

    name: str
    coverage: MeanInterval
    prompt_tokens: MeanInterval
    usd_per_1000: float | None
    coverage_per_usd: float | None


class BudgetAnswer(_Frozen):
    """What a budget buys: chosen with one half of the questions, measured on the other.

    Attributes:
        prompt_limits: name of each budget -> tokens that 95 % of the prompts must fit for it.
        binding: the budget with the lowest of these.
        reference_keeps: whether what is served now keeps to all of them.
        best: name of the setting that finds most; None: none keeps to the budget.
        cheaper: next to it on the front; None: there is none.
        dearer: likewise, beyond the budget.
        statement: the same in words.
    """

    prompt_limits: dict[str, int]
    binding: str
    reference_keeps: bool
    best: str | None
    cheaper: Neighbour | None
    dearer: Neighbour | None
    statement: str


class Labelled(_Frozen):
    """The judge's mean grade, over the questions that have an answer, corrected by people's labels.

    Attributes:
        num_labels: of these answers.
        judged: by the judge alone.
        mean: corrected.
        low: of the 95 % interval of that.
        high: likewise.
    """

    num_labels: int
    judged: float
    mean: float
    low: float
    high: float


class AnsweredSetting(_Frozen):
    """The answers of one setting to the held-out questions; None: nothing to score.

    Attributes:
        name: of the setting.
        quality: 95 % interval over clusters, in [0, 1].
        change: of the quality against the reference's, paired, likewise; None: it is the reference.
        quality_low: its mean with each failed verdict of the judge against the answer.
        quality_high: with each of them for it.
        prompt_tokens: 95 % interval over clusters.
        usd_per_1000: of 1,000 such answers; None: nothing is known of the price.
        exact_match: mean over the questions that have an answer, as of what follows.
        faithfulness: share of the claims that stand in what they cite, says the judge.
        abstention_precision: share of the refusals to answer that were right.
        abstention_recall: share of the questions without an answer that were refused.
        faults: why answers were wrong -> how many; `none`: they were right;
            `unjudged`: they may have been.
        flaw: why nothing may rest on these answers.
        labelled: None: too few of the answers were labelled by people, or no judge graded them.
        items: quality of each answer.
    """

    name: str
    quality: MeanInterval
    change: MeanInterval | None
    quality_low: Share
    quality_high: Share
    prompt_tokens: MeanInterval
    usd_per_1000: float | None
    exact_match: float | None
    f1: float | None
    rouge_l: float | None
    citation_precision: float | None
    citation_recall: float | None
    faithfulness: float | None
    abstention_precision: float | None
    abstention_recall: float | None
    faults: dict[Fault, int]
    flaw: str | None
    labelled: Labelled | None = None
    items: list[float]


class RaceCounts(_Frozen):
    """What the race on the first part of the questions took.

    Attributes:
        num_settings: that took part.
        num_questions: that each was to answer.
        num_answers: that were given before it was decided.
        invalid: name of a setting -> why nothing may rest on its answers.
    """

    num_settings: int
    num_questions: int
    num_answers: int
    invalid: dict[str, str]

    @property
    def share_of_grid(self) -> float:
        """Its answers, as a share of all settings times all questions."""
        return self.num_answers / max(1, self.num_settings * self.num_questions)


class JudgeState(_Frozen):
    """The model that graded.

    Attributes:
        model: its name.
        accuracy: share of the fixed cases that it graded right; None: it was not tried.
        num_cases: fixed cases.
        num_asked: verdicts that were asked for.
        num_failed: replies that were none.
    """

    model: str
    accuracy: Share | None
    num_cases: int
    num_asked: int
    num_failed: int

    @property
    def failure_rate(self) -> float:
        """Share of the replies that were no verdict."""
        return self.num_failed / max(1, self.num_asked)


class AnswerNoise(_Frozen):
    """What changed although nothing was changed: some questions answered once more (A/A).

    Attributes:
        num_questions: that were.
        quality: mean absolute difference of the quality of both answers.
        share_changed: share of the answers with other words.
        unstable: ids of the questions whose quality changed.
    """

    num_questions: int
    quality: Share
    share_changed: Share
    unstable: list[str]


class AnswerStage(_Frozen):
    """Whether an optional stage of answering pays here: with it minus without it, else as served.

    Attributes:
        name: of the stage.
        quality: paired difference, 95 % interval over clusters.
        prompt_tokens: that are read for an answer, likewise.
        completion_tokens: that are written, thinking and all samples included, likewise.
        usd_per_1000: mean difference for 1,000 answers; None: nothing is known of a price.
        seconds: mean difference of the time that models took for an answer.
        statement: in words.
    """

    name: str
    quality: MeanInterval
    prompt_tokens: MeanInterval
    completion_tokens: MeanInterval
    usd_per_1000: float | None
    seconds: float
    statement: str


class Answers(_Frozen):
    """Answers that were measured.

    Attributes:
        num_calls: of models in the last run; replies that were kept from before are left out.
        usd: that these cost.
        race: before the test.
        judge: that graded; None: answers were scored by their words.
        question_ids: in the order of all items.
        settings: the reference, and those that the race left.
        noise: None: it was not measured.
        stages: that were asked for.
    """

    num_calls: int
    usd: float
    race: RaceCounts
    judge: JudgeState | None
    question_ids: list[str]
    settings: list[AnsweredSetting]
    noise: AnswerNoise | None = None
    stages: list[AnswerStage] = []

    @property
    def is_calibrated(self) -> bool:
        """Whether labels of people correct what the judge says."""
        return any(one.labelled is not None for one in self.settings)

    def setting(self, name: str) -> AnsweredSetting | None:
        """Return the answers of a setting by its name; None: there are none."""
        return next((one for one in self.settings if one.name == name), None)


class Stage(_Frozen):
    """Whether an optional stage pays here: with it minus without it, else as served.

    Attributes:
        name: of the stage.
        coverage: paired difference, 95 % interval over clusters.
        prompt_tokens: likewise.
        statement: in words.
    """

    name: str
    coverage: MeanInterval
    prompt_tokens: MeanInterval
    statement: str


class SearchNoise(_Frozen):
    """What the service found when it was asked, of what its search found in the replay.

    Attributes:
        num_questions: that were searched for.
        share_same: share of the chunks that are in both.
        num_same: questions with the same chunks in the same order.
    """

    num_questions: int
    share_same: Share
    num_same: int


class Loss(_Frozen):
    """Where evidence is lost, as shares of all of it.

    Attributes:
        not_retrieved: beyond what the deepest search finds.
        cut_now: found, but not in the context of the reference.
        cut_chosen: found, but not in the context of what was chosen.
    """

    not_retrieved: float
    cut_now: float
    cut_chosen: float


class SpanCounts(_Frozen):
    """Where the evidence was found in the documents as they are, see `eval.anchoring.Anchored`."""

    kept: int
    moved: int
    fuzzy: int
    dropped: int


class QuestionCounts(_Frozen):
    """What became of the questions.

    Attributes:
        sha256: of their file.
        dropped: id -> why it was left out.
        by_kind: number of each kind.
        spans: what became of their evidence; None: the result is older than this count.
    """

    sha256: str
    num_answerable: int
    num_unanswerable: int
    num_tune: int
    num_certify: int
    num_clusters_tune: int
    num_clusters_certify: int
    seed: int
    dropped: dict[str, str]
    by_kind: dict[str, int]
    spans: SpanCounts | None = None


class Fingerprints(_Frozen):
    """What a result is about; with another one of these it says nothing.

    Attributes:
        snapshot: of the documents.
        embedder: of the vectors.
        analyzer: of the words.
        chunker: that cut what is served now.
        reranker: its name and depth; None: there is none.
        tokenizer: name of the model whose tokens are counted.
    """

    snapshot: str
    embedder: str
    analyzer: str
    chunker: str
    reranker: str | None
    tokenizer: str


class Result(_Frozen):
    """All of it.

    Attributes:
        version: of this format.
        created: when.
        collection: whose documents were searched.
        num_documents: of these; 0: it is not known.
        num_settings: that were tried.
        reference: name of the setting that is served now.
        settings: measured on the held-out questions: the reference, then the front by tokens.
        question_ids: of the held-out questions, in the order of all items.
        clusters: of the same.
        groups: kind, tag or language -> ids of the held-out questions that have it; the largest
            group first.
        curve: of the search that is served now.
        coverage_at: chunk size -> tokens of context -> mean coverage of the served search.
        not_measured: optional stage -> why nothing is said of it.
        search_noise: None: it was not measured.
        warnings: what a reader should know.
        answers: None: evidence alone was measured.
        budget: None: there was none.
    """

    version: int = FORMAT
    created: datetime
    collection: str
    num_documents: int = 0
    questions: QuestionCounts
    fingerprints: Fingerprints
    num_settings: int
    reference: str
    settings: list[Measured]
    question_ids: list[str]
    clusters: list[str]
    groups: dict[str, list[str]] = {}
    curve: list[CurvePoint]
    coverage_at: dict[str, dict[int, float]]
    decision: Decision
    stages: list[Stage]
    not_measured: dict[str, str] = {}
    loss: Loss
    search_noise: SearchNoise | None = None
    warnings: list[str]
    answers: Answers | None = None
    budget: BudgetAnswer | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        """What is named must be there, and every question must have its scores."""
        names = [one.name for one in self.settings]
        if len(set(names)) < len(names):
            raise ValueError("two settings have the same name")
        for name in (self.reference, self.decision.chosen):
            if name not in names:
                raise ValueError(f"there is no setting {name!r}")
        if self.answers is not None:
            answered = {*(one.name for one in self.answers.settings), *self.answers.race.invalid}
            if not answered <= {*names}:
                raise ValueError("answers are there of a setting that is not")
        if len(set(self.question_ids)) < len(self.question_ids):
            raise ValueError("a question is there twice")
        items = [(one.item_coverage, one.item_tokens) for one in self.settings]
        if {len(self.question_ids)} != {len(part) for part in (self.clusters, *sum(items, ()))}:
            raise ValueError("clusters and items must be as many as questions")
        if not {one for ids in self.groups.values() for one in ids} <= {*self.question_ids}:
            raise ValueError("a group has a question that is not there")
        if not all(self.groups.values()):
            raise ValueError("a group has no question")
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a result.

        Raises:
            DatasetError: the file holds none.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise DatasetError(f"{path} cannot be read: {error.strerror or error}.") from error
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise DatasetError(
                f"{path} holds no result of a tuning: {where}: {problem['msg']}."
            ) from error

    def save(self, path: Path) -> None:
        """Write the result to a file, whole or not at all."""
        write_whole(path, self.model_dump_json(indent=1).encode() + b"\n")

    @property
    def served(self) -> Measured:
        """The setting that is served now."""
        return self.setting(self.reference)

    @property
    def chosen(self) -> Measured:
        """The setting to serve; what is served now, unless another one was certified."""
        return self.setting(self.decision.chosen)

    def setting(self, name: str) -> Measured:
        """Return a setting by its name.

        Raises:
            KeyError: there is none.
        """
        return {one.name: one for one in self.settings}[name]

    def prompt_tokens(self, name: str) -> float:
        """Return the mean prompt of a setting; where answers decided, of those it answered."""
        answered = None if self.answers is None else self.answers.setting(name)
        return (answered or self.setting(name)).prompt_tokens.mean
