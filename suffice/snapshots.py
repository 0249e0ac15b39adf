"""A collection of a running service, read over its API to be evaluated elsewhere."""

from dataclasses import dataclass

from eval.errors import NoQuestionsError
from eval.progress import Progress, silent
from eval.snapshot import Snapshot, SnapshotDocument
from ingest.texts import CanonicalText, Heading, Place
from ingest.titles import make_name, make_title
from suffice.client import Client


@dataclass(frozen=True, slots=True)
class ServedCollection:
    """What a service has and how it serves it.

    Attributes:
        snapshot: its documents.
        filenames: document id -> name that prompts show.
        embedder: name of the model.
        fingerprints: of embedder, chunker and analyzer.
        profile: name of the profile it is served with.
    """

    name: str
    snapshot: Snapshot
    filenames: dict[str, str]
    embedder: str
    fingerprints: dict[str, str]
    profile: str


def read_collection(client: Client, name: str, progress: Progress = silent) -> ServedCollection:
    """Read all documents that can be searched.

    Args:
        client: of the service.
        name: of the collection.
        progress: told of `documents` after each.

    Raises:
        NoQuestionsError: there are none.
        ServiceError: the service does not answer.
    """
    state = next((one for one in client.collections() if one["name"] == name), None)
    listed = [one for one in client.documents(name) if one["searchable_revision"]] if state else []
    if state is None or not listed:
        raise NoQuestionsError(
            f"The collection {name!r} has no searchable documents. Bring some in with "
            "`suffice ingest`."
        )
    documents = []
    for done, one in enumerate(listed, start=1):
        text = _read_text(client, one["id"])
        documents.append(
            SnapshotDocument(
                one["id"],
                one["external_id"],
                one["searchable_revision"],
                text,
                make_title(one["filename"], one["external_id"]),
            )
        )
        progress("documents", done, len(listed))
    return ServedCollection(
        name=name,
        snapshot=Snapshot(tuple(documents), state["language"]),
        filenames={one["id"]: make_name(one["filename"], one["external_id"]) for one in listed},
        embedder=state["embedder"],
        fingerprints=state["fingerprints"],
        profile=state["profile"],
    )


def _read_text(client: Client, document_id: str) -> CanonicalText:
    described = client.described_text(document_id)
    return CanonicalText(
        text=described["text"],
        page_starts=tuple(described["page_starts"]),
        headings=tuple(Heading(**heading) for heading in described["headings"]),
        places=tuple(Place(**place) for place in described["places"]),
    )
