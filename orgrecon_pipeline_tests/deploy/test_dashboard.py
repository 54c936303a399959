"""The dashboard: every panel explained, every metric published, every expression PromQL, nothing overlapping."""

from __future__ import annotations

import json
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

DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/orgrecon.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]


def published() -> dict[str, set[str]]:
    """The labels of every series that orgrecon and a dual writer publish, by name."""
    registry = CollectorRegistry()
    DualWriteMetrics(registry, ["org_units"])
    labels: dict[str, set[str]] = {}
    for family in (*families(MetricsSnapshot(ledger_up=True, window_days=7), ["org_units"]), *registry.collect()):
        for sample in family.samples:
            labels.setdefault(sample.name, {"job", "namespace"}).update(sample.labels)
    return labels


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_has_a_description_a_unit_and_the_data_source_that_was_chosen(panel: dict[str, Any]) -> None:
    assert len(panel["description"]) > 30
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"]["uid"] == "${datasource}"
    assert panel["targets"]
    assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_names_metrics_and_labels_that_are_published(expression: str) -> None:
    known = published()
    names = set(re.findall(r"\b(?:orgrecon|dualwrite)_[a-z_]+\b", expression))
    assert names
    assert names <= known.keys()
    for labels in re.findall(r"by \(([^)]*)\)", expression):
        assert set(re.split(r",\s*", labels)) <= set().union(*(known[name] for name in names))


def test_every_expression_is_promql(tmp_path: Path) -> None:
    # As recording rules, with Grafana's variables in place of what Grafana puts there.
    rules = [
        {"record": f"panel:{n}", "expr": e.replace("$__rate_interval", "5m").replace("$job", ".*")
         .replace("$dualwrite", ".*")}
        for n, e in enumerate(EXPRESSIONS)
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    run(promtool(), "check", "rules", str(file))


def test_the_data_source_is_a_variable_and_every_other_variable_is_used() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    for name in variables.keys() - {"datasource"}:
        assert any(f"${name}" in expression for expression in EXPRESSIONS)
    text = json.dumps(DASHBOARD)
    assert "__inputs" not in DASHBOARD
    assert set(re.findall(r'"uid": "([^"]+)"', text)) == {"${datasource}", "orgrecon"}


def test_gate_streak_drift_scan_and_dual_write_are_all_there_and_nothing_overlaps() -> None:
    names = set(re.findall(r"\b(?:orgrecon|dualwrite)_[a-z_]+\b", " ".join(EXPRESSIONS)))
    published_names = {name for name in published() if not name.endswith(("_created", "_count", "_sum"))}
    assert published_names - names == set(), "published and shown nowhere"
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        left, top = place["x"], place["y"]
        own = {(x, y) for x in range(left, left + place["w"]) for y in range(top, top + place["h"])}
        assert not own & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        cells |= own
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
