"""The home folder: everything Suffice keeps, and the lock that makes it one process's own."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from ingest.errors import HomeUnusableError
from retrieval.errors import StoreLockedError


class Home:
    """The folder that holds all local state; use it as a context manager to own it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path / "lock")

    @property
    def files(self) -> Path:
        """Uploaded originals."""
        return self.path / "files"

    @property
    def texts(self) -> Path:
        """Canonical texts."""
        return self.path / "texts"

    @property
    def index(self) -> Path:
        """The embedded index."""
        return self.path / "index"

    @property
    def damaged(self) -> Path:
        """What did not open, set aside by `suffice doctor --repair`."""
        return self.path / "damaged"

    @property
    def work(self) -> Path:
        """Half-done ingestion: uploads under way, vectors not yet in the index."""
        return self.path / "work"

    @property
    def profiles(self) -> Path:
        """Saved retrieval profiles."""
        return self.path / "profiles"

    def secret(self) -> bytes:
        """Return random bytes that only this home knows; the first call draws them."""
        path = self.path / "secret"
        try:
            path.touch(mode=0o600, exist_ok=False)
            path.write_bytes(secrets.token_bytes())
        except FileExistsError:
            pass
        return path.read_bytes()

    @property
    def rates(self) -> Path:
        """How fast model servers were when they were measured."""
        return self.path / "rates"

    @property
    def vectors(self) -> Path:
        """Vectors of passages that were embedded before."""
        return self.path / "vectors.sqlite"

    def database(self, name: str) -> Path:
        """Return the file of a SQLite database in this folder."""
        return self.path / f"{name}.sqlite"

    def database_url(self, name: str) -> str:
        """Return the SQLAlchemy URL of a SQLite database in this folder."""
        return f"sqlite:///{self.database(name).absolute()}"

    def create(self) -> None:
        """Make the folder, for its owner alone: questions and documents lie in it.

        Raises:
            HomeUnusableError: it cannot be made.
        """
        with self._usable():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def __enter__(self) -> "Home":
        """Create the folder and lock it.

        Raises:
            StoreLockedError: another process owns it.
            HomeUnusableError: it cannot be made or written.
        """
        self.create()
        with self._usable():
            for folder in (self.files, self.texts, self.index, self.work):
                folder.mkdir(parents=True, exist_ok=True)
            self._acquire()
            # Left by a process that was killed.
            self._address.unlink(missing_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the folder back."""
        self._address.unlink(missing_ok=True)
        self._lock.release()

    def check_free(self) -> None:
        """Make sure that the folder can be owned.

        Raises:
            StoreLockedError: another process owns it.
            HomeUnusableError: it cannot be written.
        """
        with self._usable():
            if self.path.is_dir():
                self._acquire()
                self._lock.release()

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """Say in words what the system has against the folder."""
        try:
            yield
        except OSError as error:
            raise HomeUnusableError(
                f"{self.path}, the folder for all that Suffice keeps, cannot be written: "
                f"{error.strerror}. Make it a folder that can be, or set SUFFICE_HOME to another."
            ) from error

    def _acquire(self) -> None:
        try:
            self._lock.acquire(blocking=False)
        except Timeout as error:
            raise StoreLockedError(
                f"{self.path} is in use by another Suffice process"
                f"{self._whereabouts()}. Use that one with --url, stop it, or set SUFFICE_HOME to "
                "another folder."
            ) from error

    @property
    def _address(self) -> Path:
        return self.path / "service.json"

    def announce(self, url: str) -> None:
        """Write down where the service that owns this folder answers."""
        self._address.write_text(json.dumps({"url": url}))

    def service_url(self) -> str | None:
        """Return the address of the service that owns this folder, or None when nobody does.

        Raises:
            StoreLockedError: a process owns it that answers at no address (yet).
            HomeUnusableError: it cannot be written.
        """
        with self._usable():
            if not self.path.is_dir():
                return None
            try:
                self._lock.acquire(blocking=False)
            except Timeout as error:
                if (url := self.read_address()) is not None:
                    return url
                raise StoreLockedError(
                    f"{self.path} is in use by another Suffice process that answers at no address "
                    "yet. Wait until it has started, or stop it."
                ) from error
            self._lock.release()
            return None

    def read_address(self) -> str | None:
        """Return the address that was written down last; its service may be gone."""
        try:
            return str(json.loads(self._address.read_text())["url"])
        except (OSError, ValueError, KeyError):
            return None

    def _whereabouts(self) -> str:
        url = self.read_address()
        return f" (a service at {url})" if url else ""
