"""What users call a document, which its text need not say."""

import re

# `.pdf` would be a word of every chunk. The end of a version (`v1.2`) is none.
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}\Z")


def make_name(filename: str, external_id: str) -> str:
    """Return what answers and prompts call a document: its path if it goes by that, or its file."""
    is_path = external_id.endswith(f"/{filename}")
    return external_id if is_path else filename


def make_title(filename: str, external_id: str) -> str:
    """Return what a document is found by: its name and its id, without the suffix of the file."""
    names = dict.fromkeys([make_name(filename, external_id), external_id])
    suffix = _SUFFIX.search(filename)
    return " ".join(name.removesuffix(suffix[0] if suffix else "") for name in names)
