"""The catalog: which documents there are and how far they got. SQLite or Postgres."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from ingest.documents import Collection, Document, Status

metadata = sa.MetaData()

documents = sa.Table(
    "documents",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("collection", sa.String(64), nullable=False, index=True),
    sa.Column("external_id", sa.Text, nullable=False),
    sa.Column("filename", sa.Text, nullable=False),
    sa.Column("media_type", sa.Text, nullable=False),
    sa.Column("revision", sa.String(64), nullable=False, index=True),
    sa.Column("num_bytes", sa.BigInteger, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("searchable_revision", sa.String(64), index=True),
    sa.Column("num_pages", sa.Integer),
    sa.Column("num_chunks", sa.Integer),
    sa.Column("num_embedded", sa.Integer, nullable=False, server_default="0"),
    sa.Column("error_code", sa.Text),
    sa.Column("error_reason", sa.Text),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False, server_default="1"),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
)

collections = sa.Table(
    "collections",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("embedder", sa.Text, nullable=False),
    sa.Column("embedder_fingerprint", sa.String(64), nullable=False),
    sa.Column("analyzer", sa.Text, nullable=False),
    sa.Column("chunker_fingerprint", sa.String(64), nullable=False),
)


class Catalog:
    """Documents and collections. Each call is one transaction."""

    def __init__(self, database_url: str) -> None:
        """Connect and bring the tables up to date."""
        self._engine = sa.create_engine(database_url, pool_pre_ping=True)
        self._is_sqlite = self._engine.dialect.name == "sqlite"
        if self._is_sqlite:
            sa.event.listen(self._engine, "connect", _set_up_sqlite)
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self._engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def get(self, document_id: str) -> Document | None:
        """Return a document, or None."""
        query = sa.select(documents).where(documents.c.id == document_id)
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else _to_document(dict(row))

    def list_documents(
        self,
        collection: str | None = None,
        status: Status | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> list[Document]:
        """Return documents in order of their ids, beginning after the id `after`."""
        query = sa.select(documents).order_by(documents.c.id).limit(limit)
        if collection is not None:
            query = query.where(documents.c.collection == collection)
        if status is not None:
            query = query.where(documents.c.status == status)
        if after is not None:
            query = query.where(documents.c.id > after)
        with self._engine.connect() as connection:
            return [_to_document(dict(row)) for row in connection.execute(query).mappings()]

    def list_unfinished(self) -> list[Document]:
        """Return the documents whose job should be waiting or under way."""
        open_states = [status for status in Status if not status.is_final]
        query = sa.select(documents).where(documents.c.status.in_(open_states))
        with self._engine.connect() as connection:
            return [_to_document(dict(row)) for row in connection.execute(query).mappings()]

    def put(self, document: Document) -> None:
        """Insert a document, or replace the row of the same id."""
        values = _to_row(document)
        with self._engine.begin() as connection:
            updated = connection.execute(
                sa.update(documents).where(documents.c.id == document.id).values(**values)
            )
            if updated.rowcount == 0:
                connection.execute(sa.insert(documents).values(**values))

    def update(self, document_id: str, revision: str, **changes: Any) -> bool:
        """Change a document if it is still at `revision`; return whether it was."""
        statement = (
            sa.update(documents)
            .where(documents.c.id == document_id, documents.c.revision == revision)
            .values(updated_at=datetime.now(UTC), **changes)
        )
        with self._engine.begin() as connection:
            return connection.execute(statement).rowcount > 0

    def delete(self, document_id: str) -> None:
        """Remove a document's row; on SQLite its bytes are overwritten on disk, too."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(documents).where(documents.c.id == document_id))
        if self._is_sqlite:
            with self._autocommit() as connection:
                connection.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))

    def uses_revision(self, revision: str, *, other_than: str | None = None) -> bool:
        """Whether any other document has this revision, as the latest or the one that answers."""
        query = sa.select(documents.c.id).where(
            sa.or_(documents.c.revision == revision, documents.c.searchable_revision == revision),
            documents.c.id != (other_than or ""),
        )
        with self._engine.connect() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def get_collection(self, name: str) -> Collection | None:
        """Return a collection, or None."""
        return next((c for c in self.list_collections() if c.name == name), None)

    def list_collections(self) -> list[Collection]:
        """Return the collections in order of their names, with their number of documents."""
        num_documents = sa.func.count(documents.c.id).label("num_documents")
        query = (
            sa.select(collections, num_documents)
            .join(documents, documents.c.collection == collections.c.name, isouter=True)
            .group_by(*collections.c)
            .order_by(collections.c.name)
        )
        with self._engine.connect() as connection:
            return [Collection(**row) for row in connection.execute(query).mappings()]

    def add_collection(self, collection: Collection) -> None:
        """Insert a collection."""
        values = {column.name: getattr(collection, column.name) for column in collections.c}
        with self._engine.begin() as connection:
            connection.execute(sa.insert(collections).values(**values))

    def delete_collection(self, name: str) -> None:
        """Remove a collection's row."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(collections).where(collections.c.name == name))

    @contextmanager
    def _autocommit(self) -> Iterator[sa.Connection]:
        with self._engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "secure_delete=ON",
        "busy_timeout=10000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _to_row(document: Document) -> dict[str, Any]:
    return {column.name: getattr(document, column.name) for column in documents.c}


def _to_document(row: Mapping[str, Any]) -> Document:
    times = {
        name: row[name] if row[name].tzinfo else row[name].replace(tzinfo=UTC)
        for name in ("created_at", "updated_at")
    }
    return Document(**{**row, **times, "status": Status(row["status"])})
