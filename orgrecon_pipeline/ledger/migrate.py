"""Bringing a ledger's tables to the present revision. Imports Alembic, so it is itself imported only when needed."""

from __future__ import annotations

import threading

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, text

from orgrecon_pipeline.domain.errors import ConfigurationError

# Alembic keeps the migration that is under way in module-level variables.
_one_at_a_time = threading.Lock()

_ADVISORY_KEY = 0x6F72_6772_6563_6F6E  # "orgrecon"


def lock_migrations(connection: Connection) -> None:
    """Wait until no other process migrates; the lock ends with the transaction. SQLite's write lock is one already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_KEY})


def migrate(connection: Connection) -> None:
    """Run the migrations that are missing, in the connection's transaction.

    Raises:
        ConfigurationError: when the tables have a revision that this version does not know.
    """
    config = Config()
    config.set_main_option("script_location", "orgrecon_pipeline.ledger:migrations")
    config.attributes["connection"] = connection
    with _one_at_a_time:
        try:
            command.upgrade(config, "head")
        except CommandError:
            raise ConfigurationError("the ledger was made by another orgrecon, newer than this one: upgrade.") from None
