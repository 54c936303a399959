"""Reference of the alerts, from their rules."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from orgrecon_pipeline_tests.support.reference.cells import cell, table

_RULES = Path(__file__).parents[3] / "deploy/alerts"
_METRIC = re.compile(r"\b(?:orgrecon|dualwrite)_\w+")


def alerts(**_: Any) -> str:
    """Return every alert with its runbook, its severity, the metrics that it reads, and its summary."""
    groups = [group for name in ("reconcile.yaml", "dualwrite.yaml")
              for group in yaml.safe_load((_RULES / name).read_text("utf-8"))["groups"]]
    return table(("alert", "severity", "meaning", "metrics"), (
        [f"[{rule['alert']}]({Path(rule['annotations']['runbook_url']).name})", f"`{rule['labels']['severity']}`",
         _meaning(rule["annotations"]["summary"]),
         ", ".join(f"`{metric}`" for metric in dict.fromkeys(_METRIC.findall(rule["expr"])))]
        for group in groups for rule in group["rules"]))


def _meaning(summary: str) -> str:
    """Return the summary of an alert without the labels that Prometheus fills in."""
    text = re.sub(r"^.*\{\{ end \}\}:", "", " ".join(summary.split()))
    return cell(text.replace("{{ $labels.entity }}", "an entity").strip())
