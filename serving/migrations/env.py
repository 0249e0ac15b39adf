"""Alembic's entry point; the database passes its own connection.

The version has a table of its own, because the catalog's tables may be in the same database.
"""

from alembic import context

from serving.database import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="serving_version",
)
with context.begin_transaction():
    context.run_migrations()
