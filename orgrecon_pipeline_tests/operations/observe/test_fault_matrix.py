"""Consistency of ``docs/reliability.md`` with the tests: it names every reliability test, and no test that is gone."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from orgrecon_pipeline_tests.operations.observe.test_faults import CASES

ROOT = Path(__file__).parents[3]
TESTS = ROOT / "orgrecon_pipeline_tests"
PAGE = (ROOT / "docs" / "reliability.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith(("| case |", "| --- |"))
]
#: Test files of which the page names every test, except for the control tests below.
COMPLETE = {
    "compare/test_collation",
    *(f"operations/observe/test_{name}" for name in (
        "coverage", "day", "hidden_rows", "interrupts", "lock_queue", "rechecks", "source", "two_databases",
        "workload")),
    *(f"operations/observe/replicas/test_{name}" for name in ("clone", "heartbeat", "pooler", "recovery", "standby")),
    *(f"operations/observe/shards/test_{name}" for name in ("concurrent_shards", "shard_cache", "shards")),
}
CONTROLS = {
    "operations/observe/test_source::test_view_of_the_whole_table_passes",
    "operations/observe/test_rechecks::test_lost_write_without_further_writes_fails_after_one_round",
}


def all_tests() -> set[str]:
    """Return every test as ``folder/test_file::test_name``."""
    return {
        f"{path.relative_to(TESTS).with_suffix('')}::{node.name}"
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_case_names_tests_that_exist() -> None:
    known = all_tests() | {f"operations/observe/test_faults::{case.name}" for case in CASES}
    assert len(ROWS) > 80
    for row in ROWS:
        assert len(row) == 3, row
        named = re.findall(r"`([^`]+)`", row[2])
        assert named, row
        assert set(named) <= known, row


def test_every_fault_case_is_on_the_page_with_its_verdict() -> None:
    assert {(case.name, case.verdict.value) for case in CASES} <= {(row[0], row[1]) for row in ROWS}


def test_every_reliability_test_is_on_the_page() -> None:
    named = {name for row in ROWS for name in re.findall(r"`([^`]+)`", row[2])}
    assert {name for name in all_tests() if name.split("::")[0] in COMPLETE} - named == CONTROLS
