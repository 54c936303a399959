"""Opening a ledger: created and migrated for writing, or left unchanged for reading."""

from __future__ import annotations

import os
import threading
from importlib.resources import files
from typing import Any

from sqlalchemy import ColumnElement, Connection, column, func, select, table, text
from sqlalchemy.exc import DBAPIError

from orgrecon_pipeline.domain.errors import ConfigurationError, LedgerUnavailable
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.ledger.connection.address import PostgresAddress, SqliteAddress, parse_address
from orgrecon_pipeline.ledger.connection.engine import make_engine
from orgrecon_pipeline.ledger.connection.errors import READ_ONLY, translate_errors
from orgrecon_pipeline.ledger.connection.retry import current_budget
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.tables import REVISION, VERSION_TABLE, metadata

_MIGRATION_LOCK = 0x6F72_6772_6563_6F6E  # "orgrecon": the key of an advisory lock

# Alembic stores the running migration in module-level variables.
_one_migration = threading.Lock()


def open_ledger(url: str, identity: Identity) -> Ledger:
    """Open the ledger of a URL for an identity, for writing; create its directory, file and tables if necessary.

    Raises:
        LedgerUnavailable: if the ledger does not answer, or is read-only, at the moment.
        ConfigurationError: if the URL is invalid, the ledger cannot be created, migrated or written, or a newer
            orgrecon created it. The message shows no part of the URL except the path of an SQLite file.
    """
    address = parse_address(url)
    return current_budget().retry(lambda: _open(address, identity))


def _open(address: SqliteAddress | PostgresAddress, identity: Identity) -> Ledger:
    if isinstance(address, SqliteAddress):
        _prepare_file(address)
    # A file that is removed later must not be created again without its evidence.
    missing = isinstance(address, SqliteAddress) and not os.path.exists(address.path)
    ledger = Ledger(address, make_engine(address, create=missing), identity)
    with translate_errors(ConfigurationError, f"cannot open {address}"):
        revision, read_only = _read_state(ledger)
        if revision != REVISION:
            _migrate(ledger)
        elif read_only:
            raise LedgerUnavailable(f"cannot open {address}: {READ_ONLY}.")
    return Ledger(address, make_engine(address, create=False), identity)


def open_existing(url: str, identity: Identity) -> Ledger | None:
    """Open the ledger of a URL for an identity, for reading, without changes; return None if there is no ledger yet.

    Raises:
        LedgerUnavailable: if the ledger does not answer at the moment.
        ConfigurationError: if the URL is invalid, the ledger cannot be read, or it has another revision.
    """
    address = parse_address(url)
    if isinstance(address, SqliteAddress) and not os.path.lexists(address.path):
        return None
    ledger = Ledger(address, make_engine(address, create=False), identity)
    revision = ledger.budget.retry(lambda: _revision(ledger))
    if revision is None:
        return None
    if revision != REVISION:
        raise ConfigurationError(f"{address} has revision {revision[:20]!a} instead of {REVISION!r}: upgrade orgrecon, "
                                 "or run orgrecon report to migrate an older ledger.")
    return ledger


def _revision(ledger: Ledger) -> str | None:
    with translate_errors(ConfigurationError, f"cannot open {ledger.address}"):
        return _read_state(ledger)[0]


def _prepare_file(address: SqliteAddress) -> None:
    directory = address.path.absolute().parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"cannot open {address}: its directory cannot be created "
                                 f"({error.strerror}): name another path.") from None
    # SQLite opens a write-protected file without an error, and would fail only when evidence is stored.
    protected = [path for path in (directory, address.path) if os.path.exists(path) and not os.access(path, os.W_OK)]
    if protected:
        raise ConfigurationError(f"cannot open {address}: {protected[0]} is read-only: make it writable.")


def _read_state(ledger: Ledger) -> tuple[str | None, bool]:
    """Return the revision of the tables (None without tables), and whether Postgres is read-only."""
    columns: list[ColumnElement[Any]] = [column("version_num")]
    if isinstance(ledger.address, PostgresAddress):
        columns.append(func.current_setting("transaction_read_only"))
    with ledger.engine.connect() as connection, connection.begin():
        if isinstance(ledger.address, PostgresAddress):
            _require_one_schema(connection, ledger.address)
        try:
            row = connection.execute(select(*columns).select_from(table(VERSION_TABLE))).first()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == "42P01" or "no such table" in str(error.orig):
                return None, False
            raise
    return (row[0], "on" in row[1:]) if row else (None, False)


def _require_one_schema(connection: Connection, address: PostgresAddress) -> None:
    """Refuse a ledger whose tables are in several schemas of the search_path: the first schema hides evidence.

    A schema with the name of the role does so if it has one of the tables, because ``"$user"`` comes before ``public``.
    """
    statement = files("orgrecon_pipeline.ledger").joinpath("sql/schemas.sql").read_text(encoding="utf-8")
    schemas = connection.execute(text(statement), {"names": [*metadata.tables, VERSION_TABLE]}).all()
    if len(schemas) > 1:
        where = ", ".join(f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''} in {schema!a}"
                          for schema, names in schemas)
        raise ConfigurationError(f"cannot open {address}: its tables are in {len(schemas)} schemas ({where}): set the "
                                 "role's search_path to the one that holds the whole ledger.")


def _migrate(ledger: Ledger) -> None:
    """Run all migrations that the ledger does not have, in one transaction."""
    from alembic import command  # imported here because a ledger that is up to date does not need it
    from alembic.config import Config
    from alembic.util import CommandError

    with ledger.transaction() as connection:
        if isinstance(ledger.address, PostgresAddress):
            # Other processes wait until the end of this transaction. SQLite's write lock has the same effect.
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
            if encoding != "UTF8":
                raise ConfigurationError(f"cannot open {ledger.address}: its database is encoded in {encoding}, which "
                                         "cannot store every name: create one with ENCODING 'UTF8'.")
        config = Config()
        config.set_main_option("script_location", "orgrecon_pipeline.ledger:migrations")
        config.attributes["connection"] = connection
        with _one_migration:
            try:
                command.upgrade(config, "head")
            except CommandError:
                raise ConfigurationError(f"a newer orgrecon created {ledger.address}: upgrade this one.") from None
        if isinstance(ledger.address, PostgresAddress):
            _require_one_schema(connection, ledger.address)  # new tables are created in the first schema
