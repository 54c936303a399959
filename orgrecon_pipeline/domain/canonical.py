"""One form for what is stored: canonical JSON, its digest, and names of bounded length."""

from __future__ import annotations

import hashlib
import json
from typing import Any

#: Longest tenant name or key value that is stored in full, in characters.
MAX_NAME = 200

# The record stands in an HTML comment, where none of these characters is safe; escaped, "-->" cannot occur either.
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def canonical_json(value: Any) -> str:
    """Return the value as one line of JSON: sorted keys, no spaces, UTF-8, ``<``, ``>`` and ``&`` escaped.

    The line separators U+2028, U+2029 and U+0085 are escaped too, because some readers end a line there.

    Raises:
        ValueError: for NaN and infinities, which JSON does not have.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.translate(_ESCAPES).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x85", "\\u0085")


def sha256_of(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON of a value, in lower-case hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()


def bounded_name(name: str) -> str:
    """Return the name, or for one longer than :data:`MAX_NAME` its beginning and the SHA-256 of the whole."""
    if len(name) <= MAX_NAME:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{name[: MAX_NAME - 20]}…sha256:{digest[:12]}"
