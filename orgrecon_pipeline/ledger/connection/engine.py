"""Connections to a ledger's database, with the settings that make writes durable and reads consistent."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from sqlalchemy import URL, ColumnElement, Connection, Engine, Subquery, Table, create_engine, event, false, select
from sqlalchemy.pool import NullPool

from orgrecon_pipeline.domain.errors import ConfigurationError, EvidenceNotStored
from orgrecon_pipeline.domain.facts.described import InvalidFacts
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.ledger import tables
from orgrecon_pipeline.ledger.connection.address import PostgresAddress, SqliteAddress
from orgrecon_pipeline.ledger.connection.errors import translate_errors
from orgrecon_pipeline.ledger.connection.retry import RetryBudget, current_budget, retried

_WAIT_SECONDS = 30

# Settings of the transaction, because behind a transaction pooler a session serves other clients too. A role's own
# settings must not decide how days and timestamps are written, or whether a commit is durable, and no policy which
# evidence is read: the server then refuses to read at all.
_POSTGRES_SETTINGS = (
    "SELECT set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO', true), "
    "set_config('row_security', 'off', true), "
    "set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' "
    "ELSE current_setting('synchronous_commit') END, true), "
    f"set_config('lock_timeout', '{_WAIT_SECONDS}s', true)")


class OwnRows(NamedTuple):
    """The rows of one identity. Rows of all other tables belong to an observation."""

    observation: Subquery
    acknowledgement: Subquery
    notification: Subquery
    link: Subquery
    redaction: Subquery


@dataclass(frozen=True)
class Past:
    """The observations up to a number, and with ``imported`` also every later one that another ledger stored first."""

    position: int
    imported: bool = False


@dataclass(frozen=True, repr=False)
class Store:
    """A ledger's database, opened for one identity; for reading its ``past`` if that is given.

    Each use opens a connection and closes it, so a server restart in between is harmless. ``budget`` limits the
    retries of calls that fail because the ledger does not answer.
    """

    address: SqliteAddress | PostgresAddress
    engine: Engine
    identity: Identity
    budget: RetryBudget = field(default_factory=current_budget, compare=False)
    past: Past | None = None

    def __repr__(self) -> str:
        return f"<{self.address} for {self.identity}>"

    @cached_property
    def id(self) -> str:
        """The id of the ledger: 16 hexadecimal digits, drawn at its creation; a copy or a moved ledger keeps it."""
        return self._read_id()

    @retried
    def _read_id(self) -> str:
        with self.reading() as connection:
            id_: str = connection.execute(select(tables.ledger.c.id)).scalar_one()
        return id_

    @cached_property
    def own(self) -> OwnRows:
        """The rows of this identity. Every statement that reads goes through them, so that identities never mix."""
        observation, past = tables.observation, self.past
        conditions = []
        if past is not None:
            imported = observation.c.ledger.is_distinct_from(self.id) if past.imported else false()
            conditions = [(observation.c.number <= past.position) | imported]
        others = (tables.acknowledgement, tables.notification, tables.link, tables.redaction)
        return OwnRows(self._own(observation, *conditions), *map(self._own, others))

    def _own(self, table: Table, *conditions: ColumnElement[bool]) -> Subquery:
        return select(table).where(
            table.c.migration == self.identity.migration, table.c.environment == self.identity.environment, *conditions,
        ).subquery()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one consistent state.

        Raises:
            LedgerUnavailable: if the ledger does not answer at the moment.
            ConfigurationError: if it cannot be read for another reason.
        """
        try:
            with (translate_errors(ConfigurationError, f"cannot read {self.address}"),
                  self.engine.connect() as connection):
                if isinstance(self.address, PostgresAddress):
                    connection = connection.execution_options(
                        isolation_level="REPEATABLE READ", postgresql_readonly=True)
                with connection.begin():
                    yield connection
        except (ValueError, RecursionError) as error:
            # An invalid date, JSON text or verdict. Only the message of InvalidFacts does not quote the value.
            what = f" ({error})" if isinstance(error, InvalidFacts) else ""
            raise ConfigurationError(f"cannot read {self.address}: it holds values that orgrecon did not write{what}: "
                                     "restore it, or rebuild it with orgrecon import.") from None

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction, committed at the end of the block.

        Raises:
            LedgerUnavailable: if the ledger does not answer at the moment. If the connection was lost during the
                commit, the transaction may be stored.
            EvidenceNotStored: if it cannot be stored for another reason.
        """
        with (translate_errors(EvidenceNotStored, f"the evidence was not stored in {self.address}"),
              self.transaction() as connection):
            yield connection

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open the transaction of :meth:`writing` without translating the database's errors."""
        with self.engine.connect() as connection:
            # SQLite takes the write lock when the transaction begins, where waiting cannot end in a deadlock.
            connection = connection.execution_options(orgrecon_immediate=True)
            if isinstance(self.address, PostgresAddress):
                connection = connection.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                yield connection


def make_engine(address: SqliteAddress | PostgresAddress, *, create: bool) -> Engine:
    """Return the engine of an address without connecting; ``create`` allows SQLite to create the file.

    A process has one engine per database, because each compiles its statements anew.
    """
    if isinstance(address, SqliteAddress):
        return _sqlite_engine(address.path.absolute(), create=create)
    return _postgres_engine(address)


@lru_cache(maxsize=8)
def _sqlite_engine(path: Path, *, create: bool) -> Engine:
    # Readers use "rw" too: after a crash, the first reader has to roll back the half-written transaction. SQLite
    # falls back to reading if the file is write-protected, and never creates it.
    uri = f"file:{quote(str(path))}?mode={'rwc' if create else 'rw'}"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            uri, uri=True, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            # A rollback journal instead of WAL: one file that can be copied, on any file system. EXTRA is FULL and
            # also makes the removal of the journal durable.
            connection.execute("PRAGMA synchronous=EXTRA")
            connection.execute("PRAGMA foreign_keys=ON")
        except BaseException:
            connection.close()
            raise
        return connection

    engine = create_engine(URL.create("sqlite"), creator=connect, poolclass=NullPool, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # The driver would begin a transaction late, and would not begin one for DDL.
        immediate = connection.get_execution_options().get("orgrecon_immediate")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


@lru_cache(maxsize=8)
def _postgres_engine(address: PostgresAddress) -> Engine:
    from orgrecon_pipeline.postgres.connection.connect import connect  # slow to import, and SQLite does not need it

    # All parameters are passed separately, so that no error or log can show them as part of the URL.
    parameters = {"application_name": "orgrecon ledger", **address.parameters, "client_encoding": "utf8"}
    engine = create_engine(
        URL.create("postgresql+psycopg"), poolclass=NullPool, hide_parameters=True, use_native_hstore=False)

    @event.listens_for(engine, "do_connect")
    def do_connect(dialect: object, record: object, arguments: object, options: dict[str, Any]) -> Any:
        # Poolers do not support prepared statements.
        return connect(parameters, context=options["context"], prepare_threshold=None)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(_POSTGRES_SETTINGS)

    return engine
