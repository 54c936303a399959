"""Stored evidence cannot be changed, and every append is complete or absent, even after a crash."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from orgrecon_pipeline.domain.integrity.redaction import Redactor
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.statements.append import Notified
from orgrecon_pipeline.ledger.statements.compressed_names import compress_names
from orgrecon_pipeline.ledger.tables import metadata
from orgrecon_pipeline_tests.support.default_identity import open_existing, open_ledger
from orgrecon_pipeline_tests.support.ledger.cases import (
    DAY,
    ChildProcess,
    contents,
    fingerprints,
    full,
    raw_connection,
)
from orgrecon_pipeline_tests.support.operations.concurrency import at_the_same_time
from orgrecon_pipeline_tests.support.report.cases import ready_tenants

TABLES = [pytest.param(table, id=table.name) for table in metadata.sorted_tables]


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """A ledger with rows in every table."""
    moment = datetime(2026, 11, 23, tzinfo=timezone.utc)
    ledger.append(*full("1"), fingerprints=fingerprints())
    ledger.append(*full("2"))
    ledger.acknowledge("coverage", "because", "1", {}, moment)
    ledger.record_notified([Notified("a channel", "gate", "OPEN", moment)])
    ledger.append_ready_tenants("1", ready_tenants())
    ledger.append_shard_result("1", "eu1", False, {"tenants": 3})
    ledger.redact(Redactor.of("zeta", b"secret"), "because", moment)
    return ledger


def columns(table: sa.Table) -> str:
    return ", ".join(f'"{column.name}"' for column in table.columns)


def changed_column(table: sa.Table) -> str:
    """Return a column that is in no key, so that only the trigger refuses the change."""
    return {
        "orgrecon_entity": "missing", "orgrecon_tenant_row": "transient", "orgrecon_sample": "kind",
        "orgrecon_key": "differing_columns", "orgrecon_change": "change", "orgrecon_ledger": "id",
        "orgrecon_coverage": "name", "orgrecon_notification": "topic", "orgrecon_shard_result": "result",
        "orgrecon_ready_tenants": "figures", "orgrecon_fingerprint": "piece", "orgrecon_tenant_set": "piece",
        "orgrecon_link": "entry", "orgrecon_redacted_part": "after",
    }.get(table.name, "reason")


def changes(table: sa.Table) -> list[str]:
    """Return statements that would change the table, for either database."""
    column, key = changed_column(table), ", ".join(f'"{part.name}"' for part in table.primary_key)
    value = "4" if isinstance(table.c[column].type, sa.BigInteger) else "'changed'"
    values = ", ".join(value if part.name == column else f'"{part.name}"' for part in table.columns)
    if not key:  # SQLite would still replace a row through its number
        values, table_columns = f"rowid, {values}", f"rowid, {columns(table)}"
    else:
        table_columns = columns(table)
    copy = f'INSERT INTO "{table.name}" ({table_columns}) SELECT {values} FROM "{table.name}" WHERE true'
    return [
        f'UPDATE "{table.name}" SET "{column}" = {value}',
        f'DELETE FROM "{table.name}"',
        f"{copy} ON CONFLICT ({key or 'rowid'}) DO UPDATE SET \"{column}\" = excluded.\"{column}\"",
        copy.replace("INSERT", "INSERT OR REPLACE", 1),
        f"WITH gone AS (DELETE FROM \"{table.name}\" RETURNING 1) SELECT * FROM gone",
        f'TRUNCATE "{table.name}" CASCADE',
        f'SET session_replication_role = replica; DELETE FROM "{table.name}"',
        f'MERGE INTO "{table.name}" t USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE',
    ]


# Positions in `changes` of the statements that only the other database understands.
UNSUPPORTED = {"sqlite": (4, 5, 6, 7), "postgresql": (3,)}


@pytest.mark.parametrize("table", TABLES)
def test_table_refuses_every_kind_of_change(filled: Ledger, ledger_url: str, table: sa.Table) -> None:
    before, dialect = contents(filled), ledger_url.split(":")[0]
    for number, statement in enumerate(changes(table)):
        if number in UNSUPPORTED[dialect] or (number == 2 and not table.primary_key):
            continue
        refusals = (sqlite3.IntegrityError, psycopg.errors.RestrictViolation)
        with raw_connection(ledger_url) as connection:
            if statement.startswith("MERGE") and connection.info.server_version < 150_000:
                continue
            with pytest.raises(refusals, match="append-only"):
                connection.execute(statement)
    assert contents(filled) == before
    assert filled.append(*full("3")) is True


@pytest.mark.parametrize(("table", "moved"), [("observation", "number"), ("entity", "ordinal")])
def test_row_cannot_be_replaced_through_another_unique_key(
    filled: Ledger, ledger_url: str, table: str, moved: str
) -> None:
    """SQLite's REPLACE deletes every row that conflicts with any unique key."""
    before, name = contents(filled), f"orgrecon_{table}"
    values = ", ".join(f"{column.name} + 1000" if column.name == moved else column.name
                       for column in metadata.tables[name].columns)
    copy = f"INTO {name} ({columns(metadata.tables[name])}) SELECT {values} FROM {name} WHERE true"
    insert = "INSERT OR REPLACE" if ledger_url.startswith("sqlite") else "INSERT"
    refusals = (sqlite3.IntegrityError, psycopg.errors.UniqueViolation)
    with raw_connection(ledger_url) as connection, pytest.raises(refusals):
        connection.execute(f"{insert} {copy}")
    assert contents(filled) == before


# The beginning of a child process's code; `many` kills the process before the row number `die_at`.
CHILD = """
import os, signal
from orgrecon_pipeline_tests.support.ledger.cases import full, observation, tenant_row
from orgrecon_pipeline_tests.support.default_identity import open_ledger
ledger = open_ledger(url)
def many(count, die_at=None):
    for number in range(count):
        if number == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        yield tenant_row(f"tenant {number} " + 'x' * 150, missing=1)
"""


def test_process_killed_during_append_leaves_nothing(
    ledger: Ledger, ledger_url: str, start_child: Callable[[str], ChildProcess]
) -> None:
    ledger.append(*full("before"))
    before = contents(ledger)
    file = Path(ledger_url.removeprefix("sqlite:///")) if ledger_url.startswith("sqlite") else None
    for code in (
        # More than fits in SQLite's cache: the file itself is half-written, and only the journal restores it.
        "ledger.append(observation('a'), many(25_000, 21_000), (), ())",
        "ledger.append(observation('a'), many(1, 0), (), ())",
        "fail, rows, samples, coverage = full('a')\n"
        "ledger.append(fail, rows, samples, (next(many(1, 0)) if event is None else event\n"
        "                                    for event in (*coverage, None)))",
    ):
        size = file.stat().st_size if file else 0
        killed = start_child(CHILD + code)
        assert killed.finish()[0] == -9
        if file and "many(25_000" in code:
            assert file.stat().st_size > size, "the file should hold the half-written rows"
        reopened = open_existing(ledger_url)
        assert reopened is not None
        assert contents(reopened) == before
    assert ledger.append(*full("a")) is True


def test_process_killed_at_any_moment_leaves_complete_observations(
    ledger: Ledger, ledger_url: str, start_child: Callable[[str], ChildProcess]
) -> None:
    """The kill can also hit a commit: stored observations are complete, and reported ones are stored."""
    reported = 0
    for attempt in range(4):
        writer = start_child(CHILD + (
            "number = 0\n"
            "while True:\n"
            f"    fail, rows, samples, coverage = full(f'{attempt} {{number}}')\n"
            "    ledger.append(fail, many(200), samples, coverage)\n"
            "    number += 1\n"
            "    write_line(number)\n"
        ))
        for _ in range(2 + attempt):
            writer.read_line()
        writer.process.kill()
        _, more = writer.finish()
        reported += 2 + attempt + len(more)
        reopened = open_existing(ledger_url)
        assert reopened is not None
        observations = reopened.observations(DAY)
        assert reported <= len(observations) <= reported + attempt + 1, "one per attempt may be unreported"
        for observation in observations:
            _, _, samples, _ = full()
            assert len(reopened.breakdown(observation.id, 1_000)) == 200
            assert reopened.samples(observation.id) == samples
            assert len(reopened.lost_coverage(observation.id)) == 1
            assert list(observation.entities) == ["a_last", "org_units"]


def test_concurrent_appends_store_each_id_once(ledger: Ledger, start_child: Callable[[str], ChildProcess]) -> None:
    """Each writer appends its own ids, and ids that all writers share; one of them stores a shared id and learns so."""
    children = [start_child(CHILD + (
        "write_line('ready'); read_line()\n"
        "for number in range(12):\n"
        f"    own = ledger.append(observation(f'own {worker} {{number}}'), many(3), (), ())\n"
        "    shared = ledger.append(observation(f'shared {number}'), many(3), (), ())\n"
        "    write_line(f'{own} {shared}')\n"
    )) for worker in range(4)]
    for child in children:
        assert child.read_line() == "ready"
    for child in children:
        child.write_line()
    answers: list[list[list[str]]] = []
    for child in children:
        code, lines = child.finish()
        assert code == 0
        answers.append([line.split() for line in lines])
    assert all(own == "True" for lines in answers for own, _ in lines)
    assert [sum(lines[number][1] == "True" for lines in answers) for number in range(12)] == [1] * 12
    observations = ledger.observations(DAY)
    assert len(observations) == len({observation.id for observation in observations}) == 4 * 12 + 12
    assert all(len(ledger.breakdown(observation.id, 10)) == 3 for observation in observations)


def test_simultaneous_appends_with_the_same_new_tenants_are_both_stored(
    new_database: Callable[..., str], ledger_template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, both_compress = new_database(ledger_template), threading.Barrier(2)

    def compress_together(packed: bytes) -> bytes:
        both_compress.wait(timeout=60)
        return compress_names(packed)

    monkeypatch.setattr("orgrecon_pipeline.ledger.statements.fingerprints.compress_names", compress_together)
    assert at_the_same_time(2, lambda: open_ledger(url).append(
        *full(f"by thread {threading.get_ident()}"), fingerprints=fingerprints())) == [True] * 2
    ledger = open_ledger(url)
    assert [ledger.fingerprints(stored.id) for stored in ledger.observations(DAY)] == [fingerprints()] * 2
    assert list(ledger.chain_breaks()) == []
