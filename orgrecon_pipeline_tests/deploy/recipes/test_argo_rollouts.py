"""The templates for Argo Rollouts are valid, and succeed only while the gate of the right identity is OPEN."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from orgrecon_pipeline_tests.support.deploy.gate_world import TENANTS, GateWorld
from orgrecon_pipeline_tests.support.deploy.published_schemas import analysis_template_schema
from orgrecon_pipeline_tests.support.deploy.tools import ROOT, from_venv, promtool, run
from orgrecon_pipeline_tests.support.deploy.wrong_servers import gone

GUIDE = ROOT / "docs/how-to/argo-rollouts.md"
RECIPES = ROOT / "deploy/recipes"
PROMETHEUS, WEB = (RECIPES / f"argo-rollouts-{name}.yaml" for name in ("prometheus", "web"))


def template(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(file.read_text())
    return document


def metric_of(document: dict[str, Any], **given: str) -> dict[str, Any]:
    """Return the only metric, with the arguments inserted as Argo Rollouts does."""
    arguments = {argument["name"]: argument.get("value") for argument in document["spec"]["args"]} | given
    [metric] = document["spec"]["metrics"]
    text = re.sub(r"\{\{args\.([\w-]+)\}\}", lambda found: str(arguments[found[1]]), yaml.safe_dump(metric))
    assert "{{" not in text
    inserted: dict[str, Any] = yaml.safe_load(text)
    return inserted


def with_token() -> dict[str, Any]:
    """Return the template for HTTP with the fields that the guide adds for a token."""
    [addition] = [block for text in re.findall(r"^```yaml\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
                  if "secretKeyRef" in text and (block := yaml.safe_load(text))]
    document = template(WEB)
    document["spec"]["args"] += addition["spec"]["args"]
    [metric], [added] = document["spec"]["metrics"], addition["spec"]["metrics"]
    metric["provider"]["web"] |= added["provider"]["web"]
    return document


def validate(document: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    """Validate a template against the published schema."""
    schema, file = folder / "schema.json", folder / "template.yaml"
    schema.write_text(json.dumps(analysis_template_schema()))
    file.write_text(yaml.safe_dump(document))
    return subprocess.run([from_venv("check-jsonschema"), "--schemafile", str(schema), str(file)],
                          capture_output=True, text=True, check=False)


@pytest.mark.parametrize("document", [template(PROMETHEUS), template(WEB), with_token()],
                         ids=["prometheus", "web", "web with a token"])
def test_template_is_valid_for_the_published_schema(document: dict[str, Any], tmp_path: Path) -> None:
    validated = validate(document, tmp_path)
    assert validated.returncode == 0, validated.stdout


@pytest.mark.parametrize("change", [
    lambda metric: metric.update(succesCondition="true"),
    lambda metric: metric["provider"]["web"].pop("url"),
    lambda metric: metric["provider"]["web"].update(timeoutSeconds="20s"),
], ids=["unknown field", "missing field", "wrong type"])
def test_published_schema_refuses_a_wrong_template(change: Callable[[dict[str, Any]], None], tmp_path: Path) -> None:
    document = template(WEB)
    change(document["spec"]["metrics"][0])
    assert validate(document, tmp_path).returncode == 1


SERIES = 'orgrecon_{name}{{migration="org-v23",environment="{environment}",instance="{instance}"}}'


@pytest.mark.parametrize(("samples", "released"), [
    ({("prod", "a"): (1, 7)}, True),
    ({("prod", "a"): (1, 7), ("staging", "a"): (0, 0)}, True),
    ({("prod", "a"): (0, 7)}, False),
    ({("prod", "a"): (1, 6)}, False),
    ({("prod", "a"): (1, 7), ("prod", "b"): (0, 7)}, False),
    ({("staging", "a"): (1, 7)}, False),
    ({}, False),
], ids=["open", "staging closed", "closed", "six live days", "replicas disagree", "only staging", "no series"])
def test_query_has_a_result_only_for_an_open_gate(
    samples: dict[tuple[str, str], tuple[int, int]], released: bool, tmp_path: Path
) -> None:
    metric = metric_of(template(PROMETHEUS))
    assert metric["successCondition"] == "len(result) == 1"
    series = [
        {"series": SERIES.format(name=name, environment=environment, instance=instance), "values": str(value)}
        for (environment, instance), values in samples.items()
        for name, value in zip(("gate_open", "live_reports"), values, strict=True)
    ]
    expected = [{"labels": "{}", "value": 1}] if released else []
    query = {"expr": metric["provider"]["prometheus"]["query"], "eval_time": "0m", "exp_samples": expected}
    file = tmp_path / "test.yaml"
    test = {"interval": "1m", "input_series": series, "promql_expr_test": [query]}
    file.write_text(yaml.safe_dump({"tests": [test]}))
    run(promtool(), "test", "rules", str(file))


class Fields:
    """A JSON object whose missing fields are nil, as in a condition of Argo Rollouts."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def __getattr__(self, name: str) -> Any:
        return self._values.get(name)


def measured(document: dict[str, Any], **arguments: str) -> bool:
    """Return whether the metric succeeds: a status other than 2xx is an error."""
    metric = metric_of(document, **arguments)
    web = metric["provider"]["web"]
    assert web["jsonPath"] == "{$}", "the condition is about the whole answer"
    headers = {header["key"]: header["value"] for header in web.get("headers", ())}
    try:
        with urllib.request.urlopen(urllib.request.Request(web["url"], headers=headers), timeout=60) as response:
            result = Fields(json.load(response))
    except OSError:
        return False
    # The operators of the condition mean the same in Python.
    return eval(metric["successCondition"].replace("&&", "and"), {"__builtins__": {}}, {"result": result}) is True


def test_web_metric_succeeds_only_for_an_open_gate(open_gate: str, closed_gate: str) -> None:
    assert measured(template(WEB), url=open_gate)
    assert not measured(template(WEB), url=closed_gate)
    assert not measured(template(WEB), url=gone())
    assert not measured(template(WEB), url=open_gate, environment="staging")
    assert not measured(template(WEB), url=open_gate, migration="other")


def test_web_metric_of_a_tenant_succeeds_only_for_its_own_gate(closed_gate: str) -> None:
    answers = [measured(template(WEB), url=f"{closed_gate}/tenants/{quote(tenant, safe='')}")
               for tenant in (*TENANTS, "nobody")]
    assert answers == [True, False, True, False]


def test_web_metric_sends_the_token(clean_world: GateWorld) -> None:
    with clean_world.exporter(ORGRECON_GATE_TOKEN="s3cret") as url:
        assert measured(with_token(), url=url, token="s3cret")
        assert not measured(with_token(), url=url, token="wrong")
        assert not measured(template(WEB), url=url)
