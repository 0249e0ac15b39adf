"""Durable jobs: each upload is a DBOS workflow, so what was accepted is finished after a crash.

So is each reindexing of a collection; these have a queue of their own, one at a time. A job has no
steps in DBOS's sense: those of the pipeline leave their results on disk, so a job that is begun
again goes on where it was.
"""

import logging
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, SetEnqueueOptions, SetWorkflowID

from ingest import reindexing as reindexings
from ingest.database import PAGE_CACHE_KIB
from ingest.documents import LAST_TURNS, Collection, Document, Reindexing, Status
from ingest.errors import CatalogUnavailableError, UnreadableFileError
from ingest.faults import Fault, describe
from ingest.files import PARSER_VERSION
from ingest.pipeline import Pipeline, ServiceStopping, SupersededError
from retrieval.errors import IndexUnavailableError

QUEUE = "ingestion"
REINDEXING_QUEUE = "reindexing"
# Raise when jobs of older versions cannot be run: they are queued anew. A version DBOS makes up
# from the code would strand queued jobs at every change of the code.
WORKFLOW_VERSION = "2"
# How long a job waits before it is tried again: 13 minutes in all.
RETRY_DELAYS_SECONDS: tuple[float, ...] = (1, 5, 30, 120, 600)
# Twenty looks a second cost 6 % of a core.
POLLING_SECONDS = 0.1
REINDEXING_POLLING_SECONDS = 1.0
TIDYING_SECONDS = 60.0
# How long documents rest before indexes are compacted, and how long they may go on changing.
QUIET_SECONDS = 0.5
MAX_UNQUIET_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 15
# How long somebody else who writes to the database of the jobs is waited for.
LOCK_SECONDS = 3
ENDED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
OPEN = ["ENQUEUED", "PENDING", "DELAYED"]
_PAGE = 1000
# From this Python on DBOS asks SQLite for milliseconds, which this SQLite is the first to know.
_PYTHON_WITH_MILLISECONDS = (3, 12)
_SQLITE_WITH_MILLISECONDS = (3, 42)
logger = logging.getLogger(__name__)

# DBOS finds workflows by their function and is itself one per process, so this is, too.
_running: list[Pipeline] = []


class Jobs:
    """Runs the pipeline in the background."""

    def __init__(self, pipeline: Pipeline, database_url: str, concurrent_jobs: int) -> None:
        self._pipeline = pipeline
        self._database_url = database_url
        self._concurrent_jobs = concurrent_jobs
        self._threads = [
            threading.Thread(target=target, daemon=True)
            for target in (self._tidy_now_and_then, self._compact_now_and_then)
        ]

    def start(self) -> None:
        """Take up the jobs of the last run, and those that were accepted but never queued.

        Raises:
            CatalogUnavailableError: their database does not open.
        """
        _running[:] = [self._pipeline]
        config = DBOSConfig(
            name="suffice",
            system_database_url=self._database_url,
            application_version=WORKFLOW_VERSION,
            executor_id="local",
            log_level="WARNING",
            enable_otlp=False,
        )
        if self._database_url.startswith("sqlite"):
            check_sqlite()
            config["system_database_engine"] = _sqlite_engine(self._database_url)
        # Before the first job can write anything.
        unfinished = self._pipeline.catalog.list_unfinished()
        self._pipeline.sweep_work(unfinished)
        going_on = reindexings.settle(self._pipeline)
        DBOS(config=config)
        DBOS.launch()
        DBOS.register_queue(
            QUEUE, worker_concurrency=self._concurrent_jobs, polling_interval_sec=POLLING_SECONDS
        )
        DBOS.register_queue(
            REINDEXING_QUEUE, worker_concurrency=1, polling_interval_sec=REINDEXING_POLLING_SECONDS
        )
        _delete_jobs_of_other_versions()
        _delete_ended_jobs()
        for document in sorted(unfinished, key=lambda one: one.turn):
            enqueue(document)
        self._enqueue_outdated()
        for reindexing in going_on:
            enqueue_reindexing(reindexing)
        for thread in self._threads:
            thread.start()

    def _enqueue_outdated(self) -> None:
        """Ingest anew, behind all uploads, what another version of the parser read.

        Its chunks answer meanwhile.
        """
        catalog, recipes = self._pipeline.catalog, self._pipeline.recipes
        fitting = {
            one.name
            for one in catalog.list_collections()
            if "embedder" not in recipes.outdated(one)  # those are read anew by reindexing
        }
        for turn, document in enumerate(catalog.list_outdated(PARSER_VERSION), LAST_TURNS):
            if document.collection in fitting:
                self.submit(replace(document, attempt=document.attempt + 1), turn)

    def stop(self) -> None:
        """Stop taking jobs; those under way break off and go on at the next start."""
        self._pipeline.stopping.set()
        self._pipeline.changed.set()  # wakes the one that waits for changes
        for thread in self._threads:
            thread.join()
        is_busy = bool(DBOS.list_workflows(status="PENDING", limit=1))
        DBOS.destroy(workflow_completion_timeout_sec=STOP_TIMEOUT_SECONDS if is_busy else 0)
        _running.clear()

    def check(self) -> None:
        """Make sure that jobs can be queued and forgotten; DBOS would wait for ever.

        Raises:
            CatalogUnavailableError: another program has locked their database.
        """
        url = sa.make_url(self._database_url)
        if url.get_backend_name() != "sqlite":
            return  # then the catalog lies in the same database, and tells
        try:
            with closing(sqlite3.connect(str(url.database), timeout=LOCK_SECONDS)) as connection:
                connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise CatalogUnavailableError(
                "The database of the jobs is locked by another program. Try again; nothing was "
                "changed.",
                f"{url.database}: {error}",
            ) from error

    def submit(self, document: Document, turn: int | None = None) -> Document:
        """Record a document as queued, and queue its job.

        Args:
            document: to be ingested.
            turn: that it has; None: it gets the last one of its collection.

        Returns:
            The document as it is recorded now.
        """
        catalog = self._pipeline.catalog
        queued = replace(
            document,
            status=Status.QUEUED,
            error_code=None,
            error_reason=None,
            num_embedded=0,
            num_retries=0,
            turn=catalog.next_turn(document.collection) if turn is None else turn,
            updated_at=datetime.now(UTC),
        )
        catalog.put(queued)
        enqueue(queued)
        return queued

    def submit_reindexing(self, collection: Collection, language: str) -> Reindexing:
        """Record that a collection is to be reindexed in a language, and queue its job."""
        reindexing = reindexings.begin(self._pipeline, collection, language)
        enqueue_reindexing(reindexing)
        return reindexing

    def forget(self, document: Document) -> None:
        """Remove what the job store knows of a document, except for a job that is under way.

        That one finds nothing to do, ends, and is forgotten with the others that have ended.
        """
        jobs = DBOS.list_workflows(
            workflow_id_prefix=f"{document.id}/",
            status=[*ENDED, "ENQUEUED", "DELAYED"],
            load_input=False,
            load_output=False,
        )
        if ids := [job.workflow_id for job in jobs]:
            DBOS.cancel_workflows(ids)
            DBOS.delete_workflows(ids)

    def _tidy_now_and_then(self) -> None:
        pause, is_swept = 0.0, False
        while not self._pipeline.stopping.wait(pause):
            pause = TIDYING_SECONDS
            try:
                if not is_swept:
                    self._pipeline.sweep_files()
                    is_swept = True
                _delete_ended_jobs()
            except (CatalogUnavailableError, OSError, sa.exc.OperationalError):
                logger.exception("not tidied")

    def _compact_now_and_then(self) -> None:
        """Compact at the start, and whenever documents have changed and then rest for a moment."""
        stopping, changed = self._pipeline.stopping, self._pipeline.changed
        try:
            self._pipeline.open_all()
        except (CatalogUnavailableError, IndexUnavailableError, OSError):
            logger.exception("not opened; the first question will try again")
        changed.set()
        while not stopping.is_set():
            if not changed.wait(QUIET_SECONDS):
                continue
            self._wait_for_quiet()
            changed.clear()
            started = time.monotonic()
            try:
                self._pipeline.compact_all()
            except (CatalogUnavailableError, IndexUnavailableError, OSError):
                if not stopping.is_set():
                    logger.exception("not compacted")
            # At most half of the time, however fast documents change.
            stopping.wait(time.monotonic() - started)

    def _wait_for_quiet(self) -> None:
        """Return when no document has changed for a moment, or at last after a while."""
        stopping, changed = self._pipeline.stopping, self._pipeline.changed
        deadline = time.monotonic() + MAX_UNQUIET_SECONDS
        while changed.is_set() and time.monotonic() < deadline:
            changed.clear()
            stopping.wait(QUIET_SECONDS)


def enqueue(document: Document, delay_seconds: float | None = None) -> None:
    """Queue the ingestion of a document's revision; a second call changes nothing."""
    options = SetEnqueueOptions(priority=document.turn, delay_seconds=delay_seconds)
    with SetWorkflowID(document.job_id), options:
        DBOS.enqueue_workflow(QUEUE, ingest_document, document.id, document.revision)


def enqueue_reindexing(reindexing: Reindexing) -> None:
    """Queue a reindexing; a second call changes nothing."""
    with SetWorkflowID(reindexing.job_id):
        DBOS.enqueue_workflow(REINDEXING_QUEUE, reindex_collection, reindexing.target.name)


@DBOS.workflow(name="reindex_collection")
def reindex_collection(name: str) -> None:
    """Give a collection a new index, or record why not."""
    job_id, num_tries = str(DBOS.workflow_id), 0
    while True:
        try:
            with _working() as pipeline:
                reindexings.reindex(pipeline, name, job_id)
        except SupersededError:
            logger.info("superseded", extra={"collection": name})
            return
        except Exception as error:  # the worker's loop: a reindexing fails, the worker goes on
            logger.warning("an attempt failed", extra={"collection": name}, exc_info=True)
            fault = describe(error)
            has_tried_all = num_tries >= len(RETRY_DELAYS_SECONDS[: fault.max_retries])
            if has_tried_all and reindexings.fail(_pipeline(), name, job_id, fault.reason):
                return
            seconds = RETRY_DELAYS_SECONDS[min(num_tries, len(RETRY_DELAYS_SECONDS) - 1)]
            if _pipeline().stopping.wait(seconds):
                raise ServiceStopping from error
            num_tries += 1
        else:
            return


@DBOS.workflow(name="ingest_document")
def ingest_document(document_id: str, revision: str) -> None:
    """Make one revision searchable, or record why not."""
    try:
        with _working() as pipeline:
            document = pipeline.current(document_id, revision)
            _check_job(document)
            # Final when a crash came between the result and the end of the job.
            if not document.status.is_final:
                pipeline.parse(document_id, revision)
                pipeline.embed(document_id, revision)
            if document.status is not Status.FAILED:
                pipeline.activate(document_id, revision)
    except SupersededError:
        logger.info("superseded", extra={"document_id": document_id})
    except UnreadableFileError as error:
        _settle(document_id, revision, error)
    except Exception as error:  # the worker's loop: a document fails, the worker goes on
        logger.warning("an attempt failed", extra={"document_id": document_id}, exc_info=True)
        _settle(document_id, revision, error)
    finally:
        if _running:
            _running[0].clean_up(document_id, revision)


def _pipeline() -> Pipeline:
    if not _running:  # a job that outlived the patience of `stop`
        raise ServiceStopping
    return _running[0]


@contextmanager
def _working() -> Iterator[Pipeline]:
    """Yield the pipeline; an error while the service stops is the stop's, not the document's."""
    pipeline = _pipeline()
    try:
        yield pipeline
    except Exception as error:
        if pipeline.stopping.is_set():
            raise ServiceStopping from error
        raise


def _check_job(document: Document) -> None:
    if document.job_id != DBOS.workflow_id:
        raise SupersededError(f"{document.id} was queued anew.")


def _settle(document_id: str, revision: str, error: Exception) -> None:
    """Write down that a job failed; while even that fails, the job has not ended."""
    pipeline, fault = _pipeline(), describe(error)
    for seconds in chain(RETRY_DELAYS_SECONDS, repeat(RETRY_DELAYS_SECONDS[-1])):
        try:
            _try_again_or_fail(pipeline, document_id, revision, fault)
        except SupersededError:
            return
        except CatalogUnavailableError:
            logger.exception("state not written", extra={"document_id": document_id})
            if pipeline.stopping.wait(seconds):
                raise ServiceStopping from error
        else:
            return


def _try_again_or_fail(pipeline: Pipeline, document_id: str, revision: str, fault: Fault) -> None:
    delays = RETRY_DELAYS_SECONDS[: fault.max_retries]
    with pipeline.change:
        document = pipeline.current(document_id, revision)
        _check_job(document)
        tries = document.num_retries
        if tries < len(delays):
            when = datetime.now(UTC) + timedelta(seconds=delays[tries])
            reason = (
                f"{fault.reason} It is tried again at {when:%H:%M:%S} UTC, "
                f"{tries + 1} of {len(delays)} times."
            )
            again = pipeline.wait_for_retry(document_id, revision, fault.code, reason)
            enqueue(again, delays[tries])
        else:
            ending = f" It was tried {tries + 1} times; retry it when that is mended."
            reason = fault.reason + (ending if tries else "")
            pipeline.fail(document, fault.code, reason)
            logger.warning("failed: %s", reason, extra={"document_id": document_id})


def _delete_ended_jobs() -> None:
    """Forget jobs that have ended, for the catalog knows what became of them."""
    while ended := _list_jobs(ENDED):
        DBOS.delete_workflows([job_id for job_id, _ in ended])


def _delete_jobs_of_other_versions() -> None:
    jobs = _list_jobs(OPEN, limit=None)
    if old := [job_id for job_id, version in jobs if version != WORKFLOW_VERSION]:
        DBOS.cancel_workflows(old)
        DBOS.delete_workflows(old)


def _list_jobs(status: list[str], limit: int | None = _PAGE) -> list[tuple[str, str | None]]:
    """Return the ids of jobs, each with the version it was queued by."""
    jobs = DBOS.list_workflows(status=status, limit=limit, load_input=False, load_output=False)
    return [(job.workflow_id, job.app_version) for job in jobs]


def check_sqlite(
    python: tuple[int, ...] = sys.version_info[:2],
    sqlite: tuple[int, ...] = sqlite3.sqlite_version_info,
) -> None:
    """Refuse a SQLite that cannot hold the jobs.

    Raises:
        CatalogUnavailableError: it is too old for this Python.
    """
    if python >= _PYTHON_WITH_MILLISECONDS and sqlite < _SQLITE_WITH_MILLISECONDS:
        raise CatalogUnavailableError(
            f"Python {'.'.join(map(str, python))} has SQLite {'.'.join(map(str, sqlite))} here, "
            "and jobs need 3.42 or newer with it. Take Python 3.11, one that brings its own "
            "SQLite, or Postgres (INGEST_DATABASE_URL)."
        )


def _sqlite_engine(url: str) -> sa.Engine:
    """Connect as DBOS does by itself, but with a log that is written ahead: one sync, not four.

    Nothing is lost with the power: the catalog is durable, and `start` queues what is unfinished.

    Raises:
        CatalogUnavailableError: it does not open.
    """
    engine = sa.create_engine(url)

    def set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "busy_timeout=30000",
            "foreign_keys=ON",
            f"cache_size=-{PAGE_CACHE_KIB}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    sa.event.listen(engine, "connect", set_up)
    try:
        engine.connect().close()
    except sa.exc.DatabaseError as error:
        raise CatalogUnavailableError(
            "The database of the jobs does not open. Run `suffice doctor`, which says what to do.",
            str(error.orig),
        ) from error
    return engine
