"""Tests of the alert rules: syntax, unit tests, runbooks, and the metrics that they use."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from orgrecon_pipeline.metrics.collector import metric_families
from orgrecon_pipeline.metrics.dual_write import DualWriteMetrics
from orgrecon_pipeline.metrics.snapshot import MetricsSnapshot
from orgrecon_pipeline_tests.support.default_identity import IDENTITY
from orgrecon_pipeline_tests.support.deploy.tools import ROOT, promtool, run

ALERTS = ROOT / "deploy/alerts"
FILES = sorted(ALERTS.glob("*.yaml"))
TESTS = sorted((ALERTS / "tests").glob("*.yaml"))
ENTITIES = ("org_units", "org_unit_memberships")


def rules(file: Path) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


RULES = [pytest.param(rule, id=rule["alert"]) for file in FILES for rule in rules(file)]


def published_metrics() -> set[str]:
    """Return the names of all series that orgrecon and a dual writer publish."""
    registry = CollectorRegistry()
    DualWriteMetrics(registry, ENTITIES)
    snapshot = MetricsSnapshot(ledger_up=True, window_days=7)
    families = [*metric_families(snapshot, IDENTITY, ENTITIES), *registry.collect()]
    return {sample.name for family in families for sample in family.samples}


def metrics_in(expression: str) -> set[str]:
    """Return the metric names in a PromQL expression."""
    return set(re.findall(r"\b(?:orgrecon|dualwrite)_[a-z_]+\b", expression))


def test_alert_files_and_their_unit_tests_are_complete() -> None:
    assert [file.name for file in FILES] == ["dualwrite.yaml", "reconcile.yaml"]
    assert [file.name for file in TESTS] == [
        "dualwrite_test.yaml", "odd_days_test.yaml", "odd_hours_test.yaml", "reconcile_days_test.yaml",
        "reconcile_test.yaml"]


def test_alert_rules_pass_promtool_check_and_unit_tests() -> None:
    run(promtool(), "check", "rules", "--lint=all", "--lint-fatal", *map(str, FILES))
    run(promtool(), "test", "rules", *map(str, TESTS))


@pytest.mark.parametrize("rule", RULES)
def test_alert_unit_tests_cover_quiet_and_firing(rule: dict[str, Any]) -> None:
    cases = [
        case
        for file in TESTS
        for group in yaml.safe_load(file.read_text())["tests"]
        for case in group.get("alert_rule_test", [])
        if case["alertname"] == rule["alert"]
    ]
    assert any(not case["exp_alerts"] for case in cases), "no unit test in which the alert is quiet"
    assert any(case["exp_alerts"] for case in cases), "no unit test in which the alert fires"


@pytest.mark.parametrize("rule", RULES)
def test_alert_has_severity_description_and_runbook(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("ticket", "page")
    annotations = rule["annotations"]
    assert annotations["summary"]
    assert len(annotations["description"]) > len(annotations["summary"])
    runbook = ROOT / annotations["runbook_url"]
    assert runbook.is_relative_to(ROOT / "docs/runbooks")
    assert rule["alert"] in runbook.read_text(), "the runbook does not name the alert"


@pytest.mark.parametrize("rule", RULES)
def test_alert_expression_uses_published_metrics_only(rule: dict[str, Any]) -> None:
    assert metrics_in(rule["expr"])
    assert metrics_in(rule["expr"]) <= published_metrics()


def test_alert_expressions_drop_the_instance_label() -> None:
    # Two replicas of the exporter must not page twice.
    for file in FILES:
        for rule in rules(file):
            assert re.search(r"\b(by \(|absent\()", rule["expr"]), rule["alert"]
            assert "instance" not in rule["expr"]


def test_dualwrite_metrics_page_matches_published_metrics_and_alerts() -> None:
    page = (ROOT / "docs/dualwrite-metrics.md").read_text()
    registry = CollectorRegistry()
    DualWriteMetrics(registry, ENTITIES)
    documented = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in re.findall(
        r"^\| `(dualwrite_\w+)` \| (\w+) \| (.+?) \|", page, re.MULTILINE)}
    published = {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type, {label for sample in family.samples for label in sample.labels} - {"le"},
        )
        for family in registry.collect()
    }
    assert documented == published
    for file in FILES[:1]:
        for rule in rules(file):
            assert f"| [{rule['alert']}]({rule['annotations']['runbook_url'].removeprefix('docs/')}) |" in page
