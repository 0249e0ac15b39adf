"""Why a PDF is refused, in words."""

from ingest.errors import UnreadableFileError


def encrypted(password: str | None) -> UnreadableFileError:
    """Return the refusal of a locked file for which `password` was given."""
    return UnreadableFileError(
        "encrypted",
        "The PDF is locked with a password; upload it with its password, or save a copy without "
        "the password and upload that."
        if password is None
        else "The password does not open the PDF; upload it again with the right one.",
    )


def damaged() -> UnreadableFileError:
    """Return the refusal of a file that no reader opens."""
    return UnreadableFileError(
        "damaged",
        "The PDF is damaged and could not be read; print it to a new PDF and upload that.",
    )


def too_many_pages(max_pages: int) -> UnreadableFileError:
    """Return the refusal of a file that is too long."""
    return UnreadableFileError(
        "too_many_pages",
        f"The PDF has more than {max_pages} pages; split it and upload the parts.",
    )
