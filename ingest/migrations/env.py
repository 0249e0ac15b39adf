"""Alembic's entry point; the catalog passes its own connection."""

from alembic import context

from ingest.catalog import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
