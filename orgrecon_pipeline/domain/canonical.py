"""One form for what is stored: canonical JSON, its digest, and names of bounded length."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

#: Longest tenant name or key value that is stored in full, in characters.
MAX_NAME = 200

# The record stands in an HTML comment, where none of the first three is safe; escaped, "-->" cannot occur either.
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029\x85"}


def canonical_json(value: Any, *, default: Callable[[Any], Any] | None = None) -> str:
    """Return the value as one line of JSON: sorted keys, no spaces, UTF-8, ``<``, ``>`` and ``&`` escaped.

    The line separators U+2028, U+2029 and U+0085 are escaped too, because some readers end a line there. NaN and
    infinities, which JSON does not have, raise ValueError. ``default`` converts objects that JSON does not have.
    """
    return escaped(json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=default))


def escaped(text: str) -> str:
    """Return JSON with the characters escaped that are not safe in a comment."""
    return text.translate(_ESCAPES)


def sha256_of(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON of a value, in lower-case hexadecimal."""
    return sha256_of_text(canonical_json(value))


def sha256_of_text(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, in lower-case hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def bounded_name(name: str) -> str:
    """Return the name, or for one longer than :data:`MAX_NAME` its beginning and the SHA-256 of the whole."""
    return name if len(name) <= MAX_NAME else bounded_text(name, MAX_NAME, kept=MAX_NAME - 20)


def bounded_text(text: str, longest: int, *, kept: int | None = None) -> str:
    """Return the text, or for one longer than ``longest`` its first ``kept`` characters and the SHA-256 of the whole.

    By default, ``longest`` characters are kept.
    """
    if len(text) <= longest:
        return text
    return f"{text[: longest if kept is None else kept]}…sha256:{sha256_of_text(text)[:12]}"
