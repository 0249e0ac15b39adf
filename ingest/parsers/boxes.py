"""Boxes on a page."""

Box = tuple[float, float, float, float]
"""left, bottom, right, top in points, y upwards"""

# Pages end at 14,400 points (ISO 32000-1, annex C).
_FAR = 20_000.0


def overlap(one: Box, other: Box) -> float:
    """Return the area that two boxes share, in square points."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)


def around(one: Box, other: Box) -> Box:
    """Return the box around two boxes."""
    (l1, b1, r1, t1), (l2, b2, r2, t2) = one, other
    return (
        l1 if l1 < l2 else l2,  # min and max take three times as long
        b1 if b1 < b2 else b2,
        r1 if r1 > r2 else r2,
        t1 if t1 > t2 else t2,
    )


def within_reach(box: Box) -> Box:
    """Return the box with finite edges, whatever a broken file says."""
    left, bottom, right, top = box
    if left > -_FAR and bottom > -_FAR and right < _FAR and top < _FAR:  # false for NaN
        return box
    left, bottom, right, top = (max(-_FAR, min(_FAR, edge)) for edge in box)
    return left, bottom, right, top


def turned(box: Box, quarter_turns: int) -> Box:
    """Return the box on a page that is turned clockwise."""
    left, bottom, right, top = box
    match quarter_turns:
        case 1:
            return bottom, -right, top, -left
        case 2:
            return -right, -top, -left, -bottom
        case 3:
            return -top, left, -bottom, right
        case _:
            return box
