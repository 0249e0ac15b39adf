"""Clusters: which questions count as independent of each other."""

from collections.abc import Sequence
from dataclasses import replace

from eval.questions import Question

# With fewer clusters hardly anything can be shown.
FEW_CLUSTERS = 200
# About as long as a chunk: what stands so close is found or missed together.
STRETCH_CHARACTERS = 1000


def split_few_clusters(questions: Sequence[Question]) -> list[Question]:
    """Let questions about different stretches of a document be independent, if documents are few.

    A question whose cluster is the document of its evidence, as it is unless its file says
    otherwise, then belongs to a stretch of `STRETCH_CHARACTERS`. What is shown with such clusters
    is about questions on these documents, and not on others.

    Args:
        questions: anchored.
    """
    if len({question.cluster for question in questions}) >= FEW_CLUSTERS:
        return list(questions)
    return [_in_stretch(question) for question in questions]


def _in_stretch(question: Question) -> Question:
    if not question.facts:
        return question
    span = question.facts[0][0]
    if span.start is None or question.cluster != span.document:
        return question
    return replace(question, cluster=f"{span.document} {span.start // STRETCH_CHARACTERS}")
