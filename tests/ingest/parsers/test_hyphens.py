import pytest

from ingest.parsers.hyphens import BROKEN, Hyphenation


@pytest.mark.parametrize(
    ("document", "line", "following", "expected"),
    [
        ("information", "more infor-", "mation here", ("more information", "here")),
        ("", "infor-", "mation", ("information", "")),
        ("a long-term plan", "long-", "term aim", ("long-term", "aim")),
        ("the crowd is a source", "crowd-", "source it", ("crowd-source", "it")),
        ("", "state-of-the-", "art work", ("state-of-the-art", "work")),
        ("", "self-", "made", ("self-made", "")),
        ("", "evap-", "orating, then", ("evaporating,", "then")),
    ],
)
def test_join(document: str, line: str, following: str, expected: tuple[str, str]) -> None:
    assert Hyphenation([document]).join(line, following) == expected


@pytest.mark.parametrize(
    ("line", "following"),
    [("whole", "words"), ("2019-", "2020"), ("Anna-", "Maria"), ("a list -", "item"), ("-", "x")],
)
def test_what_is_no_broken_word_stays(line: str, following: str) -> None:
    assert Hyphenation([]).join(line, following) is None


def test_broken_words_do_not_count_as_words() -> None:
    lines = ["a plan of over-", "all size"]
    assert Hyphenation(lines).join("over-", "all size") == ("overall", "size")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (f"| evapo-{BROKEN}ration of water | 3 |", "| evaporation of water | 3 |"),
        (f"| long-{BROKEN}term | care-{BROKEN}ful |", "| long-term | careful |"),
        (f"| great-{BROKEN}great-{BROKEN}grandson |", "| great-great-grandson |"),
        (f"| Meier-{BROKEN}Huber | 2019-{BROKEN}2020 |", "| Meier-Huber | 2019-2020 |"),
        ("| nothing- broken |", "| nothing- broken |"),
    ],
)
def test_mend(row: str, expected: str) -> None:
    assert Hyphenation(["a long-term plan, a great-great aunt"]).mend(row) == expected
