"""A forged fact in a ledger never ends a command with an internal error, and never helps to open a gate."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, timezone
from itertools import islice
from pathlib import Path

import pytest

from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.ledger.connection.address import SqliteAddress
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.metrics.snapshot import take_snapshot
from orgrecon_pipeline.operations.gate.sources import GateEvidence
from orgrecon_pipeline.operations.trail.importer import import_record
from orgrecon_pipeline.operations.trail.publish import record_of
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline_tests.support.default_identity import IDENTITY
from orgrecon_pipeline_tests.support.ledger.cases import new_sqlite_ledger, raw_connection
from orgrecon_pipeline_tests.support.mutations import json_text, mutations
from orgrecon_pipeline_tests.support.report.cases import DAY
from orgrecon_pipeline_tests.support.report.forgery import open_gates, trails

DRIFTING_DAY = DAY - timedelta(days=1)
READY_TENANTS = trails()["drifting"][DRIFTING_DAY].ready_tenants
assert READY_TENANTS is not None
NOW = datetime.combine(DAY, time(12), timezone.utc)

#: The columns with JSON that reports and gates are made from.
COLUMNS = [("observation", "compared"), ("observation", "reason_parameters"), ("change", "change"), ("sample", "key"),
           ("sample", "differing_columns"), ("sample", "column_values"), ("sample", "context"),
           ("ready_tenants", "figures"), ("key", "key"), ("key", "differing_columns"), ("acknowledgement", "details")]


def path_of(ledger: Ledger) -> Path:
    assert isinstance(ledger.address, SqliteAddress)
    return ledger.address.path


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """A ledger with every kind of evidence, whose rows can be edited."""
    ledger = new_sqlite_ledger(tmp_path_factory.mktemp("forged") / "ledger.db")
    for record in trails()["drifting"].values():
        import_record(ledger, record)
    drifting = ledger.observations(DRIFTING_DAY)[0].id
    pins = {"eu.source": {"system_identifier": "1", "database": "app"}}
    ledger.acknowledge("coverage", "umbrella left", drifting, {"lost": ["tenant umbrella"]}, NOW)
    ledger.acknowledge("source", "moved", drifting, {"databases": pins, "replaced": pins}, NOW)
    ledger.acknowledge("ledger", "intended", None, {"ledger": None, "until": "2026-11-23T08:00:00.000000Z"}, NOW)
    with raw_connection(f"sqlite:///{path_of(ledger)}") as connection:
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute("PRAGMA journal_mode = DELETE")  # the whole ledger is one file, which a test can restore
    return ledger


def opened_by(ledger: Ledger) -> set[str]:
    """Read a ledger in every way, and return whose gates it opens; see :func:`open_gates`."""
    policy = GatePolicy(window_days=2)
    evidence = GateEvidence(IDENTITY, ledger, {}, ledger.evidence(date.max), policy, NOW, None)
    assert take_snapshot(ledger, policy, NOW).ledger_up
    for day in ledger.days():
        assert render(record_of(ledger, day))
        for observation in ledger.observations(day):
            list(ledger.keys(observation))
            assert observation.drifting_keys()
    assert ledger.ready_tenants(ledger.observations(DRIFTING_DAY)[0].id, READY_TENANTS.evidence)
    assert all(ledger.acknowledgements(kind) for kind in ("coverage", "source", "ledger"))
    return open_gates(evidence)


def refusal(ledger: Ledger, opened: set[str]) -> str:
    """Return why a ledger is refused, empty if it is not; it must open no other gates."""
    try:
        assert opened_by(ledger) <= opened
    except ConfigurationError as refused:
        return str(refused)
    return ""


def forgeries(text: str, every: int) -> Iterator[tuple[str, str]]:
    """Yield what was forged in a JSON text, and the forged text."""
    document = {"": json.loads(text)}
    for what, _ in islice(mutations(document), 0, None, every):
        yield what, json_text(document.get(""))
    for text in ("{x", "[" * 5000, ""):
        yield text[:9], text


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_damaged_column_is_named_with_its_day_or_acknowledgement(table: str, column: str, ledger: Ledger) -> None:
    path = path_of(ledger)
    original = path.read_bytes()
    with raw_connection(f"sqlite:///{path}") as connection:
        connection.execute(f"UPDATE orgrecon_{table} SET {column} = '{{x' WHERE {column} IS NOT NULL")
    try:
        assert re.search(rf"\((2026-11-2\d|acknowledgement \d): {column} is not JSON\)", refusal(ledger, set()))
    finally:
        path.write_bytes(original)


@pytest.mark.parametrize("every", [
    pytest.param(61, id="some", marks=pytest.mark.brief),
    pytest.param(13, id="many", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_forged_fact_in_a_ledger_is_refused_or_harmless(
    table: str, column: str, every: int, ledger: Ledger
) -> None:
    opened, path = opened_by(ledger), path_of(ledger)
    original = path.read_bytes()
    with raw_connection(f"sqlite:///{path}") as connection:
        texts = connection.execute(
            f"SELECT DISTINCT {column} FROM orgrecon_{table} WHERE {column} IS NOT NULL").fetchall()
    assert texts
    for (text,) in texts:
        for what, forged in forgeries(text, every):
            with raw_connection(f"sqlite:///{path}") as connection:
                connection.execute(
                    f"UPDATE orgrecon_{table} SET {column} = ? WHERE {column} = ?", (forged, text))
            try:
                why = refusal(ledger, opened)
                assert not why or "holds values that orgrecon did not write" in why
                assert "\n" not in why
            except Exception as error:
                raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
            finally:
                path.write_bytes(original)
