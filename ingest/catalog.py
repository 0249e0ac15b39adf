"""The catalog: which documents there are and how far they got. SQLite or Postgres."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ingest.database import Database, in_utc
from ingest.documents import LAST_TURNS, Collection, Document, Reindexing, ReindexingStatus, Status
from ingest.errors import CatalogUnavailableError
from ingest.home import Home
from ingest.settings import IngestSettings
from ingest.titles import make_name
from retrieval.errors import StoreLockedError

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
    sa.Column("num_retries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("searchable_chunks", sa.Integer, nullable=False, server_default="0"),
    sa.Column("searchable_parser", sa.Integer, nullable=False, server_default="0"),
    sa.Column("turn", sa.Integer, nullable=False, server_default="1"),
    sa.Column("password", sa.Text),
)

collections = sa.Table(
    "collections",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("embedder", sa.Text, nullable=False),
    sa.Column("embedder_fingerprint", sa.String(64), nullable=False),
    sa.Column("analyzer", sa.Text, nullable=False),
    sa.Column("chunker_fingerprint", sa.String(64), nullable=False),
    sa.Column("is_filterable", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("index_name", sa.String(80), nullable=False, server_default=""),
)

reindexings = sa.Table(
    "reindexings",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("embedder", sa.Text, nullable=False),
    sa.Column("embedder_fingerprint", sa.String(64), nullable=False),
    sa.Column("analyzer", sa.Text, nullable=False),
    sa.Column("chunker_fingerprint", sa.String(64), nullable=False),
    sa.Column("index_name", sa.String(80), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("spare_index", sa.String(80)),
    sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("error_reason", sa.Text),
)

reindexed = sa.Table(
    "reindexed",
    metadata,
    sa.Column("document_id", sa.String(36), primary_key=True),
    sa.Column("collection", sa.String(64), nullable=False, index=True),
    sa.Column("revision", sa.String(64), nullable=False),
    sa.Column("num_chunks", sa.Integer, nullable=False),
)

identity = sa.Table("identity", metadata, sa.Column("id", sa.String(36), primary_key=True))

_WAITING = sa.text(f"status = '{Status.QUEUED}'")
for _name, _columns in (
    ("ix_documents_waiting", (documents.c.num_retries, documents.c.turn)),
    ("ix_documents_waiting_of_collection", (documents.c.collection, documents.c.turn)),
):
    sa.Index(_name, *_columns, sqlite_where=_WAITING, postgresql_where=_WAITING)

# Any number that nothing else locks.
_CLAIM = 0x5FF1CE
_OPEN = [status for status in Status if not status.is_final]
_SEARCHABLE = [status for status in Status if status.is_searchable]
# Literal in the SQL, so that the partial indexes of the waiting documents are used.
_QUEUED: sa.ColumnElement[str] = sa.literal_column(f"'{Status.QUEUED}'")
# Made once, because each answer asks for them, and making one takes longer than the database does.
_DOCUMENT = sa.select(documents).where(documents.c.id == sa.bindparam("id"))
_COLLECTION = sa.select(collections).where(collections.c.name == sa.bindparam("name"))
_NAMES = sa.select(documents.c.id, documents.c.filename, documents.c.external_id).where(
    documents.c.id.in_(sa.bindparam("ids", expanding=True))
)


class Catalog:
    """Documents and collections. Each call is one transaction.

    Every method raises `CatalogUnavailableError` when the database does not answer.
    """

    def __init__(self, database_url: str) -> None:
        """Connect and bring the tables up to date.

        Raises:
            StoreLockedError: another service uses this Postgres database. (A SQLite database is in
                the home folder, which has a lock of its own.)
        """
        self._database = Database(database_url, "catalog", CatalogUnavailableError)
        self._claim = None if self._database.is_sqlite else self._claim_database()
        self._database.upgrade(Path(__file__).parent / "migrations")

    def close(self) -> None:
        """Close all connections."""
        if self._claim is not None:
            self._claim.close()
        self._database.close()

    def identity(self) -> str:
        """Return the id of this catalog, drawn when it was made; copies of it keep it."""
        with self._database.reading() as connection:
            return str(connection.execute(sa.select(identity.c.id)).scalar_one())

    def get(self, document_id: str) -> Document | None:
        """Return a document, or None."""
        with self._database.reading() as connection:
            row = connection.execute(_DOCUMENT, {"id": document_id}).mappings().first()
        return None if row is None else _to_document(row)

    def filenames(self, document_ids: Iterable[str]) -> dict[str, str]:
        """Return the names of documents by id, see `make_name`; what does not exist has none."""
        wanted = {"ids": sorted(set(document_ids))}
        with self._database.reading() as connection:
            rows = connection.execute(_NAMES, wanted)
            return {row.id: make_name(row.filename, row.external_id) for row in rows}

    def list_documents(
        self,
        collection: str | None = None,
        statuses: Iterable[Status] | None = None,
        after: str | None = None,
        limit: int = 100,
        allowed: Iterable[str] | None = None,
    ) -> list[Document]:
        """Return documents in order of their ids.

        Args:
            collection: only of this one.
            statuses: only in one of these states; None: in any.
            after: beginning after this id.
            limit: most to return.
            allowed: only of these collections; None: of all.
        """
        query = sa.select(documents).order_by(documents.c.id).limit(limit)
        if collection is not None:
            query = query.where(documents.c.collection == collection)
        if allowed is not None:
            query = query.where(documents.c.collection.in_(set(allowed)))
        if statuses is not None:
            query = query.where(documents.c.status.in_(set(statuses)))
        if after is not None:
            query = query.where(documents.c.id > after)
        return self._find(query)

    def iterate_documents(self, collection: str | None = None) -> Iterator[Document]:
        """Yield all documents, or those of a collection, page by page, in order of their ids."""
        after = None
        while page := self.list_documents(collection, after=after):
            yield from page
            after = page[-1].id

    def list_unfinished(self) -> list[Document]:
        """Return the documents whose job should be waiting or under way."""
        query = sa.select(documents).where(documents.c.status.in_(_OPEN))
        return self._find(query)

    def list_outdated(self, parser_version: int) -> list[Document]:
        """Return the searchable documents whose chunks were cut from another parser's text."""
        query = sa.select(documents).where(
            documents.c.status.in_(_SEARCHABLE), documents.c.searchable_parser != parser_version
        )
        return self._find(query)

    def list_outdated_texts(self, parser_version: int) -> set[tuple[str, int]]:
        """Return revision and version of the texts of other parsers that chunks answer from."""
        columns = documents.c.searchable_revision, documents.c.searchable_parser
        query = sa.select(*columns).where(
            documents.c.searchable_revision.is_not(None),
            documents.c.searchable_parser != parser_version,
        )
        with self._database.reading() as connection:
            return {(revision, version) for revision, version in connection.execute(query)}

    def list_failed(self, error_code: str) -> list[Document]:
        """Return the documents that failed with a code."""
        query = sa.select(documents).where(
            documents.c.status == Status.FAILED, documents.c.error_code == error_code
        )
        return self._find(query)

    def list_reading(self, revision: str, media_type: str) -> list[Document]:
        """Return the searchable documents that share the text of a revision."""
        query = sa.select(documents).where(
            documents.c.revision == revision,
            documents.c.media_type == media_type,
            documents.c.status.in_(_SEARCHABLE),
        )
        return self._find(query)

    def put(self, document: Document) -> None:
        """Insert a document, or replace the row of the same id."""
        values = _to_row(document)
        with self._database.writing() as connection:
            updated = connection.execute(
                sa.update(documents).where(documents.c.id == document.id).values(**values)
            )
            if updated.rowcount == 0:
                connection.execute(sa.insert(documents).values(**values))

    def update(
        self, document_id: str, revision: str, *, is_durable: bool = True, **changes: Any
    ) -> bool:
        """Change a document if it is still at `revision`; return whether it was.

        Args:
            document_id: which document.
            revision: which it must still be at.
            is_durable: wait until the change would survive a loss of power.
            changes: new values of columns.
        """
        statement = (
            sa.update(documents)
            .where(documents.c.id == document_id, documents.c.revision == revision)
            .values(updated_at=datetime.now(UTC), **changes)
        )
        with self._database.writing(is_durable=is_durable) as connection:
            return connection.execute(statement).rowcount > 0

    def delete(self, document_id: str) -> None:
        """Remove a document's row; on SQLite its bytes are overwritten on disk, too."""
        with self._database.writing() as connection:
            connection.execute(sa.delete(documents).where(documents.c.id == document_id))
            connection.execute(sa.delete(reindexed).where(reindexed.c.document_id == document_id))
        self.erase_log()

    def erase_log(self) -> None:
        """Overwrite on disk what rows held before, see `Database.erase_log`."""
        self._database.erase_log()

    def has_other_documents(self, collection: str, document_id: str) -> bool:
        """Whether a collection has documents besides one."""
        query = sa.select(documents.c.id).where(
            documents.c.collection == collection, documents.c.id != document_id
        )
        with self._database.reading() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def count_queued(self) -> int:
        """Count the documents that wait, for the first time or to be tried again.

        Those with one of the last turns do not count: they answer while they wait.
        """
        query = sa.select(sa.func.count()).where(
            documents.c.status == _QUEUED, documents.c.turn < LAST_TURNS
        )
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def count_documents(self) -> dict[str, int]:
        """Return how many documents are in each state."""
        query = sa.select(documents.c.status, sa.func.count()).group_by(documents.c.status)
        with self._database.reading() as connection:
            counted = {str(status): number for status, number in connection.execute(query)}
        return {status.value: counted.get(status.value, 0) for status in Status}

    def count_documents_of(self, collection: str, changed_since: datetime | None = None) -> int:
        """Count the documents of a collection, or only those that were changed since a time."""
        query = sa.select(sa.func.count()).where(documents.c.collection == collection)
        if changed_since is not None:
            query = query.where(documents.c.updated_at > changed_since)
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def count_chunks(self, collection: str) -> int:
        """Count the chunks of a collection that answer now."""
        query = sa.select(sa.func.coalesce(sa.func.sum(documents.c.searchable_chunks), 0)).where(
            documents.c.collection == collection
        )
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def next_turn(self, collection: str) -> int:
        """Return the place in the queue of a new document; lower ones come first.

        Start-time fair queueing (Goyal, Vin, Cheng 1996) with documents of equal cost: a document
        comes one turn after the last waiting one of its collection, and not before what is next in
        the whole queue. So collections take turns, however many documents each has waiting.
        """
        is_waiting = documents.c.status == _QUEUED
        is_before = documents.c.turn < LAST_TURNS
        # Those that wait to be tried again have had their turn.
        is_first_time = documents.c.num_retries == 0
        first = sa.select(sa.func.min(documents.c.turn)).where(is_waiting, is_before, is_first_time)
        last = sa.select(sa.func.max(documents.c.turn)).where(
            is_waiting, is_before, documents.c.collection == collection
        )
        with self._database.reading() as connection:
            head = connection.execute(first).scalar_one() or 1
            own = connection.execute(last).scalar_one() or 0
        return max(int(head), int(own) + 1)

    def uses_revision(self, revision: str, *, other_than: str | None = None) -> bool:
        """Whether any other document has this revision, as the latest or the one that answers."""
        query = sa.select(documents.c.id).where(
            sa.or_(documents.c.revision == revision, documents.c.searchable_revision == revision),
            documents.c.id != (other_than or ""),
        )
        with self._database.reading() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def used_revisions(self, revisions: Iterable[str]) -> set[str]:
        """Return those of some revisions that documents have, as the latest or as what answers."""
        used: set[str] = set()
        with self._database.reading() as connection:
            for column in (documents.c.revision, documents.c.searchable_revision):
                query = sa.select(column).where(column.in_(list(revisions)))
                used.update(connection.execute(query).scalars())
        return used

    def get_collection(self, name: str) -> Collection | None:
        """Return a collection, its documents not counted, or None."""
        with self._database.reading() as connection:
            row = connection.execute(_COLLECTION, {"name": name}).mappings().first()
        return None if row is None else Collection(**row)

    def list_collections(self) -> list[Collection]:
        """Return the collections in order of their names, with their number of documents."""
        num_documents = sa.func.count(documents.c.id).label("num_documents")
        query = (
            sa.select(collections, num_documents)
            .join(documents, documents.c.collection == collections.c.name, isouter=True)
            .group_by(*collections.c)
            .order_by(collections.c.name)
        )
        with self._database.reading() as connection:
            return [Collection(**row) for row in connection.execute(query).mappings()]

    def add_collection(self, collection: Collection) -> None:
        """Insert a collection."""
        with self._database.writing() as connection:
            connection.execute(sa.insert(collections).values(**_to_collection_row(collection)))

    def set_chunker(self, name: str, fingerprint: str) -> None:
        """Record how the chunks of a collection are cut."""
        statement = sa.update(collections).where(collections.c.name == name)
        with self._database.writing() as connection:
            connection.execute(statement.values(chunker_fingerprint=fingerprint))

    def mark_filterable(self, name: str) -> None:
        """Record that all chunks of a collection carry the attributes of their documents."""
        with self._database.writing() as connection:
            connection.execute(
                sa.update(collections).where(collections.c.name == name).values(is_filterable=True)
            )

    def delete_collection(self, name: str) -> None:
        """Remove a collection's row, and its reindexing."""
        with self._database.writing() as connection:
            connection.execute(sa.delete(collections).where(collections.c.name == name))
            _delete_reindexing(connection, name)

    def get_reindexing(self, name: str) -> Reindexing | None:
        """Return the reindexing of a collection under way or failed, nothing counted, or None."""
        query = sa.select(reindexings).where(reindexings.c.name == name)
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else _to_reindexing(row)

    def list_reindexings(self) -> list[Reindexing]:
        """Return all reindexings in the order they were asked for, with what is done counted."""
        num_done = sa.func.count(reindexed.c.document_id).label("num_done")
        num_chunks = sa.func.coalesce(sa.func.sum(reindexed.c.num_chunks), 0).label("num_chunks")
        query = (
            sa.select(reindexings, num_done, num_chunks)
            .join(reindexed, reindexed.c.collection == reindexings.c.name, isouter=True)
            .group_by(*reindexings.c)
            .order_by(reindexings.c.started_at)
        )
        with self._database.reading() as connection:
            return [_to_reindexing(row) for row in connection.execute(query).mappings()]

    def put_reindexing(self, reindexing: Reindexing) -> None:
        """Insert the reindexing of a collection, instead of one that was there; none is done."""
        values = _to_target_row(reindexing.target) | {
            "status": reindexing.status,
            "spare_index": reindexing.spare_index,
            "started_at": reindexing.started_at,
            "error_reason": reindexing.error_reason,
        }
        with self._database.writing() as connection:
            _delete_reindexing(connection, reindexing.target.name)
            connection.execute(sa.insert(reindexings).values(**values))

    def set_reindexing_status(self, name: str, status: ReindexingStatus) -> None:
        """Record how far a reindexing got."""
        statement = sa.update(reindexings).where(reindexings.c.name == name)
        with self._database.writing() as connection:
            connection.execute(statement.values(status=status))

    def delete_reindexing(self, name: str) -> None:
        """Forget a reindexing."""
        with self._database.writing() as connection:
            _delete_reindexing(connection, name)

    def list_to_reindex(
        self, collection: str, after: str | None = None, limit: int = 100
    ) -> list[Document]:
        """Return documents whose answering revision is not in the new index, in order of ids."""
        is_done = sa.exists().where(
            reindexed.c.document_id == documents.c.id,
            reindexed.c.revision == documents.c.searchable_revision,
        )
        query = (
            sa.select(documents)
            .where(
                documents.c.collection == collection,
                documents.c.searchable_revision.is_not(None),
                ~is_done,
            )
            .order_by(documents.c.id)
            .limit(limit)
        )
        if after is not None:
            query = query.where(documents.c.id > after)
        return self._find(query)

    def list_reindexed(self, collection: str) -> dict[tuple[str, str], int]:
        """Return how many chunks each (document id, revision) has in the new index."""
        query = sa.select(reindexed.c.document_id, reindexed.c.revision, reindexed.c.num_chunks)
        with self._database.reading() as connection:
            rows = connection.execute(query.where(reindexed.c.collection == collection))
            return {(row.document_id, row.revision): row.num_chunks for row in rows}

    def list_replaced(self, collection: str) -> list[str]:
        """Return ids of documents that were put into the new index, but are replaced or gone."""
        answers = sa.exists().where(
            documents.c.id == reindexed.c.document_id,
            documents.c.searchable_revision == reindexed.c.revision,
        )
        query = sa.select(reindexed.c.document_id)
        query = query.where(reindexed.c.collection == collection, ~answers)
        with self._database.reading() as connection:
            return list(connection.execute(query).scalars())

    def add_reindexed(self, document: Document, num_chunks: int) -> None:
        """Record that the answering revision of a document is in the new index."""
        values = {
            "document_id": document.id,
            "collection": document.collection,
            "revision": document.searchable_revision,
            "num_chunks": num_chunks,
        }
        with self._database.writing(is_durable=False) as connection:
            connection.execute(sa.delete(reindexed).where(reindexed.c.document_id == document.id))
            connection.execute(sa.insert(reindexed).values(**values))

    def forget_reindexed(self, document_id: str) -> None:
        """Record that a document is not in the new index."""
        with self._database.writing() as connection:
            connection.execute(sa.delete(reindexed).where(reindexed.c.document_id == document_id))

    def swap_index(self, reindexing: Reindexing, old_index: str, parser_version: int) -> None:
        """Let the new index of a collection answer, and keep the old one in mind to be removed.

        Args:
            reindexing: done but for this.
            old_index: name of the index that answered until now.
            parser_version: of the texts that the new chunks were cut from.
        """
        name = reindexing.target.name
        num_chunks = (
            sa.select(reindexed.c.num_chunks)
            .where(reindexed.c.document_id == documents.c.id)
            .scalar_subquery()
        )
        is_latest = documents.c.searchable_revision == documents.c.revision
        with self._database.writing() as connection:
            answering = sa.update(documents).where(
                documents.c.collection == name, documents.c.searchable_revision.is_not(None)
            )
            connection.execute(
                answering.values(searchable_chunks=num_chunks, searchable_parser=parser_version)
            )
            connection.execute(
                answering.where(is_latest).values(num_chunks=num_chunks, num_embedded=num_chunks)
            )
            connection.execute(
                sa.update(collections)
                .where(collections.c.name == name)
                .values(**_to_collection_row(reindexing.target))
            )
            connection.execute(sa.delete(reindexed).where(reindexed.c.collection == name))
            connection.execute(
                sa.update(reindexings)
                .where(reindexings.c.name == name)
                .values(status=ReindexingStatus.FINISHING, spare_index=old_index)
            )

    def _find(self, query: sa.Select[Any]) -> list[Document]:
        with self._database.reading() as connection:
            return [_to_document(row) for row in connection.execute(query).mappings()]

    def _claim_database(self) -> sa.Connection:
        """Lock the database for as long as the connection lives.

        Jobs read files of their own service's home folder, so two services must not share them.
        """
        connection = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        # A service that was killed is noticed within moments.
        connection.execute(sa.text("SET lock_timeout = '5s'"))
        try:
            connection.execute(sa.select(sa.func.pg_advisory_lock(_CLAIM)))
        except sa.exc.OperationalError as error:
            connection.close()
            self._database.close()
            raise StoreLockedError(
                "The database of INGEST_DATABASE_URL is in use by another Suffice service. Stop "
                "that one, or give this one a database of its own."
            ) from error
        return connection


def open_catalog(settings: IngestSettings, home: Home) -> Catalog:
    """Return the catalog of a home folder, which the settings may have in Postgres.

    Raises:
        StoreLockedError: another service uses it.
    """
    return Catalog(settings.database_url or home.database_url("catalog"))


def _to_row(document: Document) -> dict[str, Any]:
    return {column.name: getattr(document, column.name) for column in documents.c}


def _to_collection_row(collection: Collection) -> dict[str, Any]:
    return {column.name: getattr(collection, column.name) for column in collections.c}


def _to_target_row(collection: Collection) -> dict[str, Any]:
    row = _to_collection_row(collection)
    return {name: value for name, value in row.items() if name in reindexings.c}


def _delete_reindexing(connection: sa.Connection, name: str) -> None:
    connection.execute(sa.delete(reindexings).where(reindexings.c.name == name))
    connection.execute(sa.delete(reindexed).where(reindexed.c.collection == name))


def _to_reindexing(row: Mapping[Any, Any]) -> Reindexing:
    return Reindexing(
        target=Collection(
            **{column.name: row[column.name] for column in collections.c if column.name in row}
        ),
        status=ReindexingStatus(row["status"]),
        spare_index=row["spare_index"],
        started_at=in_utc(row["started_at"]),
        error_reason=row["error_reason"],
        num_done=row.get("num_done", 0),
        num_chunks=int(row.get("num_chunks", 0)),
    )


def _to_document(row: Mapping[Any, Any]) -> Document:
    times = {name: in_utc(row[name]) for name in ("created_at", "updated_at")}
    return Document(**{**row, **times, "status": Status(row["status"])})
