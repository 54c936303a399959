"""``orgrecon report`` from outside: a company with known drift, against counters of its own over the raw tables."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.demo.company import seed
from orgrecon_pipeline.demo.drift import Fault, inject
from orgrecon_pipeline_tests.support.cli.process import run as run_command

KINDS = ("missing", "unexpected", "mismatched", "duplicate")
IMPATIENT = "scan: {settle_seconds: 0, rechecks: 1}\n"
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


def orgrecon(cwd: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would."""
    code, out, err = run_command(cwd, *arguments, **environ)
    return subprocess.CompletedProcess(arguments, code, out, err)


def counted(source: list[tuple[Any, ...]], target: list[tuple[Any, ...]], key: int) -> dict[str, dict[str, int]]:
    """Drift by tenant; rows are tenant, then ``key`` columns of the key, then what is compared."""
    sides: list[dict[tuple[Any, ...], Counter[tuple[Any, ...]]]] = []
    for rows in (source, target):
        side: dict[tuple[Any, ...], Counter[tuple[Any, ...]]] = defaultdict(Counter)
        for row in rows:
            side[row[: 1 + key]][row[1 + key:]] += 1
        sides.append(side)
    left, right = sides
    found: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(KINDS, 0))
    for where in {*left, *right}:
        one, other, tenant = left.get(where), right.get(where), str(where[0])
        if one is None or other is None:
            found[tenant]["missing" if other is None else "unexpected"] += 1
        elif one != other:
            n, m = sum(one.values()), sum(other.values())
            found[tenant]["duplicate"] += abs(n - m)
            found[tenant]["mismatched"] += n == m or set(one) != set(other)
    return dict(found)


def rows_of(record: dict[str, Any], entity: str) -> dict[str, dict[str, int]]:
    """The drifting tenants of a record."""
    rows = {row["tenant"]: {kind: row[kind] for kind in KINDS} for row in record["tenants"] if row["entity"] == entity}
    return {tenant: counts for tenant, counts in rows.items() if any(counts.values())}


def summary(markdown: str) -> dict[str, str]:
    """The table under ``## Summary``."""
    section = markdown.split("## Summary")[1].split("\n## ")[0]
    cells = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return {name.strip(): value.strip() for name, value, *_ in cells}


@pytest.fixture
def impatient(tmp_path: Path) -> Path:
    path = tmp_path / "impatient.yaml"
    text = "".join(
        IMPATIENT if line.startswith("scan:") else line
        for line in (Path(sys.modules[default_mapping.__module__].__file__ or "").parent / "default_mapping.yaml")
        .read_text(encoding="utf-8").splitlines(keepends=True)
    )
    path.write_text(text, encoding="utf-8")
    return path


def test_known_drift_with_the_packaged_mapping(
    company_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path, impatient: Path
) -> None:
    admin = connect(company_database)
    seed(admin, tenants=15, users_per_tenant=10)
    for place, fault in enumerate(Fault):
        inject(admin, fault, count=1 + place % 3, seed=place)
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
    expected = {name: counted(source, target, key) for name, (key, (source, target)) in read.items()}

    run = orgrecon(tmp_path, "report", "--output-dir", "trail", "--mapping", str(impatient), "--format", "json",
                   DATABASE_URL=company_database)
    assert run.returncode == 1, run.stderr
    record = json.loads(run.stdout)
    assert record["verdict"] == "FAIL"
    assert record["provenance"] == "live"
    for name, (_, (source, target)) in read.items():
        assert rows_of(record, name) == expected[name]
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

    verified = orgrecon(tmp_path, "verify", "trail")
    assert verified.returncode == 0, verified.stdout
    path = tmp_path / "trail" / f"{record['day']}.md"
    path.write_text(markdown.replace("**FAIL**", "**PASS**"), encoding="utf-8")
    edited = orgrecon(tmp_path, "verify", "trail")
    assert edited.returncode == 1
    assert "was edited" in edited.stdout


def test_another_schema_with_lists_quotes_and_percent_signs(
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
    run = orgrecon(tmp_path, "report", "--format", "json", DATABASE_URL=empty_database)
    assert run.returncode == 1, run.stderr
    record = json.loads(run.stdout)
    none = dict.fromkeys(KINDS, 0)
    assert rows_of(record, "groups") == {"2": {**none, "missing": 1}, "3": {**none, "mismatched": 1}}
    assert record["entities"]["groups"] == {
        "source_rows": 22, "target_rows": 22, "missing": 1, "unexpected": 0, "mismatched": 1, "duplicate": 1,
        "transient": 0,
    }
    assert (record["tenants_scanned"], record["tenants_with_drift"]) == (4, 3)  # two of them shown, by the limit
    mismatched = next(sample for sample in record["samples"] if sample["kind"] == "mismatched")
    assert mismatched == {"tenant": "3", "entity": "groups", "kind": "mismatched", "key": {"group_id": "t1"},
                          "columns": ["parent"], "values": {"parent": ["boss", None]}}


def test_the_same_day_twice(
    company_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path, impatient: Path
) -> None:
    seed(connect(company_database), tenants=4, users_per_tenant=4)
    arguments = ("report", "--mapping", str(impatient), "--format", "json")
    first, second = (orgrecon(tmp_path, *arguments, DATABASE_URL=company_database) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    record = json.loads(second.stdout)
    assert [seen["verdict"] for seen in record["observations"]] == ["PASS", "PASS"]
    assert [seen["decides"] for seen in record["observations"]] == [False, True]
    [path] = (tmp_path / "docs/runbooks/org-v23-reconciliation-reports").glob("*.md")
    written = path.read_bytes()
    assert orgrecon(tmp_path, "render", record["day"]).returncode == 0
    assert path.read_bytes() == written
    gate = orgrecon(tmp_path, "gate", "--format", "json")
    assert (gate.returncode, json.loads(gate.stdout)["streak_days"]) == (1, 1)


def test_a_baseline_is_the_same_bytes_and_replaces_nothing_live(
    company_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path, impatient: Path
) -> None:
    seed(connect(company_database), tenants=2, users_per_tenant=2)
    trail = tmp_path / "docs/runbooks/org-v23-reconciliation-reports"
    assert orgrecon(tmp_path, "report", "--baseline").returncode == 0
    [path] = trail.glob("*.md")
    stamped = path.read_bytes()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert orgrecon(elsewhere, "report", "--baseline", "--output-dir", "trail").returncode == 0
    assert (elsewhere / "trail" / path.name).read_bytes() == stamped
    assert orgrecon(tmp_path, "report", "--baseline").returncode == 0
    assert path.read_bytes() == stamped

    live = orgrecon(tmp_path, "report", "--mapping", str(impatient), DATABASE_URL=company_database)
    assert live.returncode == 0, live.stderr
    written = path.read_bytes()
    assert written != stamped
    again = orgrecon(tmp_path, "report", "--baseline")
    assert (again.returncode, path.read_bytes()) == (0, written)
    assert "a baseline never replaces it" in again.stderr
    # A new ledger, as in CI: the report that lies there is all that is known, and it is enough.
    fresh = orgrecon(tmp_path, "report", "--baseline", ORGRECON_LEDGER_URL="sqlite:///fresh/ledger.db")
    assert (fresh.returncode, path.read_bytes()) == (0, written)


@pytest.mark.parametrize(("environ", "mapping", "words"), [
    ({"ORGRECON_TARGET_DATABASE_URL": "mysql://h/d"}, "", "ORGRECON_TARGET_DATABASE_URL is not a Postgres URL"),
    ({}, "shards: [{name: eu, source_env: EU, target_env: EU}]", "EU is not set"),
    ({"EU": "postgresql://h/d", "ORGRECON_TARGET_DATABASE_URL": "postgresql://h/e"},
     "shards: [{name: eu, source_env: EU, target_env: EU}]", "the mapping has shards that name their own databases"),
])
def test_a_part_is_never_taken_for_the_whole(
    company_database: str, tmp_path: Path, environ: dict[str, str], mapping: str, words: str
) -> None:
    text = (Path(sys.modules[default_mapping.__module__].__file__ or "").parent / "default_mapping.yaml").read_text()
    (tmp_path / "orgrecon.yaml").write_text(text.replace("shards:   []", mapping), encoding="utf-8")
    for command in ("report", "doctor"):
        run = orgrecon(tmp_path, command, **environ, DATABASE_URL=company_database)
        assert (run.returncode, run.stdout) == (2, "")
        assert words in run.stderr
        assert run.stderr.count("\n") == 1


def test_a_baseline_over_a_failed_live_day_changes_nothing_and_exits_0(
    company_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path, impatient: Path
) -> None:
    admin = connect(company_database)
    seed(admin, tenants=2, users_per_tenant=4)
    inject(admin, Fault.WRONG_ROLE)
    live = orgrecon(tmp_path, "report", "--mapping", str(impatient), DATABASE_URL=company_database)
    assert live.returncode == 1, live.stderr
    assert orgrecon(tmp_path, "report", "--baseline").returncode == 0


def test_an_undecided_rerun_exits_3_and_leaves_the_day_as_it_was(
    company_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path, impatient: Path
) -> None:
    admin = connect(company_database)
    seed(admin, tenants=2, users_per_tenant=4)
    arguments = ("report", "--mapping", str(impatient), "--format", "json")
    assert orgrecon(tmp_path, *arguments, DATABASE_URL=company_database).returncode == 0
    admin.execute("ALTER TABLE org_units RENAME TO renamed")
    run = orgrecon(tmp_path, *arguments, DATABASE_URL=company_database)
    record = json.loads(run.stdout)
    assert (run.returncode, record["verdict"]) == (3, "PASS")
    assert [seen["verdict"] for seen in record["observations"]] == ["PASS", "INCONCLUSIVE"]
    assert "a table does not exist" in run.stderr
    assert run.stderr.count("\n") == 1
    shown = orgrecon(tmp_path, *arguments[:-2], DATABASE_URL=company_database).stdout
    assert "this attempt: INCONCLUSIVE; the day stays PASS" in shown
