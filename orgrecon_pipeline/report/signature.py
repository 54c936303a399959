"""Signatures of reports: SSH signatures (``SSHSIG``) with Ed25519 keys, which ``ssh-keygen -Y verify`` can check, too.

The signature covers the exact bytes of a report. It is deterministic: the same key and bytes give the same signature.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

#: Separates these signatures from all others that are made with the same key.
NAMESPACE = b"orgrecon-report"

_MAGIC = b"SSHSIG"
_ALGORITHM = b"ssh-ed25519"
_HASH = b"sha512"
_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----", b"-----END SSH SIGNATURE-----"
_LINE_LENGTH = 70
_KEY_LENGTH, _SIGNATURE_LENGTH = 32, 64


class BadSignature(Exception):
    """A problem with a signature, as the predicate of a sentence about the signed report."""


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 public key."""

    raw: bytes

    @classmethod
    def parse(cls, text: bytes) -> PublicKey:
        """Return the key in OpenSSH format (``ssh-ed25519 AAAA… comment``); raise ValueError for anything else."""
        from cryptography.exceptions import UnsupportedAlgorithm  # slow to import, and few reports are signed
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_ssh_public_key

        try:
            key = load_ssh_public_key(text.strip())
        except (ValueError, UnsupportedAlgorithm):
            raise ValueError("not a public key in OpenSSH format") from None
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("not an Ed25519 key")
        return cls(key.public_bytes_raw())

    @property
    def fingerprint(self) -> str:
        """The fingerprint, as ``ssh-keygen -l`` prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    @property
    def blob(self) -> bytes:
        """The key in the wire format of SSH."""
        return _string(_ALGORITHM) + _string(self.raw)


@dataclass(frozen=True)
class SigningKey:
    """An Ed25519 private key."""

    _key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def parse(cls, text: bytes) -> SigningKey:
        """Return the private key in OpenSSH format; raise ValueError, without quoting it, if it cannot be used."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_ssh_private_key

        try:
            key = load_ssh_private_key(text, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError("not a private key in OpenSSH format without a passphrase") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("not an Ed25519 key")
        return cls(key)

    @property
    def public(self) -> PublicKey:
        """The public key."""
        return PublicKey(self._key.public_key().public_bytes_raw())

    def sign(self, content: bytes) -> bytes:
        """Return the signature of ``content``, as ``ssh-keygen -Y sign`` writes it."""
        return _armoured(self.public, self._key.sign(_signed_data(content)))


def signer_of(content: bytes, signature: bytes) -> PublicKey:
    """Return the key that signed ``content``. Whether the key is trusted is up to the caller.

    Raises:
        BadSignature: if ``signature`` is not a signature of ``content`` in the format of :meth:`SigningKey.sign`.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    text = signature.replace(b"\r\n", b"\n")
    try:
        blob = base64.b64decode(b"".join(text.splitlines()[1:-1]), validate=True)
    except ValueError:
        blob = b""
    signer, raw = PublicKey(blob[_KEY_START : _KEY_START + _KEY_LENGTH]), blob[-_SIGNATURE_LENGTH:]
    if text != _armoured(signer, raw):
        raise BadSignature(
            "has a signature that is damaged or was not made for a report: restore it from version control")
    try:
        Ed25519PublicKey.from_public_bytes(signer.raw).verify(raw, _signed_data(content))
    except (InvalidSignature, ValueError):
        raise BadSignature(
            "does not match its signature: one of them was changed; restore both from version control") from None
    return signer


def _armoured(key: PublicKey, raw: bytes) -> bytes:
    blob = b"".join((
        _MAGIC, (1).to_bytes(4, "big"), _string(key.blob), _string(NAMESPACE), _string(b""), _string(_HASH),
        _string(_string(_ALGORITHM) + _string(raw))))
    body = base64.b64encode(blob)
    lines = [body[start : start + _LINE_LENGTH] for start in range(0, len(body), _LINE_LENGTH)]
    return b"\n".join((_BEGIN, *lines, _END, b""))


def _signed_data(content: bytes) -> bytes:
    digest = hashlib.sha512(content).digest()
    return b"".join((_MAGIC, _string(NAMESPACE), _string(b""), _string(_HASH), _string(digest)))


def _string(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


# All fields but the key and the signature are constant, so their positions are known.
_KEY_START = len(_MAGIC) + 4 + 4 + len(_string(_ALGORITHM)) + 4
