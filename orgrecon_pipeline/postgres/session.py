"""One transaction on one database: a single snapshot, read only, bounded in time, with nothing hidden."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

import psycopg
from psycopg import capabilities, sql
from psycopg.rows import DictRow, TupleRow, dict_row, tuple_row

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping import ScanSettings
from orgrecon_pipeline.postgres.dsn import Endpoint
from orgrecon_pipeline.postgres.errors import cannot_connect, cannot_read
from orgrecon_pipeline.postgres.heartbeat import read_heartbeat
from orgrecon_pipeline.postgres.int8_arrays import Int8ArrayDumper
from orgrecon_pipeline.postgres.replica import HeartbeatRead, Standby
from orgrecon_pipeline.postgres.sql_files import Statement, load_sql

#: What the server sees in pg_stat_activity.
APPLICATION_NAME = "orgrecon"

# A dead peer is noticed within about a minute, not within the kernel's two hours.
_NETWORK = {"connect_timeout": 10, "keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10,
            "keepalives_count": 3, "tcp_user_timeout": 60_000}

#: Settings of the planner for statements that read every row: a join by index, which it takes where it believes in few
#: rows, takes many times a hash join's time.
EVERY_ROW = {"enable_nestloop": "off"}
#: The work_mem for statements that sort or group many tenants: in the default they go through files. They take only
#: what they need of it.
MANY_TENANTS_ROOM = "64MB"

_CANCEL_SECONDS = 5.0
#: A cancel that arrives between two statements is lost.
CANCEL_AGAIN_SECONDS = 1.0

# In SQL_ASCII text would come as bytes, in LATIN1 some of it not at all; a role or a DSN may ask for either.
_ALWAYS = {"application_name": APPLICATION_NAME, "client_encoding": "UTF8"}

#: Each of them could change what is read, or how it is written as text, from outside: so each is set.
SETTINGS = {
    "search_path": "",
    "TimeZone": "UTC",
    "row_security": "off",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "iso_8601",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "transform_null_equals": "off",
    "array_nulls": "on",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
    "lc_monetary": "C",
    "jit": "off",
}
# Of encodings that lack some characters, what they are called here: those of one byte, which are the same everywhere.
_CODECS = {
    **{f"LATIN{number}": f"iso8859-{part}" for number, part in enumerate((1, 2, 3, 4, 9, 10, 13, 14, 15, 16), start=1)},
    **{f"ISO_8859_{part}": f"iso8859-{part}" for part in range(5, 9)},
    **{f"WIN{page}": f"cp{page}" for page in range(1250, 1259)},
    "KOI8R": "koi8-r", "KOI8U": "koi8-u",
}
_BY_CODE_POINT = {"UTF8", "SQL_ASCII", "LATIN1"}
_TRANSACTION_TIMEOUT_SINCE = 170_000


class Deadline:
    """The moment by which an observation must have ended, or earlier when it is stopped."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._sessions: set[Session] = set()

    def stop(self) -> None:
        """From any thread: let nothing begin any more, and cancel what runs."""
        self._stopped.set()
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.cancel()

    def sleep(self, seconds: float) -> None:
        """Wait for as long, or until it is stopped."""
        self._stopped.wait(seconds)

    def opened(self, session: Session) -> None:
        """Remember a session that :meth:`stop` has to reach."""
        with self._lock:
            self._sessions.add(session)

    def closed(self, session: Session) -> None:
        """Forget it."""
        with self._lock:
            self._sessions.discard(session)

    def remaining(self) -> float:
        """Seconds left.

        Raises:
            CannotDecide: when none are.
        """
        if self._stopped.is_set():
            raise CannotDecide("the comparison was stopped")
        left = self._end - time.monotonic()
        if left <= 0:
            raise CannotDecide(f"the comparison did not end within deadline_seconds ({self.seconds:g} s)")
        return left


@dataclass(frozen=True)
class DatabaseIdentity:
    """Whose snapshot it is, and when it was taken by the server's own clock."""

    observed_at: datetime
    snapshot: str
    database: str
    server_version: str
    server_version_num: int
    system_identifier: str
    started_at: str
    in_recovery: bool
    simulated: bool
    standby: Standby | None = None
    heartbeat: HeartbeatRead | None = None

    def lag(self, longest: float) -> str:
        """Why what is read here may be more than ``longest`` seconds behind; empty when it is not."""
        told = self.heartbeat or self.standby
        return told.lag(longest) if told else ""

    def as_json_value(self) -> dict[str, Any]:
        """What the record says of it."""
        return {
            "database": self.database,
            "system_identifier": self.system_identifier,
            "server_version": self.server_version,
            "in_recovery": self.in_recovery,
            "snapshot": self.snapshot,
            **({"standby": self.standby.as_json_value()} if self.standby else {}),
            **({"heartbeat": self.heartbeat.as_json_value()} if self.heartbeat else {}),
        }

    @property
    def place(self) -> tuple[str, str, str]:
        """What tells this database from every other one: the server's system identifier, the database's name there,
        and when this server was started, as a standby has the first two of its primary."""
        return self.system_identifier, self.database, self.started_at


class Session:
    """A connection on which transactions of the same settings follow one another."""

    def __init__(self, place: Endpoint, settings: ScanSettings, deadline: Deadline) -> None:
        """Connect.

        Raises:
            CannotDecide: when that fails.
        """
        self._place, self._settings, self._deadline = place, settings, deadline
        self._connection = self._connected()
        deadline.opened(self)

    def _connected(self) -> psycopg.Connection[DictRow]:
        self._deadline.remaining()
        try:
            connection = psycopg.connect(
                **{**_NETWORK, **self._place.dsn.parameters, **_ALWAYS},
                autocommit=True, row_factory=dict_row,
                prepare_threshold=None,  # poolers in transaction mode lose prepared statements
            )
        except (psycopg.Error, OSError, UnicodeError) as error:
            raise cannot_connect(error, self._place.variable) from None
        connection.adapters.register_dumper(array, Int8ArrayDumper)
        return connection

    def close(self) -> None:
        """End the connection, and with it whatever transaction is open."""
        self._deadline.closed(self)
        self._connection.close()

    def cancel(self) -> None:
        """Ask the server, from any thread, to end the statement that is running."""
        with suppress(psycopg.Error, OSError):
            self._connection.cancel_safe(timeout=_CANCEL_SECONDS)

    @contextmanager
    def transaction(self, lock: tuple[sql.Composable, ...] = (), snapshot: str | None = None) -> Iterator[None]:
        """One ``REPEATABLE READ, READ ONLY`` transaction, always rolled back: there is nothing to keep.

        The tables of ``lock`` are locked in ACCESS SHARE mode before any SELECT takes the snapshot: a snapshot
        older than a TRUNCATE would read the table as empty. With ``snapshot`` it reads that exported one.
        """
        # In one message: a role's own idle_in_transaction_session_timeout has no moment to strike in between.
        beginning: list[Statement] = [sql.SQL("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")]
        if snapshot is not None:
            beginning.append(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
        beginning += [_set_local(name, value) for name, value in self._transaction_settings().items()]
        try:
            self._begin(sql.SQL("; ").join(beginning))
            if lock:
                tables = sql.SQL(", ").join(lock)
                self.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(tables), "locking the tables")
            yield
        finally:
            if not self._connection.closed:
                try:
                    self._connection.rollback()
                except psycopg.Error:
                    self._connection.close()

    def _begin(self, statement: Statement) -> None:
        try:
            self.execute(statement, "beginning to read")
        except CannotDecide:
            if not self._connection.broken:
                raise
            # While it was waited for drift to settle the role's idle_session_timeout struck: nothing was open.
            self._connection = self._connected()
            self.execute(statement, "beginning to read")

    def execute(self, statement: Statement, doing: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement that returns nothing.

        Raises:
            CannotDecide: when it fails, or the deadline has passed.
        """
        self._deadline.remaining()
        try:
            self._connection.execute(statement, parameters)
        except psycopg.Error as error:
            raise cannot_read(error, doing) from None

    def query(self, statement: Statement, doing: str, parameters: Mapping[str, Any] | None = None) -> list[DictRow]:
        """All rows of a statement.

        Raises:
            CannotDecide: when it fails, or the deadline has passed.
        """
        self._limit_to_deadline()
        try:
            with self._connection.cursor(binary=True) as cursor:
                return cursor.execute(statement, parameters or {}).fetchall()
        except psycopg.Error as error:
            self._deadline.remaining()  # a cancelled statement whose time was up says so
            raise cannot_read(error, doing) from None

    def query_within(
        self, seconds: float, statement: Statement, doing: str, parameters: Mapping[str, Any] | None = None
    ) -> list[DictRow] | None:
        """All rows of a statement; None when it was given up after so long, and the transaction goes on.

        Raises:
            CannotDecide: when it fails, or the deadline has passed.
        """
        if seconds >= min(self._deadline.remaining(), self._settings.statement_timeout_seconds):
            return self.query(statement, doing, parameters)
        attempt = sql.Identifier("attempt")
        self.execute(sql.SQL("SAVEPOINT {}").format(attempt), doing)
        self.execute(_set_local("statement_timeout", _milliseconds(seconds)), "setting statement_timeout")
        started = time.monotonic()
        try:
            with self._connection.cursor(binary=True) as cursor:
                rows = cursor.execute(statement, parameters or {}).fetchall()
        except psycopg.Error as error:
            self._deadline.remaining()
            if not isinstance(error, psycopg.errors.QueryCanceled) or time.monotonic() - started < seconds:
                raise cannot_read(error, doing) from None
            rows = None
        # Takes statement_timeout back too. And released: inside of a savepoint no snapshot can be exported.
        self.execute(sql.SQL("ROLLBACK TO SAVEPOINT {0}; RELEASE SAVEPOINT {0}").format(attempt), doing)
        return rows

    def stream(
        self, statement: Statement, doing: str, parameters: Mapping[str, Any] | None = None, *, held: int = 1
    ) -> Generator[TupleRow, None, None]:
        """The rows of a statement one after the other; the statement begins with the first.

        ``held`` is how many are in memory at once: fetched one by one, small rows take three times as long.

        Raises:
            CannotDecide: when it fails, or the deadline has passed.
        """
        self._limit_to_deadline()
        try:
            with self._connection.cursor(binary=True, row_factory=tuple_row) as cursor:
                chunk = held if capabilities.has_stream_chunked() else 1
                yield from cursor.stream(statement, parameters or {}, size=chunk)
        except psycopg.Error as error:
            self._deadline.remaining()
            raise cannot_read(error, doing) from None

    @contextmanager
    def planned(self, settings: Mapping[str, str], room: str | None = None) -> Iterator[None]:
        """Set the planner for the statements inside, and give them at least so much work_mem.

        Raises:
            CannotDecide: when that fails.
        """
        if room is not None:
            self.query(load_sql("postgres", "raise_work_mem.sql"), "setting work_mem", {"room": room})
        for name, value in settings.items():
            self.execute(_set_local(name, value), f"setting {name}")
        yield
        raised = () if room is None else ("work_mem",)
        for name in (*raised, *settings):  # not after a failure: the transaction has ended then
            self.execute(sql.SQL("SET LOCAL {} = DEFAULT").format(sql.Identifier(name)), f"resetting {name}")

    def describe(self, statement: Statement, doing: str) -> list[tuple[str, int]]:
        """Name and type OID of each column of a statement that returns no rows."""
        self._limit_to_deadline()
        try:
            described = self._connection.execute(statement, {}).description
        except psycopg.Error as error:
            raise cannot_read(error, doing) from None
        return [(column.name, column.type_code) for column in described or ()]

    @property
    def sorts_by_code_point(self) -> bool:
        """Whether text sorts in collation "C" as its bytes in UTF-8 do, which take longer to sort."""
        return self._encoding in _BY_CODE_POINT

    def expressible(self, texts: Iterable[str]) -> list[str]:
        """Those that the database's encoding has characters for: the server refuses a statement with any other."""
        codec = _CODECS.get(self._encoding)
        return [text for text in texts if not codec or text == text.encode(codec, "ignore").decode(codec)]

    @property
    def _encoding(self) -> str:
        return self._connection.info.parameter_status("server_encoding") or ""

    def identify(self) -> DatabaseIdentity:
        """Fix the snapshot, and say whose it is."""
        row = self.query(load_sql("postgres", "identity.sql"), "reading the server's identity")[0]
        standby = None
        if row["in_recovery"]:
            standby = Standby(**self.query(load_sql("postgres", "standby.sql"), "reading the replay position")[0])
        beat = read_heartbeat(self, self._settings.heartbeat) if self._settings.heartbeat else None
        return DatabaseIdentity(**{**row, "simulated": row["simulated"] == "on", "standby": standby, "heartbeat": beat})

    def _transaction_settings(self) -> dict[str, str]:
        scan = self._settings
        # The role's own would end what deadline_seconds allows; before PostgreSQL 17 there was none. Only 0 is heard
        # of in a transaction that has begun.
        has_own = self._connection.info.server_version >= _TRANSACTION_TIMEOUT_SINCE
        return {
            **SETTINGS,
            **({"transaction_timeout": "0"} if has_own else {}),
            "statement_timeout": _milliseconds(min(scan.statement_timeout_seconds, self._deadline.remaining())),
            "lock_timeout": _milliseconds(scan.lock_timeout_seconds),
            # Between two statements this process only counts what it got.
            "idle_in_transaction_session_timeout": _milliseconds(self._deadline.remaining()),
        }

    def _limit_to_deadline(self) -> None:
        left = self._deadline.remaining()
        if left < self._settings.statement_timeout_seconds:
            self.execute(_set_local("statement_timeout", _milliseconds(left)), "setting statement_timeout")


def _set_local(name: str, value: str) -> sql.Composed:
    return sql.SQL("SET LOCAL {} = {}").format(sql.Identifier(name), sql.Literal(value))


def _milliseconds(seconds: float) -> str:
    # Rounded up: a statement that the server cancels because of the deadline must find that it has passed.
    return f"{max(1, ceil(seconds * 1000))}ms"
