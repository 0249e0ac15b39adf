"""Numbers as letters and in Roman numerals, as items of lists have them."""

_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l")),
    *((40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)
_NUM_LETTERS = 26
# Beyond these, a number in letters would be longer than any text: it is written in digits.
_MAX_ROMAN, _MAX_LETTERS = 9999, 30 * _NUM_LETTERS


def roman(number: int) -> str:
    """Return a number above zero in small Roman numerals."""
    if number > _MAX_ROMAN:
        return str(number)
    signs = []
    for worth, sign in _ROMAN:
        times, number = divmod(number, worth)
        signs.append(sign * times)
    return "".join(signs)


def letters(number: int) -> str:
    """Return the small letter of a number from 1 on; `z` is followed by `aa`, `bb`, as in Word."""
    if number > _MAX_LETTERS:
        return str(number)
    rounds, place = divmod(number - 1, _NUM_LETTERS)
    return chr(ord("a") + place) * (rounds + 1)
