"""Following folders: which files are new, changed or gone, once they have been quiet for a moment.

The events of the operating system only say when to look. A look compares size and time of every
file with those of the look before, so that what an event did not tell is noticed by the next.
"""

import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from watchfiles import watch

from suffice.bulk import BulkIngestion, BulkReport
from suffice.errors import WatchError
from suffice.folders import File, Listing, list_files

QUIET_SECONDS = 1.0
# Changes that never pause are looked at all the same.
MAX_EVENTS_SECONDS = 5.0
# Network drives send no events.
MAX_LOOK_INTERVAL_SECONDS = 60.0
Signature = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened since the last changes.

    Attributes:
        files: new or changed.
        gone: were there before.
    """

    files: Sequence[File]
    gone: Sequence[File]


class Follower:
    """Looks at folders again and again.

    Attributes:
        listing: what the folders held at the last look, the first one of which is the making.
    """

    def __init__(self, folders: Sequence[Path], home: Path) -> None:
        """Look for the first time.

        Args:
            folders: what to follow.
            home: folder of a service's own state; left out.

        Raises:
            WatchError: one of them is no folder.
        """
        if files := [path for path in folders if not path.is_dir()]:
            raise WatchError(f"{files[0]} is no folder; only folders can be followed.")
        self._folders = folders
        self._home = home
        self._identities = self._identify()
        self._devices: dict[File, int] = {}  # of the folder, when the file was seen last
        self.listing = Listing()
        self._seen = self._settled = self._look()

    def changes(self) -> Iterator[Changes]:
        """Yield what changes from the first look on, for ever.

        A change counts when two looks, `QUIET_SECONDS` apart, find the same.

        Raises:
            WatchError: a folder cannot be watched, or another one is in its place, as when a drive
                is taken away.
            KeyboardInterrupt: at Ctrl-C.
        """
        last_look = 0.0  # the first one comes without an event
        try:
            for events in watch(
                *self._folders,
                watch_filter=None,
                step=round(QUIET_SECONDS * 1000),
                debounce=round(MAX_EVENTS_SECONDS * 1000),
                rust_timeout=round(QUIET_SECONDS * 1000),
                yield_on_timeout=True,
                ignore_permission_denied=True,
            ):
                is_due = time.monotonic() - last_look > MAX_LOOK_INTERVAL_SECONDS
                if events or is_due or self._seen != self._settled:
                    yield self._compare()
                    last_look = time.monotonic()
        except OSError as error:
            raise WatchError(f"The folder cannot be followed: {error}.") from error

    def _compare(self) -> Changes:
        before, now = self._seen, self._look()
        changed = [
            file
            for file, signature in now.items()
            if before.get(file) == signature != self._settled.get(file)
        ]
        gone = [
            file
            for file in self._settled
            if file not in before and file not in now and not self._is_out_of_sight(file)
        ]
        kept = {file: signature for file, signature in self._settled.items() if file not in gone}
        self._seen, self._settled = now, kept | {file: now[file] for file in changed}
        return Changes(changed, gone)

    def _look(self) -> dict[File, Signature]:
        if self._identify() != self._identities:
            raise WatchError("Another folder is in the place of the one that was followed.")
        self.listing = list_files(self._folders, self._home)
        signatures = {}
        device_of = cache(lambda folder: folder.stat().st_dev)
        for file in self.listing.files:
            try:
                status = file.path.stat()
                self._devices[file] = device_of(file.path.parent)
            except OSError:  # gone since, or in a folder that may not be entered
                continue
            signatures[file] = (status.st_size, status.st_mtime_ns, status.st_ino)
        return signatures

    def _identify(self) -> list[tuple[int, int]]:
        statuses = [folder.stat() for folder in self._folders]
        return [(status.st_dev, status.st_ino) for status in statuses]

    def _is_out_of_sight(self, file: File) -> bool:
        """Whether a file may still be there, where nothing can be seen at the moment."""
        if any(file.path.is_relative_to(one.file.path) for one in self.listing.unreadable):
            return True
        for path in (file.path, *file.path.parents):
            try:
                status = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                if path.is_symlink():  # what it leads to may come back
                    return True
            except OSError:
                return True
            else:
                if stat.S_ISDIR(status.st_mode):
                    # Another one where a drive was, or is now, within the folder.
                    return status.st_dev != self._devices[file]
        return False


def keep_up(
    follower: Follower,
    bulk: BulkIngestion,
    report: BulkReport,
    tell: Callable[[str, str, str], None],
    *,
    delete: bool,
) -> BulkReport:
    """Ingest what changes, until Ctrl-C or an error; return the report of all.

    Args:
        follower: of the folders.
        bulk: has ingested what they held at first.
        report: of that.
        tell: told event, external id and reason of what happened.
        delete: delete the documents of files that are gone.
    """
    started = time.monotonic()
    outcomes = {outcome.file: outcome for outcome in report.outcomes}
    num_left = 0
    try:
        for changes in follower.changes():
            for file in changes.gone if delete else ():
                outcomes.pop(file, None)
                if bulk.delete(file.external_id):
                    tell("deleted", file.external_id, "")
            latest = bulk.run(changes.files)
            outcomes.update({outcome.file: outcome for outcome in latest.outcomes})
            for outcome in latest.outcomes:
                if not outcome.is_unchanged:
                    tell(outcome.status, outcome.file.external_id, outcome.reason)
            if latest.is_early:
                num_left = latest.num_files - len(latest.outcomes)
                report = latest
                break
    except KeyboardInterrupt:
        report = replace(report, is_interrupted=True)
    return replace(
        report,
        outcomes=list(outcomes.values()),
        num_files=len(outcomes) + num_left,
        seconds=report.seconds + time.monotonic() - started,
    )
