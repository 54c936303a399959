"""Reference of the metrics, from the metrics themselves."""

from __future__ import annotations

from typing import Any

from orgrecon_pipeline.metrics.collector import metric_families
from orgrecon_pipeline.metrics.snapshot import MetricsSnapshot
from orgrecon_pipeline_tests.support.default_identity import IDENTITY
from orgrecon_pipeline_tests.support.reference.cells import cell, table


def metrics(**_: Any) -> str:
    """Return every metric with its type, its labels except the identity's, and its help text."""
    rows = []
    for family in metric_families(MetricsSnapshot(ledger_up=True, window_days=7), IDENTITY, ["org_units"]):
        [name] = {sample.name for sample in family.samples}
        labels = sorted(set(family.samples[0].labels) - set(IDENTITY.as_json_value()))
        kind = "gauge" if family.type == "info" else family.type
        rows.append([f"`{name}`", kind, ", ".join(f"`{label}`" for label in labels) or "–", cell(family.documentation)])
    return table(("name", "type", "further labels", "meaning"), rows)
