"""Connections to a ledger's database, and the settings that make its writes durable and its reads consistent."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from orgrecon_pipeline.domain.errors import ConfigurationError, EvidenceNotKept
from orgrecon_pipeline.ledger.address import PostgresAddress, SqliteAddress
from orgrecon_pipeline.ledger.errors import translate_errors

_WAIT_SECONDS = 30

# Of the transaction, not the session: behind a transaction pooler a session belongs to others as well. A role's
# own settings must not decide how days and moments are written, nor whether a commit is durable.
_POSTGRES_SETTINGS = (
    "SELECT set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO', true), "
    "set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' "
    "ELSE current_setting('synchronous_commit') END, true), "
    f"set_config('lock_timeout', '{_WAIT_SECONDS}s', true)"
)


@dataclass(frozen=True)
class Store:
    """A ledger's database. Connections are made for each use and closed after it: nothing lingers, and a server
    that was restarted in between is no error."""

    address: SqliteAddress | PostgresAddress
    engine: Engine = field(repr=False)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the ledger.

        Raises:
            ConfigurationError: when the ledger cannot be read.
        """
        try:
            with translate_errors(ConfigurationError, f"cannot read {self.address}"), self.engine.connect() as connection:
                if isinstance(self.address, PostgresAddress):
                    connection = connection.execution_options(
                        isolation_level="REPEATABLE READ", postgresql_readonly=True)
                with connection.begin():
                    yield connection
        except ValueError:
            # No day, no JSON, no verdict: the words of such an error quote the value.
            raise ConfigurationError(f"cannot read {self.address}: it holds values that orgrecon did not write: "
                                     "restore it, or rebuild it with orgrecon import.") from None

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is kept whole or not at all.

        Raises:
            EvidenceNotKept: when the ledger cannot be written.
        """
        with translate_errors(EvidenceNotKept, f"the evidence was not kept in {self.address}"), self.transaction() as connection:
            yield connection

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """The transaction of :meth:`writing`, with the database's own errors."""
        with self.engine.connect() as connection:
            # SQLite: the write lock is taken at the start, where waiting for it cannot end in a deadlock.
            connection = connection.execution_options(orgrecon_immediate=True)
            if isinstance(self.address, PostgresAddress):
                connection = connection.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                yield connection


def make_store(address: SqliteAddress | PostgresAddress, *, create: bool) -> Store:
    """The store of an address; nothing is opened yet. ``create`` lets SQLite make the file."""
    if isinstance(address, SqliteAddress):
        return Store(address, _sqlite_engine(address, create=create))
    return Store(address, _postgres_engine(address))


def _sqlite_engine(address: SqliteAddress, *, create: bool) -> Engine:
    # "rw" rather than "ro" for readers too: after a crash the first reader has to roll the half-written transaction
    # back. SQLite falls back to reading where the file is write-protected, and never makes the file.
    uri = f"file:{quote(str(address.path.absolute()))}?mode={'rwc' if create else 'rw'}"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            uri, uri=True, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            # A rollback journal and not WAL: one file that can be copied, on any file system. EXTRA is FULL, and
            # makes the end of the journal durable too.
            connection.execute("PRAGMA synchronous=EXTRA")
            connection.execute("PRAGMA foreign_keys=ON")
        except BaseException:
            connection.close()
            raise
        return connection

    engine = create_engine(
        URL.create("sqlite"), creator=connect, poolclass=NullPool, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # The driver would begin late, and would not begin at all for DDL.
        immediate = connection.get_execution_options().get("orgrecon_immediate")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _postgres_engine(address: PostgresAddress) -> Engine:
    # The URL holds nothing that could be shown: all is in the parameters.
    defaults: dict[str, Any] = {"connect_timeout": "10", "tcp_user_timeout": "60000",
                                "application_name": "orgrecon ledger"}
    forced: dict[str, Any] = {"client_encoding": "utf8", "prepare_threshold": None}  # None: for poolers
    engine = create_engine(
        URL.create("postgresql+psycopg"), connect_args={**defaults, **address.parameters, **forced},
        poolclass=NullPool, hide_parameters=True, use_native_hstore=False)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(_POSTGRES_SETTINGS)

    return engine
