"""Tests of the components from which a company composes its overlay, and of the example of such an overlay."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from orgrecon_pipeline_tests.support.deploy.pod_security import pods
from orgrecon_pipeline_tests.support.deploy.tools import DEPLOY, cluster_tool, documents, from_venv, kustomized, run

COMPONENTS = sorted(folder.name for folder in (DEPLOY / "kustomize/components").iterdir())
Manifest = dict[str, Any]
POLICIES = ("orgrecon-report", "orgrecon-exporter", "orgrecon-dagster")


def company(*components: str, keep: Iterable[str] = ("orgrecon-ca", "prometheusrule.yaml")) -> list[Manifest]:
    """Return the manifests of a copy of the example with these components and with its own files."""
    with tempfile.TemporaryDirectory() as folder:
        kustomize = Path(folder) / "deploy/kustomize"
        shutil.copytree(DEPLOY, kustomize.parent, ignore=shutil.ignore_patterns("company"))
        own = kustomize / "company"
        shutil.copytree(kustomize / "example", own)
        shutil.copy(kustomize / "base/orgrecon.yaml", own)
        (own / "ca.crt").write_text("our CA")
        shutil.copy(DEPLOY / "exporter/prometheusrule.yaml", own)
        overlay = own / "kustomization.yaml"
        text = overlay.read_text()
        for name in components:
            text, count = re.subn(rf"^# (- \.\./components/{name}) ", r"\1 ", text, flags=re.MULTILINE)
            assert count == 1, name
        content = yaml.safe_load(text)
        content["configMapGenerator"] = [g for g in content["configMapGenerator"]
                                         if g["name"] == "orgrecon-mapping" or g["name"] in keep]
        content["patches"] = [p for p in content["patches"] if p["path"] in keep]
        overlay.write_text(yaml.safe_dump(content))
        return documents(run(cluster_tool("kubectl"), "kustomize", str(own)))


def named(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {m["metadata"]["name"]: m for m in manifests if m["kind"] == kind}


def egress(manifests: list[Manifest], policy: str) -> set[int]:
    rules = named(manifests, "NetworkPolicy")[policy]["spec"]["egress"]
    return {port["port"] for rule in rules for port in rule.get("ports", ())}


def test_example_lists_every_component() -> None:
    text = (DEPLOY / "kustomize/example/kustomization.yaml").read_text()
    assert sorted(re.findall(r"^# - \.\./components/([\w-]+) ", text, re.MULTILINE)) == COMPONENTS


def test_example_without_components_changes_image_mapping_ca_and_alerts_only() -> None:
    own, base = company(), kustomized("base")
    assert named(own, "ConfigMap")["orgrecon-ca"]["data"] == {"ca.crt": "our CA"}
    images = {container["image"] for spec in pods(own).values() for container in spec["containers"]}
    assert images == {"registry.example.org/orgrecon:0.1.0"}
    del own[own.index(named(own, "ConfigMap")["orgrecon-ca"])]
    as_base = yaml.safe_dump(own).replace("registry.example.org/orgrecon:", "orgrecon:")
    assert yaml.safe_load(as_base) == base


def test_example_without_ca_mounts_an_absent_config_map() -> None:
    assert "orgrecon-ca" not in named(company(keep=["prometheusrule.yaml"]), "ConfigMap")


def test_all_components_together_are_valid_kubernetes(tmp_path: Path) -> None:
    everything = company(*COMPONENTS, keep=["orgrecon-ca"])
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all(everything))
    run(from_venv("kubernetes-validate"), "--strict", str(file))
    assert {m["metadata"].get("namespace", m["metadata"]["name"]) for m in everything} == {"orgrecon"}


def test_mail_component_opens_the_ports_of_mail_for_pods_that_notify() -> None:
    base, mail = company("dagster"), company("dagster", "mail")
    added = {policy: egress(mail, policy) - egress(base, policy) for policy in POLICIES}
    assert added == {"orgrecon-report": {465, 587}, "orgrecon-exporter": set(), "orgrecon-dagster": {465, 587}}


def test_pooler_component_opens_its_port_for_all_pods() -> None:
    base, pooler = company("dagster"), company("dagster", "pooler")
    assert all(egress(pooler, policy) - egress(base, policy) == {6432} for policy in POLICIES)
    assert egress(company("pooler"), "orgrecon-report") >= {6432}


def test_read_write_many_component_changes_the_access_mode_only() -> None:
    claim = named(company("read-write-many"), "PersistentVolumeClaim")["orgrecon-data"]
    assert claim["spec"].pop("accessModes") == ["ReadWriteMany"]
    plain = named(company(), "PersistentVolumeClaim")["orgrecon-data"]
    assert plain["spec"].pop("accessModes") == ["ReadWriteOnce"]
    assert claim == plain


def test_dagster_component_suspends_the_cron_job_and_selects_the_pods_of_the_chart() -> None:
    manifests = company("dagster")
    assert named(manifests, "CronJob")["org-v23-reconcile-report"]["spec"]["suspend"] is True
    policy = named(manifests, "NetworkPolicy")["orgrecon-dagster"]["spec"]
    [selected] = policy["podSelector"]["matchExpressions"]
    assert selected == {"key": "app.kubernetes.io/name", "operator": "In",
                        "values": ["dagster", "dagster-user-deployments"]}


@pytest.mark.parametrize("overlay", ["dev", "company"])
def test_clusters_without_the_operator_get_no_kinds_of_it(overlay: str) -> None:
    manifests = kustomized("dev") if overlay == "dev" else company("no-operator", keep=["orgrecon-ca"])
    assert not [m for m in manifests if m["apiVersion"].startswith("monitoring.coreos.com")]
    assert named(manifests, "Service")


def test_openshift_overlay_equals_the_base_with_its_component() -> None:
    own = named(company("openshift"), "CronJob")["org-v23-reconcile-report"]["spec"]["jobTemplate"]["spec"]["template"]
    overlay = named(kustomized("openshift"), "CronJob")["org-v23-reconcile-report"]["spec"]["jobTemplate"]["spec"]
    assert own["spec"]["securityContext"] == overlay["template"]["spec"]["securityContext"]
