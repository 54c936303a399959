"""A day lock admits one run at a time, refuses a second run without waiting, and ends with its process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from orgrecon_pipeline.domain.errors import AlreadyRunning, EvidenceNotStored
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.ledger.cases import DAY, ChildProcess, contents, full, raised, raw_connection
from orgrecon_pipeline_tests.support.operations.concurrency import wait_until

HOLD_DAY = """
from orgrecon_pipeline_tests.support.ledger.cases import DAY
from orgrecon_pipeline_tests.support.default_identity import open_ledger
with open_ledger(url).day_lock(DAY):
    write_line('held')
    read_line()
write_line('released')
"""
TIMEOUT = 60.0  # seconds, for something that takes milliseconds


def is_free(ledger: Ledger, day: date = DAY) -> bool:
    try:
        with ledger.day_lock(day):
            return True
    except AlreadyRunning:
        return False


def becomes_free(ledger: Ledger, ledger_url: str) -> bool:
    """Return whether the day is free once the server has noticed that its client is gone."""
    if ledger_url.startswith("postgres"):
        with raw_connection(ledger_url) as connection:
            for _ in range(int(TIMEOUT / 0.01)):
                locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pg_sleep(0.01) IS NOT NULL"
                if connection.execute(locks).fetchone() == (0,):
                    break
    return is_free(ledger)


def test_day_lock_held_refuses_a_second_holder(ledger: Ledger, ledger_url: str) -> None:
    with ledger.day_lock(DAY):
        for other in (ledger, open_ledger(ledger_url)):
            with pytest.raises(AlreadyRunning, match=str(DAY)) as refused:
                other.day_lock(DAY).__enter__()
            assert "\n" not in str(refused.value)
        assert is_free(ledger, DAY + timedelta(days=1)), "another day has another lock"
        assert not is_free(ledger), "a refused attempt does not release the lock"
    assert is_free(ledger)
    assert is_free(ledger)


def test_day_lock_held_refuses_a_second_thread(ledger: Ledger) -> None:
    answers: list[bool] = []
    with ledger.day_lock(DAY):
        thread = threading.Thread(target=lambda: answers.append(is_free(ledger)))
        thread.start()
        thread.join(TIMEOUT)
    assert answers == [False]


def test_day_lock_held_refuses_a_second_process(ledger: Ledger, start_child: Callable[[str], ChildProcess]) -> None:
    holder = start_child(HOLD_DAY)
    assert holder.read_line() == "held"
    assert not is_free(ledger)
    assert is_free(ledger, DAY - timedelta(days=1))
    holder.write_line()
    assert holder.read_line() == "released"
    assert is_free(ledger)
    assert holder.finish()[0] == 0


def test_day_lock_of_a_killed_process_is_released(
    ledger: Ledger, ledger_url: str, start_child: Callable[[str], ChildProcess]
) -> None:
    holder = start_child(HOLD_DAY)
    assert holder.read_line() == "held"
    assert not is_free(ledger)
    holder.kill()
    assert becomes_free(ledger, ledger_url)


def test_day_lock_never_has_two_holders(
    ledger: Ledger, start_child: Callable[[str], ChildProcess], tmp_path: Path
) -> None:
    children = [start_child(
        "import pathlib, os\n"
        "from orgrecon_pipeline_tests.support.ledger.cases import DAY, observation\n"
        "from orgrecon_pipeline.domain.errors import AlreadyRunning\n"
        "from orgrecon_pipeline_tests.support.default_identity import open_ledger\n"
        "ledger, held = open_ledger(url), 0\n"
        "write_line('ready'); path = read_line()\n"
        "while held < 15:\n"
        "    try:\n"
        "        with ledger.day_lock(DAY):\n"
        # Fails if another process holds the day.
        "            os.close(os.open(path, os.O_CREAT | os.O_EXCL))\n"
        "            os.unlink(path)\n"
        "        held += 1\n"
        "    except AlreadyRunning:\n"
        "        pass\n"
    ) for _ in range(3)]
    for child in children:
        assert child.read_line() == "ready"
    for child in children:
        child.write_line(str(tmp_path / "held by a process"))
    assert [child.finish()[0] for child in children] == [0, 0, 0]


def test_day_lock_passes_on_errors_of_the_block(ledger: Ledger) -> None:
    for error in (ZeroDivisionError("x"), OSError(28, "x"), sa.exc.OperationalError("x", None, Exception("y")),
                  UnicodeDecodeError("utf-8", b"x", 0, 1, "x"), KeyboardInterrupt("x"), AlreadyRunning("x")):
        def run(error: BaseException = error) -> None:
            with ledger.day_lock(DAY):
                raise error

        assert raised(run) is error
        assert is_free(ledger)


def test_day_lock_does_not_block_appends(ledger: Ledger, start_child: Callable[[str], ChildProcess]) -> None:
    with ledger.day_lock(DAY):
        assert ledger.append(*full()) is True
        assert len(ledger.observations(DAY)) == 1
        assert start_child(
            "from orgrecon_pipeline_tests.support.ledger.cases import full\n"
            "from orgrecon_pipeline_tests.support.default_identity import open_ledger\n"
            "write_line(open_ledger(url).append(*full('other')))\n"
        ).read_line() == "True", "the lock excludes runs, not imports"


def test_day_locks_of_two_ledgers_in_one_directory_are_independent(tmp_path: Path) -> None:
    first, second = (open_ledger(f"sqlite:///{tmp_path / name}.db") for name in ("first", "second"))
    with first.day_lock(DAY):
        assert is_free(second)


def test_day_lock_is_shared_by_all_names_of_a_ledger(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    (tmp_path / "elsewhere").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "other.db").symlink_to(tmp_path / "ledger.db")
    with ledger.day_lock(DAY):
        assert not is_free(open_ledger(f"sqlite:///{tmp_path / 'elsewhere' / 'ledger.db'}"))
        assert not is_free(open_ledger(f"sqlite:///{tmp_path / 'other.db'}"))


def test_day_locks_leave_no_files(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    for back in range(30):
        with ledger.day_lock(DAY - timedelta(days=back)):
            assert not is_free(ledger, DAY - timedelta(days=back))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["ledger.db"]


def test_day_lock_released_by_the_parent_is_not_kept_by_a_forked_child(
    ledger: Ledger, start_child: Callable[[str], ChildProcess]
) -> None:
    holder = start_child(
        "import os\n"
        "from orgrecon_pipeline_tests.support.ledger.cases import DAY\n"
        "from orgrecon_pipeline_tests.support.default_identity import open_ledger\n"
        "with open_ledger(url).day_lock(DAY):\n"
        "    forked = os.fork()\n"
        "    if not forked:\n"
        "        read_line(); os._exit(0)\n"
        "write_line('released')\n"
        "os.waitpid(forked, 0)\n"
    )
    assert holder.read_line() == "released"
    assert is_free(ledger)
    holder.write_line()
    assert holder.finish()[0] == 0


def test_day_lock_that_cannot_be_created_names_the_ledger(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    (tmp_path / f"ledger.db.org-v23.{DAY}.lock").symlink_to("/nowhere")
    error = raised(lambda: ledger.day_lock(DAY).__enter__())
    assert isinstance(error, EvidenceNotStored)
    assert str(error).startswith(f"cannot lock {DAY} beside the ledger")
    assert "\n" not in str(error)


@pytest.fixture
def postgres(empty_database: str) -> tuple[str, Ledger]:
    """A ledger on Postgres, with its URL."""
    return empty_database, open_ledger(empty_database)


def lock_holders(url: str, columns: str) -> list[tuple[Any, ...]]:
    with raw_connection(url) as connection:
        rows: list[tuple[Any, ...]] = connection.execute(
            f"SELECT {columns} FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' "
            "AND datname = current_database()").fetchall()
        return rows


def test_terminated_lock_connection_frees_the_day_and_the_run_continues(postgres: tuple[str, Ledger]) -> None:
    url, ledger = postgres
    with ledger.day_lock(DAY):
        assert lock_holders(url, "pg_terminate_backend(pid)") == [(True,)]
        wait_until(lambda: is_free(ledger))
        with open_ledger(url).day_lock(DAY):
            assert ledger.append(*full()) is True, "the first run can still store its observation"
    assert list(contents(ledger)["tenants"]) == ["full"]
    assert is_free(ledger)


def test_day_lock_survives_the_timeouts_of_the_server(postgres: tuple[str, Ledger]) -> None:
    """The connection of the lock is idle during a comparison, which can take an hour."""
    url, ledger = postgres
    with raw_connection(url) as connection:
        [(name, version)] = connection.execute(
            "SELECT current_database(), current_setting('server_version_num')::int").fetchall()
        for setting, since in (("idle_session_timeout", 140000), ("idle_in_transaction_session_timeout", 0),
                               ("transaction_timeout", 170000), ("statement_timeout", 0)):
            if version >= since:
                connection.execute(f"ALTER DATABASE {name} SET {setting} = '300ms'")
        with ledger.day_lock(DAY):
            connection.execute("SELECT pg_sleep(1)")
            connection.execute(f"ALTER DATABASE {name} RESET ALL")  # for the transactions of the next lines
            assert not is_free(ledger)
            assert ledger.append(*full()) is True


def test_day_lock_does_not_hold_up_vacuum(postgres: tuple[str, Ledger]) -> None:
    url, ledger = postgres
    with raw_connection(url) as connection:
        name = connection.execute("SELECT current_database()").fetchone()[0]
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    with ledger.day_lock(DAY):
        assert lock_holders(url, "backend_xmin, backend_xid, query_start < now()") == [(None, None, True)]


def test_day_lock_belongs_to_a_transaction(postgres: tuple[str, Ledger]) -> None:
    """Behind a transaction pooler, a session and its locks would outlive the client."""
    url, ledger = postgres
    with ledger.day_lock(DAY):
        assert lock_holders(url, "state") == [("idle in transaction",)]
