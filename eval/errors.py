"""Errors of evaluation.

EvalError
├── DatasetError      a file of the evaluation data is missing or broken
├── NoQuestionsError  the data holds nothing to measure with
├── MoneySpentError   another call of a model might cost more than allowed
├── ModelLostError    a model cannot be reached any more
├── JudgeError        a model is not fit to judge answers
├── RatesError        a model server cannot be measured
├── BudgetError       what a model costs or takes is not known
├── PricesError       a table of prices cannot be used
├── MismatchError     two results cannot be compared
└── ReportError       a report cannot be written
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class EvalError(Exception):
    """Base class of what evaluation raises; the message says what to do."""


class DatasetError(EvalError):
    """A file of the evaluation data is missing or broken."""


class NoQuestionsError(EvalError):
    """The data holds nothing to measure with."""


class MoneySpentError(EvalError):
    """Another call of a model might cost more than allowed."""

    def __init__(self, say: Callable[[], str]) -> None:
        """Set up.

        Args:
            say: says what was spent; when it is read, because calls on their way are paid for, too.
        """
        self._say = say

    def __str__(self) -> str:
        """Say it."""
        return self._say()


class ModelLostError(EvalError):
    """A model cannot be reached any more."""


class JudgeError(EvalError):
    """A model is not fit to judge answers."""


class RatesError(EvalError):
    """A model server cannot be measured."""


class BudgetError(EvalError):
    """A budget was given for a model of which is not known what it costs or takes."""


class PricesError(EvalError):
    """A table of prices is missing or broken, or has a model that costs nothing."""


class MismatchError(EvalError):
    """Two results cannot be compared, because they are not about the same questions."""


class ReportError(EvalError):
    """A report cannot be written."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Make what the system has against writing a file of the evaluation data a DatasetError."""
    try:
        yield
    except OSError as error:
        raise DatasetError(f"{path} cannot be written: {error.strerror or error}.") from error
