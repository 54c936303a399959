"""Canonical JSON: one value, one sequence of bytes, safe inside an HTML comment."""

from __future__ import annotations

import hashlib
import json
from typing import Any

# Inside <!-- … --> none of these may stand; escaped, "-->" cannot occur either.
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def canonical_json(value: Any) -> str:
    """One line of JSON: sorted keys, no spaces, UTF-8, ``<``, ``>`` and ``&`` escaped.

    The line separators U+2028 and U+2029 are escaped too: some readers end a line there.

    Raises:
        ValueError: for NaN and infinities, which JSON does not have.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.translate(_ESCAPES).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x85", "\\u0085")


def sha256_of(value: Any) -> str:
    """Lower-case hexadecimal SHA-256 of the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()
