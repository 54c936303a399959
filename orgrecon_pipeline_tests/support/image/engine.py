"""Container engine of the image tests: podman, with settings that also work as root without systemd."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orgrecon-image"
# Debian packages. catatonit is the pause process of a pod; netavark needs iptables.
PACKAGES = ("podman", "runc", "conmon", "netavark", "aardvark-dns", "catatonit", "iptables", "debootstrap")

_STORAGE = """[storage]
driver = "overlay"
graphroot = "{cache}/storage"
runroot = "{cache}/run"
"""
# crun needs a cgroup controller that such a machine may lack.
_CONTAINERS = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "{runc}"
"""


@functools.cache
def environ() -> Mapping[str, str]:
    """Return the environment of podman: the machine's own settings, or ours as root without systemd."""
    if os.geteuid() != 0 or Path("/run/systemd/system").exists():
        return dict(os.environ)
    CACHE.mkdir(parents=True, exist_ok=True)
    files = {"CONTAINERS_STORAGE_CONF": (CACHE / "storage.conf", _STORAGE),
             "CONTAINERS_CONF": (CACHE / "containers.conf", _CONTAINERS)}
    for file, text in files.values():
        file.write_text(text.format(cache=CACHE, runc=shutil.which("runc", path=f"{os.defpath}:/usr/sbin:/sbin")))
    return {**os.environ, **{name: str(file) for name, (file, _) in files.items()}}


def require_engine() -> None:
    """Skip the test if podman is not installed; fail it in CI."""
    if shutil.which("podman") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            f"podman is not installed: install Debian's packages {' '.join(PACKAGES)}")


def podman(*arguments: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run podman and return its result.

    Raises:
        AssertionError: if ``check`` is set and podman fails; with its output.
    """
    done = subprocess.run(["podman", *arguments], env=environ(), input=stdin, capture_output=True, text=True,
                          check=False, timeout=900)
    if check:
        assert done.returncode == 0, f"podman {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done


def version() -> tuple[int, ...]:
    """Return the version of podman."""
    client = json.loads(podman("version", "--format", "json").stdout)["Client"]
    return tuple(int(part) for part in client["Version"].split("-")[0].split("."))


def options(volume: str, variables: Mapping[str, str], user: str, network: str = "host") -> Sequence[str]:
    """Return the options of a container with the restrictions of our manifests.

    Args:
        volume: name of the volume of the reports and of a ledger in SQLite.
        variables: environment variables.
        user: user and group, which need not exist in the image.
        network: ``host``, to reach servers of the test, or ``none``.
    """
    return (f"--network={network}", "--read-only", "--tmpfs=/tmp", "--cap-drop=all",
            "--security-opt=no-new-privileges", "--passwd=false", f"--user={user}",
            f"--volume={volume}:/var/lib/orgrecon", *(f"--env={name}={value}" for name, value in variables.items()))
