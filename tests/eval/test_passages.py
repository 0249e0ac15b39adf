"""A quotation is found where an exhaustive comparison would find it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.passages import SearchableText, nearest

QUOTATION = "The harbour master counts every vessel twice before the evening tide."
BEFORE = "Some words stand before. "
AFTER = " And some stand after it."


def found(text: str, quotation: str = QUOTATION) -> list[str]:
    searchable = SearchableText(text)
    return [text[start:end] for start, end in searchable.find_similar(quotation)]


def test_exact_places_in_order() -> None:
    assert SearchableText("abab ab").find_exact("ab") == [(0, 2), (2, 4), (5, 7)]


def test_white_space_is_ignored_on_both_sides() -> None:
    text = "the  first\nline\u00a0ends"
    assert SearchableText(text).find_ignoring_space(" first line") == [(5, 15)]
    assert text[5:15] == "first\nline"


@pytest.mark.parametrize(
    "changed",
    [
        QUOTATION.replace("every", "evry"),
        QUOTATION.replace("every", "evvery"),
        QUOTATION.replace("every", "evary"),
        QUOTATION.replace("harbour", "har-\nbour"),
        QUOTATION.replace("The", "Tho").replace("tide.", "tiDe."),
        QUOTATION.replace("vessel", "vesse1").replace("twice", "twlce"),
    ],
)
def test_a_changed_quotation_is_found(changed: str) -> None:
    assert found(BEFORE + changed + AFTER) == [changed]


def test_too_many_edits_are_not_similar() -> None:
    num_characters = len("".join(QUOTATION.split()))
    assert num_characters // 20 == 2
    assert found(QUOTATION.replace("vessel", "vexxxl")) == []


def test_short_quotations_are_not_matched_nearly() -> None:
    assert found("Ships sink.", "Ships sing.") == []


@pytest.mark.parametrize("between", ["", AFTER * 10], ids=["adjacent", "apart"])
def test_all_similar_places_count(between: str) -> None:
    changed = QUOTATION.replace("every", "evry")
    assert len(found(changed + between + changed)) > 1


def test_nearest_of_two_is_the_first() -> None:
    assert nearest([(0, 2), (10, 12), (20, 22)], 12) == (10, 12)
    assert nearest([(0, 2), (10, 12)], 5) == (0, 2)


@given(
    before=st.text("ab ", max_size=40),
    after=st.text("ab ", max_size=40),
    position=st.integers(5, 50),
    edit=st.sampled_from(["", "#", "##"]),
)
def test_one_edit_anywhere_is_found(before: str, after: str, position: int, edit: str) -> None:
    compact = "".join(QUOTATION.split())
    changed = compact[:position] + edit + compact[position + 1 :]
    (place,) = SearchableText(before + changed + after).find_similar(QUOTATION)
    assert place == (len(before), len(before) + len(changed))
