"""The queue: automatic retries, turns, and the chunks that answer."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add columns, and indexes over the waiting documents."""
    for name, default in (("num_retries", "0"), ("searchable_chunks", "0"), ("turn", "1")):
        op.add_column(
            "documents", sa.Column(name, sa.Integer, nullable=False, server_default=default)
        )
    op.execute(
        "UPDATE documents SET searchable_chunks = num_chunks "
        "WHERE searchable_revision = revision AND num_chunks IS NOT NULL"
    )
    waiting = sa.text("status = 'queued'")
    for name, columns in (
        ("ix_documents_waiting", ["num_retries", "turn"]),
        ("ix_documents_waiting_of_collection", ["collection", "turn"]),
    ):
        op.create_index(name, "documents", columns, sqlite_where=waiting, postgresql_where=waiting)
