"""One run a day at a time, and one that tells people. A lock never outlives its process."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from orgrecon_pipeline.domain.errors import AlreadyRunning, EvidenceNotKept
from orgrecon_pipeline.ledger.address import SqliteAddress
from orgrecon_pipeline.ledger.engine import Store
from orgrecon_pipeline.ledger.errors import translate_errors

_ADVISORY_CLASS = 0x6F72_6763  # "orgc": the first half of the advisory lock's key; the day is the second
_TELLING = 0  # no day has this number


@contextlib.contextmanager
def day_lock(store: Store, day: date) -> Iterator[None]:
    """See :meth:`orgrecon_pipeline.ledger.ledger.Ledger.day_lock`."""
    with _held(store, str(day), day.toordinal(), f"{day} is already being worked on by another run: "
                                                 "wait for it to end."):
        yield


@contextlib.contextmanager
def notification_lock(store: Store) -> Iterator[None]:
    """See :meth:`orgrecon_pipeline.ledger.ledger.Ledger.notification_lock`."""
    with _held(store, "telling", _TELLING, "somebody else is telling the channels already."):
        yield


@contextlib.contextmanager
def _held(store: Store, name: str, number: int, busy: str) -> Iterator[None]:
    """The lock ``name``, whose number in Postgres is ``number``; ``busy`` is what is said when it is taken."""
    if isinstance(store.address, SqliteAddress):
        held = _file_lock(store.address.path, name, busy)
    else:
        held = _transaction_lock(store, name, number, busy)
    with held:
        yield


@contextlib.contextmanager
def _file_lock(ledger: Path, name: str, busy: str) -> Iterator[None]:
    ledger = ledger.resolve()  # one ledger is one lock, by whatever name it is called
    path = ledger.with_name(f"{ledger.name}.{name}.lock")
    try:
        descriptor = _locked(path)
    except OSError as error:
        raise EvidenceNotKept(f"cannot lock {name} beside the ledger {ledger}: {error.strerror}.") from None
    if descriptor is None:
        raise AlreadyRunning(busy)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if _is_named(descriptor, path):
                path.unlink()  # while it is held: who has just opened it will find that it has lost its name
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough where a forked child has it open as well
        os.close(descriptor)


def _locked(path: Path) -> int | None:
    """The descriptor of the file, locked, or None when somebody else has it locked.

    flock itself and no library: the lock must end with its process, and where the file system has no locks there
    must be an error, and no file in their stead that outlives a crash.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_named(descriptor, path):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed it after we had opened it: lock the one that has the name now


def _is_named(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _transaction_lock(store: Store, name: str, number: int, busy: str) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        with translate_errors(EvidenceNotKept, f"cannot lock {name} in {store.address}"):
            connection = store.engine.connect()
            # Whatever became of the connection, what was done under the lock is done: the ledger bears two runs.
            stack.push(lambda *_: _close(connection))
            # Of a transaction: behind a transaction pooler a session outlives its client, and so would its lock.
            # READ COMMITTED, and statements without parameters, keep no snapshot once they have ended: an hour of
            # it holds up no vacuum. (A statement with parameters leaves its portal, and that its snapshot.)
            connection = connection.execution_options(isolation_level="READ COMMITTED")
            connection.execute(text(
                "SELECT set_config(name, '0', true) FROM pg_settings "
                "WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')"))
            taken = connection.execute(
                text(f"SELECT pg_try_advisory_xact_lock({_ADVISORY_CLASS}, {number})")).scalar()
        if not taken:
            raise AlreadyRunning(busy)
        yield


def _close(connection: Connection) -> None:
    # The first ends the lock; the other two do what is left where the connection is broken.
    for step in (connection.rollback, connection.invalidate, connection.close):
        with contextlib.suppress(SQLAlchemyError):
            step()

