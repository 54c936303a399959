"""Evidence is never edited, by nobody; and what is added is added whole, whoever dies or writes beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.notifications import Notified
from orgrecon_pipeline.ledger.open import open_existing
from orgrecon_pipeline.ledger.tables import metadata
from orgrecon_pipeline_tests.support.ledger.cases import DAY, Child, full, holdings, raw

TABLES = [pytest.param(table, id=table.name) for table in metadata.sorted_tables]


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """A ledger with rows in every table."""
    ledger.append(*full("1"))
    ledger.append(*full("2"))
    ledger.acknowledge("coverage", "because", "1", {}, datetime(2026, 11, 23, tzinfo=timezone.utc))
    ledger.record_notified([Notified("a channel", "gate", "OPEN", datetime(2026, 11, 23, tzinfo=timezone.utc))])
    ledger.keep_shard("1", "eu1", False, {"tenants": 3})
    return ledger


def columns(table: sa.Table) -> str:
    return ", ".join(f'"{column.name}"' for column in table.columns)


def changed(table: sa.Table) -> str:
    """A column that is in no key, so that nothing but the trigger is in the way."""
    return {"orgrecon_entity": "missing", "orgrecon_tenant_row": "transient", "orgrecon_sample": "kind",
            "orgrecon_coverage": "name", "orgrecon_told": "topic", "orgrecon_shard": "found"}.get(table.name, "reason")


def attempts(table: sa.Table) -> list[str]:
    """Statements that would change the table, for either database."""
    column, key = changed(table), ", ".join(f'"{part.name}"' for part in table.primary_key)
    other = "4" if isinstance(table.c[column].type, sa.BigInteger) else "'changed'"
    others = ", ".join(other if part.name == column else f'"{part.name}"' for part in table.columns)
    copy = f'INSERT INTO "{table.name}" ({columns(table)}) SELECT {others} FROM "{table.name}" WHERE true'
    return [
        f'UPDATE "{table.name}" SET "{column}" = {other}',
        f'DELETE FROM "{table.name}"',
        f"{copy} ON CONFLICT ({key}) DO UPDATE SET \"{column}\" = excluded.\"{column}\"",
        copy.replace("INSERT", "INSERT OR REPLACE", 1),
        f"WITH gone AS (DELETE FROM \"{table.name}\" RETURNING 1) SELECT * FROM gone",
        f'TRUNCATE "{table.name}" CASCADE',
        f'SET session_replication_role = replica; DELETE FROM "{table.name}"',
        f'MERGE INTO "{table.name}" t USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE',
    ]


# What only the other database understands.
FOREIGN = {"sqlite": (4, 5, 6, 7), "postgresql": (3,)}


@pytest.mark.parametrize("table", TABLES)
def test_nothing_can_be_changed(filled: Ledger, ledger_url: str, table: sa.Table) -> None:
    before, dialect = holdings(filled), ledger_url.split(":")[0]
    for number, statement in enumerate(attempts(table)):
        if number in FOREIGN[dialect]:
            continue
        refusals = (sqlite3.IntegrityError, psycopg.errors.RestrictViolation)
        with raw(ledger_url) as connection, pytest.raises(refusals, match="append-only"):
            connection.execute(statement)
    assert holdings(filled) == before
    assert filled.append(*full("3")) is True



@pytest.mark.parametrize(("table", "moved"), [("observation", "number"), ("entity", "ordinal")])
def test_nothing_can_be_replaced_through_another_key(filled: Ledger, ledger_url: str, table: str, moved: str) -> None:
    """SQLite's REPLACE takes away whatever row is in the way of any unique key."""
    before, name = holdings(filled), f"orgrecon_{table}"
    values = ", ".join(f"{column.name} + 1000" if column.name == moved else column.name
                       for column in metadata.tables[name].columns)
    copy = f"INTO {name} ({columns(metadata.tables[name])}) SELECT {values} FROM {name} WHERE true"
    how = "INSERT OR REPLACE" if ledger_url.startswith("sqlite") else "INSERT"
    with raw(ledger_url) as connection, pytest.raises((sqlite3.IntegrityError, psycopg.errors.UniqueViolation)):
        connection.execute(f"{how} {copy}")
    assert holdings(filled) == before


WHOLE = """
import os, signal
from orgrecon_pipeline_tests.support.ledger.cases import full, observation, tenant_row
from orgrecon_pipeline.ledger.open import open_ledger
ledger = open_ledger(url)
def many(count, die_at=None):
    for number in range(count):
        if number == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        yield tenant_row(f"tenant {number} " + 'x' * 150, missing=1)
"""


def test_a_process_killed_inside_of_append_leaves_nothing(
    ledger: Ledger, ledger_url: str, child: Callable[[str], Child]
) -> None:
    ledger.append(*full("before"))
    before = holdings(ledger)
    file = Path(ledger_url.removeprefix("sqlite:///")) if ledger_url.startswith("sqlite") else None
    for code in (
        # After more than fits in SQLite's cache: the file itself is half-written, and only the journal heals it.
        "ledger.append(observation('a'), many(25_000, 21_000), (), ())",
        "ledger.append(observation('a'), many(1, 0), (), ())",
        "observed, rows, samples, coverage = full('a')\n"
        "ledger.append(observed, rows, samples, (next(many(1, 0)) if event is None else event\n"
        "                                        for event in (*coverage, None)))",
    ):
        size = file.stat().st_size if file else 0
        killed = child(WHOLE + code)
        assert killed.ends()[0] == -9
        if file and "many(25_000" in code:
            assert file.stat().st_size > size, "what was half-written is in the file"
        again = open_existing(ledger_url)
        assert again is not None
        assert holdings(again) == before
    assert ledger.append(*full("a")) is True


def test_a_process_killed_anywhere_leaves_whole_observations(
    ledger: Ledger, ledger_url: str, child: Callable[[str], Child]
) -> None:
    """A kill lands anywhere, in a commit too: what is there is whole, and what was told is there."""
    told = 0
    for attempt in range(4):
        writing = child(WHOLE + (
            "number = 0\n"
            "while True:\n"
            f"    observed, rows, samples, coverage = full(f'{attempt} {{number}}')\n"
            "    ledger.append(observed, many(200), samples, coverage)\n"
            "    number += 1\n"
            "    say(number)\n"
        ))
        for _ in range(2 + attempt):
            writing.says()
        writing.process.kill()
        _, more = writing.ends()
        told += 2 + attempt + len(more)
        again = open_existing(ledger_url)
        assert again is not None
        found = again.observations(DAY)
        assert told <= len(found) <= told + attempt + 1, "one at most was kept without having been told"
        for seen in found:
            _, _, samples, _ = full()
            assert len(again.breakdown(seen.id, 1_000)) == 200
            assert again.samples(seen.id) == samples
            assert len(again.lost(seen.id)) == 1
            assert list(seen.entities) == ["a_last", "org_units"]


def test_many_append_at_once(ledger: Ledger, ledger_url: str, child: Callable[[str], Child]) -> None:
    """Different ids all arrive; of the same id one arrives, and one is told so."""
    children = [child(WHOLE + (
        "say('ready'); hear()\n"
        "for number in range(12):\n"
        f"    mine = ledger.append(observation(f'own {worker} {{number}}'), many(3), (), ())\n"
        "    shared = ledger.append(observation(f'shared {number}'), many(3), (), ())\n"
        "    say(f'{mine} {shared}')\n"
    )) for worker in range(4)]
    for one in children:
        assert one.says() == "ready"
    for one in children:
        one.tell()
    said: list[Any] = []
    for one in children:
        code, lines = one.ends()
        assert code == 0
        said.append([line.split() for line in lines])
    assert all(mine == "True" for lines in said for mine, _ in lines)
    assert [sum(lines[number][1] == "True" for lines in said) for number in range(12)] == [1] * 12
    found = ledger.observations(DAY)
    assert len(found) == len({seen.id for seen in found}) == 4 * 12 + 12
    assert all(len(ledger.breakdown(seen.id, 10)) == 3 for seen in found)
