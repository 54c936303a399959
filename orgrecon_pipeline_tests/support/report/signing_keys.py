"""Keys for tests of signatures, made with ``cryptography`` alone, and ``ssh-keygen`` where it is installed."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from orgrecon_pipeline.report.signature import SigningKey


@cache
def private_text(name: str) -> bytes:
    """Return the private key file of a key, always the same for a name."""
    return _key(name).private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def public_text(name: str) -> bytes:
    """Return the public key file of a key."""
    return _key(name).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b" orgrecon\n"


def signing_key(name: str = "cluster") -> SigningKey:
    """Return a key, always the same for a name."""
    return SigningKey.parse(private_text(name))


def write_keys(folder: Path, name: str = "cluster") -> tuple[Path, Path]:
    """Write a key as ``ssh-keygen`` does, and return the paths of its private and its public file."""
    private, public = folder / name, folder / f"{name}.pub"
    private.write_bytes(private_text(name))
    private.chmod(0o600)
    public.write_bytes(public_text(name))
    return private, public


def ssh_keygen() -> str:
    """Return the path of ``ssh-keygen``. Skip the test without it, or fail it in CI."""
    if program := shutil.which("ssh-keygen"):
        return program
    reason = "needs ssh-keygen (Debian package openssh-client)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"-"))
