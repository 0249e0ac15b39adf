"""`suffice ingest`."""

import signal
from pathlib import Path
from typing import Annotated

import typer

from retrieval.languages import Language
from suffice.options import Collection, Json, Url, print_json, service


def ingest(
    paths: Annotated[list[Path], typer.Argument(exists=True, help="Files and folders.")],
    collection: Collection = "default",
    language: Annotated[
        Language | None, typer.Option(help="Language of the collection, if it is new.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on with what is added or changed, until Ctrl-C.")
    ] = False,
    delete: Annotated[
        bool, typer.Option("--delete", help="With --watch: delete documents of deleted files.")
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed", help="Try unchanged files again that failed or are partial."
        ),
    ] = False,
    password: Annotated[
        str | None, typer.Option(help="Password of encrypted PDFs, tried for all of them.")
    ] = None,
    json_output: Json = False,
    url: Url = None,
) -> None:
    """Upload new and changed files, and wait until they can be searched."""
    from suffice import bulk_output as output  # noqa: PLC0415 - heavy, see cli.py
    from suffice.bars import make_bars  # noqa: PLC0415
    from suffice.bulk import BulkIngestion, BulkReport  # noqa: PLC0415
    from suffice.folders import list_files  # noqa: PLC0415
    from suffice.settings import SufficeSettings  # noqa: PLC0415
    from suffice.watching import Follower, keep_up  # noqa: PLC0415

    if delete and not watch:
        raise typer.BadParameter("only with --watch.", param_hint="--delete")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends cleanly, as Ctrl-C does
    home = SufficeSettings().home
    follower = Follower(paths, home) if watch else None
    listing = follower.listing if follower else list_files(paths, home)
    report = BulkReport((), 0, 0.0)
    if listing.files or follower:
        with service(url) as client:
            bulk = BulkIngestion(
                client,
                collection,
                language=language,
                password=password,
                retry_failed=retry_failed,
            )
            with make_bars() as bars:
                report = bulk.run(listing.files, output.BulkBars(bars).show)
            if follower and not report.is_early:
                output.print_following(report, listing)
                report = keep_up(follower, bulk, report, output.print_event, delete=delete)
            # Before the service of this command ends, which may take a while.
            output.print_ending(report, is_embedded=client.is_embedded)
    if json_output:
        print_json(output.report_json(report, listing))
    else:
        output.print_report(report, listing)
    raise typer.Exit(output.exit_code(report, listing))
