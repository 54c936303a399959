"""The alert rules: sound, each one shown quiet and firing, each one with a runbook, and about metrics that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from orgrecon_pipeline.metrics.collector import families
from orgrecon_pipeline.metrics.dual_write import DualWriteMetrics
from orgrecon_pipeline.metrics.snapshot import MetricsSnapshot
from orgrecon_pipeline_tests.support.deploy.tools import ROOT, promtool, run

ALERTS = ROOT / "deploy/alerts"
FILES = sorted(ALERTS.glob("*.yaml"))
TESTS = sorted((ALERTS / "tests").glob("*.yaml"))
ENTITIES = ("org_units", "org_unit_memberships")


def rules(file: Path) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


RULES = [pytest.param(rule, id=rule["alert"]) for file in FILES for rule in rules(file)]


def published() -> set[str]:
    """The names of all series that orgrecon and a dual writer publish."""
    registry = CollectorRegistry()
    DualWriteMetrics(registry, ENTITIES)
    known = [*families(MetricsSnapshot(ledger_up=True, window_days=7), ENTITIES), *registry.collect()]
    return {sample.name for family in known for sample in family.samples}


def named(expression: str) -> set[str]:
    """The metrics that a PromQL expression names."""
    return set(re.findall(r"\b(?:orgrecon|dualwrite)_[a-z_]+\b", expression))


def test_both_files_are_there_and_have_a_unit_test_each() -> None:
    assert [file.name for file in FILES] == ["dualwrite.yaml", "reconcile.yaml"]
    assert [file.name for file in TESTS] == [
        "dualwrite_test.yaml", "odd_days_test.yaml", "odd_hours_test.yaml", "reconcile_days_test.yaml",
        "reconcile_test.yaml"]


def test_promtool_accepts_the_rules_and_their_unit_tests_pass() -> None:
    run(promtool(), "check", "rules", "--lint=all", "--lint-fatal", *map(str, FILES))
    run(promtool(), "test", "rules", *map(str, TESTS))


@pytest.mark.parametrize("rule", RULES)
def test_a_unit_test_shows_the_alert_quiet_and_firing(rule: dict[str, Any]) -> None:
    cases = [
        case
        for file in TESTS
        for group in yaml.safe_load(file.read_text())["tests"]
        for case in group.get("alert_rule_test", [])
        if case["alertname"] == rule["alert"]
    ]
    assert any(not case["exp_alerts"] for case in cases), "never shown quiet"
    assert any(case["exp_alerts"] for case in cases), "never shown firing"


@pytest.mark.parametrize("rule", RULES)
def test_an_alert_says_what_is_wrong_and_where_its_runbook_is(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("ticket", "page")
    annotations = rule["annotations"]
    assert annotations["summary"]
    assert len(annotations["description"]) > len(annotations["summary"])
    runbook = ROOT / annotations["runbook_url"]
    assert runbook.is_relative_to(ROOT / "docs/runbooks")
    assert rule["alert"] in runbook.read_text(), "the runbook does not name its alert"


@pytest.mark.parametrize("rule", RULES)
def test_an_alert_is_about_metrics_that_are_published(rule: dict[str, Any]) -> None:
    assert named(rule["expr"])
    assert named(rule["expr"]) <= published()


def test_no_alert_keeps_the_label_of_one_instance() -> None:
    # Two replicas of the exporter must not page twice.
    for file in FILES:
        for rule in rules(file):
            assert re.search(r"\b(by \(|absent\()", rule["expr"]), rule["alert"]
            assert "instance" not in rule["expr"]


def test_the_contract_of_the_dual_writer_names_what_its_metrics_class_publishes() -> None:
    page = (ROOT / "docs/dualwrite-metrics.md").read_text()
    registry = CollectorRegistry()
    DualWriteMetrics(registry, ENTITIES)
    rows = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in re.findall(
        r"^\| `(dualwrite_\w+)` \| (\w+) \| (.+?) \|", page, re.MULTILINE)}
    real = {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type, {label for sample in family.samples for label in sample.labels} - {"le"},
        )
        for family in registry.collect()
    }
    assert rows == real
    for file in FILES[:1]:
        for rule in rules(file):
            assert f"| [{rule['alert']}]({rule['annotations']['runbook_url'].removeprefix('docs/')}) |" in page
