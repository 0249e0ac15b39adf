"""Titles: what users call a document, which its texts need not say."""

import re

# `.pdf` would be a word of every chunk. A version (`v1.2`) is none.
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}\Z")


def make_title(filename: str, external_id: str) -> str:
    """Return file name and id without the suffix; one of them where it says the other, too.

    The id is mostly the file's name, or its path, whose folders tell as much.
    """
    names = [external_id] if external_id.endswith(filename) else [filename, external_id]
    return " ".join(_SUFFIX.sub("", name) for name in names)
