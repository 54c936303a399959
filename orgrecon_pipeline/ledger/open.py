"""Opening a ledger: created and migrated for those who write, left exactly as it is for those who only read."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, column, func, select, table
from sqlalchemy.exc import DBAPIError

from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.ledger.address import PostgresAddress, SqliteAddress, parse_address
from orgrecon_pipeline.ledger.engine import Store, make_store
from orgrecon_pipeline.ledger.errors import translate_errors
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.revisions import HEAD, READABLE, REVISIONS, VERSION_TABLE


def open_ledger(url: str) -> Ledger:
    """The ledger of a URL, to write to: its directory, file and tables are made where they are missing.

    Args:
        url: ``sqlite:///path`` or a Postgres URL of any form.

    Raises:
        ConfigurationError: when the URL is none, or the ledger cannot be reached, created, migrated or written to,
            or is of a newer orgrecon. Never with a part of the URL but the path of an SQLite file.
    """
    address = parse_address(url)
    if isinstance(address, SqliteAddress):
        _prepare_file(address)
    store = make_store(address, create=True)
    with translate_errors(ConfigurationError, f"cannot open {address}"):
        state = _read_state(store)
        if state.revision != HEAD:
            _check(store, state.revision)
            _bring_to_head(store)
        elif state.read_only:
            raise ConfigurationError(f"cannot open {address}: it is read-only (a standby?): "
                                     "name a database that can be written to.")
    # From here on the file is there: one that is taken away must not come back empty.
    return Ledger(make_store(address, create=False))


def open_existing(url: str) -> Ledger | None:
    """The ledger of a URL, to read from; None where there is none yet. Nothing is created or changed.

    Raises:
        ConfigurationError: as :func:`open_ledger`, and for a ledger of an orgrecon too old to be read as it is.
    """
    address = parse_address(url)
    if isinstance(address, SqliteAddress) and not os.path.lexists(address.path):
        return None
    store = make_store(address, create=False)
    with translate_errors(ConfigurationError, f"cannot open {address}"):
        revision = _read_state(store).revision
    if revision is None:
        return None
    _check(store, revision)
    if revision not in READABLE:
        raise ConfigurationError(f"{address} was made by an older orgrecon: run orgrecon report, which migrates it.")
    return Ledger(store)


def _prepare_file(address: SqliteAddress) -> None:
    directory = address.path.absolute().parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"cannot open {address}: its directory cannot be made "
                                 f"({error.strerror}): name another path.") from None
    # SQLite opens what is write-protected without a word, and would fail when the evidence is to be kept.
    protected = [path for path in (directory, address.path) if os.path.exists(path) and not os.access(path, os.W_OK)]
    if protected:
        raise ConfigurationError(f"cannot open {address}: {protected[0]} is read-only: make it writable.")


class _State(NamedTuple):
    """``revision`` is that of the tables, None when there are none; ``read_only`` is what Postgres says of itself."""

    revision: str | None
    read_only: bool = False


def _read_state(store: Store) -> _State:
    asked: list[ColumnElement[Any]] = [column("version_num")]
    if isinstance(store.address, PostgresAddress):
        asked.append(func.current_setting("transaction_read_only"))
    with store.engine.connect() as connection, connection.begin():
        try:
            row = connection.execute(select(*asked).select_from(table(VERSION_TABLE))).first()
        except DBAPIError as error:
            missing = getattr(error.orig, "sqlstate", None) == "42P01" or "no such table" in str(error.orig)
            if not missing:
                raise
            return _State(None)
    return _State(row[0], "on" in row[1:]) if row else _State(None)


def _check(store: Store, revision: str | None) -> None:
    if revision is not None and revision not in REVISIONS:
        raise ConfigurationError(f"{store.address} was made by a newer orgrecon (revision {revision[:20]!a}): "
                                 "upgrade this one.")


def _bring_to_head(store: Store) -> None:
    from orgrecon_pipeline.ledger.migrate import lock_migrations, migrate

    with store.transaction() as connection:
        lock_migrations(connection)
        if isinstance(store.address, PostgresAddress):
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
            if encoding != "UTF8":
                raise ConfigurationError(f"the Postgres ledger's database is encoded in {encoding}: create one with "
                                         "ENCODING 'UTF8', for names are kept as they are.")
        migrate(connection)
