"""What stands between two neighbouring parts of a row, by the gap between them."""

import re

from ingest.parsers.boxes import Box

# Parts closer than these multiples of the height belong to one word, to one cell.
_SAME_WORD = 0.12
_SAME_CELL = 0.9
_RAISED = 0.15
# In tables, signs stand apart from their number.
_OPENING = re.compile(r"[$€£¥(]+")
_CLOSING = re.compile(r"[)%]+")


def separator(text: str, box: Box, following: str, following_box: Box) -> str | None:
    """Return what belongs between two texts: nothing, a space, or None for two cells."""
    if _OPENING.fullmatch(text) or _CLOSING.fullmatch(following):
        return ""
    height = box[3] - box[1]
    gap = (following_box[0] - box[2]) / max(1.0, height)
    if gap >= _SAME_CELL or _OPENING.fullmatch(following):
        return None
    is_footnote_mark = following_box[1] - box[1] > _RAISED * height and following[0].isdigit()
    return " " if gap > _SAME_WORD or is_footnote_mark else ""
