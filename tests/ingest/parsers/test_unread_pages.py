import pytest

from ingest.parsers.unread_pages import UnreadPages, as_ranges


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [([4], "Page 4"), ([3, 4, 5, 6, 7], "Pages 3-7"), ([1, 3, 4, 9], "Pages 1, 3-4, 9")],
)
def test_as_ranges(numbers: list[int], expected: str) -> None:
    assert as_ranges(numbers) == expected


def test_many_ranges_are_cut_short() -> None:
    assert as_ranges(range(1, 100, 2)).endswith("37, 39 and more")


def test_reason() -> None:
    unread = UnreadPages()
    assert (unread.numbers, unread.reason) == ((), None)
    unread.add_scan(3, "Do this.")
    unread.add_damaged(1)
    unread.add_scan(4, "Do this.")
    assert unread.numbers == (1, 3, 4)
    assert unread.reason == (
        "Pages 3-4 need OCR. Do this. Page 1 is damaged and could not be read."
    )
