"""``orgrecon report`` against figures that the tests count themselves in the raw tables."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.demo.company import seed
from orgrecon_pipeline.demo.faults import Fault, inject
from orgrecon_pipeline_tests.support.cli.mapping import write_mapping
from orgrecon_pipeline_tests.support.cli.process import run

KINDS = ("missing", "unexpected", "mismatched", "duplicate")
OTHER_SCHEMA = """
version: 1
entities:
  groups:
    key: [group_id]
    compare: [title, parent]
    source:
      - {from: old.squads, columns: {tenant_id: org, group_id: "'s' || id", title: label, parent: "NULL::text"}}
      - {from: old.tribes t, columns: {tenant_id: t.org, group_id: "'t' || t.id", title: t.label, parent: t.boss},
         where: t.label NOT LIKE '%(closed)'}
    target: {from: 'new."Units"', columns: {tenant_id: '"Org"', group_id: key, title: name, parent: parent}}
scan: {settle_seconds: 0, rechecks: 0}
report: {breakdown_limit: 2, sample_keys: 3, sample_values: true}
"""
SHARD = [{"name": "eu", "source_env": "EU", "target_env": "EU"}]


def count_drift(source: list[tuple[Any, ...]], target: list[tuple[Any, ...]], key: int) -> dict[str, dict[str, int]]:
    """Return the drift by tenant. A row is the tenant, then ``key`` columns of the key, then the compared values."""
    sides: list[dict[tuple[Any, ...], Counter[tuple[Any, ...]]]] = []
    for rows in (source, target):
        side: dict[tuple[Any, ...], Counter[tuple[Any, ...]]] = defaultdict(Counter)
        for row in rows:
            side[row[: 1 + key]][row[1 + key:]] += 1
        sides.append(side)
    left, right = sides
    drift: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(KINDS, 0))
    for tenant_and_key in {*left, *right}:
        old, new, tenant = left.get(tenant_and_key), right.get(tenant_and_key), str(tenant_and_key[0])
        if old is None or new is None:
            drift[tenant]["missing" if new is None else "unexpected"] += 1
        elif old != new:
            n, m = sum(old.values()), sum(new.values())
            drift[tenant]["duplicate"] += abs(n - m)
            drift[tenant]["mismatched"] += n == m or set(old) != set(new)
    return dict(drift)


def recorded_drift(record: dict[str, Any], entity: str) -> dict[str, dict[str, int]]:
    """Return the drift by tenant in a record."""
    rows = {row["tenant"]: {kind: row[kind] for kind in KINDS} for row in record["tenants"] if row["entity"] == entity}
    return {tenant: counts for tenant, counts in rows.items() if any(counts.values())}


def summary(markdown: str) -> dict[str, str]:
    """Return the table of the section ``## Summary``."""
    section = markdown.split("## Summary")[1].split("\n## ")[0]
    cells = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return {name.strip(): value.strip() for name, value, *_ in cells}


@pytest.fixture
def mapping(tmp_path: Path) -> str:
    """The default mapping with a short scan, in a file of the working directory."""
    write_mapping(tmp_path / "quick.yaml", scan={"settle_seconds": 0, "rechecks": 1})
    return "quick.yaml"


def test_report_of_known_drift_has_the_figures_of_the_raw_tables(
    company_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path, mapping: str
) -> None:
    admin = connect(company_database)
    seed(admin, tenants=15, users_per_tenant=10)
    for number, fault in enumerate(Fault):
        inject(admin, fault, count=1 + number % 3, seed=number)
    sides = {
        "org_units": (1, [
            "SELECT tenant_id, id, name, 'team', parent_team_id FROM teams WHERE deleted_at IS NULL",
            "SELECT u.tenant_id, u.legacy_id, u.name, u.kind, p.legacy_id FROM org_units u LEFT JOIN org_units p "
            "ON p.id = u.parent_id AND p.tenant_id = u.tenant_id WHERE u.deleted_at IS NULL",
        ]),
        "org_unit_memberships": (2, [
            "SELECT tenant_id, team_id, user_id, role FROM team_members",
            "SELECT m.tenant_id, u.legacy_id, m.user_id, m.role FROM org_unit_memberships m JOIN org_units u "
            "ON u.id = m.org_unit_id AND u.tenant_id = m.tenant_id",
        ]),
    }
    read = {
        name: (key, [admin.execute(query).fetchall() for query in queries]) for name, (key, queries) in sides.items()
    }
    expected = {name: count_drift(source, target, key) for name, (key, (source, target)) in read.items()}

    result = run(tmp_path, "report", "--output-dir", "trail", "--mapping", mapping, "--format", "json",
                 DATABASE_URL=company_database)
    assert result.code == 1, result.err
    record = json.loads(result.out)
    assert record["verdict"] == "FAIL"
    assert record["provenance"] == "live"
    for name, (_, (source, target)) in read.items():
        assert recorded_drift(record, name) == expected[name]
        totals = record["entities"][name]
        assert (totals["source_rows"], totals["target_rows"], totals["transient"]) == (len(source), len(target), 0)
        for kind in KINDS:
            assert totals[kind] == sum(counts[kind] for counts in expected[name].values()) > 0 or kind == "duplicate"
    drifting = set(expected["org_units"]) | set(expected["org_unit_memberships"])
    assert (record["tenants_scanned"], record["tenants_with_drift"]) == (15, len(drifting))

    markdown = (tmp_path / "trail" / f"{record['day']}.md").read_text(encoding="utf-8")
    table = summary(markdown)
    assert table["Tenants scanned"] == "15"
    assert table["Tenants with drift"] == str(len(drifting))
    assert table["Gate status"] == "**FAIL**"
    for name, totals in record["entities"].items():
        for kind in (*KINDS, "transient"):
            assert table[f"{kind.capitalize()} `{name}` rows"] == str(totals[kind])

    verified = run(tmp_path, "verify", "trail")
    assert verified.code == 0, verified.out
    path = tmp_path / "trail" / f"{record['day']}.md"
    path.write_text(markdown.replace("**FAIL**", "**PASS**"), encoding="utf-8")
    edited = run(tmp_path, "verify", "trail")
    assert edited.code == 1
    assert "was edited" in edited.out


def test_report_of_another_schema_with_lists_quotes_and_percent_signs(
    empty_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path
) -> None:
    connect(empty_database).execute("""
        CREATE SCHEMA old; CREATE SCHEMA new;
        CREATE TABLE old.squads (org int, id int, label varchar(20));
        CREATE TABLE old.tribes (org int, id int, label text, boss text);
        CREATE TABLE new."Units" ("Org" int, key text, name text, parent text);
        INSERT INTO old.squads SELECT o, i, 'squad ' || i FROM generate_series(1, 4) o, generate_series(1, 5) i;
        INSERT INTO old.tribes VALUES (1, 1, 'a|b', NULL), (2, 1, 'x (closed)', NULL), (3, 1, 'c', 'boss');
        INSERT INTO new."Units" SELECT org, 's' || id, label, NULL FROM old.squads;
        INSERT INTO new."Units" VALUES (1, 't1', 'a|b', NULL), (3, 't1', 'c', NULL), (4, 's5', 'squad 5', NULL);
        DELETE FROM new."Units" WHERE "Org" = 2 AND key = 's1';
    """)
    (tmp_path / "orgrecon.yaml").write_text(OTHER_SCHEMA, encoding="utf-8")
    result = run(tmp_path, "report", "--format", "json", DATABASE_URL=empty_database)
    assert result.code == 1, result.err
    record = json.loads(result.out)
    none = dict.fromkeys(KINDS, 0)
    assert recorded_drift(record, "groups") == {"2": {**none, "missing": 1}, "3": {**none, "mismatched": 1}}
    assert record["entities"]["groups"] == {
        "source_rows": 22, "target_rows": 22, "missing": 1, "unexpected": 0, "mismatched": 1, "duplicate": 1,
        "transient": 0,
    }
    # The breakdown is limited to two tenants, the figures are not.
    assert (record["tenants_scanned"], record["tenants_with_drift"]) == (4, 3)
    mismatched = next(sample for sample in record["samples"] if sample["kind"] == "mismatched")
    expected = {"tenant": "3", "entity": "groups", "kind": "mismatched", "key": {"group_id": "t1"},
                "columns": ["parent"], "values": {"parent": ["boss", None]}}
    assert {name: mismatched[name] for name in expected} == expected


def test_condition_on_the_time_is_compared_with_a_warning(tmp_path: Path, seeded_database: str) -> None:
    write_mapping(tmp_path / "aging.yaml", tenants={
        "from": "public.tenants", "tenant": "id", "where": "now() > '2020-01-01'"}, scan={"rechecks": 0})
    result = run(tmp_path, "report", "--output-dir", "trail", "--mapping", "aging.yaml", "--format", "json",
                 DATABASE_URL=seeded_database)
    assert result.code == 0, result.err
    record = json.loads(result.out)
    [warning] = record["compared"]["warnings"]
    assert (warning["code"], warning["subject"]) == ("depends_on_time", "tenants")
    assert f"orgrecon: warning: {warning['text']}" in result.err.splitlines()
    report = (tmp_path / "trail" / f"{record['day']}.md").read_text(encoding="utf-8")
    assert warning["text"].split(" (")[0] in report.split("## Warnings")[1].split("\n## ")[0]


def test_rerun_adds_an_observation_that_decides(
    company_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path, mapping: str
) -> None:
    seed(connect(company_database), tenants=4, users_per_tenant=4)
    arguments = ("report", "--mapping", mapping, "--format", "json")
    first, second = (run(tmp_path, *arguments, DATABASE_URL=company_database) for _ in range(2))
    assert (first.code, second.code) == (0, 0), first.err + second.err
    record = json.loads(second.out)
    assert [observation["verdict"] for observation in record["observations"]] == ["PASS", "PASS"]
    assert [observation["decides"] for observation in record["observations"]] == [False, True]
    [path] = (tmp_path / "docs/runbooks/org-v23-reconciliation-reports").glob("*.md")
    written = path.read_bytes()
    assert run(tmp_path, "render", record["day"]).code == 0
    assert path.read_bytes() == written
    gate = run(tmp_path, "gate", "--format", "json")
    assert (gate.code, json.loads(gate.out)["streak_days"]) == (1, 1)


def test_baseline_is_reproducible_and_never_replaces_a_live_report(
    company_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path, mapping: str
) -> None:
    seed(connect(company_database), tenants=2, users_per_tenant=2)
    trail = tmp_path / "docs/runbooks/org-v23-reconciliation-reports"
    assert run(tmp_path, "report", "--baseline").code == 0
    [path] = trail.glob("*.md")
    stamped = path.read_bytes()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert run(elsewhere, "report", "--baseline", "--output-dir", "trail").code == 0
    assert (elsewhere / "trail" / path.name).read_bytes() == stamped
    assert run(tmp_path, "report", "--baseline").code == 0
    assert path.read_bytes() == stamped

    live = run(tmp_path, "report", "--mapping", mapping, DATABASE_URL=company_database)
    assert live.code == 0, live.err
    written = path.read_bytes()
    assert written != stamped
    again = run(tmp_path, "report", "--baseline")
    assert (again.code, path.read_bytes()) == (0, written)
    assert "a baseline never replaces it" in again.err
    # With a new ledger, as in CI, the existing report is enough to protect it.
    fresh = run(tmp_path, "report", "--baseline", ORGRECON_LEDGER_URL="sqlite:///fresh/ledger.db")
    assert (fresh.code, path.read_bytes()) == (0, written)


@pytest.mark.parametrize(("environ", "shards", "message"), [
    ({"ORGRECON_TARGET_DATABASE_URL": "mysql://h/d"}, [], "ORGRECON_TARGET_DATABASE_URL is not a Postgres URL"),
    ({}, SHARD, "EU is not set"),
    ({"EU": "postgresql://h/d", "ORGRECON_TARGET_DATABASE_URL": "postgresql://h/e"},
     SHARD, "the mapping lists shards, which name their own databases"),
])
def test_incomplete_database_variables_are_a_configuration_error(
    company_database: str, tmp_path: Path, environ: dict[str, str], shards: list[dict[str, str]], message: str
) -> None:
    write_mapping(tmp_path / "orgrecon.yaml", shards=shards)
    for command in ("report", "doctor"):
        result = run(tmp_path, command, **environ, DATABASE_URL=company_database)
        assert (result.code, result.out) == (2, "")
        assert message in result.err
        assert result.err.count("\n") == 1


def test_baseline_over_a_failed_live_day_exits_0(
    company_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path, mapping: str
) -> None:
    admin = connect(company_database)
    seed(admin, tenants=2, users_per_tenant=4)
    inject(admin, Fault.WRONG_ROLE)
    live = run(tmp_path, "report", "--mapping", mapping, DATABASE_URL=company_database)
    assert live.code == 1, live.err
    assert run(tmp_path, "report", "--baseline").code == 0


def test_inconclusive_rerun_exits_3_and_leaves_the_day_unchanged(
    company_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path, mapping: str
) -> None:
    admin = connect(company_database)
    seed(admin, tenants=2, users_per_tenant=4)
    arguments = ("report", "--mapping", mapping, "--format", "json")
    assert run(tmp_path, *arguments, DATABASE_URL=company_database).code == 0
    admin.execute("ALTER TABLE org_units RENAME TO renamed")
    result = run(tmp_path, *arguments, DATABASE_URL=company_database)
    record = json.loads(result.out)
    assert (result.code, record["verdict"]) == (3, "PASS")
    assert [observation["verdict"] for observation in record["observations"]] == ["PASS", "INCONCLUSIVE"]
    assert "a table does not exist" in result.err
    assert result.err.count("\n") == 1
    shown = run(tmp_path, *arguments[:-2], DATABASE_URL=company_database).out
    assert "this attempt: INCONCLUSIVE; the day stays PASS" in shown
