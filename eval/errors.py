"""Errors of evaluation.

EvalError
├── DatasetError      a file of the evaluation data is missing or broken
└── NoQuestionsError  the data holds nothing to measure with
"""


class EvalError(Exception):
    """Base class of what evaluation raises; the message says what to do."""


class DatasetError(EvalError):
    """A file of the evaluation data is missing or broken."""


class NoQuestionsError(EvalError):
    """The data holds nothing to measure with."""
