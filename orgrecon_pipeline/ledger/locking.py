"""One run a day at a time. A lock never outlives its process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from orgrecon_pipeline.domain.errors import AlreadyRunning, EvidenceNotKept
from orgrecon_pipeline.ledger.address import SqliteAddress
from orgrecon_pipeline.ledger.failures import told_as
from orgrecon_pipeline.ledger.store import Store

_ADVISORY_CLASS = 0x6F72_6763  # "orgc": the first half of the advisory lock's key; the day is the second


@contextlib.contextmanager
def day_lock(store: Store, day: date) -> Iterator[None]:
    """See :meth:`orgrecon_pipeline.ledger.ledger.Ledger.day_lock`."""
    if isinstance(store.address, SqliteAddress):
        held = _file_lock(store.address.path, day)
    else:
        held = _session_lock(store, day)
    with held:
        yield


@contextlib.contextmanager
def _file_lock(ledger: Path, day: date) -> Iterator[None]:
    from filelock import FileLock, Timeout

    # The files stay: to remove one that another process is just opening would give the day to both.
    path = ledger.absolute().with_name(f"{ledger.name}.locks") / f"{day}.lock"
    lock = FileLock(path)
    # Where the file system has no locks, filelock 4 would take to files that outlive a crash.
    if hasattr(lock, "fallback_to_soft"):
        lock = FileLock(path, fallback_to_soft=False)
    try:
        path.parent.mkdir(exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise _already_running(day) from None
    except (OSError, NotImplementedError) as error:
        raise EvidenceNotKept(
            f"cannot lock {day} beside the ledger {ledger}: {getattr(error, 'strerror', None) or 'no locks here'}."
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _session_lock(store: Store, day: date) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        with told_as(EvidenceNotKept, f"cannot lock {day} in {store.address}"):
            connection = store.engine.connect()
            # Whatever became of the connection, what was done under the lock is done: the ledger bears two runs.
            stack.push(lambda *_: _close(connection))
            # Autocommit: an hour of comparing is no open transaction to the server.
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(text(
                "SELECT set_config(name, '0', false) FROM pg_settings "
                "WHERE name IN ('idle_session_timeout', 'idle_in_transaction_session_timeout')"))
            taken = connection.execute(
                text("SELECT pg_try_advisory_lock(:class, :day)"), {"class": _ADVISORY_CLASS, "day": day.toordinal()}
            ).scalar()
        if not taken:
            raise _already_running(day)
        yield


def _close(connection: object) -> None:
    # The session ends, and the lock with it.
    with contextlib.suppress(SQLAlchemyError):
        connection.invalidate()  # type: ignore[attr-defined]
    with contextlib.suppress(SQLAlchemyError):
        connection.close()  # type: ignore[attr-defined]


def _already_running(day: date) -> AlreadyRunning:
    return AlreadyRunning(f"{day} is already being worked on by another run: wait for it to end.")
