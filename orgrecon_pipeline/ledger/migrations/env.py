"""Run by Alembic: migrates the connection that it is given, inside the caller's transaction."""

from __future__ import annotations

from alembic import context

from orgrecon_pipeline.ledger.revisions import VERSION_TABLE
from orgrecon_pipeline.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # true of SQLite as well, since our engine begins its transactions itself
)
with context.begin_transaction():
    context.run_migrations()
