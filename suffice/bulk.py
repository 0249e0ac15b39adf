"""Bulk ingestion: many files to a service, sending only what changed and only what it can take.

Uploads run in threads and stay a bounded number of documents ahead of the service. The calling
thread asks for the states of all of them at once. Nothing is remembered between two runs: the
service's list of documents says what it has accepted, with the SHA-256 of the bytes.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from suffice.client import FINAL_STATES, Client
from suffice.errors import FileChangedError, ServiceError, SufficeError
from suffice.folders import File
from suffice.patience import Patience, StoppedError

NUM_UPLOADS = 4
# Documents accepted and not final: enough for several workers, few enough to leave others room.
MAX_UNFINISHED = 100
# In the order in which a document passes through them, so that none slips through between two
# questions.
OPEN_STATES = ("queued", "parsing", "embedding")
PAGE_SIZE = 1000
MIN_POLL_SECONDS, MAX_POLL_SECONDS = 0.1, 1.0
MAX_READINGS = 3  # of a file that changes while it is read
READING_PAUSE_SECONDS = 1.0
STOP_SECONDS = 10.0  # for the uploads under way
# What concerns one file; any other refusal would meet all of them.
REFUSED = {400, 404, 413, 415, 422}
FAULT, NOT_FOUND = 500, 404


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file.

    Attributes:
        file: the file.
        document: as the API gives it; `id` is None when the service has none.
        is_unchanged: the service had these bytes already, and nothing was sent.
    """

    file: File
    document: dict[str, Any]
    is_unchanged: bool = False

    @property
    def status(self) -> str:
        """Of the document."""
        return str(self.document["status"])

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to the document."""
        return self.status in FINAL_STATES

    @property
    def is_accepted(self) -> bool:
        """Whether the service has the document."""
        return self.document["id"] is not None

    @property
    def num_embedded(self) -> int:
        """Chunks that have their vectors, of a document that the service has."""
        return int(self.document["progress"]["embedded"])

    @property
    def share_embedded(self) -> float:
        """The share of the chunks that have their vectors, from 0 to 1."""
        return self.num_embedded / (self.document["num_chunks"] or 1)

    @property
    def reason(self) -> str:
        """Why the document failed or is partial, in words; empty for others."""
        return str((self.document["error"] or {}).get("reason", ""))


@dataclass(frozen=True, slots=True)
class BulkProgress:
    """How far a run is.

    Attributes:
        num_files: in the run.
        num_sent: uploaded, refused or found unchanged.
        num_idle: of these, unchanged and final, so that nothing is to be done.
        num_final: searchable, partial or failed by now, the idle ones left out.
        num_under_way: documents whose chunks are being embedded, each counted by the share of them
            that has its vectors.
        num_before: of these and the final ones, what was embedded before the run, counted so, too.
        num_chunks: embedded in the run.
        obstacle: what the run waits for, in words, or None.
    """

    num_files: int
    num_sent: int = 0
    num_idle: int = 0
    num_final: int = 0
    num_under_way: float = 0.0
    num_before: float = 0.0
    num_chunks: int = 0
    obstacle: str | None = None


@dataclass(frozen=True, slots=True)
class BulkReport:
    """The result of a run.

    Attributes:
        outcomes: of the files that were reached, in the order of the files.
        num_files: in the run.
        seconds: that it took.
        is_interrupted: it was ended with Ctrl-C.
        error: what else ended it early.
    """

    outcomes: Sequence[Outcome]
    num_files: int
    seconds: float
    is_interrupted: bool = False
    error: SufficeError | None = None

    @property
    def is_early(self) -> bool:
        """Whether it ended before everything was final."""
        return self.is_interrupted or self.error is not None


@dataclass(slots=True)
class BulkIngestion:
    """Brings files into a collection, whose documents it knows from its first run on.

    Attributes:
        client: of the service.
        collection: where to.
        language: that the collection gets if it is new; if it is in another one, nothing is sent.
            None: any.
        password: opens encrypted PDFs; those that failed without it are sent again.
        retry_failed: queue unchanged files again whose documents failed or are partial.
    """

    client: Client
    collection: str
    language: str | None = None
    password: str | None = field(default=None, repr=False)
    retry_failed: bool = False
    _known: dict[str, dict[str, Any]] | None = field(default=None, init=False, repr=False)

    def run(
        self,
        files: Sequence[File],
        show: Callable[[BulkProgress], None] = lambda _progress: None,
    ) -> BulkReport:
        """Ingest files; return when the documents of all are final, or at Ctrl-C.

        Args:
            files: no two with the same external id.
            show: told the progress, by one thread at a time.
        """
        started = time.monotonic()
        run = _Run(self, files, show)
        is_interrupted = False
        try:
            if self._known is None:
                run.check_language()
                self._known = run.list_known()
            run.start(self._known)
            run.follow()
        except KeyboardInterrupt:
            is_interrupted = True
        except (SufficeError, StoppedError) as error:
            run.stop(error)
        outcomes = run.end()
        seconds = time.monotonic() - started
        return BulkReport(outcomes, len(files), seconds, is_interrupted, run.error)

    def delete(self, external_id: str) -> bool:
        """Delete the document of a file; return whether there was one."""
        known = (self._known or {}).pop(external_id, None)
        if known is None:
            return False
        try:
            Patience().call(partial(self.client.delete, known["id"]))
        except ServiceError as error:
            if error.status != NOT_FOUND:
                raise
            return False
        return True


class _Run:
    """One run: threads that send, and one that follows what was sent."""

    def __init__(
        self, bulk: BulkIngestion, files: Sequence[File], show: Callable[[BulkProgress], None]
    ) -> None:
        self.error: SufficeError | None = None
        self._bulk = bulk
        self._client = bulk.client
        self._files = files
        self._show = show
        self._known: dict[str, dict[str, Any]] = {}  # by external id
        self._patience = Patience(on_obstacle=self._tell)
        self._threads: list[threading.Thread] = []
        self._queue: SimpleQueue[File] = SimpleQueue()
        for file in files:
            self._queue.put(file)
        # The condition guards what follows and tells that there is room for more.
        self._condition = threading.Condition()
        self._outcomes: dict[str, Outcome] = {}  # by external id, as are the others
        self._pending: dict[str, Outcome] = {}
        self._progress = BulkProgress(len(files))

    def check_language(self) -> None:
        """Make sure that the collection, if there is one, has the language that is asked for.

        The service does so for each upload; unchanged files would not come so far.

        Raises:
            SufficeError: it has another one.
        """
        name, language = self._bulk.collection, self._bulk.language
        if language is None:
            return
        for state in self._patience.call(self._client.collections):
            if state["name"] == name and state["language"] != language:
                raise SufficeError(
                    f"The language of collection {name!r} is {state['language']}, not {language}. "
                    "Leave --language out, or change the collection with "
                    f"`suffice reindex {name} --language {language}`."
                )

    def list_known(self) -> dict[str, dict[str, Any]]:
        """Return the documents of the collection by external id."""
        listed = self._patience.call(self._list)
        return {document["external_id"]: document for document in listed}

    def start(self, known: dict[str, dict[str, Any]]) -> None:
        """Begin to send; `known` is kept up to date."""
        self._known = known
        for _ in range(min(NUM_UPLOADS, len(self._files))):
            # A daemon: a service that does not answer must not keep the process from ending.
            thread = threading.Thread(target=self._send_all, daemon=True)
            self._threads.append(thread)
            thread.start()

    def follow(self) -> None:
        """Return when everything is sent and final."""
        pause = MIN_POLL_SECONDS
        while True:
            # Asked first: what is sent from here on is seen by the next look.
            is_sending = any(thread.is_alive() for thread in self._threads)
            if self._pending:
                self._look()
            self._tell()
            if not is_sending and not self._pending:
                return
            self._patience.wait(pause)
            pause = min(1.3 * pause, MAX_POLL_SECONDS)

    def stop(self, error: Exception) -> None:
        """End the run early; the first error is the reason."""
        if isinstance(error, SufficeError):
            self.error = self.error or error
        self._patience.stop()
        with self._condition:
            self._condition.notify_all()

    def end(self) -> list[Outcome]:
        """Let the uploads under way come to their end; return what became of the files."""
        self.stop(StoppedError())
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._condition:
            outcomes = self._outcomes.copy()
        return [outcomes[file.external_id] for file in self._files if file.external_id in outcomes]

    def _send_all(self) -> None:
        try:
            while not self._patience.is_stopped:
                self._settle(self._send(self._queue.get_nowait()))
        except Empty:
            return
        except (SufficeError, StoppedError) as error:
            self.stop(error)

    def _send(self, file: File) -> Outcome:
        """Send a file if it is new or changed."""
        for _ in range(MAX_READINGS):
            try:
                return self._compare_and_send(file)
            except FileChangedError:
                self._patience.wait(READING_PAUSE_SECONDS)
            except FileNotFoundError:
                return self._failure(file, "vanished", "It was deleted before it was read.")
            except OSError as error:
                return self._failure(file, "unreadable", f"It cannot be read: {error.strerror}.")
            except ServiceError as error:
                if error.status not in {*REFUSED, FAULT}:
                    raise
                code = "internal" if error.status == FAULT else "refused"
                return self._failure(file, code, str(error))
        reason = "It changes while it is read. Run the command again when it is complete."
        return self._failure(file, "changing", reason)

    def _compare_and_send(self, file: File) -> Outcome:
        revision = _hash(file.path)
        known = self._known.get(file.external_id)
        if known is None or known["revision"] != revision or self._needs_password(known):
            self._wait_for_room()
            send = partial(
                self._client.upload,
                file.path,
                self._bulk.collection,
                file.external_id,
                revision=revision,
                password=self._bulk.password,
                language=self._bulk.language,
            )
            return Outcome(file, self._patience.call(send))
        if known["status"] in {"failed", "partial"} and self._bulk.retry_failed:
            self._wait_for_room()
            return Outcome(file, self._patience.call(partial(self._client.retry, known["id"])))
        return Outcome(file, known, is_unchanged=True)

    def _needs_password(self, known: dict[str, Any]) -> bool:
        """Tell whether a file must be sent again so that the password comes with it."""
        if self._bulk.password is None:
            return False
        if known["status"] == "partial":  # the service forgot the one that it had
            return self._bulk.retry_failed
        return known["status"] == "failed" and bool(known["error"]["code"] == "encrypted")

    def _wait_for_room(self) -> None:
        with self._condition:
            self._condition.wait_for(
                lambda: len(self._pending) < MAX_UNFINISHED or self._patience.is_stopped
            )
        if self._patience.is_stopped:
            raise StoppedError

    def _failure(self, file: File, code: str, reason: str) -> Outcome:
        """Return the outcome of a file that the service has no document of."""
        document = {
            "id": None,
            "collection": self._bulk.collection,
            "external_id": file.external_id,
            "filename": file.path.name,
            "status": "failed",
            "num_chunks": None,
            "error": {"code": code, "reason": reason},
        }
        return Outcome(file, document)

    def _look(self) -> None:
        """Ask once for the states of all pending documents, with as few calls as that takes."""
        with self._condition:
            is_list_worth_it = len(self._pending) > 1
        listed = self._patience.call(partial(self._list, OPEN_STATES)) if is_list_worth_it else []
        found = {document["id"]: document for document in listed}
        with self._condition:
            pending = list(self._pending.values())
        for outcome in pending:
            document = found.get(outcome.document["id"])
            self._settle(replace(outcome, document=document) if document else self._ask(outcome))

    def _list(self, statuses: Sequence[str] | None = None) -> list[dict[str, Any]]:
        return list(self._client.documents(self._bulk.collection, statuses, PAGE_SIZE))

    def _ask(self, outcome: Outcome) -> Outcome:
        """Ask for the state of one document, which is final as a rule."""
        try:
            show = partial(self._client.document, outcome.document["id"])
            return replace(outcome, document=self._patience.call(show))
        except ServiceError as error:
            if error.status != NOT_FOUND:
                raise
            return self._failure(outcome.file, "deleted", "Its document was deleted meanwhile.")

    def _settle(self, outcome: Outcome) -> None:
        """Take down what is known of a file now."""
        name = outcome.file.external_id
        with self._condition:
            is_new = name not in self._outcomes
            self._outcomes[name] = outcome
            if outcome.is_accepted:
                self._known[name] = outcome.document
            if outcome.is_final:
                self._pending.pop(name, None)
                self._condition.notify_all()
            else:
                self._pending[name] = outcome
            self._count(outcome, is_new=is_new)
        self._tell()

    def _count(self, outcome: Outcome, *, is_new: bool) -> None:
        num_idle = num_chunks = 0
        num_before = 0.0
        if is_new and outcome.is_unchanged and outcome.is_final:
            num_idle = 1
        elif is_new and outcome.is_unchanged:
            num_before, num_chunks = outcome.share_embedded, -outcome.num_embedded
        elif outcome.is_final:
            num_chunks = outcome.document["num_chunks"] or 0
        progress = self._progress
        self._progress = replace(
            progress,
            num_sent=progress.num_sent + is_new,
            num_idle=progress.num_idle + num_idle,
            num_final=progress.num_final + (outcome.is_final and not num_idle),
            num_before=progress.num_before + num_before,
            num_chunks=progress.num_chunks + num_chunks,
        )

    def _tell(self) -> None:
        with self._condition:
            pending = self._pending.values()
            progress = replace(
                self._progress,
                num_under_way=sum(one.share_embedded for one in pending),
                num_chunks=self._progress.num_chunks + sum(one.num_embedded for one in pending),
                obstacle=self._patience.obstacle,
            )
            self._show(progress)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
