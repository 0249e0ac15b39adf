"""Headers without a name for the first column, which holds the names of rows: R and pandas."""

import re
from collections.abc import Sequence

_NUMBER = re.compile(r"[-+]?(?=[.,]?\d)[\d.,]+(?:[eE][-+]?\d+)?")
# How R and pandas write that there is no value.
_MISSING = {"", "NA", "NaN", "nan"}
# A single row has too little to go by.
_MIN_ROWS = 2


def lacks_name_of_rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether a header of a CSV file is one cell short because its rows begin with names.

    R and pandas read a header that is one cell shorter than its rows so. A title or a header above
    another one is no such header: some column below it must hold numbers only.

    Args:
        header: the cells of a row.
        rows: those below it.
    """
    width = len(header) + 1
    names = {row[0] for row in rows}
    return (
        len(rows) >= _MIN_ROWS
        and all(cell.strip() for cell in header)
        and all(len(row) == width for row in rows)
        and len(names) == len(rows)
        and all(name.strip() for name in names)
        and any(row[-1] for row in rows)  # else all rows just end with a delimiter
        and any(_is_numeric([row[column] for row in rows]) for column in range(1, width))
    )


def _is_numeric(cells: Sequence[str]) -> bool:
    values = [cell.strip() for cell in cells if cell.strip() not in _MISSING]
    return bool(values) and all(_NUMBER.fullmatch(value) for value in values)
