"""The pod security standard `restricted` of Kubernetes as a table of rules, and how manifests contain pods.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Manifest = Mapping[str, Any]

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
_SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
}
_SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
_ABSENT: Mapping[str, Any] = {}


def _context(part: Manifest) -> Mapping[str, Any]:
    return part.get("securityContext") or _ABSENT


def _effective(pod: Manifest, container: Manifest, name: str) -> Any:
    own = _context(container).get(name)
    return _context(pod).get(name) if own is None else own


def _everywhere(pod: Manifest, container: Manifest, name: str) -> list[Any]:
    """Return the values of the pod and of the container that are set."""
    return [value for part in (pod, container) if (value := _context(part).get(name)) is not None]


def _probe_hosts(container: Manifest) -> list[str]:
    handlers = [container.get(f"{kind}Probe") for kind in ("liveness", "readiness", "startup")]
    handlers += (container.get("lifecycle") or _ABSENT).values()
    return [action["host"] for handler in handlers if handler for kind in ("httpGet", "tcpSocket")
            if (action := handler.get(kind)) and action.get("host")]


POD_RULES: Mapping[str, Callable[[Manifest], bool]] = {
    "no host namespaces": lambda pod: not any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")),
    "known volume types": lambda pod: all(
        volume.keys() - {"name"} <= _VOLUMES for volume in pod.get("volumes") or ()),
    "safe sysctls": lambda pod: {sysctl["name"] for sysctl in _context(pod).get("sysctls") or ()} <= _SYSCTLS,
}
CONTAINER_RULES: Mapping[str, Callable[[Manifest, Manifest], bool]] = {
    "not privileged": lambda _, container: not _context(container).get("privileged"),
    "no privilege escalation": lambda _, container: _context(container).get("allowPrivilegeEscalation") is False,
    "runs as non-root": lambda pod, container: _effective(pod, container, "runAsNonRoot") is True,
    "no user 0": lambda pod, container: 0 not in _everywhere(pod, container, "runAsUser"),
    "drops all capabilities": lambda _, container: "ALL" in (
        _context(container).get("capabilities", _ABSENT).get("drop") or ()),
    "adds no capabilities": lambda _, container: set(
        _context(container).get("capabilities", _ABSENT).get("add") or ()) <= {"NET_BIND_SERVICE"},
    "seccomp profile": lambda pod, container: (
        _effective(pod, container, "seccompProfile") or _ABSENT).get("type") in ("RuntimeDefault", "Localhost")
        and all(profile.get("type") != "Unconfined" for profile in _everywhere(pod, container, "seccompProfile")),
    "AppArmor profile": lambda pod, container: all(
        profile.get("type") != "Unconfined" for profile in _everywhere(pod, container, "appArmorProfile")),
    "SELinux options": lambda pod, container: all(
        options.get("type", "") in _SELINUX_TYPES and not options.get("user") and not options.get("role")
        for options in _everywhere(pod, container, "seLinuxOptions")),
    "default /proc": lambda _, container: _context(container).get("procMount", "Default") == "Default",
    "no host process": lambda pod, container: not any(
        options.get("hostProcess") for options in _everywhere(pod, container, "windowsOptions")),
    "no host ports": lambda _, container: not any(port.get("hostPort") for port in container.get("ports") or ()),
    "no host in probes": lambda _, container: not _probe_hosts(container),
}


def containers(pod: Manifest) -> list[Manifest]:
    """Return all containers of a pod, with init and ephemeral ones."""
    return [container for name in ("initContainers", "containers", "ephemeralContainers")
            for container in pod.get(name) or ()]


def violations(pod: Manifest) -> list[str]:
    """Return the rules that a pod breaks, with the name of the container for those of containers."""
    broken = [name for name, holds in POD_RULES.items() if not holds(pod)]
    return broken + [f"{container['name']}: {name}" for container in containers(pod)
                     for name, holds in CONTAINER_RULES.items() if not holds(pod, container)]


def pods(manifests: Iterable[Manifest]) -> dict[str, Manifest]:
    """Return the specifications of the pods of all manifests, by the name of the manifest."""
    found = {}
    for manifest in manifests:
        spec = manifest.get("spec") or _ABSENT
        spec = spec.get("jobTemplate", _ABSENT).get("spec", spec)
        pod = spec if manifest["kind"] == "Pod" else (spec.get("template") or _ABSENT).get("spec")
        if pod is not None and "containers" in pod:
            found[manifest["metadata"]["name"]] = pod
    return found
