"""The index of a collection by name, and reindexings with what they have done."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add a column, which so far was the collection's own name, and two tables."""
    op.add_column(
        "collections",
        sa.Column("index_name", sa.String(80), nullable=False, server_default=""),
    )
    op.execute("UPDATE collections SET index_name = name")
    op.create_table(
        "reindexings",
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
    op.create_table(
        "reindexed",
        sa.Column("document_id", sa.String(36), primary_key=True),
        sa.Column("collection", sa.String(64), nullable=False),
        sa.Column("revision", sa.String(64), nullable=False),
        sa.Column("num_chunks", sa.Integer, nullable=False),
    )
    op.create_index("ix_reindexed_collection", "reindexed", ["collection"])
