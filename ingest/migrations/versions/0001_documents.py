"""Documents and collections."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the first tables."""
    op.create_table(
        "documents",
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
    op.create_table(
        "collections",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("embedder", sa.Text, nullable=False),
        sa.Column("embedder_fingerprint", sa.String(64), nullable=False),
        sa.Column("analyzer", sa.Text, nullable=False),
        sa.Column("chunker_fingerprint", sa.String(64), nullable=False),
    )
