"""What a running service writes to standard error."""

import logging
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from suffice.log_lines import OURS, write_log
from tests.serving.application import run_application


@pytest.fixture
def log() -> Iterator[StringIO]:
    stream = StringIO()
    write_log(stream)
    yield stream
    for name in OURS:
        logging.getLogger(name).handlers.clear()


def test_the_document_that_failed_is_named(tmp_path: Path, log: StringIO) -> None:
    with run_application(tmp_path) as application:
        document = application.ingest("notes.pdf", b"%PDF-1.7\nnothing more")
    [line] = log.getvalue().splitlines()
    time, rest = line.split(" ", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
    assert rest == (
        f"WARNING ingest.jobs: failed: {document['error']['reason']} document_id={document['id']!r}"
    )


def test_a_later_call_takes_the_place_of_an_earlier_one(log: StringIO) -> None:
    errors = StringIO()
    write_log(errors, logging.ERROR)
    logger = logging.getLogger("ingest.jobs")
    logger.warning("failed")
    logger.error("not tidied")
    assert log.getvalue() == ""
    assert errors.getvalue().endswith("Z ERROR ingest.jobs: not tidied\n")
    assert errors.getvalue().count("\n") == 1


def test_a_traceback_follows_its_line(log: StringIO) -> None:
    try:
        raise ValueError("no room")
    except ValueError:
        logging.getLogger("serving.routes").exception("broke off", extra={"tries": 2, "key": None})
    first, second, *_, last = log.getvalue().splitlines()
    assert first.endswith("Z ERROR serving.routes: broke off tries=2 key=None")
    assert second == "Traceback (most recent call last):"
    assert last == "ValueError: no room"
