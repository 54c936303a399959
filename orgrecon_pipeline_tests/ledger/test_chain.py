"""Every change of a ledger without orgrecon breaks its hash chain, or contradicts a head that was noted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa

from orgrecon_pipeline.domain.canonical import canonical_json, sha256_of
from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.evidence import Change, Oldest, Provenance, StateCounts
from orgrecon_pipeline.domain.integrity.chain import ChainHead, Imported, LinkEntry, imported_links
from orgrecon_pipeline.domain.integrity.redaction import Redactor
from orgrecon_pipeline.ledger import tables
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.ledger.cases import DAY, fingerprints, full, observation, raw_connection
from orgrecon_pipeline_tests.support.report.cases import ready_tenants

pytestmark = pytest.mark.usefixtures("kept_connection")

MOMENT = datetime(2026, 11, 23, tzinfo=timezone.utc)
#: The tables of evidence. Notifications are none, and the id of the ledger stands in every link.
EVIDENCE = [table for table in tables.metadata.sorted_tables
            if table.name not in ("orgrecon_ledger", "orgrecon_notification", "orgrecon_link")]


@pytest.fixture
def plain(ledger: Ledger) -> Ledger:
    """A ledger with three observations, an acknowledgement, a shard's result and tenant gates, in six links."""
    ledger.append(*full("1"), fingerprints=fingerprints())
    ledger.append(*full("2", DAY + timedelta(days=1)))
    ledger.acknowledge("coverage", "because", "1", {"lost": ["tenant acme"]}, MOMENT)
    ledger.append_shard_result("1", "eu1", False, {"tenants": 3})
    ledger.append(observation("3", DAY + timedelta(days=2)), (), (), ())
    ledger.append_ready_tenants("1", ready_tenants())
    return ledger


@pytest.fixture
def filled(plain: Ledger) -> Ledger:
    """The ledger after a redaction, its seventh link, which changed the evidence of the first two links."""
    plain.redact(Redactor.of("zeta", b"secret"), "because", MOMENT)
    return plain


@pytest.fixture
def tamper(ledger_url: str, ledger: Ledger) -> Iterator[Callable[[str], None]]:
    """Execute a statement without the triggers and foreign keys of the ledger, as its owner can."""
    with raw_connection(ledger_url) as connection:
        if ledger_url.startswith("sqlite"):
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for (name,) in names:
                connection.execute(f"DROP TRIGGER {name}")
        else:
            for table in tables.metadata.sorted_tables:
                connection.execute(f"ALTER TABLE {table.name} DISABLE TRIGGER ALL")
        yield connection.execute


def changed(column: sa.Column[Any]) -> str:
    """Return an SQL expression for another value of a column."""
    if isinstance(column.type, sa.Date):
        return "'2020-02-02'"
    if isinstance(column.type, tables.Instant):
        return "'2020-02-02T00:00:00.000000+00:00'"
    if isinstance(column.type, tables.Bytes):
        return "'changed'"
    if isinstance(column.type, sa.Integer):
        if column.name in ("ordinal", "position") or (column.table is tables.tenant_row and column.name == "entity"):
            return f'"{column.name}" + 100'
        return f'1 - "{column.name}"' if column.name == "exact" else f'CASE "{column.name}" WHEN 5 THEN 6 ELSE 5 END'
    values = {"verdict": "INCONCLUSIVE", "provenance": "restored", "subject": "column", "change": "departed",
              "kind": "source"}
    if column.table is not tables.change and column.name in values:
        return f"'{values[column.name]}'"
    return f"coalesce(\"{column.name}\", '') || ' '"


def changeable(table: sa.Table) -> list[sa.Column[Any]]:
    """Return the columns that hold evidence: not the numbers that join rows, nor those that a check holds to a sum."""
    summed = {"drift", *(kind.value for kind in DriftKind)} if table is tables.tenant_row else set()
    return [column for column in table.columns if column.name not in {"number", "observation", "redaction"} | summed]


@pytest.mark.parametrize("table", EVIDENCE, ids=lambda table: table.name)
def test_changed_value_of_any_column_breaks_the_chain(
    filled: Ledger, tamper: Callable[[str], None], table: sa.Table
) -> None:
    where = {"orgrecon_observation": " WHERE id = '3'"}.get(table.name, "")
    tamper(f"CREATE TABLE original AS SELECT * FROM {table.name}")
    for column in changeable(table):
        tamper(f'UPDATE {table.name} SET "{column.name}" = {changed(column)}{where}')
        assert list(filled.chain_breaks()), column.name
        tamper(f"DELETE FROM {table.name}")
        tamper(f"INSERT INTO {table.name} SELECT * FROM original")
        assert list(filled.chain_breaks()) == [], column.name


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)  # Postgres refuses them
@pytest.mark.parametrize("value", ["1.5", "10000000000000"])
@pytest.mark.parametrize("table", [tables.fingerprint, tables.tenant_set], ids=lambda table: table.name)
def test_number_in_place_of_bytes_breaks_the_chain(
    filled: Ledger, tamper: Callable[[str], None], table: sa.Table, value: str
) -> None:
    tamper(f"UPDATE {table.name} SET piece = {value}")
    assert len(list(filled.chain_breaks())) == 1
    with pytest.raises(ConfigurationError, match="holds values that orgrecon did not write"):
        filled.fingerprints("1")


def test_figures_of_an_entity_named_tenant_are_in_the_part_without_names(ledger: Ledger) -> None:
    """No redaction can change that part."""
    parts = []
    for keys in (1, 2):
        counts = StateCounts(new=keys, persistent=0, healed=0)
        made = observation(f"{keys}", change=Change(
            since=None, observation=None, skipped=(), entities={"tenant": {kind.value: counts for kind in DriftKind}},
            oldest={"tenant": Oldest(first_seen=DAY, tenant="acme")}))
        ledger.append(made, (), (), ())
        parts.append(LinkEntry.model_validate_json(ledger.links()[-1].entry).content["change_without_names"])
    assert parts[0] != parts[1]


@pytest.mark.parametrize("table", EVIDENCE, ids=lambda table: table.name)
def test_removed_row_of_any_table_breaks_the_chain(
    filled: Ledger, tamper: Callable[[str], None], table: sa.Table
) -> None:
    tamper(f"DELETE FROM {table.name}")
    assert list(filled.chain_breaks())


@pytest.mark.parametrize("table", EVIDENCE, ids=lambda table: table.name)
def test_inserted_row_of_any_table_breaks_the_chain(
    filled: Ledger, tamper: Callable[[str], None], table: sa.Table
) -> None:
    new = {"number": "number + 100", "ordinal": "ordinal + 100", "id": "id || 'x'", "shard": "shard || 'x'",
           "tenant": "tenant || 'x'", "evidence": "evidence || 'x'", "name": "name || 'x'",
           "position": "position + 100"}
    if table is tables.change:
        new["observation"] = "(SELECT max(number) FROM orgrecon_observation)"
    names = [column.name for column in table.columns]
    values = ", ".join(new.get(name, f'"{name}"') for name in names)
    quoted = ", ".join(f'"{name}"' for name in names)
    tamper(f"INSERT INTO {table.name} ({quoted}) SELECT {values} FROM {table.name} LIMIT 1")
    assert list(filled.chain_breaks())


def rehash(entry: str, **fields: Any) -> tuple[str, str]:
    """Return an edited entry with its right hash, as somebody writes it who knows the format."""
    edited = {**json.loads(entry), **fields}
    return canonical_json(edited), sha256_of(edited)


LINKS = {
    "a link removed": (
        lambda links: ["DELETE FROM orgrecon_link WHERE position = 2"],
        "link 2 is missing: it was removed."),
    "links removed": (
        lambda links: ["DELETE FROM orgrecon_link WHERE position IN (2, 3)"],
        "links 2 to 3 are missing: they were removed."),
    "a link and its evidence removed, and the rest moved up": (
        lambda links: ["DELETE FROM orgrecon_link WHERE position = 4",
                       "DELETE FROM orgrecon_shard_result",
                       "UPDATE orgrecon_link SET position = 4 WHERE position = 5"],
        "link 4 does not follow link 3: links were removed, replaced or re-ordered."),
    "links re-ordered": (
        lambda links: ["UPDATE orgrecon_link SET position = 100 WHERE position = 1",
                       "UPDATE orgrecon_link SET position = 1 WHERE position = 2",
                       "UPDATE orgrecon_link SET position = 2 WHERE position = 100"],
        "link 1 does not follow the beginning of the chain: links were removed, replaced or re-ordered."),
    "an entry edited": (
        lambda links: [f"UPDATE orgrecon_link SET entry = '{rehash(links[1].entry, day='2026-01-01')[0]}' "
                       "WHERE position = 2"],
        "link 2 was edited: its entry does not have its hash."),
    "an entry edited and hashed": (
        lambda links: ["UPDATE orgrecon_link SET entry = '{}', hash = '{}' WHERE position = 2".format(
            *rehash(links[1].entry, day="2026-01-01"))],
        "link 3 does not follow link 2: links were removed, replaced or re-ordered."),
    "an entry that is no entry": (
        lambda links: ["UPDATE orgrecon_link SET entry = '{}' WHERE position = 3"],
        "link 3 was edited: its entry is not one that orgrecon wrote."),
    "a hash edited": (
        lambda links: [f"UPDATE orgrecon_link SET hash = '{'0' * 64}' WHERE position = 5"],
        "link 5 was edited: its entry does not have its hash."),
    "a link before the first": (
        lambda links: ["INSERT INTO orgrecon_link SELECT migration, environment, 0, kind, subject, detail, hash, entry "
                       "FROM orgrecon_link WHERE position = 1"],
        "link 0 cannot exist: it was inserted."),
    "the link of another observation": (
        lambda links: ["UPDATE orgrecon_link SET subject = 2 WHERE position = 1"],
        None),
    "the observation of a link removed": (
        lambda links: ["DELETE FROM orgrecon_observation WHERE id = '3'"],
        "link 5: observation 3 of 2026-11-25 was removed."),
    "the link of a redaction removed": (
        lambda links: ["DELETE FROM orgrecon_link WHERE position = 7"],
        "link 1: observation 1 of 2026-11-23 was changed after it was stored: coverage, keys, samples, tenants."),
    "a redaction and its link removed": (
        lambda links: ["DELETE FROM orgrecon_redacted_part", "DELETE FROM orgrecon_redaction",
                       "DELETE FROM orgrecon_link WHERE position = 7"],
        "link 1: observation 1 of 2026-11-23 was changed after it was stored: coverage, keys, samples, tenants."),
    "a redaction removed": (
        lambda links: ["DELETE FROM orgrecon_redacted_part", "DELETE FROM orgrecon_redaction"],
        "link 1: observation 1 of 2026-11-23 was changed after it was stored: coverage, keys, samples, tenants."),
    "a redaction made to cover another change": (
        lambda links: ["UPDATE orgrecon_tenant_row SET first_seen = NULL",
                       *(f"UPDATE orgrecon_redacted_part SET after = '{digit * 64}'" for digit in "01")],
        None),
}
PLAIN_LINKS = {
    "the last link removed": (
        lambda links: ["DELETE FROM orgrecon_link WHERE position = 6"],
        "the summary of tenant gates of 2026-11-23 has no link: it was inserted without orgrecon."),
    "the last links removed": (
        lambda links: ["DELETE FROM orgrecon_link WHERE position >= 5"],
        "observation 3 of 2026-11-25 has no link: it was inserted without orgrecon."),
}


@pytest.mark.parametrize("case", LINKS)
def test_tampered_chain_names_its_first_break(filled: Ledger, tamper: Callable[[str], None], case: str) -> None:
    assert_broken(filled, tamper, LINKS[case])


@pytest.mark.parametrize("case", PLAIN_LINKS)
def test_shortened_chain_names_its_first_break(plain: Ledger, tamper: Callable[[str], None], case: str) -> None:
    assert_broken(plain, tamper, PLAIN_LINKS[case])


def assert_broken(ledger: Ledger, tamper: Callable[[str], None], case: Any) -> None:
    statements, message = case
    assert list(ledger.chain_breaks()) == []
    for statement in statements(ledger.links()):
        tamper(statement)
    breaks = list(ledger.chain_breaks())
    assert breaks
    assert message in (None, breaks[0])


def test_removed_end_of_a_chain_is_detected_only_by_a_noted_head(
    plain: Ledger, tamper: Callable[[str], None]
) -> None:
    noted = plain.head()
    tamper("DELETE FROM orgrecon_link WHERE position >= 5")
    tamper("DELETE FROM orgrecon_ready_tenants")
    tamper("DELETE FROM orgrecon_entity WHERE observation = (SELECT number FROM orgrecon_observation WHERE id = '3')")
    tamper("DELETE FROM orgrecon_observation WHERE id = '3'")
    assert list(plain.chain_breaks()) == []
    assert noted is not None
    assert noted.position == 6
    assert plain.head() == ChainHead(position=4, hash=plain.links()[-1].hash)


def test_head_is_that_of_the_last_link(ledger: Ledger) -> None:
    assert ledger.head() is None
    ledger.append(*full("1"))
    first = ledger.head()
    assert first is not None
    assert first.position == 1
    ledger.acknowledge("ledger", "because", None, {}, MOMENT)
    second = ledger.head()
    assert second is not None
    assert second.position == 2


def test_chain_of_a_day_has_the_links_of_its_comparisons(ledger: Ledger) -> None:
    baseline = observation("0", provenance=Provenance.BASELINE, observed_at=None, ledger=None)
    ledger.append(baseline, (), (), ())
    ledger.append(*full("1"))
    ledger.append(*full("2", DAY + timedelta(days=1)))
    assert ledger.chain_of(DAY) == {"1": ChainHead(position=2, hash=ledger.links()[1].hash)}
    assert ledger.chain_of(DAY + timedelta(days=9)) == {}


def test_imported_observation_keeps_the_link_of_its_report(ledger: Ledger) -> None:
    original = ChainHead(position=7, hash="a" * 64)
    imported = Imported(report="b" * 64, ledger="0123456789abcdef", chain=original)
    ledger.append(*full("1"), imported=imported)
    assert ledger.chain_of(DAY) == {"1": original}
    assert imported_links(ledger.links()) == {("0123456789abcdef", original)}
    assert LinkEntry.model_validate_json(ledger.links()[0].entry).imported == imported
    assert list(ledger.chain_breaks()) == []


def test_concurrent_writers_append_one_chain(ledger_url: str, ledger: Ledger) -> None:
    def write(number: int) -> None:
        own = open_ledger(ledger_url)
        own.append(*full(f"{number}"))
        own.acknowledge("source", "because", f"{number}", {}, MOMENT)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(24)))
    assert [link.position for link in ledger.links()] == list(range(1, 49))
    assert list(ledger.chain_breaks()) == []
