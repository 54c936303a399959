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
_POSTGRES = "docker.io/library/postgres:17-alpine"
_BASE = "docker.io/library/python:3.13-slim-trixie"
_DEBIAN = "localhost/orgrecon-trixie"
_PACKAGES = "ca-certificates,netbase,tzdata,python3,python3-pip-whl"
_CA_OF_IMAGE = "/etc/ssl/certs/ca-certificates.crt"
_FOLDER = Path(__file__).parent


def build_images() -> None:
    """Build the image of the cluster and those of Compose: with Dagster's web server, and PostgreSQL."""
    with _lock():
        if not _available(_BASE):
            _build_base()
        for tag, extra in ((IMAGE, ""), (COMPOSE_IMAGE, "demo")):
            _build(tag, ROOT / "deploy/Dockerfile", "--build-arg", f"EXTRA={extra}")
        if not _available(_POSTGRES):
            _build(_POSTGRES, _FOLDER / "postgres.Containerfile")


@contextmanager
def _lock() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _available(image: str) -> bool:
    """Return whether an image exists here or in its registry."""
    return any(podman(*command, image, check=False).returncode == 0
               for command in (("image", "exists"), ("pull", "--quiet")))


def _build_base() -> None:
    """Build a stand-in for the base image, where no registry can be reached."""
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        root, archive = Path(folder) / "root", Path(folder) / "root.tar"
        _run("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "trixie", str(root))
        _run("tar", "-C", str(root), "--exclude=./var/cache/apt/archives/*.deb", "-cf", str(archive), ".")
        podman("import", str(archive), _DEBIAN)
    _build(_BASE, _FOLDER / "base.Containerfile")


def _build(tag: str, file: Path, *options: str) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        podman("build", "--quiet", "--isolation=chroot", "--network=host", "--layers", "--format=docker",
               *_access_to_indexes(Path(folder)), *options, "-t", tag, "-f", str(file),
               str(ROOT if file.parent.name == "deploy" else file.parent))


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
    try:
        build_images()
    except AssertionError as error:
        sys.exit(f"the images cannot be built: {error}")
