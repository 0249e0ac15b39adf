"""Numbers in texts, which people and models write in different ways."""

import re

# Arabic has signs of its own for the decimals and the thousands.
_NUMBER = re.compile(r"\d+(?:[.,'\u2019\u066b\u066c]\d+)*")
_THOUSANDS = re.compile(r"[,'\u2019\u066c](?=\d{3}(?!\d))")
_DECIMALS = str.maketrans(",\u066b", "..")
# Three may be thousands: 1.000 is not 1.
_ZEROS = re.compile(r"\.0{1,2}\Z")


def numbers_of(text: str) -> set[str]:
    """Return the numbers of a text in one form: without separators of thousands, 15.00 as 15."""
    return {_plain(number) for number in _NUMBER.findall(text)}


def with_plain_numbers(text: str) -> str:
    """Return a text with its numbers in that form."""
    return _NUMBER.sub(lambda number: _plain(number[0]), text)


def _plain(number: str) -> str:
    if not number.isascii():
        number = "".join(str(int(one)) if one.isdecimal() else one for one in number)
    return _ZEROS.sub("", _THOUSANDS.sub("", number).translate(_DECIMALS))
