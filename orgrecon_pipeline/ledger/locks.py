"""Locks of a ledger, per identity: one comparison, one run per day, and one sender of notifications.

A lock never outlives its process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import date

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from orgrecon_pipeline.domain.errors import AlreadyRunning, EvidenceNotStored
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.file_lock import temporary_file_lock
from orgrecon_pipeline.ledger import tables
from orgrecon_pipeline.ledger.connection.address import SqliteAddress
from orgrecon_pipeline.ledger.connection.engine import Store
from orgrecon_pipeline.ledger.connection.errors import translate_errors
from orgrecon_pipeline.ledger.connection.retry import retried

# The transaction is idle for hours. Keepalives let the server detect a dead client within about a minute.
_LOCK_SETTINGS = (
    "SELECT set_config(name, value, true) FROM pg_settings JOIN (VALUES "
    "('idle_in_transaction_session_timeout', '0'), ('transaction_timeout', '0'), ('tcp_keepalives_idle', '30'), "
    "('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '3')) AS wanted (name, value) USING (name)")


class LedgerLocks(Store):
    """The locking methods of a ledger."""

    def day_lock(self, day: date) -> AbstractContextManager[None]:
        """Hold a day for one run. The lock ends with the process, however the process ends.

        Raises:
            AlreadyRunning: on entering, without waiting, if another thread or process holds the day.
            EvidenceNotStored: on entering, if the lock cannot be created.
            LedgerUnavailable: on entering, if the ledger does not answer. If it stops answering later, the lock may be
                lost. That is not an error: the result of the work under the lock can still be stored.
        """
        return self._lock(str(day), f"another run of {self.identity} is already working on {day}: wait until it ends.")

    def observation_lock(self) -> AbstractContextManager[None]:
        """Hold the comparison of databases, whatever the day. Raises the same errors as :meth:`day_lock`."""
        return self._lock(
            "observation", f"another comparison of {self.identity} is already running: wait until it ends.")

    def notification_lock(self) -> AbstractContextManager[None]:
        """Hold the notifications, from reading the known states of the channels to recording the sent ones.

        Raises the same errors as :meth:`day_lock`.
        """
        return self._lock("notifications", "another process is already sending notifications.")

    @contextlib.contextmanager
    def _lock(self, name: str, busy: str) -> Iterator[None]:
        """Hold the lock ``name`` of the identity; ``busy`` is the message if it is taken."""
        with contextlib.ExitStack() as stack:
            if isinstance(self.address, SqliteAddress):
                locked = _lock_file(self.address, self.identity, name, stack)
            else:
                locked = self._lock_in_postgres(name, stack)
            if not locked:
                raise AlreadyRunning(busy)
            yield

    @retried
    def _lock_in_postgres(self, name: str, stack: contextlib.ExitStack) -> bool:
        with translate_errors(EvidenceNotStored, f"cannot lock {name} in {self.address}"):
            return self._try_lock(name, stack)

    def _try_lock(self, name: str, stack: contextlib.ExitStack) -> bool:
        connection = self.engine.connect()
        # Errors on release are ignored: the work under the lock is done, and the ledger tolerates two runs.
        stack.push(lambda *_: _close(connection))
        # A transaction's lock, because behind a transaction pooler a session outlives its client. Under READ COMMITTED,
        # and without parameters (whose portal would keep one), no snapshot stays open that holds up vacuum.
        connection = connection.execution_options(isolation_level="READ COMMITTED")
        connection.execute(text(_LOCK_SETTINGS))
        # The key includes the ledger's id, because two ledgers may share a database.
        statement = text(f"SELECT pg_try_advisory_xact_lock(hashtextextended(id || ' {self.identity.slug} {name}', 0)) "  # noqa: S608
                         f"FROM {tables.ledger.name}")
        return bool(connection.execute(statement).scalar())


def _lock_file(address: SqliteAddress, identity: Identity, name: str, stack: contextlib.ExitStack) -> bool:
    ledger = address.path.resolve()  # a ledger has one lock, whichever of its names is used
    try:
        return stack.enter_context(temporary_file_lock(ledger.with_name(f"{ledger.name}.{identity.slug}.{name}.lock")))
    except OSError as error:
        raise EvidenceNotStored(f"cannot lock {name} beside the ledger {ledger}: {error.strerror}.") from None


def _close(connection: Connection) -> None:
    # Rollback releases the lock. The other two steps clean up if the connection is broken.
    for step in (connection.rollback, connection.invalidate, connection.close):
        with contextlib.suppress(SQLAlchemyError):
            step()
