import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.sentences import sentence_spans


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("One here.| Two there!| Three?| Four", id="marks"),
        pytest.param("Really?!| Yes!!| Well...| Then go.", id="runs of marks"),
        pytest.param("Wait ... what? he asked.| She left.", id="lowercase goes on"),
        pytest.param('He said "Stop."| She did.| (It was late.)| End', id="closing quotes"),
        pytest.param("\u201cStop!\u201d| \u2018No.\u2019| \u201cGo.\u201d", id="curly quotes"),
        pytest.param("Dr. Smith met Mrs. Jones, e.g. in St. Louis.| Next.", id="titles"),
        pytest.param("See Fig. 3, Eq. (4), No. 5 and pp. 12-14.| Next.", id="references"),
        pytest.param("The answer is no.| The next is yes.", id="no as a word"),
        pytest.param("Smith et al. 2019 and Li et al. (2020) agree.| Ok.", id="et al."),
        pytest.param("As in Smith et al.| The rest differs.", id="et al. at the end"),
        pytest.param("The U.S. Senate met.| He left the U.S.| It rained.", id="acronyms"),
        pytest.param("By J. R. R. Tolkien and A. Milne.| Read it.", id="initials"),
        pytest.param("It grew by 3.5 % to 1,000.25 in 2012.| We won.", id="decimals"),
        pytest.param("At 5 p.m. Monday, i.e. late.| Apple Inc. Shares rose.", id="ambiguous"),
        pytest.param("Known fact.[12]| Another.[1][2]| End.", id="footnotes"),
        pytest.param("Visit www.example.com or v2.0.1 now.| Done.", id="inner dots"),
        pytest.param("晴れ。|明日は雨\uff01|「本当\uff1f」|はい。", id="japanese"),
        pytest.param("यह पहला है।| यह दूसरा है।", id="hindi"),
        pytest.param("A line that\nwraps in the\nmiddle.| Then\nanother.", id="wrapped lines"),
        pytest.param("No end mark|\n\nnext paragraph|\n \nlast", id="blank lines"),
        pytest.param("# 1. A heading. Two|\ntext here|\n## Next|\nmore", id="headings"),
        pytest.param("Title\n=====|\ntext", id="underlined heading"),
        pytest.param("Items:|\n- one. Two|\n  * two|\n1. three|\n(b) four", id="list items"),
        pytest.param("| a. B | c |\n|| --- | --- |\n|| d | e |\n|After", id="table rows"),
        pytest.param("Intro ........ 5\nMethods ....... 7", id="dot leaders"),
    ],
)
def test_breaks(text: str) -> None:
    if text.startswith("| a"):
        expected = ["| a. B | c |", "| --- | --- |", "| d | e |", "After"]
        text = "\n".join(expected)
    else:
        expected = [part.strip() for part in text.split("|")]
        text = text.replace("|", "")
    if "- one. Two" in text:
        expected[1:2] = ["- one.", "Two"]
    assert sentences(text) == expected


@given(st.text(alphabet="ab A.!?\u2026\n\t |#-*1)(\"'[]>=`\u3002\u00a0", max_size=200) | st.text())
def test_spans_are_trimmed_ordered_and_cover_everything(text: str) -> None:
    spans = sentence_spans(text)
    offsets = [offset for span in spans for offset in span]
    assert offsets == sorted(offsets)
    assert all(text[start:end] == text[start:end].strip() != "" for start, end in spans)
    covered = "".join(text[start:end] for start, end in spans)
    assert "".join(covered.split()) == "".join(text.split())


@pytest.mark.parametrize(
    "unit", [".", ". ", "\n", "\n ", " ", "a.", "?)", "-", "> ", "|", "#", "[1]", "A. ", "....x"]
)
def test_time_is_linear(unit: str) -> None:
    """0.3 s at most here; in quadratic time it would be minutes. Other processes do not count."""
    started = time.thread_time()
    sentence_spans(unit * (100_000 // len(unit)))
    assert time.thread_time() - started < 10
