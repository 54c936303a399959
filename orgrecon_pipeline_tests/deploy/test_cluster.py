"""Tests of the Kubernetes manifests, as kustomize renders them: schema, schedule, permissions and network."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from orgrecon_pipeline_tests.support.deploy.pod_security import pods
from orgrecon_pipeline_tests.support.deploy.tools import (
    COMPANY,
    DEPLOY,
    ROOT,
    documents,
    from_venv,
    kustomized,
    run,
)

CRON = DEPLOY / "cron/org-v23-reconcile-report.yaml"
# The oldest schemas that accept the manifests: earlier ones require both conditions in each rule of podFailurePolicy.
MINIMUM_VERSION, NEWEST_VERSION = "1.29.0", "1.37.0"
# Kinds of the Prometheus Operator, which have no schema in Kubernetes.
OPERATOR_KINDS = ("ServiceMonitor", "PrometheusRule")

Manifest = dict[str, Any]


@pytest.fixture(scope="module", params=["base", "dev", "openshift"])
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return kustomized(request.param)


@pytest.fixture
def cron() -> Manifest:
    [document] = documents(CRON.read_text())
    return document


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def test_overlay_is_valid_kubernetes(manifests: list[Manifest], tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all(m for m in manifests if m["kind"] not in OPERATOR_KINDS))
    for version in (MINIMUM_VERSION, NEWEST_VERSION):
        run(from_venv("kubernetes-validate"), "--strict", "--kubernetes-version", version, str(file))


def test_install_page_names_the_minimum_version() -> None:
    minimum = MINIMUM_VERSION.rpartition(".")[0]
    assert f"Kubernetes {minimum} or later" in (ROOT / "docs/runbooks/install.md").read_text()


def test_each_manifest_is_valid_kubernetes_without_kustomize() -> None:
    files = (CRON, DEPLOY / "cron/pvc.yaml", DEPLOY / "cron/reports-reader.yaml", DEPLOY / "exporter/exporter.yaml",
             DEPLOY / "kustomize/base/secret.example.yaml", DEPLOY / "kustomize/base/networkpolicy.yaml")
    run(from_venv("kubernetes-validate"), "--strict", *map(str, files))


def test_deploy_yaml_passes_yamllint() -> None:
    files = [str(file) for file in DEPLOY.rglob("*.yaml") if COMPANY not in file.parents]
    run(from_venv("yamllint"), "--strict", *files)


def test_overlays_use_one_namespace_and_mount_the_mapping_in_every_pod() -> None:
    for overlay, namespace in (("base", "orgrecon"), ("dev", "orgrecon-dev")):
        manifests = kustomized(overlay)
        assert {m["metadata"].get("namespace", m["metadata"]["name"]) for m in manifests} == {namespace}
        [mapping] = of_kind(manifests, "ConfigMap")
        for spec in pods(manifests).values():
            [volume] = [v for v in spec["volumes"] if v["name"] == "mapping"]
            assert volume["configMap"]["name"] == mapping["metadata"]["name"]


def test_deployed_mapping_equals_the_packaged_default() -> None:
    packaged = ROOT / "orgrecon_pipeline/config/default_mapping.yaml"
    assert (DEPLOY / "kustomize/base/orgrecon.yaml").read_text() == packaged.read_text()


def test_base_overlay_has_all_kinds_but_no_secret() -> None:
    kinds = sorted(m["kind"] for m in kustomized("base"))
    assert kinds == ["ConfigMap", "CronJob", "Deployment", "Namespace", "NetworkPolicy", "NetworkPolicy",
                     "NetworkPolicy", "PersistentVolumeClaim", "PrometheusRule", "Service", "ServiceMonitor"]
    assert not of_kind(kustomized("dev"), "PrometheusRule")


def test_cron_job_runs_daily_at_eight_utc_without_overlap_and_allows_a_late_start(cron: Manifest) -> None:
    spec = cron["spec"]
    assert (cron["apiVersion"], cron["metadata"]["name"]) == ("batch/v1", "org-v23-reconcile-report")
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("0 8 * * *", "Etc/UTC", "Forbid")
    job = spec["jobTemplate"]["spec"]
    assert spec["startingDeadlineSeconds"] >= 6 * 3600
    assert job["activeDeadlineSeconds"] > 3600
    # A job with the latest possible start still ends on its UTC day.
    assert spec["startingDeadlineSeconds"] + job["activeDeadlineSeconds"] <= 16 * 3600
    assert 1 <= job["backoffLimit"] <= 5
    assert job["template"]["spec"]["restartPolicy"] == "Never", "podFailurePolicy requires restartPolicy Never"


def test_cron_job_retries_inconclusive_runs_and_crashes_only(cron: Manifest) -> None:
    rules = cron["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    [failing] = [rule for rule in rules if rule["action"] == "FailJob"]
    assert failing["onExitCodes"]["operator"] == "In"
    assert failing["onExitCodes"]["values"] == [1, 2, 4], "3 (INCONCLUSIVE) must be retried"
    [container] = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert failing["onExitCodes"]["containerName"] == container["name"]


def test_cron_job_runs_the_documented_command_with_volume_and_secret(cron: Manifest) -> None:
    spec = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [container] = spec["containers"]
    assert [*container["command"], *container["args"]] == [
        "orgrecon", "report", "--output-dir", "/var/lib/orgrecon/reports",
    ]
    assert {entry["name"] for entry in container["env"]} == {
        "DATABASE_URL", "ORGRECON_TARGET_DATABASE_URL", "ORGRECON_LEDGER_URL", "ORGRECON_ENVIRONMENT",
        "ORGRECON_NOTIFY_URLS", "ORGRECON_NOTIFY_ALSO", "ORGRECON_REPORT_BASE_URL",
        "ORGRECON_SIGNING_KEY_FILE",
    }
    for entry in container["env"]:
        reference = entry["valueFrom"]["secretKeyRef"]
        assert reference["key"] == entry["name"]
        assert bool(reference.get("optional")) is (entry["name"] not in ("DATABASE_URL", "ORGRECON_LEDGER_URL"))
    [data] = [volume for volume in spec["volumes"] if volume["name"] == "data"]
    [claim] = of_kind(documents((DEPLOY / "cron/pvc.yaml").read_text()), "PersistentVolumeClaim")
    assert data["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert {"name": "data", "mountPath": "/var/lib/orgrecon"} in container["volumeMounts"]


def test_ledger_of_the_cron_job_outlives_its_pod(cron: Manifest) -> None:
    """A lost ledger knows no tenant, so nothing could be lost. It is a database server, and never left to the default.

    An SQLite ledger would only be safe on the persistent volume of the reports.
    """
    [container] = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    [ledger] = [entry for entry in container["env"] if entry["name"] == "ORGRECON_LEDGER_URL"]
    assert not ledger["valueFrom"]["secretKeyRef"].get("optional")
    [secret] = documents((DEPLOY / "kustomize/base/secret.example.yaml").read_text())
    assert secret["stringData"]["ORGRECON_LEDGER_URL"].startswith("postgresql://")
    shipped = [path for path in DEPLOY.rglob("*.yaml") if COMPANY not in path.parents]
    assert "sqlite:" not in "".join(path.read_text() for path in shipped)


def test_exporter_runs_the_documented_command_with_access_to_the_ledger_only() -> None:
    container = pods(kustomized("base"))["orgrecon-exporter"]["containers"][0]
    assert [*container["command"], *container["args"]] == ["orgrecon", "exporter", "--port", "9464"]
    names = [entry["name"] for entry in container["env"]]
    assert names == ["ORGRECON_LEDGER_URL", "ORGRECON_ENVIRONMENT", "ORGRECON_GATE_TOKEN"]
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": "metrics"}


def selects(policy: Manifest, labels: dict[str, str]) -> bool:
    wanted = policy["spec"]["podSelector"].get("matchLabels", {})
    return wanted.items() <= labels.items()


def ports(policies: list[Manifest], labels: dict[str, str], direction: str) -> set[tuple[str, int]]:
    return {
        (port["protocol"], port["port"])
        for policy in policies if selects(policy, labels)
        for rule in policy["spec"].get(direction, []) for port in rule["ports"]
    }


def test_network_policies_allow_only_the_required_ports(manifests: list[Manifest]) -> None:
    policies = of_kind(manifests, "NetworkPolicy")
    deny = [p for p in policies if p["spec"]["podSelector"] == {}]
    assert deny
    assert deny[0]["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & deny[0]["spec"].keys()
    dns = {("UDP", 53), ("TCP", 53)}
    [cron] = of_kind(manifests, "CronJob")
    report = cron["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert ports(policies, report, "egress") == dns | {("TCP", 5432), ("TCP", 443)}
    assert ports(policies, report, "ingress") == set()
    [deployment] = of_kind(manifests, "Deployment")
    exporter = deployment["spec"]["template"]["metadata"]["labels"]
    assert ports(policies, exporter, "egress") == dns | {("TCP", 5432)}
    assert ports(policies, exporter, "ingress") == {("TCP", 9464)}


def test_service_and_service_monitor_select_the_exporter() -> None:
    manifests = kustomized("base")
    [service], [monitor], [deployment] = (of_kind(manifests, k) for k in ("Service", "ServiceMonitor", "Deployment"))
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [e["port"] for e in monitor["spec"]["endpoints"]] == [p["name"] for p in service["spec"]["ports"]]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert {p["targetPort"] for p in service["spec"]["ports"]} == {p["name"] for p in container["ports"]}


def test_prometheus_rule_is_up_to_date_with_the_alert_files() -> None:
    program = (sys.executable, str(DEPLOY / "ci/prometheus_rules.py"))
    committed = (DEPLOY / "exporter/prometheusrule.yaml").read_text()
    assert run(*program) == committed, "outdated: generate it again, see its first line"
    [rule] = documents(run(*program))
    groups = [group for file in sorted((DEPLOY / "alerts").glob("*.yaml"))
              for group in yaml.safe_load(file.read_text())["groups"]]
    assert rule["spec"]["groups"] == groups
    [linked] = documents(run(*program, "--repository", "https://git.example.org/me/orgrecon/blob/main/"))
    expected = copy.deepcopy(groups)
    for group in expected:
        for alert in group["rules"]:
            url = alert["annotations"]["runbook_url"]
            alert["annotations"]["runbook_url"] = f"https://git.example.org/me/orgrecon/blob/main/{url}"
    assert linked["spec"]["groups"] == expected


def test_example_secret_has_every_required_key() -> None:
    [secret] = documents((DEPLOY / "kustomize/base/secret.example.yaml").read_text())
    assert secret["stringData"].keys() == {"DATABASE_URL", "ORGRECON_LEDGER_URL"}
    assert all("CHANGE-ME" in value for value in secret["stringData"].values())
