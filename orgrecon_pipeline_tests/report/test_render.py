"""Rendering: golden bytes, and the content of each part of the page."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orgrecon_pipeline.domain.canonical import sha256_of
from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.report.page.tenants_view import tenants_view
from orgrecon_pipeline.report.render import render, render_plain
from orgrecon_pipeline_tests.support.default_identity import read_report
from orgrecon_pipeline_tests.support.report.cases import (
    BASELINE_COMPARED,
    COMPARED,
    DAY,
    MAPPING_DIGEST,
    History,
    clean_week,
    days_back,
    golden_cases,
    observation,
    ready_tenants,
    row,
    totals,
)
from orgrecon_pipeline_tests.support.report.gfm import page
from orgrecon_pipeline_tests.support.report.update_golden import GOLDEN

CASES = golden_cases()

SECTIONS = ["Summary", "Per-tenant breakdown", "Ready tenants", "Change", "Mismatches by column", "Drift samples",
            "Rolling window", "Mapping change since 2026-11-22", "Observations of this day", "Warnings",
            "How this was compared"]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_plain_report_has_the_lines_of_the_report_without_syntax_of_github(case: str) -> None:
    record = CASES[case]
    plain = render_plain(record)
    assert "[!" not in plain
    assert "```mermaid" not in plain
    assert "<!--" not in plain
    lines = {line.removeprefix("> ") for line in render(record).splitlines()}
    assert [line for line in plain.splitlines() if line.removeprefix("> ") not in lines] == []
    assert "## How this was compared" in plain


@pytest.mark.parametrize("seed", range(10))
def test_breakdown_does_not_depend_on_the_pages_made_before(seed: int) -> None:
    """Lines are kept for rows that the page before has too; equal rows that are other objects get new lines."""
    chance = random.Random(seed)
    rows = [row(tenant, entity, rows=number, missing=missing, first_seen=DAY if missing > 1 else None)
            for number, tenant in enumerate(("acme", "a|b", "Acme")) for entity in ("a", "b") for missing in (0, 1, 2)]
    week = clean_week().record(DAY)
    breakdowns = [chance.choices(rows, k=chance.randrange(12)) for _ in range(20)]
    shown = [tenants_view(week.model_copy(update={"tenants": tuple(of_page)})) for of_page in breakdowns]
    assert shown == [
        tenants_view(week.model_copy(update={"tenants": tuple(row.model_copy() for row in of_page)}))
        for of_page in breakdowns]


@pytest.mark.parametrize("name", CASES)
def test_report_matches_its_golden_file(name: str) -> None:
    assert render(CASES[name]).encode() == (GOLDEN / f"{name}.md").read_bytes()


def test_every_golden_file_belongs_to_a_case() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_golden_report_reads_back(name: str, tmp_path: Path) -> None:
    file = tmp_path / f"{CASES[name].day}.md"
    file.write_bytes((GOLDEN / f"{name}.md").read_bytes())
    assert read_report(file) == CASES[name]


def test_report_has_the_same_bytes_in_another_process_time_zone_and_locale() -> None:
    script = ("import sys; from orgrecon_pipeline_tests.support.report.cases import golden_cases;"
              "from orgrecon_pipeline.report.render import render;"
              "sys.stdout.buffer.write(''.join(render(r) for r in golden_cases().values()).encode())")
    expected = "".join(map(render, CASES.values())).encode()
    for zone, seed, language in (("Pacific/Apia", "1", "C"), ("America/St_Johns", "2", "de_DE.UTF-8")):
        environment = {**os.environ, "TZ": zone, "PYTHONHASHSEED": seed, "LC_ALL": language, "PYTHONUTF8": "0"}
        done = subprocess.run([sys.executable, "-c", script], env=environment,
                              capture_output=True, check=True)
        assert done.stdout == expected


def figures(record: Record) -> dict[str, str]:
    return dict(page(render(record)).tables[0][1:])


def test_summary_shows_every_figure_in_order() -> None:
    assert list(figures(CASES["fail_with_samples"]).items()) == [
        ("Tenants scanned", "12"), ("Tenants with drift", "2"),
        ("Missing org_units rows", "1"), ("Missing org_unit_memberships rows", "0"),
        ("Unexpected org_units rows", "0"), ("Unexpected org_unit_memberships rows", "3"),
        ("Mismatched org_units rows", "1"), ("Mismatched org_unit_memberships rows", "0"),
        ("Duplicate org_units rows", "0"), ("Duplicate org_unit_memberships rows", "3"),
        ("Transient org_units rows", "0"), ("Transient org_unit_memberships rows", "4"),
        ("New keys", "4"), ("Persistent keys", "2"), ("Healed keys", "2"),
        ("Rows compared", "1008"), ("Gate status", "FAIL"),
    ]


def test_unknown_figures_are_shown_as_unknown() -> None:
    shown = figures(CASES["inconclusive"])
    assert shown.pop("Gate status") == "INCONCLUSIVE"
    assert set(shown.values()) == {"unknown"}
    assert "Unknown: the comparison was not completed." in render(CASES["inconclusive"])


@pytest.mark.parametrize("name", CASES)
def test_sections_are_in_the_order_of_the_format(name: str) -> None:
    headings = re.findall(r"^## (.*)$", render(CASES[name]), re.MULTILINE)
    headings = [re.sub(r"^Change since .*", "Change", heading) for heading in headings]
    without = {"Per-tenant breakdown", "Change"} if name in ("baseline", "inconclusive") else set()
    without |= {"Mismatches by column"} if name not in ("fail_with_samples", "hostile_names") else set()
    without |= {"Ready tenants"} if CASES[name].ready_tenants is None else set()
    without |= {"Mapping change since 2026-11-22", "Warnings"} if name != "narrower_mapping" else set()
    assert headings == [section for section in SECTIONS if section not in without]


@pytest.mark.parametrize(("provenance", "note"), [
    (Provenance.LIVE, ""), (Provenance.BASELINE, " (baseline)"), (Provenance.RESTORED, " (restored)"),
    (Provenance.SIMULATED, " (SIMULATED)"),
])
def test_title_names_the_provenance(provenance: Provenance, note: str) -> None:
    first = render(clean_week(provenance, 1).record(DAY)).split("\n")[0]
    assert first == f"# Org Model v2.3 reconciliation report: 2026-11-23{note}"


def banner(record: Record) -> str:
    lines = render(record).split("\n")
    return "\n".join(lines[2 : lines.index("", 2)])


def test_banner_of_an_open_gate_shows_streak_counted_days_and_opening_day() -> None:
    shown = banner(CASES["pass_gate_open"])
    assert "GATE OPEN" in shown
    assert "7 of 7" in shown
    assert "7 live, 0 baseline\n" in shown
    assert "2026-11-23 (this day)" in shown
    assert "unblocked.**" in shown


def test_banner_of_a_closed_gate_shows_reason_and_earliest_opening_day() -> None:
    shown = banner(CASES["fail_with_samples"])
    assert "GATE CLOSED" in shown
    assert "GATE OPEN" not in shown
    assert "**Streak:** 0 of 7" in shown
    assert "2026-11-23 is FAIL: 8 keys drift in 2 of 12 tenants." in shown
    assert "2026-11-30" in shown


def test_banner_of_an_open_gate_of_baselines_shows_that_no_day_is_live() -> None:
    shown = banner(clean_week(Provenance.BASELINE).record(DAY))
    assert "GATE OPEN" in shown
    assert "0 live, 7 baseline" in shown
    assert "only 0 of the 7 counted days compared a live database" in shown


def test_banner_of_a_simulated_gate_unblocks_nothing() -> None:
    shown = banner(CASES["simulated"])
    assert "0 live, 0 baseline, 7 simulated" in shown
    assert "unblocks nothing" in shown
    assert "is unblocked" not in shown


def test_window_shows_missing_days_and_the_stored_reasons() -> None:
    table = next(t for t in page(render(CASES["restored_with_missing_day"])).tables if t[0][0] == "Date (UTC)")
    by_day = {cells[0]: cells[1:] for cells in table[1:]}
    zeros = ["0"] * len(DriftKind)
    digests = sha256_of("an older mapping")[:12], MAPPING_DIGEST[:12]
    missing, older, today = (str(day) for day in (*days_back(3, 1), DAY))
    assert by_day[missing] == ["MISSING", *["–"] * len(DriftKind), "–", "–", "–", "no", "no report"]
    assert by_day[older] == ["PASS", *zeros, "0", "0", "live", "no",
                              "compared under another mapping (epoch {}, now {})".format(*digests)]
    assert by_day[today] == ["PASS", *zeros, "0", "0", "restored", "yes", "–"]
    assert by_day[str(days_back(4)[0])][-2:] == ["no", "clean, but a later day broke the streak"]


def test_chart_leaves_out_days_without_figures() -> None:
    text = render(CASES["restored_with_missing_day"])
    chart = text.split("```mermaid\n")[1].split("```")[0]
    missing = days_back(3)[0]
    assert f"{missing:%m-%d}" not in chart
    assert f"Not in the chart, because there are no figures: {missing}." in text
    axis, bars = (re.findall(r"\[(.*)\]", line)[0].split(", ") for line in chart.split("\n") if "[" in line)
    assert len(axis) == len(bars) == 6


def test_chart_is_omitted_if_no_day_has_figures() -> None:
    text = render(History([observation(verdict=Verdict.INCONCLUSIVE)]).record(DAY))
    assert "mermaid" not in text
    assert "There is no chart" in text


def test_breakdown_shows_the_number_of_omitted_tenants() -> None:
    history = clean_week()
    entities = {"org_units": totals(99, missing=40)}
    history.by_day[DAY] = [observation(verdict=Verdict.FAIL, tenants=500, drifting=40, entities=entities)]
    text = render(history.record(DAY, [row("a", missing=1), row("a", "org_unit_memberships"), row("b", missing=39)]))
    assert "498 more tenants are not shown, 38 of them with drift." in text
    text = render(clean_week().record(DAY, [row(f"t{n}") for n in range(11)]))
    assert "1 more tenant is not shown, none of them with drift." in text
    text = render(clean_week().record(DAY, [row(f"t{n}") for n in range(12)]))
    assert "Every tenant is shown." in text


def test_observations_table_lists_every_observation_of_the_day() -> None:
    history = clean_week()
    history.by_day[DAY] = [observation(hour=6, verdict=Verdict.FAIL), observation(hour=7),
                           observation(hour=8, verdict=Verdict.INCONCLUSIVE)]
    table = next(t for t in page(render(history.record(DAY))).tables if t[0][0] == "Observed at (UTC)")
    assert [cells[:4] for cells in table[1:]] == [
        ["2026-11-23 06:00:03", "FAIL", "no", "live"],
        ["2026-11-23 07:00:03", "PASS", "yes", "live"],
        ["2026-11-23 08:00:03", "INCONCLUSIVE", "no", "live"],
    ]


def test_new_fact_about_the_comparison_is_shown_without_code_changes() -> None:
    compared = {**COMPARED, "replica": {"lag_seconds": 0.5, "primaries": [{"name": "a"}, {"name": "b"}], "seen": []}}
    facts = dict(page(render(History([observation(compared=compared)]).record(DAY))).tables[-1][1:])
    assert facts["replica.lag_seconds"] == "0.5"
    assert facts["replica.primaries.2.name"] == "b"
    assert facts["replica.seen"] == "none"
    assert facts["scan.rechecks"] == "3"
    assert facts["source.snapshot"] == "00000003-0000001B-1"


def test_baseline_report_contains_no_time_of_day() -> None:
    text = render(CASES["baseline"])
    assert not re.search(r"[0-9]{2}:[0-9]{2}", text.split("<!-- orgrecon-record")[0])
    assert BASELINE_COMPARED.keys() < COMPARED.keys()


def test_last_line_of_a_report_is_its_record() -> None:
    for record in CASES.values():
        *_, last, end = render(record).split("\n")
        assert end == ""
        assert last == f"<!-- orgrecon-record: {record.line()} -->"


def test_rendering_ignores_the_order_of_keys() -> None:
    record = CASES["fail_with_samples"]
    reversed_record = Record.model_validate({
        **record.as_json_value(),
        "entities": dict(reversed(record.as_json_value()["entities"].items())),
        "compared": dict(reversed(record.compared.items())),
        "samples": [{**sample, "key": dict(reversed(sample["key"].items()))}
                    for sample in record.as_json_value()["samples"]],
    })
    assert list(reversed_record.entities) != list(record.entities)
    assert render(reversed_record) == render(record)


def test_long_window_is_shown_whole_with_a_chart_of_its_last_days() -> None:
    compared = {**COMPARED, "gate": {"window_days": 60, "same_day": "latest", "min_live_days": 0}}
    history = History(observation(DAY - timedelta(days=n), compared=compared) for n in range(60))
    text = render(history.record(DAY))
    assert "60 of 60" in text
    table = next(t for t in page(text).tables if t[0][0] == "Date (UTC)")
    assert len(table) == 61
    assert "Drifting keys of all kinds on the last 31 days." in text


def ready_section(**figures: Any) -> list[str]:
    """Return the lines of the section that are no rows of a table."""
    record = clean_week().record(DAY, ready_tenants=ready_tenants(**figures))
    text = render(record).split("\n## Ready tenants\n")[1].split("\n## ")[0]
    return [line for line in text.splitlines() if line and not line.startswith("|")]


@pytest.mark.parametrize(("figures", "lines"), [
    ({"tenants": 1, "ready": 1}, ["**The gates of 1 of 1 tenant with rows are OPEN.**"]),
    ({"tenants": 12, "ready": 12}, ["**The gates of 12 of 12 tenants with rows are OPEN.**"]),
    ({"tenants": 12, "ready": 9, "nearest": {"acme": 6}},
     ["**The gates of 9 of 12 tenants with rows are OPEN.**", "and 2 more tenants without drift"]),
    ({"tenants": 3, "ready": 1, "nearest": {"acme": 6}},
     ["**The gates of 1 of 3 tenants with rows are OPEN.**", "and 1 more tenant without drift"]),
    ({"tenants": 2},
     ["**The gates of 0 of 2 tenants with rows are OPEN.**", "2 tenants have neither drift nor a clean day."]),
    ({"tenants": 1},
     ["**The gates of 0 of 1 tenant with rows are OPEN.**", "1 tenant has neither drift nor a clean day."]),
    ({"tenants": 40, "drifting": {f"t{number}": 1 for number in range(12)}, "more_drifting": 28},
     ["**The gates of 0 of 40 tenants with rows are OPEN.**", "and 30 more tenants with drift"]),
], ids=str)
def test_ready_tenants_are_counted_and_every_list_is_bounded(figures: dict[str, Any], lines: list[str]) -> None:
    first, *others = ready_section(**figures)
    assert [first.split(" This section")[0], *others] == lines
    assert first.endswith("This section does not affect the company's gate, which is OPEN.")
