"""``orgrecon drift`` lists the keys of a day from the ledger, in every format and with every filter."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.domain.canonical import bounded_name
from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.drift.key import DriftingKey
from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline_tests.support.cli.process import CommandResult
from orgrecon_pipeline_tests.support.ledger.cases import new_sqlite_ledger
from orgrecon_pipeline_tests.support.ledger.drift_days import observe

Run = Callable[..., CommandResult]

FIRST, SECOND = date(2026, 11, 20), date(2026, 11, 21)
UNIT = DriftingKey("acme", "org_units", ("7",), ("missing",), ())
RENAMED = DriftingKey("acme", "org_units", ("8",), ("mismatched",), ("name", "parent_id"))
MEMBER = DriftingKey("béta | x", "org_unit_memberships", ("7", "u\n1"), ("duplicate", "mismatched"), ("role",))
DIGEST = default_mapping().digest
# Tenants without drift: one is still compared, one left before the second day. The last has a name that is shortened.
LONG = "long" * 100
APPEARED = [CoverageEvent(CoverageSubject.TENANT, bounded_name(name), CoverageChange.APPEARED)
            for name in ("clean", "departed", LONG)]
DEPARTED = [CoverageEvent(CoverageSubject.TENANT, "departed", CoverageChange.DEPARTED)]


def row(day: date, key: DriftingKey, kind: str, state: str, first_seen: date) -> dict[str, Any]:
    names = ("unit_id", "user_id")[: len(key.key)]
    return {"day": day.isoformat(), "tenant": key.tenant, "entity": key.entity, "kind": kind,
            "key": dict(zip(names, key.key, strict=True)),
            "columns": list(key.columns) if kind == "mismatched" else [], "state": state,
            "first_seen": first_seen.isoformat()}


PERSISTENT_UNIT = row(SECOND, UNIT, "missing", "persistent", FIRST)
NEW_MEMBER = [row(SECOND, MEMBER, kind, "new", SECOND) for kind in ("duplicate", "mismatched")]
HEALED = row(SECOND, RENAMED, "mismatched", "healed", FIRST)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger with two failing days, and an INCONCLUSIVE one after them."""
    path = tmp_path / "ledger.db"
    ledger = new_sqlite_ledger(path)
    monkeypatch.setenv("ORGRECON_LEDGER_URL", f"sqlite:///{path}")
    observe(ledger, FIRST, [UNIT, RENAMED], mapping_digest=DIGEST, coverage=APPEARED)
    observe(ledger, SECOND, [UNIT, MEMBER], mapping_digest=DIGEST, coverage=DEPARTED)
    observe(ledger, SECOND + timedelta(days=1), (), verdict=Verdict.INCONCLUSIVE, mapping_digest=DIGEST)
    return ledger


def listed(orgrecon: Run, *options: str) -> list[dict[str, Any]]:
    result = orgrecon("drift", "--date", str(SECOND), "--format", "jsonl", *options)
    rows = [json.loads(line) for line in result.out.splitlines()]
    assert result.code == bool(rows), result.err
    return rows


@pytest.mark.parametrize(("options", "expected"), [
    ((), [*NEW_MEMBER, PERSISTENT_UNIT]),
    (("--state", "new"), NEW_MEMBER),
    (("--state", "persistent"), [PERSISTENT_UNIT]),
    (("--state", "healed"), [HEALED]),
    (("--state", "healed", "--kind", "missing"), []),
    (("--tenant", "béta | x"), NEW_MEMBER),
    (("--tenant", "clean"), []),
    (("--tenant", "departed"), []),
    (("--tenant", LONG), []),
    (("--entity", "org_units"), [PERSISTENT_UNIT]),
    (("--kind", "duplicate"), NEW_MEMBER[:1]),
    (("--column", "role"), NEW_MEMBER[1:]),
    (("--column", "parent_id", "--state", "healed"), [HEALED]),
    (("--column", "name"), []),
    (("--column", "name", "--entity", "org_units"), []),
    (("--since", str(SECOND)), NEW_MEMBER),
    (("--since", str(FIRST)), [*NEW_MEMBER, PERSISTENT_UNIT]),
], ids=str)
def test_drift_lists_the_keys_that_the_options_ask_for(
    ledger: Ledger, orgrecon: Run, options: tuple[str, ...], expected: list[dict[str, Any]]
) -> None:
    assert listed(orgrecon, *options) == expected


def test_drift_writes_the_same_rows_in_every_format(ledger: Ledger, orgrecon: Run, tmp_path: Path) -> None:
    expected = [*NEW_MEMBER, PERSISTENT_UNIT]
    document = json.loads(orgrecon("drift", "--date", str(SECOND), "--format", "json").out)
    assert document["keys"] == expected
    assert (document["day"], document["since"], document["migration"]) == (str(SECOND), str(FIRST), "org-v23")
    text = orgrecon("drift", "--date", str(SECOND), "--format", "csv").out
    assert [{**values, "key": json.loads(values["key"]), "columns": json.loads(values["columns"])}
            for values in csv.DictReader(io.StringIO(text))] == expected
    for name in ("json", "csv", "jsonl"):
        path = tmp_path / f"drift.{name}"
        path.write_text("an older file")
        result = orgrecon("drift", "--date", str(SECOND), "--format", name, "--output", str(path))
        assert (result.code, result.out) == (1, "")
        assert path.read_text("utf-8") == orgrecon("drift", "--date", str(SECOND), "--format", name).out
    assert sorted(path.name for path in tmp_path.iterdir() if "drift" in path.name) == [
        "drift.csv", "drift.json", "drift.jsonl"]


def test_drift_writes_typed_columns_to_parquet(ledger: Ledger, orgrecon: Run, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "drift.parquet"
    assert orgrecon("drift", "--date", str(SECOND), "--format", "parquet", "--output", str(path)).code == 1
    table = parquet.read_table(path)
    assert {field.name: str(field.type).replace(" ('key')", "") for field in table.schema} == {
        "day": "date32[day]", "tenant": "string", "entity": "string", "kind": "string",
        "key": "map<string, string>", "columns": "list<element: string>", "state": "string",
        "first_seen": "date32[day]"}
    rows = [{**values, "day": str(values["day"]), "first_seen": str(values["first_seen"]), "key": dict(values["key"])}
            for values in table.to_pylist()]
    assert rows == [*NEW_MEMBER, PERSISTENT_UNIT]


def test_drift_without_pyarrow_names_the_extra(
    ledger: Ledger, orgrecon: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = orgrecon("drift", "--date", str(SECOND), "--format", "parquet", "--output", "x.parquet")
    assert (result.code, result.out) == (2, "")
    assert "pip install 'orgrecon-pipeline[parquet]'" in result.err


def test_drift_table_shows_state_and_first_day(ledger: Ledger, orgrecon: Run) -> None:
    result = orgrecon("drift", "--date", str(SECOND), "--entity", "org_units")
    assert result.code == 1
    assert f"{SECOND}  org-v23  1 row, compared with {FIRST}" in result.out
    assert ["acme", "org_units", "missing", "unit_id", "=", "7", "–", "persistent", str(FIRST)] in [
        line.split() for line in result.out.splitlines()]
    assert "no such key drifts" in orgrecon("drift", "--date", str(SECOND), "--tenant", "clean").out


@pytest.mark.parametrize(("options", "message"), [
    (("--date", "2026-11-22"), "2026-11-22 is INCONCLUSIVE, so its drift is unknown"),
    ((), "2026-11-22 is INCONCLUSIVE, so its drift is unknown"),
    (("--date", "2026-11-19"), "2026-11-19 has no evidence in the ledger: its days are 2026-11-20 to 2026-11-22"),
    (("--date", "2999-01-01"), "2999-01-01 is in the future"),
    (("--date", str(SECOND), "--entity", "teams"), "'teams' was not compared on 2026-11-21: choose one of"),
    (("--date", str(SECOND), "--tenant", "nosuch"),
     "--tenant 'nosuch': no observation has a row of this tenant: check its name."),
    (("--date", str(SECOND), "--column", "nosuch"),
     "--column 'nosuch' was not compared on 2026-11-21: choose one of kind, name, parent_id, role."),
    (("--date", str(SECOND), "--column", "role", "--entity", "org_units"),
     "--column 'role' was not compared on 2026-11-21 for the entity org_units: choose one of kind, name, parent_id."),
    (("--date", str(SECOND), "--kind", "wrong"), "'wrong' is not one of"),
    (("--date", str(SECOND), "--output", "x.csv"), "--output needs --format"),
    (("--date", str(SECOND), "--format", "parquet"), "name a file with --output"),
    (("--date", str(SECOND), "--format", "csv", "--output", "no/such/x.csv"), "check --output and its directory"),
], ids=str)
def test_impossible_request_for_drift_is_refused_in_one_line(
    ledger: Ledger, orgrecon: Run, options: tuple[str, ...], message: str
) -> None:
    result = orgrecon("drift", *options)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert message in result.err


@pytest.mark.parametrize(("stored", "known", "unknown"), [(True, "title", "name"), (False, "name", "title")])
def test_columns_of_drift_are_those_of_the_day_that_was_compared_under_another_mapping(
    ledger: Ledger, orgrecon: Run, stored: bool, known: str, unknown: str
) -> None:
    """A mapping that was too large is not stored. Then the choices come from the mapping at hand."""
    day, then = SECOND + timedelta(days=2), default_mapping().model_dump(by_alias=True, mode="json")
    units = then["entities"]["org_units"]
    units["compare"] = ["title"]
    for side in (*units["source"], *units["target"]):
        side["columns"]["title"] = side["columns"].pop("name")
    mapping = MappingConfig.model_validate(then)
    gone = DriftingKey("acme", "org_units", ("9",), ("mismatched",), ("gone",))
    observe(ledger, day, [gone], mapping_digest=mapping.digest,
            compared={"mapping": mapping.normalised if stored else None})
    assert orgrecon("drift", "--date", str(day), "--column", known).code == 0
    assert orgrecon("drift", "--date", str(day), "--column", "gone").code == 1
    refused = orgrecon("drift", "--date", str(day), "--column", unknown)
    assert (refused.code, refused.out) == (2, "")
    assert f"--column '{unknown}' was not compared on {day}" in refused.err


def test_tenant_of_a_demo_is_known_only_on_simulated_days(ledger: Ledger, orgrecon: Run) -> None:
    day = SECOND + timedelta(days=2)
    appeared = [CoverageEvent(CoverageSubject.TENANT, "simulated", CoverageChange.APPEARED)]
    observe(ledger, day, [UNIT], mapping_digest=DIGEST, provenance=Provenance.SIMULATED, coverage=appeared)
    assert orgrecon("drift", "--date", str(day), "--tenant", "simulated").code == 0
    assert orgrecon("drift", "--date", str(day), "--tenant", "clean").code == 2
    assert orgrecon("drift", "--date", str(SECOND), "--tenant", "simulated").code == 2


@pytest.mark.parametrize("create", [os.mkfifo, lambda path: path.symlink_to("/dev/stdout")], ids=["pipe", "link"])
def test_output_of_drift_never_replaces_what_is_no_regular_file(
    create: Callable[[Path], None], ledger: Ledger, orgrecon: Run, tmp_path: Path
) -> None:
    file = tmp_path / "keys.csv"
    create(file)
    before = file.lstat().st_mode
    result = orgrecon("drift", "--date", str(SECOND), "--format", "csv", "--output", str(file))
    assert (result.code, result.out) == (2, "")
    assert "(not a regular file): check --output and its directory" in result.err
    assert file.lstat().st_mode == before


def test_drift_says_which_keys_are_not_listed(ledger: Ledger, orgrecon: Run) -> None:
    day = SECOND + timedelta(days=2)
    observe(ledger, day, [UNIT], left_out=4, mapping_digest=DIGEST)
    result = orgrecon("drift", "--date", str(day))
    assert result.code == 1
    assert "org_units: only 1 drifting key of 5 can be listed: report.keep_keys limits how many are kept" in result.err


def test_drift_without_a_ledger_is_refused(orgrecon: Run) -> None:
    result = orgrecon("drift")
    assert (result.code, result.out) == (2, "")
    assert "there is no ledger: run orgrecon report once" in result.err
