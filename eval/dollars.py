"""Amounts of dollars, written for people."""


def dollars(amount: float) -> str:
    """Write an amount, 0 or more: cents from 1 on, below that two digits that count."""
    if amount == 0 or 0.995 <= amount < 1e6:  # noqa: PLR2004 - which is a dollar in two digits
        return f"${amount:,.2f}"
    if not 1e-6 <= amount < 1:  # noqa: PLR2004
        return f"${amount:.0e}"
    whole, _, part = f"{float(f'{amount:.2g}'):.7f}".rstrip("0").partition(".")
    return f"${whole}.{part:0<2}"
