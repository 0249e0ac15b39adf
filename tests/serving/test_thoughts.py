"""Thinking that stands in the answer itself is told from it, however the text is split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.thoughts import ThoughtSplitter


def split(*pieces: str) -> tuple[str, str]:
    """Return answer and thinking of a text that comes in pieces."""
    splitter = ThoughtSplitter()
    parts = [*map(splitter.feed, pieces), splitter.finish()]
    return "".join(text for text, _ in parts), "".join(thought for _, thought in parts)


@pytest.mark.parametrize(
    ("written", "answer", "thought"),
    [
        ("Bees sleep.", "Bees sleep.", ""),
        ("\n\n Bees sleep.\n", "Bees sleep.\n", ""),
        ("<think>Do bees?</think>\n\nThey sleep.", "They sleep.", "Do bees?"),
        ("\n<think>\nDo bees?\n</think>They", "They", "\nDo bees?\n"),
        ("<think></think>They sleep.", "They sleep.", ""),
        ("<think>a < b, </thin </think>They", "They", "a < b, </thin "),
        ("<think>never ends </thi", "", "never ends </thi"),
        ("<think", "<think", ""),
        ("<thinker> sleeps", "<thinker> sleeps", ""),
        ("It says <think>x</think>.", "It says <think>x</think>.", ""),
        ("<think>a</think>b<think>c</think>", "b<think>c</think>", "a"),
    ],
)
def test_only_what_the_answer_begins_with_is_thinking(
    written: str, answer: str, thought: str
) -> None:
    assert split(written) == (answer, thought)


@given(st.lists(st.sampled_from(["<think>", "</think>", "<", "</thi", "nk>", " ", "\n", "Bees"])))
def test_pieces_make_no_difference(parts: list[str]) -> None:
    text = "".join(parts)
    assert split(*text) == split(*parts) == split(text)


def test_what_is_certain_comes_at_once() -> None:
    splitter = ThoughtSplitter()
    assert splitter.feed("<think>Do bees") == ("", "Do bees")
    assert splitter.feed(" sleep?</th") == ("", " sleep?")
    assert splitter.feed("ink>Yes") == ("Yes", "")
    assert splitter.feed(", <") == (", <", "")
