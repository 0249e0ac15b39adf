"""Files that are there whole or not at all, whenever the process ends."""

from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that takes the place of the one that was there in one step.

    Raises:
        OSError: it cannot be written.
    """
    # Whoever follows a folder of documents leaves such names out.
    new = path.with_name(f"{path.name}.tmp")
    new.write_bytes(content)
    new.replace(path)
