"""One run a day at a time: the second is told at once, and a run that died holds nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from orgrecon_pipeline.domain.errors import AlreadyRunning, EvidenceNotKept
from orgrecon_pipeline.ledger import locks as locking
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline_tests.support.ledger.cases import DAY, Child, full, holdings, raised, raw

HOLD = """
from orgrecon_pipeline_tests.support.ledger.cases import DAY
from orgrecon_pipeline.ledger.open import open_ledger
with open_ledger(url).day_lock(DAY):
    say('held')
    hear()
say('over')
"""
LONG = 60.0  # seconds: when to give up waiting for what takes milliseconds


def is_free(ledger: Ledger, day: date = DAY) -> bool:
    try:
        with ledger.day_lock(day):
            return True
    except AlreadyRunning:
        return False


def becomes_free(ledger: Ledger, ledger_url: str) -> bool:
    """Whether the day can be had, once the server has noticed that its client is gone."""
    if ledger_url.startswith("postgres"):
        with raw(ledger_url) as connection:
            for _ in range(int(LONG / 0.01)):
                locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pg_sleep(0.01) IS NOT NULL"
                if connection.execute(locks).fetchone() == (0,):
                    break
    return is_free(ledger)


def test_a_second_holder_is_told_at_once(ledger: Ledger, ledger_url: str) -> None:
    with ledger.day_lock(DAY):
        for other in (ledger, open_ledger(ledger_url)):
            with pytest.raises(AlreadyRunning, match=str(DAY)) as told:
                other.day_lock(DAY).__enter__()
            assert "\n" not in str(told.value)
        assert is_free(ledger, DAY + timedelta(days=1)), "another day is another lock"
        assert not is_free(ledger), "being refused takes nothing away from the holder"
    assert is_free(ledger)
    assert is_free(ledger)


def test_a_second_thread_is_told_at_once(ledger: Ledger) -> None:
    answers: list[bool] = []
    with ledger.day_lock(DAY):
        asking = threading.Thread(target=lambda: answers.append(is_free(ledger)))
        asking.start()
        asking.join(LONG)
    assert answers == [False]


def test_a_second_process_is_told_at_once(ledger: Ledger, child: Callable[[str], Child]) -> None:
    holder = child(HOLD)
    assert holder.says() == "held"
    assert not is_free(ledger)
    assert is_free(ledger, DAY - timedelta(days=1))
    holder.tell()
    assert holder.says() == "over"
    assert is_free(ledger)
    assert holder.ends()[0] == 0


def test_a_killed_holder_holds_nothing(ledger: Ledger, ledger_url: str, child: Callable[[str], Child]) -> None:
    holder = child(HOLD)
    assert holder.says() == "held"
    assert not is_free(ledger)
    holder.kill()
    assert becomes_free(ledger, ledger_url)


def test_one_of_many_gets_the_day(ledger: Ledger, child: Callable[[str], Child], tmp_path: Path) -> None:
    """Again and again, while the holders let go: never two inside."""
    running = [child(
        "import pathlib, os\n"
        "from orgrecon_pipeline_tests.support.ledger.cases import DAY, observation\n"
        "from orgrecon_pipeline.domain.errors import AlreadyRunning\n"
        "from orgrecon_pipeline.ledger.open import open_ledger\n"
        "ledger, told = open_ledger(url), 0\n"
        "say('ready'); place = hear()\n"
        "while told < 15:\n"
        "    try:\n"
        "        with ledger.day_lock(DAY):\n"
        # Fails where somebody else is inside.
        "            os.close(os.open(place, os.O_CREAT | os.O_EXCL))\n"
        "            os.unlink(place)\n"
        "        told += 1\n"
        "    except AlreadyRunning:\n"
        "        pass\n"
    ) for _ in range(3)]
    for one in running:
        assert one.says() == "ready"
    for one in running:
        one.tell(str(tmp_path / "somebody is inside"))
    assert [one.ends()[0] for one in running] == [0, 0, 0]


def test_errors_of_the_run_pass_through(ledger: Ledger) -> None:
    for error in (ZeroDivisionError("x"), OSError(28, "x"), sa.exc.OperationalError("x", None, Exception("y")),
                  UnicodeDecodeError("utf-8", b"x", 0, 1, "x"), KeyboardInterrupt("x"), AlreadyRunning("x")):
        def run(error: BaseException = error) -> None:
            with ledger.day_lock(DAY):
                raise error

        assert raised(run) is error
        assert is_free(ledger)


def test_evidence_is_kept_while_the_day_is_held(ledger: Ledger, child: Callable[[str], Child]) -> None:
    with ledger.day_lock(DAY):
        assert ledger.append(*full()) is True
        assert len(ledger.observations(DAY)) == 1
        assert child(
            "from orgrecon_pipeline_tests.support.ledger.cases import full\n"
            "from orgrecon_pipeline.ledger.open import open_ledger\n"
            "say(open_ledger(url).append(*full('other')))\n"
        ).says() == "True", "the lock is of runs: it holds up no import"


def test_two_ledgers_of_one_directory_have_nothing_to_do_with_each_other(tmp_path: Path) -> None:
    one, two = (open_ledger(f"sqlite:///{tmp_path / name}.db") for name in ("one", "two"))
    with one.day_lock(DAY):
        assert is_free(two)


def test_one_ledger_by_two_names(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    (tmp_path / "elsewhere").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "other.db").symlink_to(tmp_path / "ledger.db")
    with ledger.day_lock(DAY):
        assert not is_free(open_ledger(f"sqlite:///{tmp_path / 'elsewhere' / 'ledger.db'}"))
        assert not is_free(open_ledger(f"sqlite:///{tmp_path / 'other.db'}"))


def test_no_file_is_left_for_every_day(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    for back in range(30):
        with ledger.day_lock(DAY - timedelta(days=back)):
            assert not is_free(ledger, DAY - timedelta(days=back))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["ledger.db"]


def test_a_file_that_loses_its_name_between_two_steps_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder ends, and removes its file, just after the next one has opened that file and before it locks it."""
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    holder = ledger.day_lock(DAY)
    holder.__enter__()
    real, opened = os.open, []

    def open_and_see_the_holder_end(path: Any, *arguments: Any) -> int:
        opened.append(real(path, *arguments))
        if len(opened) == 1:
            holder.__exit__(None, None, None)
        return opened[-1]

    monkeypatch.setattr(locking.os, "open", open_and_see_the_holder_end)
    with ledger.day_lock(DAY):
        monkeypatch.undo()
        assert len(opened) == 2
        assert not is_free(ledger), "the file that is locked is the one that others find"
    assert is_free(ledger)


def test_a_file_that_somebody_removed_is_left_to_the_next(tmp_path: Path) -> None:
    """Whoever cleans up by hand breaks one lock, and not the one that is made after it."""
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with ledger.day_lock(DAY):
        [file] = tmp_path.glob("*.lock")
        file.unlink()
        second = ledger.day_lock(DAY)
        second.__enter__()
    assert not is_free(ledger), "the end of the first is not the end of the second"
    second.__exit__(None, None, None)
    assert is_free(ledger)


def test_a_forked_child_does_not_keep_what_its_parent_gave_back(ledger: Ledger, child: Callable[[str], Child]) -> None:
    holder = child(
        "import os\n"
        "from orgrecon_pipeline_tests.support.ledger.cases import DAY\n"
        "from orgrecon_pipeline.ledger.open import open_ledger\n"
        "with open_ledger(url).day_lock(DAY):\n"
        "    forked = os.fork()\n"
        "    if not forked:\n"
        "        hear(); os._exit(0)\n"
        "say('over')\n"
        "os.waitpid(forked, 0)\n"
    )
    assert holder.says() == "over"
    assert is_free(ledger)
    holder.tell()
    assert holder.ends()[0] == 0


def test_a_directory_that_takes_no_lock_is_said_so(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    (tmp_path / f"ledger.db.{DAY}.lock").symlink_to("/nowhere")
    refusal = raised(lambda: ledger.day_lock(DAY).__enter__())
    assert isinstance(refusal, EvidenceNotKept)
    assert str(refusal).startswith(f"cannot lock {DAY} beside the ledger")
    assert "\n" not in str(refusal)


@pytest.fixture
def postgres(empty_database: str) -> tuple[str, Ledger]:
    """A ledger on Postgres, with its URL."""
    return empty_database, open_ledger(empty_database)


def holders(url: str, columns: str) -> list[tuple[Any, ...]]:
    with raw(url) as connection:
        rows: list[tuple[Any, ...]] = connection.execute(
            f"SELECT {columns} FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory'").fetchall()
        return rows


def test_a_terminated_holder_holds_nothing_and_harms_nothing(postgres: tuple[str, Ledger]) -> None:
    url, ledger = postgres
    with ledger.day_lock(DAY):
        assert holders(url, "pg_terminate_backend(pid, 60000)") == [(True,)]
        assert is_free(ledger)
        with open_ledger(url).day_lock(DAY):
            assert ledger.append(*full()) is True, "what the run found is kept all the same"
    assert list(holdings(ledger)["tenants"]) == ["full"]
    assert is_free(ledger)


def test_a_holder_survives_the_servers_patience(postgres: tuple[str, Ledger]) -> None:
    """A comparison takes an hour, in which the lock's connection is silent."""
    url, ledger = postgres
    with raw(url) as connection:
        [(name, version)] = connection.execute(
            "SELECT current_database(), current_setting('server_version_num')::int").fetchall()
        for setting, since in (("idle_session_timeout", 140000), ("idle_in_transaction_session_timeout", 0),
                               ("transaction_timeout", 170000), ("statement_timeout", 0)):
            if version >= since:
                connection.execute(f"ALTER DATABASE {name} SET {setting} = '300ms'")
        with ledger.day_lock(DAY):
            connection.execute("SELECT pg_sleep(1)")
            assert not is_free(ledger)
            assert ledger.append(*full()) is True


def test_a_holder_holds_up_no_vacuum(postgres: tuple[str, Ledger]) -> None:
    url, ledger = postgres
    with raw(url) as connection:
        name = connection.execute("SELECT current_database()").fetchone()[0]
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    with ledger.day_lock(DAY):
        assert holders(url, "backend_xmin, backend_xid, query_start < now()") == [(None, None, True)]


def test_the_lock_is_a_transactions(postgres: tuple[str, Ledger]) -> None:
    """Behind a pooler of transactions a session lives on when its client dies, and with it whatever it has locked."""
    url, ledger = postgres
    with ledger.day_lock(DAY):
        assert holders(url, "state") == [("idle in transaction",)]
