"""Images of the image tests, built by deploy/Dockerfile. Layers are cached: a second build takes seconds.

    python -m orgrecon_pipeline_tests.support.image.build
"""

from __future__ import annotations

import configparser
import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orgrecon_pipeline_tests.support.deploy.tools import ROOT
from orgrecon_pipeline_tests.support.image.engine import CACHE, podman

IMAGE = "localhost/orgrecon:0.1.0"
COMPOSE_IMAGE = "localhost/orgrecon:compose"
_BASE = "docker.io/library/python:3.13-slim-trixie"
_DEBIAN = "localhost/orgrecon-trixie"
_PACKAGES = "ca-certificates,netbase,tzdata,python3,python3-pip-whl"
_CA_OF_IMAGE = "/etc/ssl/certs/ca-certificates.crt"
_FOLDER = Path(__file__).parent


def build_images() -> None:
    """Build the image of the cluster and that of Compose, which has Dagster's web server."""
    with _lock():
        _ensure_base()
        for tag, extra in ((IMAGE, ""), (COMPOSE_IMAGE, "demo")):
            _build(tag, ROOT / "deploy/Dockerfile", "--build-arg", f"EXTRA={extra}")


@contextmanager
def _lock() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _ensure_base() -> None:
    """Pull the base image, or build a stand-in where no registry can be reached."""
    if podman("image", "exists", _BASE, check=False).returncode == 0:
        return
    if podman("pull", "--quiet", _BASE, check=False).returncode == 0:
        return
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        root, archive = Path(folder) / "root", Path(folder) / "root.tar"
        _run("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "trixie", str(root))
        _run("tar", "-C", str(root), "--exclude=./var/cache/apt/archives/*.deb", "-cf", str(archive), ".")
        podman("import", str(archive), _DEBIAN)
    _build(_BASE, _FOLDER / "base.Containerfile")


def _build(tag: str, file: Path, *options: str) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        podman("build", "--quiet", "--isolation=chroot", "--network=host", "--layers", "--format=docker",
               *_access_to_indexes(Path(folder)), *options, "-t", tag, "-f", str(file), str(ROOT))


def _access_to_indexes(folder: Path) -> list[str]:
    """Return mounts that give pip and uv in the build the certificates and the package index of this machine."""
    ca = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    index = _pip_setting("index-url")
    pip, uv = configparser.ConfigParser(), ["system-certs = true"]
    pip["global"] = {}
    if ca:
        pip["global"]["cert"] = _CA_OF_IMAGE
    if index:
        pip["global"]["index-url"] = index
        uv += ["[[index]]", f'url = "{index}"', "default = true"]
    with (folder / "pip.conf").open("w") as file:
        pip.write(file)
    (folder / "uv.toml").write_text("\n".join(uv) + "\n")
    mounts = [f"{folder / 'pip.conf'}:/etc/pip.conf", f"{folder / 'uv.toml'}:/etc/uv/uv.toml"]
    if ca:
        mounts.append(f"{Path(ca).resolve()}:{_CA_OF_IMAGE}")
    return [part for mount in mounts for part in ("--volume", f"{mount}:ro")]


def _pip_setting(name: str) -> str:
    done = subprocess.run([sys.executable, "-m", "pip", "config", "get", f"global.{name}"], capture_output=True,
                          text=True, check=False)
    return done.stdout.strip()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


if __name__ == "__main__":
    build_images()
