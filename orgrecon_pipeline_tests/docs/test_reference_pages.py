"""Tests that the reference pages list every option, environment variable, mapping field and metric."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from orgrecon_pipeline.cli.app import app
from orgrecon_pipeline.domain.mapping import EvidenceSettings, GateSettings, ReportSettings, ScanSettings
from orgrecon_pipeline.metrics.collector import metric_families
from orgrecon_pipeline.metrics.snapshot import MetricsSnapshot
from orgrecon_pipeline_tests.support.default_identity import IDENTITY
from orgrecon_pipeline_tests.support.docs import as_description

ROOT = Path(__file__).parents[2]
COMMANDS: dict[str, click.Command] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
SETTINGS: dict[str, Any] = {
    "evidence": EvidenceSettings, "gate": GateSettings, "scan": ScanSettings, "report": ReportSettings}


def page(name: str) -> str:
    """Return the text of a page."""
    return (ROOT / name).read_text("utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_cli_page_lists_every_option_of_the_command(command: str) -> None:
    section = page("docs/cli.md").split(f"\n## {command}\n")[1].split("\n## ")[0]
    documented = set(re.findall(r"--[a-z][a-z-]*", section))
    options = {parameter.opts[0] for parameter in COMMANDS[command].params if parameter.param_type_name == "option"}
    assert options <= documented, f"docs/cli.md lacks {sorted(options - documented)} in the section {command}"
    assert documented <= options, f"docs/cli.md lists unknown options of {command}: {sorted(documented - options)}"


def test_environment_page_lists_every_environment_variable() -> None:
    code = "".join(path.read_text("utf-8") for path in (ROOT / "orgrecon_pipeline").rglob("*.py"))
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", page("docs/environment.md"), re.MULTILINE))
    used = set(re.findall(r"\"((?:ORGRECON_|DATABASE_URL|DAGSTER_HOME)[A-Z_]*)\"", code))
    internal = {"ORGRECON_SIMULATED_NOW_FILE"}  # for tests and demos, see docs/dagster.md
    assert used - internal == documented


@pytest.mark.parametrize("section", SETTINGS)
def test_mapping_page_lists_every_setting_with_its_default(section: str) -> None:
    rows = dict(re.findall(rf"^\| `{section}\.(\w+)` \| .+ \| (\S+) \|$", page("docs/mapping.md"), re.MULTILINE))
    for name, field in SETTINGS[section].model_fields.items():
        default = f"{field.default:g}" if isinstance(field.default, float) else str(field.default).lower()
        assert rows.get(name) == default, f"docs/mapping.md: {section}.{name} must have the default {default}"
    assert rows.keys() == SETTINGS[section].model_fields.keys()


@pytest.mark.parametrize("section", SETTINGS)
def test_mapping_page_explains_every_setting_as_its_schema_does(section: str) -> None:
    rows = dict(re.findall(rf"^\| `{section}\.(\w+)` \| (.+) \| \S+ \|$", page("docs/mapping.md"), re.MULTILINE))
    assert {name: as_description(text) for name, text in rows.items()} == {
        name: field.description for name, field in SETTINGS[section].model_fields.items()}


def test_metrics_page_lists_every_metric_with_its_labels() -> None:
    rows = re.findall(r"^\| `(orgrecon_\w+)` \| \w+ \| (.+?) \|", page("docs/metrics.md"), re.MULTILINE)
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    published: dict[str, set[str]] = {}
    for family in metric_families(MetricsSnapshot(ledger_up=True, window_days=7), IDENTITY, ["org_units"]):
        for sample in family.samples:
            assert {"migration", "environment"} <= sample.labels.keys()
            published.setdefault(sample.name, set()).update(sample.labels.keys() - {"migration", "environment"})
    assert documented == published
