"""What a person sees of bulk ingestion: bars while it runs, then a table and a sentence."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from rich.progress import Progress, TaskID
from rich.table import Column, Table
from rich.text import Text

from eval.counted import counted
from suffice.bars import Pace, duration
from suffice.bulk import BulkProgress, BulkReport
from suffice.folders import Listing, readable
from suffice.options import console, error_console

# With more documents than this, the table shows only those that need attention.
MAX_LISTED = 50
LINE_INTERVAL_SECONDS = 30.0


class BulkBars:
    """Bars on standard error: one for sending, one for what the service makes of it.

    Where standard error is no terminal, a line every half minute.
    """

    def __init__(self, bars: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._bars = bars
        self._sending = self._add("Uploading")
        self._ingesting = self._add("Ingesting")
        self._clock = clock
        self._documents, self._chunks = (Pace(0, clock()) for _ in range(2))
        self._next_line = clock() + LINE_INTERVAL_SECONDS

    def show(self, progress: BulkProgress) -> None:
        """Bring the bars up to date."""
        now = self._clock()
        num_documents = progress.num_files - progress.num_idle
        num_done = progress.num_final + progress.num_under_way
        self._documents.note(num_done - progress.num_before, now)
        self._chunks.note(progress.num_chunks, now)
        obstacle = f"waiting: {progress.obstacle}" if progress.obstacle else ""
        rates = f"{self._documents.show(now)} documents/s, {self._chunks.show(now)} chunks/s"
        self._bars.update(
            self._sending, total=progress.num_files, completed=progress.num_sent, note=obstacle
        )
        self._bars.update(
            self._ingesting,
            total=num_documents,
            completed=num_done,
            before=progress.num_before,
            note=rates,
        )
        if self._bars.disable and now > self._next_line:
            self._next_line = now + LINE_INTERVAL_SECONDS
            left = self._documents.seconds_left(num_documents - progress.num_before, now)
            parts = [f"{progress.num_final} of {counted(num_documents, 'document')}", rates]
            parts += [f"about {duration(left)} left"] if left else []
            parts += [obstacle] if obstacle else []
            error_console.print(", ".join(parts), markup=False)

    def _add(self, description: str) -> TaskID:
        return self._bars.add_task(description, total=None, note="")


def print_report(report: BulkReport, listing: Listing) -> None:
    """Print the table, and a sentence that counts."""
    is_long = len(report.outcomes) > MAX_LISTED
    whole = Column("document", overflow="fold")  # to be copied from a narrow terminal, too
    table = Table(whole, "status", "chunks", "reason")
    for document in _documents(report, listing):
        if not is_long or document["status"] in {"failed", "partial"}:
            table.add_row(
                _printable(document["external_id"]),
                document["status"],
                str(document["num_chunks"] or ""),
                Text((document["error"] or {}).get("reason", "")),
            )
    if table.row_count:
        console.print(table)
    console.print(_summary(report, listing), markup=False)


def print_following(report: BulkReport, listing: Listing) -> None:
    """Say on standard error that the first run is over and changes are waited for."""
    error_console.print(_summary(report, listing), markup=False)
    error_console.print("Following what changes; Ctrl-C ends it.")


def print_ending(report: BulkReport, *, is_embedded: bool) -> None:
    """Say on standard error what becomes of the rest when a run ended early."""
    num_left = report.num_files - len(report.outcomes)
    if not (report.is_interrupted or report.error or num_left):
        return
    num_accepted = sum(outcome.is_accepted for outcome in report.outcomes)
    num_open = sum(not outcome.is_final for outcome in report.outcomes)
    parts = [str(report.error)] if report.error else []
    parts += ["Interrupted."] if report.is_interrupted else []
    if num_accepted:
        of_all = counted(report.num_files, "file")
        parts.append(f"Accepted, and not to be lost: {num_accepted} of {of_all}.")
    if num_open:
        who = "the next run" if is_embedded else "the service"
        parts.append(f"Not searchable yet: {num_open}; {who} goes on with them.")
    if num_left:
        parts.append(f"Run the command again to send the remaining {num_left}.")
    error_console.print(" ".join(parts), markup=False, style="red" if report.error else "yellow")


def print_event(event: str, name: str, reason: str = "") -> None:
    """Print on standard error what happened to a document, with the time of day."""
    note = f": {reason}" if reason else ""
    error_console.print(_printable(f"{time.strftime('%H:%M:%S')} {event:<10} {name}{note}"))


def _printable(text: str) -> Text:
    """Return a text without markup, its control characters escaped: a terminal would obey them."""
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return Text("".join(escaped))


def report_json(report: BulkReport, listing: Listing) -> dict[str, Any]:
    """Return the result for `--json`."""
    documents = _documents(report, listing)
    return {
        "num_files": report.num_files,
        "num_by_status": dict(Counter(document["status"] for document in documents)),
        "num_unchanged": sum(outcome.is_unchanged for outcome in report.outcomes),
        "num_not_reached": report.num_files - len(report.outcomes),
        "seconds": round(report.seconds, 3),
        "interrupted": report.is_interrupted,
        "error": str(report.error) if report.error else None,
        "documents": documents,
        "skipped": [
            {"path": readable(str(one.file.path)), "reason": one.reason} for one in listing.skipped
        ],
    }


def exit_code(report: BulkReport, listing: Listing) -> int:
    """Return 130 after Ctrl-C, 1 when anything failed or was not reached, otherwise 0."""
    if report.is_interrupted:
        return 130
    is_complete = len(report.outcomes) == report.num_files and not report.error
    has_failed = any(document["status"] == "failed" for document in _documents(report, listing))
    return 1 if has_failed or not is_complete else 0


def _documents(report: BulkReport, listing: Listing) -> list[dict[str, Any]]:
    """Return the documents, with what could not be read as failed ones."""
    documents = [
        {
            **outcome.document,
            "path": readable(str(outcome.file.path)),
            "unchanged": outcome.is_unchanged,
        }
        for outcome in report.outcomes
    ]
    failures = [
        {
            "id": None,
            "external_id": one.file.external_id,
            "status": "failed",
            "num_chunks": None,
            "error": {"code": "unreadable", "reason": one.reason},
            "path": readable(str(one.file.path)),
            "unchanged": False,
        }
        for one in listing.unreadable
    ]
    return documents + failures


def _summary(report: BulkReport, listing: Listing) -> str:
    """Count the documents by state, and what was left out by reason."""
    documents = _documents(report, listing)
    statuses = Counter(document["status"] for document in documents)
    counts = ", ".join(f"{number:,} {status}" for status, number in statuses.most_common())
    num_unchanged = sum(outcome.is_unchanged for outcome in report.outcomes)
    num_chunks = sum(document["num_chunks"] or 0 for document in documents)
    reasons = Counter(one.reason for one in listing.skipped)
    skipped = ", ".join(f"{number:,} {reason}" for reason, number in reasons.most_common())
    parts = [f"Documents: {counts or 'none'}"]
    parts += [f"unchanged: {num_unchanged:,}"] if num_unchanged else []
    parts += [f"chunks: {num_chunks:,}", f"seconds: {report.seconds:.1f}"]
    parts += [f"left out: {skipped}"] if skipped else []
    return "; ".join(parts) + "."
