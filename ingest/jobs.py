"""Durable jobs: each upload is a DBOS workflow, so what was accepted is finished after a crash."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from dbos import DBOS, DBOSConfig, SetWorkflowID
from dbos import error as dbos_error

from ingest.documents import Document
from ingest.errors import IngestError, UnreadableFileError
from ingest.pipeline import Pipeline, ServiceStopping, SupersededError
from retrieval.errors import RetrievalError

QUEUE = "ingestion"
# Raise when the steps of the workflow change. A version DBOS makes up from the code would strand
# queued jobs at every change of the code.
WORKFLOW_VERSION = "1"
# One is embedded; the others are parsed meanwhile, so that the embedder never waits.
CONCURRENT_JOBS = 4
STOP_TIMEOUT_SECONDS = 15
ENDED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
logger = logging.getLogger(__name__)

# DBOS finds workflows by their function and is itself one per process, so this is, too.
_running: list[Pipeline] = []


class Jobs:
    """Runs the pipeline in the background."""

    def __init__(self, pipeline: Pipeline, database_url: str) -> None:
        self._pipeline = pipeline
        self._database_url = database_url

    def start(self) -> None:
        """Take up the jobs of the last run, and those that were accepted but never queued."""
        _running[:] = [self._pipeline]
        config = DBOSConfig(
            name="suffice",
            system_database_url=self._database_url,
            application_version=WORKFLOW_VERSION,
            executor_id="local",
            log_level="WARNING",
            enable_otlp=False,
        )
        # Before the first job can write anything.
        unfinished = self._pipeline.catalog.list_unfinished()
        self._pipeline.sweep_work(unfinished)
        DBOS(config=config)
        DBOS.launch()
        DBOS.register_queue(QUEUE, worker_concurrency=CONCURRENT_JOBS, polling_interval_sec=0.2)
        for document in unfinished:
            self.enqueue(self._with_open_job(document))

    def stop(self) -> None:
        """Stop taking jobs; those under way break off and go on at the next start."""
        self._pipeline.stopping.set()
        is_busy = bool(DBOS.list_workflows(status="PENDING", limit=1))
        DBOS.destroy(workflow_completion_timeout_sec=STOP_TIMEOUT_SECONDS if is_busy else 0)
        _running.clear()

    def enqueue(self, document: Document) -> None:
        """Queue the ingestion of a document's revision; a second call changes nothing."""
        with SetWorkflowID(document.job_id):
            DBOS.enqueue_workflow(QUEUE, ingest_document, document.id, document.revision)

    def _with_open_job(self, document: Document) -> Document:
        """Give a document another attempt when its job has ended without leaving a result.

        That happens when the catalog itself could not be written.
        """
        ended = DBOS.list_workflows(
            workflow_ids=[document.job_id], status=ENDED, load_input=False, load_output=False
        )
        if not ended:
            return document
        again = replace(document, attempt=document.attempt + 1)
        self._pipeline.catalog.put(again)
        return again

    def forget(self, document: Document) -> None:
        """Remove what the job store knows of a document."""
        prefix = f"{document.id}/"
        ids = [job.workflow_id for job in DBOS.list_workflows(workflow_id_prefix=prefix)]
        if ids:
            DBOS.cancel_workflows(ids)
            DBOS.delete_workflows(ids)


@DBOS.workflow(name="ingest_document")
def ingest_document(document_id: str, revision: str) -> None:
    """Make one revision searchable, or record why not."""
    try:
        with _working():
            parse_document(document_id, revision)
            embed_document(document_id, revision)
            activate_document(document_id, revision)
    except SupersededError:
        logger.info("superseded", extra={"document_id": document_id})
    except UnreadableFileError as error:
        _pipeline().fail(document_id, revision, error.code, str(error))
    except Exception as error:  # the worker's loop: a document fails, the worker goes on
        logger.exception("ingestion failed", extra={"document_id": document_id})
        cause = (
            error.errors[-1] if isinstance(error, dbos_error.DBOSMaxStepRetriesExceeded) else error
        )
        reason = f"{type(cause).__name__}: {cause}. The log has the details; then retry."
        _pipeline().fail(document_id, revision, "internal", reason)
    finally:
        if _running:
            _running[0].clean_up(document_id, revision)


def _pipeline() -> Pipeline:
    if not _running:  # a job that outlived the patience of `stop`
        raise ServiceStopping
    return _running[0]


@contextmanager
def _working() -> Iterator[Pipeline]:
    """Yield the pipeline; an error while the service stops is the stop's, not the document's.

    What a job needs goes away then, DBOS included, and DBOS keeps the error of a step for good.
    """
    pipeline = _pipeline()
    try:
        yield pipeline
    except Exception as error:
        if pipeline.stopping.is_set():
            raise ServiceStopping from error
        raise


def _may_pass(error: BaseException) -> bool:
    return not isinstance(error, IngestError | RetrievalError)


@DBOS.step(retries_allowed=True, max_attempts=3, should_retry=_may_pass)
def parse_document(document_id: str, revision: str) -> None:
    """First step: bytes to canonical text."""
    with _working() as pipeline:
        pipeline.parse(document_id, revision)


@DBOS.step(retries_allowed=True, max_attempts=3, should_retry=_may_pass)
def embed_document(document_id: str, revision: str) -> None:
    """Second step: text to chunks and vectors."""
    with _working() as pipeline:
        pipeline.embed(document_id, revision)


@DBOS.step(retries_allowed=True, max_attempts=3, should_retry=_may_pass)
def activate_document(document_id: str, revision: str) -> None:
    """Third step: chunks and vectors into the index."""
    with _working() as pipeline:
        pipeline.activate(document_id, revision)
