"""Container engine of the image tests: podman, with settings that also work as root without systemd."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orgrecon-image"

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


def podman(*arguments: str, check: bool = True, timeout: float = 900) -> subprocess.CompletedProcess[str]:
    """Run podman and return its result.

    Raises:
        AssertionError: if ``check`` is set and podman fails; with its output.
    """
    done = subprocess.run(["podman", *arguments], env=environ(), capture_output=True, text=True, check=False,
                          timeout=timeout)
    if check:
        assert done.returncode == 0, f"podman {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done
