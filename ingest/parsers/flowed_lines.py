"""Lines of a mail that flow (RFC 3676): a space at the end of one says that it goes on."""

_SIGNATURE = "-- "


def flowed(text: str, *, deletes_space: bool) -> str:
    r"""Return a text with one line for each paragraph; quoted ones have a `>` for each level.

    Args:
        text: its lines end with `\n`.
        deletes_space: the space is none of the text, which may be in the middle of a word.
    """
    pieces: list[str] = []
    open_level: int | None = None
    for line in text.split("\n"):
        content = line.lstrip(">")
        level = len(line) - len(content)
        content = content.removeprefix(" ")
        if level == open_level and content.strip() and content != _SIGNATURE:
            pieces.append(content)
        else:
            pieces.append(f"\n{'>' * level} {content}" if level else f"\n{content}")
        open_level = level if content.endswith(" ") and content != _SIGNATURE else None
        if open_level is not None and deletes_space:
            pieces[-1] = pieces[-1][:-1]
    return "".join(pieces)[1:]
