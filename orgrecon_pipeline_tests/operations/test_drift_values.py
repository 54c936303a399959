"""``orgrecon drift --values`` shows how the keys of a day drift now, by a comparison of a real database."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline_tests.support.cli.process import CommandResult, run

MAPPING: dict[str, Any] = {
    "version": 1,
    "entities": {"things": {
        "key": ["k"], "compare": ["v"], "show": ["at"],
        "source": {"from": "public.s", "columns": {"tenant_id": "tenant", "k": "k", "v": "v", "at": "at"}},
        "target": {"from": "public.t", "columns": {"tenant_id": "tenant", "k": "k", "v": "v", "at": "at"}}}},
    "scan": {"settle_seconds": 0, "rechecks": 1},
}


@pytest.fixture
def drifted(tmp_path: Path, empty_database: str) -> str:
    """Return the DSN of a database with a missing, a mismatched and an unexpected key, after a report of the day."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        for table in ("s", "t"):
            connection.execute(f"CREATE TABLE public.{table} (tenant text, k int, v text, at text)".encode())
            connection.execute(
                f"INSERT INTO public.{table} SELECT 'acme', n, 'v' || n, 'day ' || n FROM generate_series(1, 9) AS n"
                .encode())
        connection.execute("DELETE FROM public.t WHERE k = 1")
        connection.execute("UPDATE public.t SET v = 'other' WHERE k = 2")
        connection.execute("DELETE FROM public.s WHERE k = 3")
    (tmp_path / "orgrecon.yaml").write_text(json.dumps(MAPPING), "utf-8")
    assert ask(tmp_path, empty_database, "report").code == 1
    return empty_database


def ask(directory: Path, dsn: str, *arguments: str) -> CommandResult:
    return run(directory, *arguments, DATABASE_URL=dsn, ORGRECON_LEDGER_URL=f"sqlite:///{directory / 'ledger.db'}")


def test_values_show_the_drift_of_now_beside_that_of_the_day(tmp_path: Path, drifted: str) -> None:
    with psycopg.connect(drifted, autocommit=True) as connection:
        connection.execute("INSERT INTO public.t VALUES ('acme', 1, 'late', 'now')")  # missing before, now mismatched
        connection.execute("UPDATE public.t SET v = 'v2' WHERE k = 2")  # healed since
    result = ask(tmp_path, drifted, "drift", "--values", "--format", "jsonl")
    assert result.code == 1, result.err
    rows = {row["key"]["k"]: row for row in map(json.loads, result.out.splitlines())}
    assert {k: (row["kind"], row["now"], row["values"]) for k, row in rows.items()} == {
        "1": ("missing", ["mismatched"], {"v": ["v1", "late"]}),
        "2": ("mismatched", [], None),
        "3": ("unexpected", ["unexpected"], None),
    }
    assert rows["3"]["show"] == {"at": "day 3"}
    assert rows["1"]["show"] == {"at": "day 1 → now"}


def test_values_have_the_same_columns_in_every_format(tmp_path: Path, drifted: str) -> None:
    answers = {format: ask(tmp_path, drifted, "drift", "--values", "--format", format)
               for format in ("text", "csv", "json")}
    assert {answer.code for answer in answers.values()} == {1}
    [_, mismatched, _] = csv.DictReader(io.StringIO(answers["csv"].out))
    assert json.loads(mismatched["values"]) == {"v": ["v2", "other"]}
    assert json.loads(answers["json"].out)["keys"][1]["values"] == {"v": ["v2", "other"]}
    assert "v: 'v2' → 'other'" in answers["text"].out
    without = ask(tmp_path, drifted, "drift", "--format", "csv")
    assert "values" not in without.out.splitlines()[0]


def test_values_that_cannot_be_read_end_with_exit_code_3_and_print_nothing(tmp_path: Path, drifted: str) -> None:
    with psycopg.connect(drifted, autocommit=True) as connection:
        connection.execute("ALTER TABLE public.t RENAME TO elsewhere")
    result = ask(tmp_path, drifted, "drift", "--values", "--format", "csv")
    assert (result.code, result.out) == (3, "")
    assert "cannot be read" in result.err
    assert result.err.count("\n") == 1


def test_values_without_a_database_are_refused(tmp_path: Path, drifted: str) -> None:
    result = run(tmp_path, "drift", "--values", ORGRECON_LEDGER_URL=f"sqlite:///{tmp_path / 'ledger.db'}")
    assert (result.code, result.out) == (2, "")
    assert "DATABASE_URL is not set" in result.err
