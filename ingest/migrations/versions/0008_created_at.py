"""Chunks are to carry the time of their document as calls show it, so that filters find it."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Let the next start write the attributes of all chunks."""
    collections = sa.table("collections", sa.column("is_filterable", sa.Boolean))
    op.execute(sa.update(collections).values(is_filterable=False))
