"""The gate of tenants and the history on the command line: exit codes, formats, and one line for bad input."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from xml.etree import ElementTree

import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.evidence import Provenance, TenantRow, Verdict
from orgrecon_pipeline_tests.support.cli.process import CommandResult, run
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.report.cases import observation

TODAY = datetime.now(timezone.utc).date()
TENANTS = ("acme", "globex", 'line\nbreak, "quoted"', "Ünïcode")
DRIFTING = "globex"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a ledger of eight days on which one tenant drifts, after a baseline and a hole."""
    directory = tmp_path_factory.mktemp("site")
    ledger = open_ledger(f"sqlite:///{directory / 'ledger.db'}")
    digest = default_mapping().digest
    stamped = observation(TODAY - timedelta(days=9), provenance=Provenance.BASELINE, mapping_digest=digest)
    ledger.append(stamped, (), (), ())
    for back in range(7, -1, -1):
        row = TenantRow(tenant=DRIFTING, entity="org_units", source_rows=2, target_rows=1, missing=1, unexpected=0,
                        mismatched=0, duplicate=0, transient=0)
        appeared = [CoverageEvent(CoverageSubject.TENANT, name, CoverageChange.APPEARED) for name in TENANTS]
        failed = observation(TODAY - timedelta(days=back), Verdict.FAIL, mapping_digest=digest)
        ledger.append(failed.model_copy(update={"tenants_with_drift": 1}), [row], (), appeared if back == 7 else ())
    return directory


def ask(site: Path, *arguments: str) -> CommandResult:
    return run(site, *arguments, ORGRECON_LEDGER_URL=f"sqlite:///{site / 'ledger.db'}")


@pytest.mark.parametrize(("tenants", "code"), [
    (("acme",), 0), ((DRIFTING,), 1), (("acme", "Ünïcode"), 0), (("acme", DRIFTING), 1), (("acme", "nobody"), 1),
    (('line\nbreak, "quoted"',), 0), (("ACME",), 1), (("acme", "acme"), 0)])
def test_gate_of_named_tenants_exits_0_only_if_all_are_open(site: Path, tenants: tuple[str, ...], code: int) -> None:
    options = [part for tenant in tenants for part in ("--tenant", tenant)]
    text, as_json = ask(site, "gate", *options), ask(site, "gate", *options, "--format", "json")
    assert (text.code, as_json.code) == (code, code), text
    answer = json.loads(as_json.out)
    assert answer["state"] == "CLOSED"  # the company's gate
    assert answer["cohort"]["state"] == ("CLOSED" if code else "OPEN")
    assert [tenant["tenant"] for tenant in answer["tenants"]] == list(dict.fromkeys(tenants))
    assert "the company's gate is CLOSED" in text.out


def test_closed_gate_says_what_is_still_needed_for_company_and_tenant(site: Path) -> None:
    first, last = TODAY + timedelta(days=1), TODAY + timedelta(days=7)
    needed = f"7 more clean live days ({first} to {last})"
    company, tenant = (ask(site, "gate", *options) for options in ((), ("--tenant", DRIFTING)))
    drift = f"1 key in 1 tenant still drifts, the oldest since {TODAY}"
    assert f"still needed: {needed}; {drift}" in " ".join(company.out.replace("│", " ").split())
    assert f"still needed: {needed}; 1 key still drifts" in tenant.out
    answer = json.loads(ask(site, "gate", "--tenant", DRIFTING, "--tenant", "acme", "--format", "json").out)
    assert answer["forecast"]["clean_days"] == 7
    assert answer["forecast"]["drift"] == {
        "day": TODAY.isoformat(), "drifting_keys": 1, "tenants_with_drift": 1, "oldest_first_seen": TODAY.isoformat()}
    assert answer["forecast"]["earliest_open_day"] == answer["earliest_open_day"]
    drifting, ready = (named["forecast"] for named in answer["tenants"])
    assert (drifting["drift"]["drifting_keys"], ready) == (1, None)


def test_gate_of_a_cohort_file_ignores_white_space_and_byte_order_mark(site: Path, tmp_path: Path) -> None:
    cohort = tmp_path / "wave 1.txt"
    cohort.write_bytes("\ufeff acme \r\n\r\nÜnïcode".encode())
    answer = ask(site, "gate", "--cohort", str(cohort), "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(answer.out)))
    assert (answer.code, [(row["tenant"], row["state"], row["streak_days"]) for row in rows]) == (
        0, [("acme", "OPEN", "8"), ("Ünïcode", "OPEN", "8")])


def test_gate_of_a_cohort_file_ends_a_name_only_at_a_newline(site: Path, tmp_path: Path) -> None:
    cohort = tmp_path / "wave.txt"
    cohort.write_bytes("acme\u2028Ünïcode".encode())
    answer = ask(site, "gate", "--cohort", str(cohort), "--format", "csv")
    assert (answer.code, [row["tenant"] for row in csv.DictReader(io.StringIO(answer.out))]) == (
        1, ["acme\u2028Ünïcode"])


def test_gate_by_tenant_lists_all_in_every_format_and_exits_as_the_company(site: Path) -> None:
    answers = {format: ask(site, "gate", "--by-tenant", "--format", format) for format in ("text", "json", "csv")}
    assert {answer.code for answer in answers.values()} == {1}
    expected = {tenant: "CLOSED" if tenant == DRIFTING else "OPEN" for tenant in TENANTS}
    assert {t["tenant"]: t["state"] for t in json.loads(answers["json"].out)["tenants"]} == expected
    assert {r["tenant"]: r["state"] for r in csv.DictReader(io.StringIO(answers["csv"].out))} == expected
    assert answers["text"].out.count("OPEN  ") == 3


@pytest.mark.parametrize(("filters", "expected"), [
    (("--state", "OPEN"), set(TENANTS) - {DRIFTING}), (("--state", "CLOSED"), {DRIFTING}),
    (("--min-streak", "8"), set(TENANTS) - {DRIFTING}), (("--min-streak", "9"), set())])
def test_gate_by_tenant_filters(site: Path, filters: tuple[str, ...], expected: set[str]) -> None:
    answer = ask(site, "gate", "--by-tenant", "--format", "json", *filters)
    assert {tenant["tenant"] for tenant in json.loads(answer.out)["tenants"]} == expected


@pytest.mark.parametrize(("arguments", "part"), [
    (("gate", "--cohort", "nowhere.txt"), "cannot be read"),
    (("gate", "--cohort", "."), "cannot be read"),
    (("gate", "--cohort", "empty.txt"), "names no tenant"),
    (("gate", "--cohort", "latin.txt"), "not UTF-8"),
    (("gate", "--cohort", "long.txt"), "longer than 64 MB"),
    (("gate", "--by-tenant", "--tenant", "acme"), "--by-tenant cannot be combined with --tenant or --cohort"),
    (("gate", "--state", "OPEN"), "add --by-tenant"),
    (("gate", "--min-streak", "3"), "add --by-tenant"),
    (("gate", "--format", "csv"), "--format csv lists tenants"),
    (("gate", "--tenant", "acme", "--dagster-url", "http://localhost:1"), "leave out --dagster-url"),
    (("history", "--days", "0"), "--days"),
    (("history", "--format", "pdf"), "--format"),
])
def test_contradicting_options_are_one_line_with_exit_code_2(site: Path, arguments: tuple[str, ...], part: str) -> None:
    (site / "empty.txt").write_text("\n \n", "utf-8")
    (site / "latin.txt").write_bytes(b"\xfc\n")
    (site / "long.txt").write_bytes(b"acme\n" + b" " * 64_000_000 + DRIFTING.encode())
    answer = ask(site, *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert part in answer.err
    assert answer.err.count("\n") == 1


def test_history_shows_every_day_once_in_every_format(site: Path) -> None:
    answers = {format: ask(site, "history", "--format", format) for format in ("text", "json", "csv", "svg")}
    assert {answer.code for answer in answers.values()} == {0}
    days = json.loads(answers["json"].out)["days"]
    verdicts = ["PASS", "MISSING", *["FAIL"] * 8]
    assert [(day["day"], day["verdict"]) for day in days] == [
        ((TODAY - timedelta(days=9 - number)).isoformat(), verdict) for number, verdict in enumerate(verdicts)]
    assert [row["verdict"] for row in csv.DictReader(io.StringIO(answers["csv"].out))] == verdicts
    picture = ElementTree.fromstring(answers["svg"].out)
    assert len(picture.findall("{http://www.w3.org/2000/svg}rect")) == 10
    assert "1 PASS, 8 FAIL, 0 INCONCLUSIVE, 1 MISSING" in answers["text"].out


def test_history_of_the_last_days_ends_today(site: Path) -> None:
    days = json.loads(ask(site, "history", "--days", "3", "--format", "json").out)["days"]
    assert [day["day"] for day in days] == [(TODAY - timedelta(days=back)).isoformat() for back in (2, 1, 0)]


def test_history_of_a_directory_that_does_not_exist_says_so(site: Path) -> None:
    answer = ask(site, "history", "--output-dir", "nowhere")
    assert "nowhere does not exist: check --output-dir." in answer.err
    assert answer.err.count("\n") == 1
