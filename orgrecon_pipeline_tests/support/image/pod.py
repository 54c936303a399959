"""Pods of our manifests, played by podman as a cluster would run them."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from orgrecon_pipeline_tests.support.deploy.tools import DEPLOY, documents, kustomized
from orgrecon_pipeline_tests.support.image.engine import podman, version

SECRET = "orgrecon"
VOLUME = "orgrecon-data"


@contextmanager
def played(name: str, template: Mapping[str, Any], secret: Mapping[str, str]) -> Iterator[str]:
    """Run a pod with the volume and the mapping of the base; yield the name of its container.

    Args:
        name: name of the new pod.
        template: labels and specification of the pod, which has one container.
        secret: content of the Secret.
    """
    [container] = template["spec"]["containers"]
    for unsupported in ("livenessProbe", "readinessProbe", "ports"):
        container.pop(unsupported, None)  # podman 4 probes a named port as port 0, and maps no ports of the host
    # podman does not play a claim whose volume exists.
    exists = podman("volume", "exists", VOLUME, check=False).returncode == 0
    kinds = ("ConfigMap",) if exists else ("ConfigMap", "PersistentVolumeClaim")
    needed = [m for m in kustomized("base") if m["kind"] in kinds]
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
           "metadata": {"name": name, "labels": template["metadata"]["labels"]}}
    with _secret(secret) as manifests_of_secret, _file([*needed, *manifests_of_secret, pod]) as file:
        try:
            podman("kube", "play", "--network=host", str(file))
            yield f"{name}-{container['name']}"
        finally:
            podman("pod", "rm", "--force", "--ignore", name)


def template_of(component: str) -> dict[str, Any]:
    """Return the pod template of the base's workload with this label ``app.kubernetes.io/component``."""
    specs = [manifest.get("spec", {}) for manifest in kustomized("base")]
    templates = [spec.get("jobTemplate", {}).get("spec", spec).get("template") for spec in specs]
    [template] = [template for template in templates
                  if template and template["metadata"]["labels"]["app.kubernetes.io/component"] == component]
    return dict(template)


def reader() -> dict[str, Any]:
    """Return the pod from which a person copies the reports."""
    [pod] = documents((DEPLOY / "cron/reports-reader.yaml").read_text())
    return pod


@contextmanager
def _file(manifests: list[Any]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pod.yaml"
        file.write_text(yaml.safe_dump_all(manifests))
        yield file


@contextmanager
def _secret(content: Mapping[str, str]) -> Iterator[list[Any]]:
    """Yield the manifest of the Secret, or none if this version of podman needs one that exists already."""
    data = {name: base64.b64encode(value.encode()).decode() for name, value in content.items()}
    podman("secret", "rm", SECRET, check=False)
    old = version() < (4, 4)
    if old:
        podman("secret", "create", SECRET, "-", stdin=json.dumps(data))
    try:
        yield [] if old else [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "data": data}]
    finally:
        podman("secret", "rm", SECRET, check=False)

