"""Whether the chunks of a collection carry what filters need; false for what is older than them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add a column."""
    op.add_column(
        "collections",
        sa.Column("is_filterable", sa.Boolean, nullable=False, server_default=sa.false()),
    )
