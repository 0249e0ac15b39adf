"""The version of the parser whose text answers; 0 for what was ingested before it was recorded."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add a column."""
    op.add_column(
        "documents",
        sa.Column("searchable_parser", sa.Integer, nullable=False, server_default="0"),
    )
