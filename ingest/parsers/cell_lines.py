"""The words in a cell of a table as lines, and whether those are rows that no rule divides."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from ingest.parsers.boxes import Box
from ingest.parsers.hyphens import BROKEN
from ingest.parsers.spacing import separator

_MIN_ROWS = 2
# Fewer lines that end early may be those of an address.
_MIN_EARLY_LINES = 3
_MIN_EARLY = 0.6
# Room left free beside the text of a cell, in points; a space and a gap between lines, in heights.
_PADDING = 4.0
_SPACE = 0.3
_LINE_GAP = 0.5
_BULLET = re.compile(r"\W|\(?\w{1,3}[.)]")
# Letters, and the brackets of a reference.
_NO_NUMBER = re.compile(r"[^\W\d]|[\[\]]")
_HYPHEN = re.compile(r"\w[-\u2010]\Z")
# Chinese and Japanese do not space their words.
_UNSPACED = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")
_FROM_THE_RIGHT = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")


class Word(NamedTuple):
    """A word and its box."""

    text: str
    box: Box


CellLine = list[Word]


def cell_lines(words: Sequence[Word]) -> list[CellLine]:
    """Return words as lines, from the top down and in the order of reading.

    Args:
        words: in the order of the file, which is kept where they are read from the right.
    """
    lines: list[list[int]] = []
    for index in sorted(range(len(words)), key=lambda index: -_middle(words[index])):
        if lines and _is_beside(words[lines[-1][0]], words[index]):
            lines[-1].append(index)
        else:
            lines.append([index])
    for line in lines:
        if any(_FROM_THE_RIGHT.search(words[index].text) for index in line):
            line.sort()
        else:
            line.sort(key=lambda index: words[index].box[0])
    return [[words[index] for index in line] for line in lines]


def cell_text(lines: Sequence[CellLine]) -> str:
    """Return lines as one, with `BROKEN` where a word may be broken."""
    parts: list[str] = []
    for line in filter(None, lines):
        if parts:
            parts.append(_line_break(parts[-1], line[0].text))
        parts.append(line[0].text)
        for word, following in pairwise(line):
            between = separator(*word, *following)
            parts += [" " if between is None else between, following.text]
    return "".join(parts)


def is_divided(line: CellLine) -> bool:
    """Tell whether words of a line stand as far apart as those of two columns."""
    start = 1 if _BULLET.fullmatch(line[0].text) else 0
    return any(separator(*word, *following) is None for word, following in pairwise(line[start:]))


def are_rows(cells: Sequence[tuple[Box, Sequence[CellLine]]]) -> bool:
    """Tell whether the lines in cells side by side, given with their areas, are rows of their own.

    They are when those of one cell, numbers or lines that end early, stand beside those of others,
    which make up half of the cells and are not wrapped either.
    """
    for area, lines in cells:
        are_numbers = _are_numbers(lines)
        if are_numbers or _are_early(area, lines):
            level = [cell for cell in cells if _are_level(lines, cell[1])]
            if len(level) >= max(_MIN_ROWS, len(cells) / 2):
                num_wrapped = sum(_are_wrapped(*cell) for cell in level)
                if are_numbers or num_wrapped < len(level) / 2:
                    return True
    return False


def _are_numbers(lines: Sequence[CellLine]) -> bool:
    texts = ["".join(word.text for word in line) for line in lines]
    return len(lines) >= _MIN_ROWS and all(
        any(map(str.isdigit, text)) and not _NO_NUMBER.search(text) for text in texts
    )


def _are_early(area: Box, lines: Sequence[CellLine]) -> bool:
    """Tell whether most lines end although the next word, no bullet, would have had room."""
    num_early = sum(
        (_has_room(area, *pair) or _is_gap(*pair)) and not _BULLET.fullmatch(pair[1][0].text)
        for pair in pairwise(lines)
    )
    return len(lines) >= _MIN_EARLY_LINES and num_early >= _MIN_EARLY * (len(lines) - 1)


def _are_wrapped(area: Box, lines: Sequence[CellLine]) -> bool:
    """Tell whether most lines of several words end because the next word had no room."""
    num_full = sum(
        len(line) > 1 and not _has_room(area, line, following) and not _is_gap(line, following)
        for line, following in pairwise(lines)
    )
    return num_full > (len(lines) - 1) / 2


def _has_room(area: Box, line: CellLine, following: CellLine) -> bool:
    needed = _width(line) + _SPACE * _height(line[0]) + _width(following[:1])
    return needed < area[2] - area[0] - _PADDING


def _are_level(lines: Sequence[CellLine], others: Sequence[CellLine]) -> bool:
    """Tell whether each line has one beside it; of more lines, those are the wrapped ones."""
    if len(lines) != len(others) and not any(_is_gap(*pair) for pair in pairwise(lines)):
        return False
    return all(any(_is_beside(line[0], other[0]) for other in others) for line in lines)


def _is_gap(line: CellLine, following: CellLine) -> bool:
    return line[0].box[1] - following[0].box[3] > _LINE_GAP * _height(line[0])


def _middle(word: Word) -> float:
    return (word.box[1] + word.box[3]) / 2


def _height(word: Word) -> float:
    return word.box[3] - word.box[1]


def _width(line: CellLine) -> float:
    return max(word.box[2] for word in line) - min(word.box[0] for word in line)


def _is_beside(word: Word, other: Word) -> bool:
    (_, bottom, _, top), (_, its_bottom, _, its_top) = word.box, other.box
    shared = min(top, its_top) - max(bottom, its_bottom)
    return shared >= 0.5 * min(top - bottom, its_top - its_bottom)


def _line_break(text: str, following: str) -> str:
    """Return what stands between the lines of a cell in place of their break."""
    if _HYPHEN.search(text):
        return BROKEN
    return "" if _UNSPACED.match(text[-1]) and _UNSPACED.match(following) else " "
