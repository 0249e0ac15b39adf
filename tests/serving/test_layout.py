"""Which passages of earlier turns a prompt keeps."""

from collections.abc import Iterable, Mapping

import pytest

from ingest.texts import CanonicalText
from retrieval.analyzer import get_analyzer
from retrieval.chunks import Hit
from retrieval.packing import PackingPolicy
from retrieval.sentence_ranking import SentenceRanker
from serving.layout import MAX_RECALLED, Layout
from serving.memory import Exchange
from tests.fakes import HashEmbedder
from tests.serving.test_citations import make_chunk, make_context


class NoDocuments:
    """Of documents that were all deleted."""

    def filenames(self, document_ids: Iterable[str]) -> Mapping[str, str]:
        return dict.fromkeys(document_ids, "")

    def revision_text(self, document_id: str, revision: str) -> CanonicalText | None:
        return None

    def is_answering(self, document_id: str, revision: str) -> bool:
        return False

    def forget_late_vectors(self, revisions: Iterable[tuple[str, str]]) -> None:
        """Keeps no vectors."""


def layout(num_recalled: int, num_found: int) -> Layout:
    """A layout of passages and hits of one token each."""
    items = make_context(*(["Bees."] * num_recalled))
    return Layout(
        documents=NoDocuments(),
        hits=[Hit(make_chunk(number, "Tides."), 1.0) for number in range(num_found)],
        count_tokens=lambda text: len(text.split()),
        policy=PackingPolicy(),
        ranker=SentenceRanker(get_analyzer("english"), lambda _: [], HashEmbedder()),
        query="Why?",
        nonce="k7f4",
        question="Why?",
        history=(),
        exchanges=(Exchange("How?", items, "So [1]."),),
    )


@pytest.mark.parametrize(
    ("num_recalled", "max_tokens", "is_worth_it"),
    [
        (2 * MAX_RECALLED, None, True),
        (2 * MAX_RECALLED + 1, None, False),  # too many for what was found
        (4, 6, True),
        (5, 6, False),  # no room for the two that were found
        (4, 3, False),
    ],
)
def test_earlier_passages_go_along_while_there_are_not_too_many(
    num_recalled: int, max_tokens: int | None, *, is_worth_it: bool
) -> None:
    assert MAX_RECALLED == 3
    assert layout(num_recalled, num_found=2).is_worth_recalling(max_tokens) is is_worth_it
