"""Which files a folder holds, what they are called in a collection, and what is left out."""

import os
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

# What office programs, editors, browsers and systems leave about.
TEMPORARY = ("~$*", "*~", "*.tmp", "*.part", "*.crdownload", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True, slots=True)
class File:
    """A file.

    Attributes:
        path: where it is.
        external_id: what it is called in a collection: its path inside the given folder, with "/",
            or its name when it was given itself.
    """

    path: Path
    external_id: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file, or a folder, that is not ingested.

    Attributes:
        file: which.
        reason: in words.
    """

    file: File
    reason: str


@dataclass(slots=True)
class Listing:
    """What was found.

    Attributes:
        files: to ingest, in order of their external ids.
        skipped: left out on purpose.
        unreadable: what should be ingested and cannot.
    """

    files: list[File] = field(default_factory=list)
    skipped: list[LeftOut] = field(default_factory=list)
    unreadable: list[LeftOut] = field(default_factory=list)


def list_files(paths: Iterable[Path], home: Path) -> Listing:
    """Find the files in folders, at any depth, and those that are given themselves.

    In folders, hidden and temporary files are left out. Links are followed, but each folder is read
    once only, under its own name if it has one in the tree, so that links in circles end.

    Args:
        paths: files and folders.
        home: folder of a service's own state; left out.
    """
    listing = Listing()
    for path in paths:
        file = File(path, readable(path.name))
        if path.is_dir():
            _read_tree(path, home, listing)
        elif path.exists() and not path.is_file():
            # A pipe would be waited for, and gives its bytes only once.
            listing.unreadable.append(LeftOut(file, "It is no regular file. Save it as one."))
        else:
            listing.files.append(file)
    listing.files.sort(key=lambda file: file.external_id)
    _set_aside_namesakes(listing)
    return listing


def readable(name: str) -> str:
    r"""Return a file name with the bytes that are no UTF-8 written as \xNN."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _read_tree(root: Path, home: Path, listing: Listing) -> None:
    folders, links = deque([root]), deque[Path]()
    seen = {_identity(home)} if home.is_dir() else set()
    while folders or links:
        folder = folders.popleft() if folders else links.popleft()
        try:
            if (identity := _identity(folder)) in seen:
                reason = "folder read already, or the service's own"
                listing.skipped.append(LeftOut(_file(folder, root), reason))
                continue
            seen.add(identity)
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            refusal = f"The folder cannot be read: {error.strerror}."
            listing.unreadable.append(LeftOut(_file(folder, root), refusal))
            continue
        for entry in entries:
            file = _file(Path(entry.path), root)
            if why := _why_left_out(entry):
                listing.skipped.append(LeftOut(file, why))
            elif entry.is_dir():
                (links if entry.is_symlink() else folders).append(file.path)
            else:
                listing.files.append(file)


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _file(path: Path, root: Path) -> File:
    name = str(root) if path == root else path.relative_to(root).as_posix()
    return File(path, readable(name))


def _why_left_out(entry: "os.DirEntry[str]") -> str | None:
    if entry.name.startswith("."):
        return "hidden"
    if any(fnmatchcase(entry.name, pattern) for pattern in TEMPORARY):
        return "temporary"
    try:
        if entry.is_dir() or entry.is_file():
            return None
    except OSError:  # a link to itself
        return "link that leads nowhere"
    return "link that leads nowhere" if entry.is_symlink() else "no regular file"


def _set_aside_namesakes(listing: Listing) -> None:
    """Keep one of the files with the same external id: they would replace each other."""
    kept: dict[str, File] = {}
    for file in listing.files:
        first = kept.setdefault(file.external_id, file)
        if first.path != file.path:
            reason = (
                f"{readable(str(first.path))} would have the same name in the collection. Give the "
                "folder that holds both, or use another collection for one of them."
            )
            listing.unreadable.append(LeftOut(file, reason))
    listing.files = list(kept.values())
