"""Tests of the Grafana dashboard: descriptions, metrics, PromQL and layout."""

from __future__ import annotations

import json
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

DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/orgrecon.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]


def published_labels() -> dict[str, set[str]]:
    """Return the labels of every series that orgrecon and a dual writer publish, by metric name."""
    registry = CollectorRegistry()
    DualWriteMetrics(registry, ["org_units"])
    labels: dict[str, set[str]] = {}
    snapshot = MetricsSnapshot(ledger_up=True, window_days=7)
    for family in (*metric_families(snapshot, IDENTITY, ["org_units"]), *registry.collect()):
        for sample in family.samples:
            labels.setdefault(sample.name, {"job", "namespace"}).update(sample.labels)
    return labels


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_panel_has_description_unit_and_selected_data_source(panel: dict[str, Any]) -> None:
    assert len(panel["description"]) > 30
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"]["uid"] == "${datasource}"
    assert panel["targets"]
    assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_panel_expression_uses_published_metrics_and_labels(expression: str) -> None:
    known = published_labels()
    names = set(re.findall(r"\b(?:orgrecon|dualwrite)_[a-z_]+\b", expression))
    assert names
    assert names <= known.keys()
    for labels in re.findall(r"by \(([^)]*)\)", expression):
        assert set(re.split(r",\s*", labels)) <= set().union(*(known[name] for name in names))


def test_panel_expressions_are_valid_promql(tmp_path: Path) -> None:
    # promtool checks rule files, so each expression becomes a recording rule with Grafana's variables replaced.
    rules = [
        {"record": f"panel:{n}", "expr": e.replace("$__rate_interval", "5m").replace("$job", ".*")
         .replace("$dualwrite", ".*")}
        for n, e in enumerate(EXPRESSIONS)
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    run(promtool(), "check", "rules", str(file))


def test_dashboard_variables_include_the_data_source_and_are_all_used() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    for name in variables.keys() - {"datasource"}:
        assert any(f"${name}" in expression for expression in EXPRESSIONS)
    text = json.dumps(DASHBOARD)
    assert "__inputs" not in DASHBOARD
    assert set(re.findall(r'"uid": "([^"]+)"', text)) == {"${datasource}", "orgrecon"}


def test_dashboard_shows_every_published_metric_without_overlapping_panels() -> None:
    names = set(re.findall(r"\b(?:orgrecon|dualwrite)_[a-z_]+\b", " ".join(EXPRESSIONS)))
    published_names = {name for name in published_labels() if not name.endswith(("_created", "_count", "_sum"))}
    assert published_names - names == set(), "published but not on the dashboard"
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        grid = panel["gridPos"]
        left, top = grid["x"], grid["y"]
        panel_cells = {(x, y) for x in range(left, left + grid["w"]) for y in range(top, top + grid["h"])}
        assert not panel_cells & cells, panel["title"]
        assert left + grid["w"] <= 24
        cells |= panel_cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
