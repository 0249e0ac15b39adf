from ingest.parsers.markdown import parse_markdown
from ingest.texts import CanonicalText, Heading


def titles(text: CanonicalText) -> list[tuple[int, str, str]]:
    return [(h.level, h.title, text.text[h.start : h.end]) for h in text.headings]


def test_text_is_the_source() -> None:
    assert parse_markdown(b"# A\r\n\r\n*b*\r\n").text == "# A\n\n*b*\n"


def test_atx_and_setext_headings_are_mapped() -> None:
    text = parse_markdown(b"Intro\n\n  # One *two* `three` #\n\nFour\nfive\n----\nbody\n")
    assert titles(text) == [
        (1, "One two three", "# One *two* `three` #"),
        (2, "Four five", "Four\nfive\n----"),
    ]


def test_offsets_count_characters() -> None:
    assert parse_markdown("äöü😀\n\n# Ü\n".encode()).headings == (Heading(6, 9, 1, "Ü"),)


def test_title_is_plain_text() -> None:
    text = parse_markdown(b"# See [the *docs*](http://x) ![logo](y) <br> &amp; 1\\*2\n")
    assert [h.title for h in text.headings] == ["See the docs logo & 1*2"]


def test_what_only_looks_like_a_heading_is_none() -> None:
    source = b"```\n# code\n```\n\n    # code\n\n> # quoted\n\n- # item\n\n#\n\n#hashtag\n"
    assert parse_markdown(source).headings == ()


def test_front_matter_is_no_heading() -> None:
    text = parse_markdown(b"---\ntitle: x\n---\n# Real\n")
    assert titles(text) == [(1, "Real", "# Real")]


def test_rule_at_the_top_is_no_front_matter() -> None:
    text = parse_markdown(b"---\n\n# Real\n\ntext\n\n---\n")
    assert titles(text) == [(1, "Real", "# Real")]
