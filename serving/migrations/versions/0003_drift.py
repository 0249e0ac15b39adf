"""What is known of the streams of each collection that is served with a certified profile."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "drift",
        sa.Column("collection", sa.String(64), primary_key=True),
        sa.Column("profile", sa.String(64), nullable=False),
        sa.Column("streams", sa.JSON, nullable=False),
        sa.Column("alarm_stream", sa.String(16)),
        sa.Column("alarm_direction", sa.String(8)),
        sa.Column("alarm_time", sa.DateTime(timezone=True)),
    )
