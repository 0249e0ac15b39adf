"""Extras: stages that are measured only if they are asked for, because that costs something."""

from enum import StrEnum


class Extra(StrEnum):
    """A stage.

    Attributes:
        HEADINGS: costs another index.
        THINKING: costs answers, as do the others.
    """

    HEADINGS = "headings"
    THINKING = "thinking"
    SAMPLES = "samples"
    MODEL = "model"
