"""Names that come from a database, made fit to be kept: bounded_name, and valid Unicode."""

from __future__ import annotations

import hashlib

#: Longest tenant name or key value that is kept in full, in characters.
MAX_NAME = 200


def bounded_name(name: str) -> str:
    """The name itself, or for a very long one its beginning and the SHA-256 of the whole."""
    if len(name) <= MAX_NAME:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{name[: MAX_NAME - 20]}…sha256:{digest[:12]}"
