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
SIGNING_SECRET = "orgrecon-signing"
VOLUME = "orgrecon-data"


@contextmanager
def played(
    name: str, template: Mapping[str, Any], secret: Mapping[str, str], signing_key: str = "",
) -> Iterator[str]:
    """Run a pod with the volume and the mapping of the base; yield the name of its container.

    Args:
        name: name of the new pod.
        template: labels and specification of the pod, which has one container.
        secret: content of the Secret.
        signing_key: content of the Secret with the key that signs reports; empty if there is none.
    """
    [container] = template["spec"]["containers"]
    for unsupported in ("livenessProbe", "readinessProbe", "ports"):
        container.pop(unsupported, None)  # podman 4 probes a named port as port 0, and maps no ports of the host
    # podman 4.3 fails if an optional Secret does not exist, and does not mount one that exists.
    if signing_key:
        _require_secret(template["spec"], "signing")
    else:
        _remove_volume(template["spec"], "signing")
    # podman does not play a claim whose volume exists.
    exists = podman("volume", "exists", VOLUME, check=False).returncode == 0
    kinds = ("ConfigMap",) if exists else ("ConfigMap", "PersistentVolumeClaim")
    needed = [m for m in kustomized("base") if m["kind"] in kinds]
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
           "metadata": {"name": name, "labels": template["metadata"]["labels"]}}
    with (_secret(SECRET, secret) as of_secret, _secret(SIGNING_SECRET, {"key": signing_key}, mounted=True) as of_key,
          _file([*needed, *of_secret, *of_key, pod]) as file):
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


def _remove_volume(spec: Any, name: str) -> None:
    for holder, field in ((spec, "volumes"), *((container, "volumeMounts") for container in spec["containers"])):
        holder[field] = [volume for volume in holder.get(field, ()) if volume["name"] != name]


def _require_secret(spec: Any, name: str) -> None:
    [volume] = [volume for volume in spec["volumes"] if volume["name"] == name]
    volume["secret"]["optional"] = False


@contextmanager
def _secret(name: str, content: Mapping[str, str], *, mounted: bool = False) -> Iterator[list[Any]]:
    """Yield the manifest of the Secret, or none if this version of podman needs one that exists already."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in content.items()}
    podman("secret", "rm", name, check=False)
    old = version() < (4, 4)
    if old:
        # It reads the content of a volume as text, and values of variables in base64.
        podman("secret", "create", name, "-", stdin=json.dumps({"data": content} if mounted else data))
    try:
        yield [] if old else [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}]
    finally:
        podman("secret", "rm", name, check=False)

