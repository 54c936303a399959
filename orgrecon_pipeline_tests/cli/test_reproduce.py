"""The command ``reproduce``: exit codes, output, and what it writes."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline_tests.support.cli.process import CommandResult

RUNBOOK = Path(__file__).parents[2] / "docs/runbooks/reproduce-a-verdict.md"
Command = Callable[..., CommandResult]


def digests(directory: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(directory.rglob("*")) if path.is_file()}


def moment_in_record(report: Path) -> list[str]:
    """Run the program of the runbook, and return the first words of its lines."""
    [program] = re.findall(r"```python\n(.*?)```", RUNBOOK.read_text("utf-8"), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", program, str(report)], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert "'lsn': '0/" in lines[0]
    return [line.split()[0] for line in lines]


def test_reproduction_exits_by_its_result_and_writes_nothing(
    seeded_database: str, connect: Callable[[str], psycopg.Connection[Any]], orgrecon: Command, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing = orgrecon("reproduce")
    assert (missing.code, "there is no ledger: check ORGRECON_LEDGER_URL." in missing.err) == (2, True)
    assert list(tmp_path.iterdir()) == []

    monkeypatch.setenv("DATABASE_URL", seeded_database)
    assert orgrecon("report").code == 0
    before = digests(tmp_path)
    same = orgrecon("reproduce")
    assert (same.code, same.err) == (0, "")
    assert same.out.startswith("SAME  20")
    assert "The same rows, bit for bit: 11 tenants, 1256 rows of both sides" in same.out
    assert "read as source and target: database " in same.out
    assert moment_in_record(next(tmp_path.rglob("20*.md")))[:2] == ["source", "target"]

    admin = connect(seeded_database)
    admin.execute("UPDATE public.team_members SET role = 'x' WHERE ctid = (SELECT min(ctid) FROM public.team_members)")
    other = orgrecon("reproduce")
    assert other.code == 1
    assert "1 of 11 tenants differs from observation" in other.out
    document = json.loads(orgrecon("reproduce", "--format", "json").out)
    assert (document["result"], document["method"], document["tenants"]) == ("different", "native", 11)
    [difference] = document["differences"]
    assert (difference["entity"], difference["side"]) == ("org_unit_memberships", "source")
    assert difference["rows_then"] == difference["rows_now"]

    admin.execute("DROP TABLE public.org_units CASCADE")
    undecided = orgrecon("reproduce", "--tenant", difference["tenant"])
    assert undecided.code == 3
    assert undecided.out.startswith("NOT DECIDED")
    assert digests(tmp_path) == before
