"""The password of an encrypted file, until its job has ended."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add a column."""
    op.add_column("documents", sa.Column("password", sa.Text))
