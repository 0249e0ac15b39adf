from ingest.parsers.markdown import parse_markdown
from ingest.sections import sections_of
from ingest.texts import CanonicalText


def test_sections_cover_the_text_with_the_right_paths() -> None:
    text = parse_markdown(b"intro\n\n## A\n\n# B\n\nx\n\n### C\n\ny\n\n## D\n")
    sections = sections_of(text)
    assert "".join(text.text[s.start : s.end] for s in sections) == text.text
    assert [s.titles for s in sections] == [(), ("A",), ("B",), ("B", "C"), ("B", "D")]
    assert [s.titles for s in sections] == [text.heading_path(s.start) for s in sections]
    assert [s.is_bare for s in sections] == [False, True, False, False, True]


def test_sections_within_the_same_parent() -> None:
    _, _, b, c, d, e = sections_of(parse_markdown(b"x\n# A\n## B\n### C\n## D\n# E\n"))
    assert (b.shares_parent(c), b.shares_parent(d), c.shares_parent(d)) == (True, True, False)
    assert not d.shares_parent(e)


def test_text_without_headings_is_one_section() -> None:
    (section,) = sections_of(CanonicalText("some text"))
    assert (section.start, section.end, section.titles, section.is_bare) == (0, 9, (), False)
