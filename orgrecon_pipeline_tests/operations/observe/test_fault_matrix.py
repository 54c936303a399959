"""``docs/reliability.md`` says what is proven, and by which test: neither may be invented, nor forgotten."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from orgrecon_pipeline_tests.operations.observe.test_faults import CASES

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reliability.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith(("| case |", "| --- |"))
]
#: Files of which every test stands on the page, but for those that only show that another is not true by chance.
WHOLE = {f"test_operations_{name}" for name in (
    "interrupted", "rechecks", "source", "collation", "standby", "heartbeat", "pooler", "recovery", "workload", "day",
    "two_databases", "shards", "shards_at_once", "shards_kept")}
BESIDE = {
    "test_operations_source::test_a_view_of_the_whole_table_passes",
    "test_operations_rechecks::test_a_loss_that_is_quiet_is_read_once",
}


def all_tests() -> set[str]:
    """Every test of the suite, as ``file::name``."""
    return {
        f"{path.stem}::{node.name}"
        for path in (ROOT / "orgrecon_pipeline_tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_case_names_tests_that_exist() -> None:
    known = all_tests() | {f"test_operations_faults::{case.name}" for case in CASES}
    assert len(ROWS) > 80
    for row in ROWS:
        assert len(row) == 3, row
        named = re.findall(r"`([^`]+)`", row[2])
        assert named, row
        assert set(named) <= known, row


def test_every_fault_stands_in_the_matrix_with_its_verdict() -> None:
    assert {(case.name, case.verdict.value) for case in CASES} <= {(row[0], row[1]) for row in ROWS}


def test_no_test_of_a_verdict_is_left_out() -> None:
    named = {name for row in ROWS for name in re.findall(r"`([^`]+)`", row[2])}
    assert {name for name in all_tests() if name.split("::")[0] in WHOLE} - named == BESIDE
