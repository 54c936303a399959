"""Tests that all pods and init containers that we ship or configure meet the pod security standard `restricted`."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from orgrecon_pipeline_tests.support.deploy.pod_security import (
    CONTAINER_RULES,
    POD_RULES,
    Manifest,
    containers,
    pods,
    violations,
)
from orgrecon_pipeline_tests.support.deploy.tools import DEPLOY, ROOT, chart, documents, kustomized

SIGNING_GUIDE = (ROOT / "docs/how-to/signed-reports.md").read_text()
# What OpenShift's constraint restricted-v2 refuses: the namespace chooses users and groups.
IDENTITIES = ("runAsUser", "runAsGroup", "fsGroup", "supplementalGroups")
OPENSHIFT_VALUES = ("--values", str(DEPLOY / "helm/openshift.yaml"),
                    "--set", "dagster-user-deployments.deployments[0].podSecurityContext=null")


def reader() -> list[Manifest]:
    return documents((DEPLOY / "cron/reports-reader.yaml").read_text())


SHIPPED: dict[str, tuple[Callable[[], list[Manifest]], set[str]]] = {
    "base": (lambda: kustomized("base"), {"org-v23-reconcile-report", "orgrecon-exporter"}),
    "dev": (lambda: kustomized("dev"), {"org-v23-reconcile-report", "orgrecon-exporter"}),
    "openshift": (lambda: kustomized("openshift"), {"org-v23-reconcile-report", "orgrecon-exporter"}),
    "reader": (reader, {"org-v23-reports-reader"}),
    "dagster": (chart, {"dagster-daemon", "dagster-webserver", "dagster-user-deployments-orgrecon", "run",
                        "dagster-dagster-webserver-instance-migrate"}),
    "dagster on openshift": (lambda: chart(*OPENSHIFT_VALUES),
                             {"dagster-daemon", "dagster-webserver", "dagster-user-deployments-orgrecon", "run",
                              "dagster-dagster-webserver-instance-migrate"}),
}


def good_pod() -> dict[str, Any]:
    return {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "initContainers": [{"name": "first", "securityContext": {
            "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}],
        "containers": [{"name": "main", "ports": [{"containerPort": 3000}], "securityContext": {
            "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}}],
    }


# The rule, where to change a good pod, and the value that breaks the rule.
BROKEN: list[tuple[str, tuple[str | int, ...], Any]] = [
    ("no host namespaces", ("hostNetwork",), True),
    ("no host namespaces", ("hostPID",), True),
    ("no host namespaces", ("hostIPC",), True),
    ("known volume types", ("volumes", 0), {"name": "disk", "hostPath": {"path": "/"}}),
    ("safe sysctls", ("securityContext", "sysctls"), [{"name": "kernel.msgmax", "value": "1"}]),
    ("not privileged", ("initContainers", 0, "securityContext", "privileged"), True),
    ("no privilege escalation", ("initContainers", 0, "securityContext", "allowPrivilegeEscalation"), None),
    ("no privilege escalation", ("containers", 0, "securityContext"), None),
    ("runs as non-root", ("securityContext", "runAsNonRoot"), None),
    ("runs as non-root", ("initContainers", 0, "securityContext", "runAsNonRoot"), False),
    ("no user 0", ("securityContext", "runAsUser"), 0),
    ("no user 0", ("containers", 0, "securityContext", "runAsUser"), 0),
    ("drops all capabilities", ("containers", 0, "securityContext", "capabilities"), {"drop": ["KILL"]}),
    ("adds no capabilities", ("containers", 0, "securityContext", "capabilities", "add"), ["CHOWN"]),
    ("seccomp profile", ("securityContext", "seccompProfile"), None),
    ("seccomp profile", ("initContainers", 0, "securityContext", "seccompProfile"), {"type": "Unconfined"}),
    ("AppArmor profile", ("securityContext", "appArmorProfile"), {"type": "Unconfined"}),
    ("SELinux options", ("containers", 0, "securityContext", "seLinuxOptions"), {"user": "root"}),
    ("SELinux options", ("securityContext", "seLinuxOptions"), {"type": "spc_t"}),
    ("default /proc", ("containers", 0, "securityContext", "procMount"), "Unmasked"),
    ("no host process", ("securityContext", "windowsOptions"), {"hostProcess": True}),
    ("no host ports", ("containers", 0, "ports", 0, "hostPort"), 80),
    ("no host in probes", ("containers", 0, "livenessProbe"), {"httpGet": {"host": "db", "port": 80}}),
]


def test_good_pod_breaks_no_rule() -> None:
    assert violations(good_pod()) == []


@pytest.mark.parametrize(("rule", "path", "value"), BROKEN)
def test_pod_that_breaks_a_rule_is_refused_for_that_rule(rule: str, path: tuple[str | int, ...], value: Any) -> None:
    pod: Any = good_pod()
    part = pod
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    assert any(violation.split(": ")[-1] == rule for violation in violations(pod))


def test_every_rule_has_a_pod_that_breaks_it() -> None:
    assert {rule for rule, _, _ in BROKEN} == POD_RULES.keys() | CONTAINER_RULES.keys()


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_pod_meets_the_restricted_standard(name: str) -> None:
    render, expected = SHIPPED[name]
    shipped = pods(render())
    assert shipped.keys() == expected
    assert [f"{pod}: {broken}" for pod, spec in shipped.items() for broken in violations(spec)] == []


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_container_binds_ports_that_need_no_root(name: str) -> None:
    for spec in pods(SHIPPED[name][0]()).values():
        for container in containers(spec):
            declared = {port["containerPort"] for port in container.get("ports") or ()}
            assert all(port >= 1024 for port in declared), container["name"]
            probed = (container.get("readinessProbe") or {}).get("httpGet", {}).get("port")
            assert probed is None or isinstance(probed, str) or probed in declared, container["name"]


@pytest.mark.parametrize("name", ["dagster"])
def test_foreign_images_run_as_a_user_other_than_their_own(name: str) -> None:
    # The images of Dagster, PostgreSQL and busybox run as root, which runAsNonRoot refuses without runAsUser.
    for spec in pods(SHIPPED[name][0]()).values():
        assert spec["securityContext"]["runAsUser"] >= 10000


@pytest.mark.parametrize("name", ["openshift", "reader", "dagster on openshift"])
def test_pods_on_openshift_leave_users_and_groups_to_the_namespace(name: str) -> None:
    for spec in pods(SHIPPED[name][0]()).values():
        for part in (spec, *containers(spec)):
            assert not (part.get("securityContext") or {}).keys() & set(IDENTITIES)


@pytest.mark.parametrize("name", ["base", "dev", "openshift", "reader"])
def test_own_pods_have_a_read_only_root_bounded_resources_and_no_token(name: str) -> None:
    for spec in pods(SHIPPED[name][0]()).values():
        assert spec["automountServiceAccountToken"] is False
        for container in containers(spec):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert all({"cpu", "memory"} <= container["resources"][bound].keys() for bound in ("requests", "limits"))
            assert ":" in container["image"]
            assert not container["image"].endswith(":latest")


@pytest.mark.parametrize("name", ["base", "openshift", "dagster"])
def test_pods_that_connect_to_a_database_mount_the_ca_that_the_urls_name(name: str) -> None:
    [secret] = documents((DEPLOY / "kustomize/base/secret.example.yaml").read_text())
    values = yaml.safe_load((DEPLOY / "helm/values.yaml").read_text())
    named = {url.split("sslrootcert=")[1] for url in secret["stringData"].values()}
    assert all("sslmode=verify-full&" in url for url in secret["stringData"].values())
    assert named == {values["postgresql"]["postgresqlParams"]["sslrootcert"]}
    [(folder, _, file)] = (path.rpartition("/") for path in named)
    for pod, spec in pods(SHIPPED[name][0]()).items():
        if pod.endswith("instance-migrate"):
            continue  # disabled: the chart mounts nothing of ours into it
        [container] = spec["containers"]
        [mount] = [mount for mount in container["volumeMounts"] if mount["mountPath"] == folder]
        [volume] = [volume for volume in spec["volumes"] if volume["name"] == mount["name"]]
        assert volume["configMap"] == {"name": "orgrecon-ca", "optional": True}
    assert values["migrate"] == {"enabled": False}
    example = yaml.safe_load((DEPLOY / "kustomize/example/kustomization.yaml").read_text())
    assert {"name": "orgrecon-ca", "files": [file], "options": {"disableNameSuffixHash": True}} in (
        example["configMapGenerator"])


@pytest.mark.parametrize(("name", "writers"), [
    ("base", {"org-v23-reconcile-report"}), ("openshift", {"org-v23-reconcile-report"}),
    ("dagster", {"dagster-user-deployments-orgrecon", "run"})])
def test_only_pods_that_write_reports_mount_the_signing_key(name: str, writers: set[str]) -> None:
    [path] = set(re.findall(r'"ORGRECON_SIGNING_KEY_FILE": "([^"]+)"', SIGNING_GUIDE))
    folder, _, key = path.rpartition("/")
    assert f"create secret generic orgrecon-signing --from-file={key}=" in SIGNING_GUIDE
    mounting = set()
    for pod, spec in pods(SHIPPED[name][0]()).items():
        volumes = [volume["name"] for volume in spec.get("volumes", ()) if "secret" in volume]
        for container in containers(spec):
            mounts = [mount for mount in container.get("volumeMounts", ()) if mount["name"] in volumes]
            if any(mount["mountPath"] == folder and mount["readOnly"] for mount in mounts):
                mounting.add(pod)
    assert mounting == writers


def test_signing_key_is_readable_by_the_group_of_the_pod_only() -> None:
    [volume] = [volume for spec in pods(SHIPPED["base"][0]()).values() for volume in spec.get("volumes", ())
                if "secret" in volume]
    assert volume["secret"] == {"secretName": "orgrecon-signing", "optional": True, "defaultMode": 0o440}


def test_values_for_openshift_change_nothing_else() -> None:
    def without_identities(manifests: list[Manifest]) -> list[Any]:
        plain = copy.deepcopy(manifests)
        for spec in pods(plain).values():
            assert isinstance(spec, dict)
            spec.pop("securityContext", None)
        return plain

    assert without_identities(chart(*OPENSHIFT_VALUES)) == without_identities(chart())
