"""Which paragraph styles of an RTF file are headings, by its stylesheet."""

import re
from dataclasses import dataclass, field

_HEADING = re.compile(r"heading ([1-9])", re.IGNORECASE)
_TITLE = "title"


@dataclass(slots=True)
class _Style:
    number: int = 0
    base: int | None = None
    outline_level: int | None = None
    name: list[str] = field(default_factory=list)


class Styles:
    """The outline levels of styles, from 0, while the stylesheet is read and after."""

    def __init__(self) -> None:
        self._style = _Style()
        self._outline_levels: dict[int, int] = {}

    def read_word(self, word: str, number: int | None) -> None:
        """Take a control word of the definition of a style."""
        if word == "s":
            self._style.number = number or 0
        elif word == "outlinelevel":
            self._style.outline_level = number
        elif word == "sbasedon":
            self._style.base = number

    def add_name(self, text: str) -> None:
        """Add a part of the name of the style."""
        self._style.name.append(text)

    def end_style(self) -> None:
        """End the definition of a style; its level may come from its name or from its base."""
        style, self._style = self._style, _Style()
        name = "".join(style.name).strip().rstrip(";").strip()
        level = style.outline_level
        if level is None and (heading := _HEADING.fullmatch(name)):
            level = int(heading[1]) - 1
        if level is None and name.lower() == _TITLE:
            level = 0
        if level is None and style.base is not None:
            level = self._outline_levels.get(style.base)
        if name and level is not None:
            self._outline_levels[style.number] = level

    def outline_level(self, number: int) -> int | None:
        """Return the level of a style, or None when it has none; body text may have level 9."""
        return self._outline_levels.get(number)
