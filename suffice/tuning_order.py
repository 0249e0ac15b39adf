"""What a tuning is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eval.budgets import Budget
from eval.choice import Goal
from eval.extras import Extra
from eval.labels import load_labels
from eval.questions import Question, load_questions
from suffice.certified_profile import PROFILE, RESULT
from suffice.errors import SufficeError

REPORT = "report.html"
REPLIES = "replies"
JUDGE_RECORD = "judge.json"
LABELS = "labels.jsonl"


@dataclass(frozen=True, slots=True)
class AnswerOrder:
    """How answers are measured.

    Attributes:
        model: that answers, by its name; None: that of the profile.
        judge: model that grades them, by its name; None: their words are compared.
        max_usd: for all calls of models in this run; None: any.
    """

    model: str | None = None
    judge: str | None = None
    max_usd: float | None = None


@dataclass(frozen=True, slots=True)
class TuningOrder:
    """What is wanted.

    Attributes:
        questions: file of questions with their evidence.
        collection: that they are about.
        output: folder for the result.
        chunk_tokens: further chunk sizes to try; each embeds all documents once.
        overlaps: tokens of overlap to try with each size, besides none.
        goal: of the tuning.
        seed: of the split of the questions.
        answers: how answers are measured; None: evidence decides.
        budget: that a setting must keep to.
        stages: to be measured besides those that cost nothing.
    """

    questions: Path
    collection: str
    output: Path
    chunk_tokens: Sequence[int] = ()
    overlaps: Sequence[int] = ()
    goal: Goal = field(default_factory=Goal)
    seed: int = 0
    answers: AnswerOrder | None = None
    budget: Budget = field(default_factory=Budget)
    stages: Sequence[Extra] = ()


def check_order(order: TuningOrder) -> list[Question]:
    """Return the questions if they can be read, and the result be written.

    Raises:
        DatasetError: the questions, or what people say of judged answers, cannot be read.
        SufficeError: the folder cannot be written, or a file of an earlier run in it.
    """
    questions = load_questions(order.questions)
    try:
        (order.output / "logs").mkdir(parents=True, exist_ok=True)
        trial = order.output / ".trial"
        trial.touch()
        trial.unlink()
        for name in (RESULT, REPORT, PROFILE, REPLIES, JUDGE_RECORD, LABELS):
            if (order.output / name).exists():
                (order.output / name).open("ab").close()
    except OSError as error:
        raise SufficeError(
            f"{error.filename or order.output} cannot be written: {error.strerror or error}."
        ) from error
    if (order.output / LABELS).exists():
        load_labels(order.output / LABELS)
    return questions
