"""What documents and models say is printed as it is, and nothing in it moves a terminal."""

import pytest
from rich.text import Text

from suffice.options import escape


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[bold]not bold[/]", "[bold]not bold[/]"),
        ("two\n\tlines, Größe 漢字", "two\n\tlines, Größe 漢字"),
        ("\x1b[2Jgone\x07", "\\x1b[2Jgone\\x07"),
        ("\x9b31mred", "\\x9b31mred"),
    ],
)
def test_text_is_shown_as_it_is(text: str, shown: str) -> None:
    assert Text.from_markup(escape(text)).plain == shown
