"""Numbers of things, written for people."""


def counted(number: float, noun: str, nouns: str | None = None) -> str:
    """Write so many things: `1 question`, `1,234 questions`.

    Args:
        number: of them, rounded to a whole one.
        noun: for one of them.
        nouns: for others; None: the noun with an s.
    """
    shown = f"{number:,.0f}"
    return f"{shown} {noun if shown == '1' else nouns or f'{noun}s'}"
