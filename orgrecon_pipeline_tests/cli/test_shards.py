"""The command over several databases: what it says, what it leaves behind, and what a kill in between costs."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.demo.company import seed
from orgrecon_pipeline.report.verify import verify_trail
from orgrecon_pipeline_tests.support.cli.process import run, run_in_turn

SHARDS = [{"name": name, "source_env": f"{name.upper()}_URL", "target_env": f"{name.upper()}_URL"}
          for name in ("eu1", "us1")]
TABLES = ("teams", "team_members", "org_units", "org_unit_memberships")
KILLED = ("import os, signal, orgrecon_pipeline.operations.trail.publish as m; "
          "m.write_report = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)")


@pytest.fixture
def environ(new_database: Callable[..., str], template: str, connect: Callable[[str], psycopg.Connection[Any]],
            tmp_path: Path) -> dict[str, str]:
    """Two shards, and the mapping that names them in the working directory."""
    value = default_mapping().model_dump(by_alias=True, mode="json")
    value["scan"] |= {"settle_seconds": 0, "rechecks": 1}
    (tmp_path / "orgrecon.yaml").write_text(json.dumps({**value, "shards": SHARDS}), encoding="utf-8")
    found = {}
    for shard in SHARDS:
        found[shard["source_env"]] = dsn = new_database(template)
        with connect(dsn) as admin:
            seed(admin, tenants=3, users_per_tenant=4)
            for table in TABLES:
                admin.execute(f"UPDATE public.{table} SET tenant_id = '{shard['name']}-' || tenant_id")
            admin.execute(f"UPDATE public.tenants SET id = '{shard['name']}-' || id")
    return found


def test_shards_from_the_command_line(environ: dict[str, str], tmp_path: Path) -> None:
    """A tenant in two of them, one that does not answer, a rerun, and drift: codes, lines, and nothing but these."""
    report = {"arguments": ["report", "--format", "json"], "environ": environ}
    missing = {"arguments": ["report"], "environ": {"EU1_URL": environ["EU1_URL"]}}
    both = {"arguments": ["report"], "environ": {**environ, "US1_URL": environ["EU1_URL"]}}
    away = {**report, "environ": {**environ, "US1_URL": "postgresql://somebody@/orgs?host=/nonexistent/place"}}
    unset, twice, doctor, undecided, rerun, again = run_in_turn(tmp_path, [
        missing, both, {"arguments": ["doctor"], "environ": environ}, away, report, report])
    assert (unset["code"], unset["err"].count("\n")) == (2, 1), unset
    assert "US1_URL is not set" in unset["err"]
    assert (twice["code"], twice["err"].count("\n"), twice["out"]) == (2, 1, ""), twice
    assert "has rows in shard eu1 and in shard us1" in twice["err"]
    assert doctor["code"] == 0, doctor["out"]
    assert undecided["code"] == 3, undecided
    record = json.loads(undecided["out"])
    assert record["reason"].startswith("shard us1: cannot connect to the database of US1_URL: there is no such socket")
    assert len(record["observations"]) == 1, "nothing was kept of what was refused"
    assert [rerun["code"], again["code"]] == [0, 0], rerun
    facts = json.loads(rerun["out"])["compared"]["shards"]
    assert facts["eu1"]["reused_from"] == record["observations"][0]["id"]
    assert "reused_from" not in facts["us1"]
    assert not any("reused_from" in each for each in json.loads(again["out"])["compared"]["shards"].values())
    assert verify_trail(next(tmp_path.rglob("org-v23-reconciliation-reports"))).sound


def test_a_run_over_shards_killed_between_ledger_and_file(environ: dict[str, str], tmp_path: Path) -> None:
    """Whatever runs next writes the report of what was found."""
    assert run(tmp_path, "report", program=KILLED, **environ)[0] == -signal.SIGKILL
    assert not list(tmp_path.rglob("*.md"))
    assert run(tmp_path, "render", f"{datetime.now(timezone.utc):%F}")[0] == 0
    [written] = tmp_path.rglob("20*.md")
    first = written.read_bytes()
    assert b"eu1" in first
    written.unlink()
    assert run(tmp_path, "report", "--baseline")[0] == 0
    assert written.read_bytes() == first
