"""A forged or missing value in a record never ends a command with an internal error, and never helps to open a gate."""

from __future__ import annotations

import re
from datetime import datetime, time, timezone
from pathlib import Path

import pytest

from orgrecon_pipeline.domain.canonical import canonical_json
from orgrecon_pipeline.domain.errors import OtherIdentity, UnsoundTrail
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.operations.gate.sources import GateEvidence, _reports_of_trail
from orgrecon_pipeline.report.render import RECORD_PREFIX, RECORD_SUFFIX, render
from orgrecon_pipeline.report.write import write_report
from orgrecon_pipeline_tests.support.default_identity import IDENTITY, read_report, verify_trail
from orgrecon_pipeline_tests.support.report.cases import DAY
from orgrecon_pipeline_tests.support.report.forgery import Records, forgeries, open_gates, trails
from orgrecon_pipeline_tests.support.schemas import published

TRAILS = trails()
NOW = datetime.combine(DAY, time(12), timezone.utc)


def opened_by(directory: Path) -> set[str]:
    """Return whose gates a trail opens; see :func:`open_gates`."""
    reports, distrust = _reports_of_trail(directory, IDENTITY, (), with_tenants=True)
    days = {day: report.evidence for day, report in reports.items()}
    policy = GatePolicy(window_days=2)
    return open_gates(GateEvidence(IDENTITY, None, reports, days, policy, NOW, None, distrust=distrust))


def write(directory: Path, records: Records) -> None:
    for record in records.values():
        write_report(directory, record)


def page(line: str) -> str:
    """Return the report of a record's line. A record that cannot be rendered is refused before its page is compared."""
    try:
        return render(Record.model_validate_json(line), line)
    except Exception:
        return f"{RECORD_PREFIX}{line}{RECORD_SUFFIX}\n"


def refusal(path: Path) -> str:
    """Return why a report is refused, empty if it is not."""
    try:
        read_report(path)
    except (UnsoundTrail, OtherIdentity) as refused:
        return str(refused)
    return ""


def check(path: Path, opened: set[str]) -> None:
    """Read a trail with a forged report in every way."""
    if why := refusal(path):
        assert path.name in why
        assert "\n" not in why
    else:
        verification = verify_trail(path.parent)
        assert not any("\n" in line for line in (*verification.findings, *verification.outdated.values()))
        assert opened_by(path.parent) <= opened


@pytest.mark.parametrize("name", ["clean", "drifting", "undecided", "moved"])
def test_trail_is_sound_before_it_is_forged(name: str, tmp_path: Path) -> None:
    write(tmp_path, TRAILS[name])
    assert verify_trail(tmp_path).findings == ()
    assert ("" in opened_by(tmp_path)) is (name in ("clean", "moved"))


@pytest.mark.parametrize("name", TRAILS)
@pytest.mark.parametrize("every", [
    pytest.param(97, id="some", marks=pytest.mark.brief),
    pytest.param(19, id="many", marks=pytest.mark.slow)])
def test_forged_fact_is_refused_or_harmless(name: str, every: int, tmp_path: Path) -> None:
    write(tmp_path, TRAILS[name])
    opened = opened_by(tmp_path)
    for day, record in TRAILS[name].items():
        path = tmp_path / f"{day}.md"
        original = path.read_bytes()
        for what, line in forgeries(record, every):
            path.write_text(page(line), "utf-8")
            try:
                check(path, opened)
            except Exception as error:
                raise AssertionError(f"{day}: {what}: {type(error).__name__}: {error}") from error
        path.write_bytes(original)


@pytest.mark.parametrize("name", TRAILS)
def test_trail_with_a_refused_report_opens_no_gate(name: str, tmp_path: Path) -> None:
    write(tmp_path, TRAILS[name])
    for day, record in TRAILS[name].items():
        path = tmp_path / f"{day}.md"
        original = path.read_bytes()
        forged = {**record.as_json_value(), "compared": {**record.compared, "coverage": []}}
        path.write_text(page(canonical_json(forged)), "utf-8")
        finding = f"{path} holds an invalid record: compared.coverage must be an object."
        assert finding in verify_trail(tmp_path).findings
        assert opened_by(tmp_path) == set()
        path.write_bytes(original)


def test_trails_have_every_fact_that_the_schema_describes() -> None:
    schema = published("record").schema
    objects = {"Record": schema, **schema["$defs"]}
    described = {name for title, part in objects.items() for name in part.get("properties", ())
                 if title != "Parameters"}  # many reasons are in no record
    present = {name for records in TRAILS.values() for record in records.values()
               for name in re.findall(r'"(\w+)":', record.line())}
    assert described - present == set()
