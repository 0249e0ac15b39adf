"""The documents that questions are asked about, as a service has them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ingest.texts import CanonicalText


@dataclass(frozen=True, slots=True)
class SnapshotDocument:
    """One document.

    Attributes:
        document_id: of the service.
        name: (external id) by which questions call it.
        revision: SHA-256 of its bytes, hexadecimal.
        text: what its chunks are cut from.
        title: what users call it, which is searched by words.
    """

    document_id: str
    name: str
    revision: str
    text: CanonicalText
    title: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All documents of a collection.

    Attributes:
        documents: in any order.
        language: of the collection's analyzer.
    """

    documents: Sequence[SnapshotDocument]
    language: str

    @property
    def without_headings(self) -> "Snapshot":
        """The same documents, as if their texts had no headings."""
        documents = [replace(one, text=replace(one.text, headings=())) for one in self.documents]
        return replace(self, documents=documents)

    @property
    def names(self) -> dict[str, str]:
        """Document id -> name."""
        return {one.document_id: one.name for one in self.documents}

    @property
    def texts(self) -> dict[tuple[str, str], str]:
        """(document id, revision) -> canonical text."""
        return {(one.document_id, one.revision): one.text.text for one in self.documents}

    @property
    def texts_by_name(self) -> Mapping[str, str]:
        """Name -> canonical text."""
        return {one.name: one.text.text for one in self.documents}

    @property
    def fingerprint(self) -> str:
        """SHA-256 over ids, texts and titles of all documents, hexadecimal."""
        digest = hashlib.sha256()
        for one in sorted(self.documents, key=lambda document: document.document_id):
            text = hashlib.sha256(one.text.text.encode()).hexdigest()
            digest.update(f"{one.document_id} {one.revision} {text} {one.title}\n".encode())
        return digest.hexdigest()
