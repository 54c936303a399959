"""The command over several shards."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.demo.company import seed
from orgrecon_pipeline_tests.support.cli.mapping import write_mapping
from orgrecon_pipeline_tests.support.cli.process import run, run_cases
from orgrecon_pipeline_tests.support.default_identity import verify_trail

SHARDS = [{"name": name, "source_env": f"{name.upper()}_URL", "target_env": f"{name.upper()}_URL"}
          for name in ("eu1", "us1")]
TABLES = ("teams", "team_members", "org_units", "org_unit_memberships")
KILLED = ("import os, signal, orgrecon_pipeline.operations.trail.publish as m; "
          "m.write_report = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)")


@pytest.fixture
def environ(new_database: Callable[..., str], template: str, connect: Callable[[str], psycopg.Connection[Any]],
            tmp_path: Path) -> dict[str, str]:
    """The variables of two shards; their mapping is in the working directory."""
    write_mapping(tmp_path / "orgrecon.yaml", scan={"settle_seconds": 0, "rechecks": 1}, shards=SHARDS)
    variables = {}
    for shard in SHARDS:
        variables[shard["source_env"]] = dsn = new_database(template)
        with connect(dsn) as admin:
            seed(admin, tenants=3, users_per_tenant=4)
            for table in TABLES:
                admin.execute(f"UPDATE public.{table} SET tenant_id = '{shard['name']}-' || tenant_id")
            admin.execute(f"UPDATE public.tenants SET id = '{shard['name']}-' || id")
    return variables


def test_unset_variable_or_tenant_in_two_shards_is_a_configuration_error(
    environ: dict[str, str], tmp_path: Path
) -> None:
    unset, twice, doctor = run_cases(tmp_path, [
        {"arguments": ["report"], "environ": {"EU1_URL": environ["EU1_URL"]}},
        {"arguments": ["report"], "environ": {**environ, "US1_URL": environ["EU1_URL"]}},
        {"arguments": ["doctor"], "environ": environ},
    ])
    assert (unset.code, unset.err.count("\n")) == (2, 1), unset
    assert "US1_URL is not set" in unset.err
    assert (twice.code, twice.err.count("\n"), twice.out) == (2, 1, ""), twice
    assert "has rows in shard eu1 and in shard us1" in twice.err
    assert doctor.code == 0, doctor.out


def test_rerun_reuses_the_shards_that_an_unreachable_one_left_decided(environ: dict[str, str], tmp_path: Path) -> None:
    report = {"arguments": ["report", "--format", "json"], "environ": environ}
    twice = {"arguments": ["report"], "environ": {**environ, "US1_URL": environ["EU1_URL"]}}
    away = {**report, "environ": {**environ, "US1_URL": "postgresql://somebody@/orgs?host=/nonexistent/place"}}
    _, undecided, rerun, again = run_cases(tmp_path, [twice, away, report, report])
    assert undecided.code == 3, undecided
    record = json.loads(undecided.out)
    assert record["reason"].startswith(
        "shard us1: cannot connect to the database of US1_URL: the socket does not exist")
    assert len(record["observations"]) == 1, "the refused run was stored"
    assert [rerun.code, again.code] == [0, 0], rerun
    facts = json.loads(rerun.out)["compared"]["shards"]
    assert facts["eu1"]["reused_from"] == record["observations"][0]["id"]
    assert "reused_from" not in facts["us1"]
    assert not any("reused_from" in shard for shard in json.loads(again.out)["compared"]["shards"].values())
    assert verify_trail(next(tmp_path.rglob("org-v23-reconciliation-reports"))).sound


def test_run_killed_between_ledger_and_file_is_repaired_by_the_next(environ: dict[str, str], tmp_path: Path) -> None:
    assert run(tmp_path, "report", program=KILLED, **environ).code == -signal.SIGKILL
    assert not list(tmp_path.rglob("*.md"))
    assert run(tmp_path, "render", f"{datetime.now(timezone.utc):%F}").code == 0
    [report] = tmp_path.rglob("20*.md")
    rendered = report.read_bytes()
    assert b"eu1" in rendered
    report.unlink()
    assert run(tmp_path, "report", "--baseline").code == 0
    assert report.read_bytes() == rendered
