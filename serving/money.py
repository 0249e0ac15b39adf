"""Money: whole billionths of a US dollar inside, so that sums are exact; dollars outside."""

NANO_PER_USD = 10**9
MAX_USD = 10**9


def to_nano_usd(usd: float) -> int:
    """Return an amount in billionths of a dollar."""
    return round(usd * NANO_PER_USD)


def to_usd(nano_usd: int) -> float:
    """Return an amount in dollars; exact to a billionth up to some millions of dollars."""
    return nano_usd / NANO_PER_USD


def show_usd(nano_usd: int) -> str:
    """Return an amount in words, with as many digits as it has."""
    return f"{to_usd(nano_usd):.9f}".rstrip("0").rstrip(".") + " USD"
