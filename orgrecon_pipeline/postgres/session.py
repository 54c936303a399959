"""Connection to a database, for read-only transactions that are bounded in time and read one snapshot each."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from array import array
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg import capabilities, pq, sql
from psycopg.rows import DictRow, TupleRow, dict_row, tuple_row

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping.model import ScanSettings
from orgrecon_pipeline.postgres import citus
from orgrecon_pipeline.postgres.connection.connect import connect
from orgrecon_pipeline.postgres.connection.failure import ConnectionFailed
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.dsn import Endpoint
from orgrecon_pipeline.postgres.encoding import Encoding
from orgrecon_pipeline.postgres.errors import cannot_connect, cannot_read, not_locked
from orgrecon_pipeline.postgres.int8_arrays import Int8ArrayDumper
from orgrecon_pipeline.postgres.settings import SETTINGS, milliseconds, set_local
from orgrecon_pipeline.postgres.sql_files import Statement, load_sql

Result = TypeVar("Result")

#: Name of the connections in pg_stat_activity.
APPLICATION_NAME = "orgrecon"

# Overrides the DSN and the role: SQL_ASCII would return text as bytes, and LATIN1 lacks characters.
_FORCED = {"client_encoding": "UTF8"}

_TRANSACTION_TIMEOUT_SINCE = 170_000

# Lets the server send the tree of each statement that it analyses.
_SHOW_TREES = {"debug_print_parse": "on", "debug_pretty_print": "off", "client_min_messages": "log"}
_PARSE_TREE = "parse tree:"

# A setting with a period, as the options of a connection set it.
_CUSTOM_OPTION = re.compile(r"(?:-c\s*|--)([A-Za-z_][\w$]*(?:\.[\w$]+)+)\s*=")

#: Small rows of a stream to fetch at a time.
CHUNK_ROWS = 1_000

_CANCEL_SECONDS = 5.0

# Time to wait for one lock before all are released. It is shorter than deadlock_timeout, so that a session that locks
# the same tables in another order never becomes the victim of a deadlock.
_ONE_LOCK_SECONDS = 0.5
_LOCK_PAUSE_SECONDS = 0.05


class Backend(NamedTuple):
    """Server process of a transaction. ``server`` is the start of the server, in microseconds."""

    pid: int
    server: int


class Session:
    """Connection to a database, for one transaction after another.

    Every method raises CannotDecide if it fails, or if the deadline has passed.

    Attributes:
        settings: how the database is read.
        custom_settings: names of the settings of applications, such as ``app.tenant``, that the database, the role or
            the options of the connection set; None before the first transaction. Every transaction empties them, so
            that each reader sees the same rows.
        citus_version: the version of the extension Citus; None if the database does not have it, and before the first
            transaction.
        backend: the server process of the open transaction; None between two transactions.
    """

    def __init__(
        self, endpoint: Endpoint, settings: ScanSettings, deadline: Deadline, name: str = APPLICATION_NAME
    ) -> None:
        """Connect; ``name`` is that of the connection in pg_stat_activity."""
        self.endpoint, self.settings = endpoint, settings
        self.custom_settings: tuple[str, ...] | None = None
        self.citus_version: str | None = None
        self.backend: Backend | None = None
        self._stream: Generator[TupleRow, None, None] | None = None
        self._deadline, self._name = deadline, name
        self._closing = threading.Lock()
        self._connection = self._connect()
        deadline.register(self)

    def _connect(self) -> psycopg.Connection[DictRow]:
        self._deadline.remaining()
        try:
            connection = connect(
                {**self.endpoint.dsn.parameters, **_FORCED, "application_name": self._name},
                autocommit=True, row_factory=dict_row,
                prepare_threshold=None,  # poolers in transaction mode lose prepared statements
            )
        except ConnectionFailed as failure:
            raise cannot_connect(failure.cause.sentence, self.endpoint.variable) from None
        connection.adapters.register_dumper(array, Int8ArrayDumper)
        return connection

    def close(self) -> None:
        """Close the connection, and with it any open transaction."""
        self._deadline.unregister(self)
        self._close()

    def _close(self) -> None:
        with self._closing:
            self._connection.close()

    def cancel(self) -> None:
        """Ask the server to cancel the running statement. Any thread may call this."""
        with suppress(psycopg.Error, OSError):
            self._connection.cancel_safe(timeout=_CANCEL_SECONDS)

    def disconnect(self) -> None:
        """Cut the connection, so that the server ends a transaction that runs no statement. Any thread may call this.

        The next use of the connection fails.
        """
        with self._closing, suppress(psycopg.Error, OSError):
            if not self._connection.closed:
                with socket.socket(fileno=os.dup(self._connection.fileno())) as connection:
                    connection.shutdown(socket.SHUT_RDWR)

    @property
    def server_version(self) -> int:
        """Version of the server, such as 160004."""
        return self._connection.info.server_version

    @property
    def encoding(self) -> Encoding:
        """Encoding of the database."""
        return Encoding(self._connection.info.parameter_status("server_encoding") or "")

    @contextmanager
    def transaction(self, lock: tuple[sql.Composable, ...] = (), snapshot: str | None = None) -> Iterator[None]:
        """Run the block in one ``REPEATABLE READ, READ ONLY`` transaction, which is always rolled back.

        The tables of ``lock`` are locked in ACCESS SHARE mode before the first SELECT takes the snapshot, because a
        snapshot that is older than a TRUNCATE would read the table as empty. ``snapshot`` is an exported snapshot to
        read, instead of a new one.
        """
        try:
            if self.custom_settings is None:
                self._open((), None)  # in the same transaction, this would take the snapshot before the locks
                self._read_settings()
                self._roll_back()
            self.until_unlocked(lambda: self._open(lock, snapshot))
            yield
        finally:
            self._roll_back()

    def until_unlocked(self, read: Callable[[], Result]) -> Result:
        """Return ``read()``. While another session locks one of its tables, try it again for lock_timeout_seconds.

        Between attempts, the transaction is rolled back, so it never holds locks while it waits long for another one.
        """
        end = time.monotonic() + self.settings.lock_timeout_seconds
        while True:
            try:
                return read()
            except CannotDecide as failure:
                if not not_locked(failure) or time.monotonic() >= end:
                    raise
            self._roll_back()
            self._deadline.sleep(_LOCK_PAUSE_SECONDS)

    def _open(self, lock: tuple[sql.Composable, ...], snapshot: str | None) -> None:
        # In one message, so that the role's idle_in_transaction_session_timeout cannot strike in between, and a pooler
        # cannot lead to another backend. The backend is read in a transaction of its own, because its SELECT would take
        # the snapshot before the locks.
        settings = [set_local(name, value) for name, value in self._transaction_settings().items()]
        begin: list[Statement] = [
            sql.SQL("BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY"),
            # The role's statement_timeout can be too short even for this SELECT.
            *([] if self.citus_version else settings[:1]), load_sql("postgres/sql/backend.sql"),
            sql.SQL("COMMIT"), sql.SQL("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")]
        if snapshot is not None:
            begin.append(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
        self.backend = self._begin(sql.SQL("; ").join(begin if self.citus_version else [*begin, *settings]))
        if self.citus_version:
            self._execute_all(settings, "changing the settings of the transaction")
        if lock:
            timeout = set_local("lock_timeout", milliseconds(self.settings.lock_timeout_seconds))
            tables = sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(sql.SQL(", ").join(lock))
            self._execute_all([tables, timeout], "locking the tables")

    def _roll_back(self) -> None:
        # A stream that was not read to its end, as after an interrupt, holds a lock of the connection.
        if self._stream:
            with suppress(CannotDecide, ValueError):  # ValueError: another thread waits for a row until it is cancelled
                self._stream.close()
        if not self._connection.closed:
            try:
                self._connection.rollback()
            except psycopg.Error:
                self._close()
        self.backend = None

    def _read_settings(self) -> None:
        for row in self.query(load_sql("postgres/sql/citus_version.sql"), "looking for Citus"):
            self.citus_version, action = str(row["version"]), "changing the settings of Citus"
            self._execute_all([set_local(*setting) for setting in citus.SETTINGS.items()], action)
            citus.require_settings(self.citus_version, self.query(
                load_sql("postgres/sql/citus_settings.sql"), action, {"names": list(citus.REQUIRED)}))
        rows = self.query(load_sql("postgres/sql/custom_settings.sql"), "reading the settings of the role", {
            "options": _CUSTOM_OPTION.findall(self._connection.info.options)})
        self.custom_settings = tuple(row["name"] for row in rows)

    def _begin(self, statement: Statement) -> Backend:
        """Begin the transaction, and return the only row that the message selects."""
        action = "beginning the transaction"
        try:
            self._deadline.remaining()
            with self._translated_errors(action):
                cursor = self._connection.execute(statement)
        except CannotDecide:
            if not self._connection.broken:
                raise
            # The role's idle_session_timeout may have closed the connection between two reads; nothing was open.
            self._connection = self._connect()
            with self._translated_errors(action):
                cursor = self._connection.execute(statement)
        while cursor.description is None and cursor.nextset():
            pass
        [row] = cursor
        return Backend(**row)

    def execute(self, statement: Statement, action: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement that returns nothing; ``action`` says in error messages what it does."""
        self._deadline.remaining()
        with self._translated_errors(action):
            self._connection.execute(statement, parameters)

    def _execute_all(self, statements: Sequence[Statement], action: str) -> None:
        # In one message, except on Citus, which would send the whole message to the nodes once for each setting.
        for message in statements if self.citus_version else [sql.SQL("; ").join(statements)]:
            self.execute(message, action)

    def query(self, statement: Statement, action: str, parameters: Mapping[str, Any] | None = None) -> list[DictRow]:
        """Return all rows of a statement; arguments as for :meth:`execute`."""
        self._limit_to_deadline()
        with self._translated_errors(action), self._connection.cursor(binary=True) as cursor:
            return cursor.execute(statement, parameters or {}).fetchall()

    def query_within(
        self, seconds: float, statement: Statement, action: str, parameters: Mapping[str, Any] | None = None
    ) -> list[DictRow] | None:
        """Return all rows of a statement; None if it took longer than ``seconds``. The transaction stays usable."""
        if seconds >= min(self._deadline.remaining(), self.settings.statement_timeout_seconds):
            return self.query(statement, action, parameters)
        self.execute(sql.SQL("SAVEPOINT attempt"), action)
        self.execute(set_local("statement_timeout", milliseconds(seconds)), "setting statement_timeout")
        started = time.monotonic()
        rows: list[DictRow] | None = None
        with self._translated_errors(action), self._connection.cursor(binary=True) as cursor:
            try:
                rows = cursor.execute(statement, parameters or {}).fetchall()
            except psycopg.errors.QueryCanceled:
                self._deadline.remaining()
                if time.monotonic() - started < seconds:
                    raise
        # The rollback restores statement_timeout. The release matters: no snapshot can be exported in a savepoint.
        self.execute(sql.SQL("ROLLBACK TO SAVEPOINT attempt; RELEASE SAVEPOINT attempt"), action)
        return rows

    def query_aside(
        self, statement: Statement, action: str, parameters: Mapping[str, Any] | None = None
    ) -> list[DictRow]:
        """Return all rows of a statement without which the transaction can go on: if it fails, it stays usable.

        The statement may take half of the time that is left. The locks that it takes are released again.
        """
        seconds = min(self._deadline.remaining() / 2, self.settings.statement_timeout_seconds)
        self.execute(sql.SQL("SAVEPOINT aside"), action)
        self.execute(set_local("statement_timeout", milliseconds(seconds)), "setting statement_timeout")
        try:
            with self._translated_errors(action), self._connection.cursor(binary=True) as cursor:
                return cursor.execute(statement, parameters or {}).fetchall()
        finally:
            self.execute(sql.SQL("ROLLBACK TO SAVEPOINT aside; RELEASE SAVEPOINT aside"), action)

    def stream(
        self, statement: Statement, action: str, parameters: Mapping[str, Any] | None = None, *, chunk: int = 1
    ) -> Generator[TupleRow, None, None]:
        """Yield the rows of a statement, which starts with the first row; arguments as for :meth:`execute`.

        ``chunk`` is the number of rows to fetch at a time. Small rows take three times as long one by one. Nothing else
        may be read meanwhile.
        """
        self._stream = self._rows(statement, action, parameters or {}, chunk)
        return self._stream

    def _rows(
        self, statement: Statement, action: str, parameters: Mapping[str, Any], chunk: int
    ) -> Generator[TupleRow, None, None]:
        self._limit_to_deadline()
        with self._translated_errors(action), self._connection.cursor(binary=True, row_factory=tuple_row) as cursor:
            size = chunk if capabilities.has_stream_chunked() else 1
            yield from cursor.stream(statement, parameters, size=size)

    def describe(self, statement: Statement, action: str) -> list[tuple[str, int]]:
        """Return the name and type OID of each column of a statement."""
        self._limit_to_deadline()
        with self._translated_errors(action):
            description = self._connection.execute(statement, {}).description
        return [(column.name, column.type_code) for column in description or ()]

    def parse_tree(self, statement: Statement, action: str) -> str:
        """Return the tree of a SELECT as the server analysed it; empty if a proxy withholds it.

        The statement is not planned, so that no table is opened; the server only locks what it names. The server also
        writes the tree to its log.
        """
        trees: list[str] = []

        def collect(notice: psycopg.errors.Diagnostic) -> None:
            if notice.message_primary == _PARSE_TREE and notice.message_detail:
                trees.append(notice.message_detail)

        self._execute_all([set_local(*setting) for setting in _SHOW_TREES.items()], action)
        self._connection.add_notice_handler(collect)
        try:
            self._parse(statement, action)
        finally:
            self._connection.remove_notice_handler(collect)
        self._execute_all([set_local(name) for name in _SHOW_TREES], action)
        return trees[-1] if trees else ""

    def _parse(self, statement: Statement, action: str) -> None:
        """Let the server analyse a statement, as the unnamed prepared statement of the protocol.

        PostgreSQL 13 and 14 do not log the tree of a statement that PREPARE analyses.
        """
        text = psycopg.ClientCursor(self._connection).mogrify(statement, {})
        with self._translated_errors(action):
            result = self._connection.pgconn.prepare(b"", text.encode())
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise psycopg.errors.error_from_result(result)

    @contextmanager
    def planner_settings(self, settings: Mapping[str, str], work_mem: str | None = None) -> Iterator[None]:
        """Apply planner settings, and at least that much work_mem, to the statements in the block."""
        if work_mem is not None:
            self.query(load_sql("postgres/sql/raise_work_mem.sql"), "setting work_mem", {"work_mem": work_mem})
        if settings:
            self._execute_all([set_local(*setting) for setting in settings.items()], "changing planner settings")
        yield
        # Not in a finally clause: after an error the transaction is aborted.
        if names := [*(() if work_mem is None else ("work_mem",)), *settings]:
            self._execute_all([set_local(name) for name in names], "resetting planner settings")

    @contextmanager
    def _translated_errors(self, action: str) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            self._deadline.remaining()  # explains why the server cancelled the statement
            raise cannot_read(error, action) from None

    def _transaction_settings(self) -> dict[str, str]:
        """Return the settings of a transaction, beginning with ``statement_timeout``."""
        remaining = self._deadline.remaining()
        # The role's transaction_timeout could end the transaction before deadline_seconds.
        has_timeout = self.server_version >= _TRANSACTION_TIMEOUT_SINCE
        return {
            "statement_timeout": milliseconds(min(self.settings.statement_timeout_seconds, remaining)),
            **(citus.SETTINGS if self.citus_version else {}),
            **SETTINGS,
            **dict.fromkeys(self.custom_settings or (), ""),
            **({"transaction_timeout": "0"} if has_timeout else {}),
            "lock_timeout": milliseconds(min(self.settings.lock_timeout_seconds, _ONE_LOCK_SECONDS)),
            "idle_in_transaction_session_timeout": milliseconds(remaining),
        }

    def _limit_to_deadline(self) -> None:
        remaining = self._deadline.remaining()
        if remaining < self.settings.statement_timeout_seconds:
            self.execute(set_local("statement_timeout", milliseconds(remaining)), "setting statement_timeout")
