from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from ingest.parsers.boxes import Box
from ingest.parsers.page_grids import find_grids

EDGES = st.lists(st.integers(12, 80), min_size=2, max_size=6).map(
    lambda sizes: [sum(sizes[:count]) for count in range(len(sizes) + 1)]
)


def across(y: float, left: float, right: float) -> Box:
    return left, y, right, y + 0.5


def down(x: float, bottom: float, top: float) -> Box:
    return x, bottom, x + 0.5, top


def middle(left: float, bottom: float, right: float, top: float) -> Box:
    x, y = (left + right) / 2, (bottom + top) / 2
    return x - 1, y - 1, x + 1, y + 1


@given(EDGES, EDGES, st.randoms(use_true_random=False))
def test_each_cell_of_a_grid_is_found(xs: list[int], ys: list[int], random: Random) -> None:
    def near(edge: int) -> float:
        return edge + random.uniform(-1, 1)

    rules = [
        *(across(near(y), left, right) for y in ys for left, right in pairwise(xs)),
        *(down(near(x), low, high) for x in xs for low, high in pairwise(ys)),
    ]
    random.shuffle(rules)
    [grid] = find_grids(rules)
    expected = {(row, column) for row in range(len(ys) - 1) for column in range(len(xs) - 1)}
    found = [
        grid.cell_of(middle(left, low, right, high))
        for low, high in pairwise(ys)
        for left, right in pairwise(xs)
    ]
    assert set(found) == expected
    assert len(found) == len(expected)
    assert grid.cell_of((xs[-1] + 5, 0, xs[-1] + 9, 4)) is None


def test_cells_without_a_rule_between_them_are_one() -> None:
    rules = [across(y, 0, 90) for y in (0, 30, 60)]
    rules += [down(x, 0, 60) for x in (0, 60, 90)] + [down(30, 0, 30)]
    [grid] = find_grids(rules)
    assert grid.cell_of(middle(30, 30, 60, 60)) == (0, 0)
    assert grid.cell_of(middle(30, 0, 60, 30)) == (1, 1)
    assert grid.first_of((0, 1)) == (0, 0)
    assert grid.area((0, 0)) == (0.25, 30.25, 60.25, 60.25)


def test_rules_that_do_not_meet_make_grids_of_their_own() -> None:
    one = [across(y, 0, 60) for y in (0, 20, 40)] + [down(x, 0, 40) for x in (0, 30, 60)]
    other = [(left + 70, bottom, right + 70, top) for left, bottom, right, top in one]
    assert [grid.box for grid in find_grids(one + other)] == [
        (0.25, 0.25, 60.25, 40.25),
        (70.25, 0.25, 130.25, 40.25),
    ]


def test_areas_that_are_no_rectangles_make_no_grid() -> None:
    rules = [across(0, 0, 60), across(40, 0, 60), across(20, 0, 30)]
    rules += [down(x, 0, 40) for x in (0, 60)] + [down(30, 0, 20)]
    assert find_grids(rules) == []


def test_a_drawing_of_many_rules_has_no_grids() -> None:
    rules = [across(10 * n, 0, 3000) for n in range(250)] + [
        down(10 * n, 0, 2500) for n in range(250)
    ]
    assert find_grids(rules) == []
