"""Keys of signatures: the private key with which this process signs reports, and public keys that must have signed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from orgrecon_pipeline.domain.errors import ConfigurationError, UsageError
from orgrecon_pipeline.report.file_names import shown

if TYPE_CHECKING:
    from orgrecon_pipeline.report.signature import PublicKey, SigningKey

#: Names the file with the private key. A file, because child processes inherit environment variables.
SIGNING_KEY_VARIABLE = "ORGRECON_SIGNING_KEY_FILE"


def read_signing_key(environ: Mapping[str, str]) -> SigningKey | None:
    """Return the key with which reports are signed, None if reports are not signed.

    Raises:
        ConfigurationError: if the file cannot be read or holds no usable key. The message does not quote the variable,
            which may hold the key itself by mistake.
    """
    if not (path := environ.get(SIGNING_KEY_VARIABLE)):
        return None
    from orgrecon_pipeline.report.signature import SigningKey  # slow to import

    try:
        return SigningKey.parse(Path(path).read_bytes())
    except (OSError, ValueError) as failure:
        raise ConfigurationError(
            f"the file that {SIGNING_KEY_VARIABLE} names cannot be used ({_why(failure)}): create a key with "
            "ssh-keygen -t ed25519 -N '', and name its file.") from None


def own_signers(environ: Mapping[str, str]) -> tuple[PublicKey, ...]:
    """Return the keys of which one must have signed a report before this process adopts it; none if it does not sign.

    A process that signs adopts only its own reports. Otherwise it would sign evidence that another one wrote.
    """
    key = read_signing_key(environ)
    return (key.public,) if key else ()


def read_public_keys(paths: Iterable[Path]) -> tuple[PublicKey, ...]:
    """Return the public keys in some files; raise UsageError if a file holds none."""
    from orgrecon_pipeline.report.signature import PublicKey  # slow to import

    keys = []
    for path in paths:
        try:
            keys.append(PublicKey.parse(path.read_bytes()))
        except (OSError, ValueError) as failure:
            raise UsageError(f"{shown(path)} cannot be used as a key ({_why(failure)}): name the .pub file of an "
                             "Ed25519 key, such as ssh-keygen -t ed25519 creates.") from None
    return tuple(keys)


def _why(failure: OSError | ValueError) -> str:
    """Return why a key cannot be used, without the path of its file."""
    return (failure.strerror if isinstance(failure, OSError) else str(failure)) or "unknown error"
