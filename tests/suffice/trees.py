"""Folders of small files, and what became of them."""

from collections.abc import Mapping
from pathlib import Path

from suffice.bulk import BulkReport
from suffice.folders import File, list_files

HOME = Path("home-of-the-service")


def write(folder: Path, contents: Mapping[str, str | bytes]) -> Path:
    """Write files below a folder, and return the folder."""
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def files_of(folder: Path) -> list[File]:
    return list_files([folder], HOME).files


def states(report: BulkReport) -> dict[str, str]:
    """Return the state of each file of a run that came to its end."""
    assert not report.is_early, report.error
    return {outcome.file.external_id: outcome.status for outcome in report.outcomes}
