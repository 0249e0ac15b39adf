"""Clusters: which questions count as independent of each other."""

from collections.abc import Sequence
from dataclasses import replace

from eval.questions import Question

# With fewer clusters hardly anything can be shown.
FEW_CLUSTERS = 200
# What stands in one chunk is found or missed together. A token has four to five characters, fewer
# where words are rare.
CHARACTERS_PER_TOKEN = 5


def split_few_clusters(questions: Sequence[Question], chunk_tokens: int) -> list[Question]:
    """Let questions about different stretches of a document be independent, if documents are few.

    A question whose cluster is the document of its evidence, as it is unless its file says
    otherwise, then belongs to a stretch of the largest chunk. What is shown with such clusters is
    about questions on these documents, and not on others.

    Args:
        questions: anchored.
        chunk_tokens: of the largest chunks that are tried.
    """
    if len({question.cluster for question in questions}) >= FEW_CLUSTERS:
        return list(questions)
    return [_in_stretch(question, CHARACTERS_PER_TOKEN * chunk_tokens) for question in questions]


def _in_stretch(question: Question, length: int) -> Question:
    if not question.facts:
        return question
    span = question.facts[0][0]
    if span.start is None or question.cluster != span.document:
        return question
    return replace(question, cluster=f"{span.document} {span.start // length}")
