"""A redaction changes names and nothing else, as a whole or not at all, and cannot be forged unseen."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from orgrecon_pipeline.domain.errors import EvidenceNotStored
from orgrecon_pipeline.domain.integrity.redaction import Redactor
from orgrecon_pipeline.ledger import tables
from orgrecon_pipeline.ledger.chain.redaction import _changed_parts
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline_tests.support.default_identity import open_existing, open_ledger
from orgrecon_pipeline_tests.support.ledger.cases import (
    ChildProcess,
    contents,
    fingerprints,
    full,
    raw_connection,
)
from orgrecon_pipeline_tests.support.report.cases import ready_tenants

pytestmark = pytest.mark.usefixtures("kept_connection")

MOMENT = datetime(2026, 11, 23, tzinfo=timezone.utc)
REFUSED = (sqlite3.IntegrityError, psycopg.errors.RestrictViolation)
CHANGED = [table for table in tables.metadata.sorted_tables
           if any(column.info == tables.PERSONAL for column in table.columns) and table is not tables.redaction]
REDACTION = (
    "INSERT INTO orgrecon_redaction (migration, environment, position, pseudonym, name_hash, reason, recorded_at) "
    "VALUES ('org-v23', '', 99, 'redacted-0', 'x', 'forged', '2026-11-23T00:00:00.000000+00:00')")


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """A ledger in which every table names the tenant zeta."""
    ledger.append(*full("1"), fingerprints=fingerprints(*sorted(["acme", "zeta", "Ärger | `x`"])))
    ledger.acknowledge("coverage", "zeta left", "1", {"lost": ["tenant zeta"]}, MOMENT)
    ledger.append_ready_tenants("1", ready_tenants())
    ledger.append_shard_result("1", "eu1", False, {"present": ["zeta"]})
    return ledger


def redact(ledger: Ledger, name: str = "zeta") -> str:
    redactor = Redactor.of(name, b"secret")
    ledger.redact(redactor, "because", MOMENT)
    return redactor.pseudonym


def everything(url: str) -> str:
    """Return all rows of all tables as text, with the decompressed tenants of fingerprints."""
    ledger = open_existing(url)
    assert ledger is not None
    sets = [fingerprint.tenants.packed.decode() for day in ledger.days() for observation in ledger.observations(day)
            for fingerprint in ledger.fingerprints(observation.id).values()]
    with raw_connection(url) as connection:
        return "\n".join(sets) + "\n".join(
            str(row) for table in tables.metadata.sorted_tables
            for row in connection.execute(f"SELECT * FROM {table.name}").fetchall())


@pytest.mark.parametrize("name", ["zeta", "Ärger | `x`"])
def test_no_row_names_the_tenant_after_a_redaction(filled: Ledger, ledger_url: str, name: str) -> None:
    assert name in everything(ledger_url)
    pseudonym = redact(filled, name)
    assert name not in everything(ledger_url)
    assert pseudonym in everything(ledger_url)
    assert list(filled.chain_breaks()) == []
    assert [redaction.pseudonym for redaction in filled.redactions()] == [pseudonym]


def test_fingerprints_stay_valid_without_the_name(filled: Ledger) -> None:
    before = filled.fingerprints("1")
    pseudonym = redact(filled)
    after = filled.fingerprints("1")
    assert {shard: fingerprint.root for shard, fingerprint in after.items()} == {
        shard: fingerprint.root for shard, fingerprint in before.items()}
    assert [sum(name.startswith(pseudonym) for name in fingerprint.tenants) for fingerprint in after.values()] == [1]


@pytest.mark.parametrize("pieces", [1, 3])
def test_tenants_in_several_pieces_lose_only_the_name(
    ledger: Ledger, pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """UUIDs compress better than names, so the pieces get longer."""
    uuids = [f"{number:08x}-0000-0000-0000-{number:012x}" for number in range(40)]
    monkeypatch.setattr("orgrecon_pipeline.ledger.statements.fingerprints._PIECE", 16 * 40 // pieces + 1)
    ledger.append(*full("1"), fingerprints=fingerprints(*uuids))
    pseudonym = redact(ledger, uuids[7])
    [stored] = ledger.fingerprints("1").values()
    names = list(stored.tenants)
    assert names[:7] + names[8:] == uuids[:7] + uuids[8:]
    assert names[7].startswith(pseudonym)
    assert list(ledger.chain_breaks()) == []


def test_empty_name_is_removed_only_from_tenants_that_have_it(ledger: Ledger) -> None:
    ledger.append(*full("1"), fingerprints=fingerprints("", "acme"))
    ledger.append(*full("2"), fingerprints=fingerprints("acme", "beta"))
    pseudonym = redact(ledger, "")
    [with_it], [without_it] = (ledger.fingerprints(id_).values() for id_ in "12")
    assert [name.startswith(pseudonym) for name in with_it.tenants] == [True, False]
    assert list(without_it.tenants) == ["acme", "beta"]
    assert list(ledger.chain_breaks()) == []


def test_key_of_a_tenant_is_the_same_on_every_day(ledger: Ledger) -> None:
    ledger.append(*full("1"))
    ledger.append(*full("2"))
    redact(ledger)
    keys = [[key.key for key in ledger.keys(ledger.observation(id_))] for id_ in "12"]  # type: ignore[arg-type]
    assert keys[0] == keys[1] != []
    texts = {text for sample in ledger.samples("1") for text in sample.key.values()}
    assert texts == {text for key in keys[0] for text in key}


@contextlib.contextmanager
def open_door(url: str) -> Iterator[Any]:
    """Open a transaction with a redaction whose link is not stored yet."""
    with raw_connection(url) as connection:
        connection.execute("PRAGMA foreign_keys = ON" if url.startswith("sqlite") else "SELECT 1")
        connection.execute("BEGIN")
        connection.execute(REDACTION)
        yield connection
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("table", CHANGED, ids=lambda table: table.name)
def test_open_redaction_permits_only_personal_columns(filled: Ledger, ledger_url: str, table: sa.Table) -> None:
    for column in table.columns:
        with open_door(ledger_url) as connection:
            statement = f'UPDATE {table.name} SET "{column.name}" = "{column.name}"'
            if column.info == tables.PERSONAL:
                connection.execute(statement)
            else:
                with pytest.raises(REFUSED, match="append-only"):
                    connection.execute(statement)
    with open_door(ledger_url) as connection, pytest.raises(REFUSED, match="append-only"):
        connection.execute(f"DELETE FROM {table.name}")


def test_redaction_without_a_link_cannot_be_committed(filled: Ledger, ledger_url: str) -> None:
    with open_door(ledger_url) as connection:
        connection.execute("UPDATE orgrecon_tenant_row SET tenant = 'nobody' WHERE tenant = 'zeta'")
        with pytest.raises((sqlite3.IntegrityError, psycopg.errors.ForeignKeyViolation)):
            connection.execute("COMMIT")
        if not ledger_url.startswith("sqlite"):
            connection.execute("BEGIN")  # a failed commit ended the transaction
    assert "nobody" not in everything(ledger_url)
    assert list(filled.chain_breaks()) == []


@pytest.mark.parametrize(("part", "statement"), [
    ("observation", "UPDATE orgrecon_observation SET verdict = 'PASS'"),
    ("entities", "UPDATE orgrecon_entity SET missing = 0"),
    ("compared", "UPDATE orgrecon_observation SET compared = '{}'"),
    ("tenants", "DELETE FROM orgrecon_tenant_row WHERE tenant = 'zeta'"),
    ("tenants_without_names", "UPDATE orgrecon_tenant_row SET missing = 0, drift = drift - missing"),
    ("keys_without_names", "UPDATE orgrecon_key SET kind = 'unexpected'"),
    ("samples_without_names", "UPDATE orgrecon_sample SET kind = 'transient'"),
    ("coverage_without_names", "UPDATE orgrecon_coverage SET change = 'departed'"),
    ("change_without_names", "UPDATE orgrecon_change SET change = '{}'"),
    ("acknowledgement", "UPDATE orgrecon_acknowledgement SET kind = 'source'"),
    ("details", """UPDATE orgrecon_acknowledgement SET details = '{"databases": []}'"""),
    ("figures", "UPDATE orgrecon_ready_tenants SET figures = '{}'"),
])
def test_forged_redaction_of_figures_is_found(
    filled: Ledger, ledger_url: str, part: str, statement: str
) -> None:
    """Even with a link of its own, which this code can append to a ledger without triggers."""
    with raw_connection(ledger_url) as connection:
        for table in ("orgrecon_entity", *(changed.name for changed in CHANGED)):
            for trigger in ("no_update", "no_delete", "only_redaction"):
                connection.execute(f"DROP TRIGGER IF EXISTS {table}_{trigger}" if ledger_url.startswith("sqlite")
                                   else f"ALTER TABLE {table} DISABLE TRIGGER USER")
    with filled.writing() as connection:
        chain = filled._chain(connection)
        number = filled._insert_redaction(connection, Redactor.of("zeta", b"secret"), "forged", MOMENT)
        connection.exec_driver_sql(statement)
        every = {(row.kind, row.subject, row.detail) for row, _ in chain.links}
        for row in _changed_parts(connection, chain, every):
            connection.execute(sa.insert(tables.redacted_part).values((number, *row)))
        filled._append_link(connection, "redaction", number)
    breaks = list(filled.chain_breaks())
    assert breaks
    assert part in breaks[0]


def test_process_killed_during_a_redaction_leaves_nothing(
    filled: Ledger, ledger_url: str, start_child: Callable[[str], ChildProcess]
) -> None:
    before, rows = contents(filled), everything(ledger_url)
    for statement in ("INSERT INTO orgrecon_redaction ", "UPDATE orgrecon_key", "orgrecon_redacted_part",
                      "INSERT INTO orgrecon_link"):
        killed = start_child(
            "import os, signal\n"
            "from datetime import datetime, timezone\n"
            "from sqlalchemy import Engine, event\n"
            "from orgrecon_pipeline.domain.integrity.redaction import Redactor\n"
            "from orgrecon_pipeline_tests.support.default_identity import open_ledger\n"
            "@event.listens_for(Engine, 'after_cursor_execute')\n"
            "def kill(connection, cursor, statement, *_):\n"
            f"    if {statement!r} in statement:\n"
            "        os.kill(os.getpid(), signal.SIGKILL)\n"
            "open_ledger(url).redact(Redactor.of('zeta', b'secret'), 'because', datetime.now(timezone.utc))\n")
        assert killed.finish()[0] == -9, statement
        reopened = open_existing(ledger_url)
        assert reopened is not None
        assert contents(reopened) == before
        assert everything(ledger_url) == rows
    redact(filled)
    assert list(filled.chain_breaks()) == []


def test_redaction_during_appends_is_complete_for_what_was_stored_before(ledger_url: str, ledger: Ledger) -> None:
    ledger.append(*full("before"))

    def append(number: int) -> None:
        open_ledger(ledger_url).append(*full(f"{number}"))

    with ThreadPoolExecutor(4) as pool:
        appended = [pool.submit(append, number) for number in range(8)]
        redact(open_ledger(ledger_url))
        for future in appended:
            future.result()
    assert "zeta" not in {row.tenant for row in ledger.breakdown("before", 10)}
    assert list(ledger.chain_breaks()) == []
    assert len(ledger.days()) == 1


def test_login_that_may_only_append_cannot_redact(new_database: Callable[..., str], ledger_template: str) -> None:
    url = new_database(ledger_template)
    ledger = open_ledger(url)
    ledger.append(*full("1"))
    with raw_connection(url) as connection:
        connection.execute(
            "DO $$ BEGIN CREATE ROLE ledger_writer LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        connection.execute("GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO ledger_writer")
    with pytest.raises(EvidenceNotStored, match=r"permission denied.*UPDATE to redact"):
        redact(open_ledger(url.replace("//postgres@", "//ledger_writer@")))
    assert list(ledger.chain_breaks()) == []
    assert ledger.redactions() == []
