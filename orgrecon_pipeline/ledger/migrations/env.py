"""Alembic environment: migrates the given connection, inside the caller's transaction."""

from __future__ import annotations

from alembic import context

from orgrecon_pipeline.ledger.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # also on SQLite, because the engine begins transactions explicitly
)
with context.begin_transaction():
    context.run_migrations()
