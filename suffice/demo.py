"""`make demo`: the main job for real - a server process, documents, questions, a chunk count.

Ends by itself when nobody watches; on a terminal it goes on serving until Ctrl-C.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eval.counted import counted
from ingest.home import Home
from suffice.client import Client
from suffice.commands.ask import print_answer
from suffice.errors import DemoError
from suffice.evaluation import measure_chunk_count, print_chunk_count
from suffice.options import console, escape
from suffice.settings import variables

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
QUESTIONS = (
    "Why does a document keep its id when its content changes?",
    "What happens to jobs that were running when the process was killed?",
    "How is a break-even point between a rented GPU and an API worked out?",
)
UNANSWERABLE = "What is the population of Lisbon?"
START_TIMEOUT_SECONDS = 120
POLL_SECONDS = 0.1


def main() -> None:
    """Run the demo."""
    with tempfile.TemporaryDirectory(prefix="suffice-demo-") as folder, _serve(Path(folder)) as url:
        with Client(url) as client:
            _upload(client)
            _ask(client)
            _measure(client)
        if sys.stdout.isatty():
            _keep_serving(url)


@contextmanager
def _serve(home: Path) -> Iterator[str]:
    """Run `suffice serve` as a process of its own on any free port; yield its address.

    It has the default settings, so that nothing of the demo gets into the user's own stores.
    """
    command = [sys.executable, "-m", "suffice", "serve", "--port", "0"]
    settings = {name for name, _, _ in variables()}
    environment = {
        name: value for name, value in os.environ.items() if name.upper() not in settings
    }
    with subprocess.Popen(  # noqa: S603 - our own module
        command,
        cwd=home,  # without a .env
        env={**environment, "SUFFICE_HOME": str(home)},
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            yield _wait_for_address(home, process)
        finally:
            process.terminate()
            process.wait()


def _wait_for_address(home: Path, process: subprocess.Popen[bytes]) -> str:
    console.print("[bold]Starting the service[/] (the embedding model loads) ...")
    started = time.monotonic()
    while time.monotonic() - started < START_TIMEOUT_SECONDS and process.poll() is None:
        if url := Home(home).read_address():
            console.print(f"  ready at {url} after {time.monotonic() - started:.1f} s\n")
            return url
        time.sleep(POLL_SECONDS)
    raise DemoError("The service did not start; its message stands above.")


def _upload(client: Client) -> None:
    paths = sorted((EXAMPLES / "library").iterdir())
    console.print(f"[bold]Uploading {len(paths)} documents[/] from examples/library ...")
    started = time.monotonic()
    ids = [client.upload(path)["id"] for path in paths]
    documents = [client.wait(document_id) for document_id in ids]
    for document in documents:
        if document["status"] != "searchable":
            raise DemoError(f"{document['filename']}: {document['error']}")
        num_pages = document["progress"]["pages"]
        pages = f"{counted(num_pages, 'page')}, " if num_pages else ""
        console.print(
            f"  {document['filename']}: {pages}{counted(document['num_chunks'], 'chunk')}"
        )
    console.print(f"  all searchable after {time.monotonic() - started:.1f} s\n")


def _ask(client: Client) -> None:
    for question in (*QUESTIONS, UNANSWERABLE):
        console.print(f"[bold]Q: {escape(question)}[/]")
        citations, _ = print_answer(client, question, "default")
        for citation in citations:
            _verify(client, citation)
        if bool(citations) == (question == UNANSWERABLE):
            raise DemoError(f"Expected {'no ' if citations else ''}citations for: {question}")
        console.print()


def _verify(client: Client, citation: dict[str, object]) -> None:
    """Check that a quote is what stands in the document."""
    text = client.text(str(citation["document_id"]))
    if text[int(str(citation["start"])) : int(str(citation["end"]))] != citation["quote"]:
        raise DemoError(f"Not a verbatim quote: {citation}")


def _measure(client: Client) -> None:
    console.print("[bold]How few chunks suffice?[/] Measured on examples/questions.jsonl ...")
    print_chunk_count(measure_chunk_count(client, EXAMPLES / "questions.jsonl", "default"))
    console.print(
        "\nFor your own documents, and with an error rate (docs/tuning.md):\n"
        "  .venv/bin/suffice ingest FOLDER\n"
        "  .venv/bin/suffice eval synth questions.jsonl\n"
        "  .venv/bin/suffice eval tune questions.jsonl"
    )


def _keep_serving(url: str) -> None:
    console.print(f"\nStill serving at [bold]{url}[/] (API: {url}/docs). Ctrl-C ends the demo.")
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        console.print("Bye.")


if __name__ == "__main__":
    main()
