"""Validation of text and JSON that both SQLite and Postgres must store unchanged."""

from __future__ import annotations

import json
from typing import Any

from orgrecon_pipeline.domain.errors import EvidenceNotStored


def storable(text: str) -> str:
    """Return the text unchanged.

    Raises:
        EvidenceNotStored: if it holds a NUL or half a surrogate pair, which Postgres cannot store.
    """
    if "\x00" in text or not (text.isascii() or _is_unicode(text)):
        raise _not_storable()
    return text


def json_text(value: Any) -> str:
    """Return JSON that parses to the same value, with keys in the same order.

    Raises:
        EvidenceNotStored: if JSON or Postgres cannot represent the value.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError):
        raise EvidenceNotStored("the evidence was not stored: JSON cannot represent a value in it.") from None
    # json.dumps escapes a NUL; the same six characters also follow a backslash that is itself escaped.
    if "\\u0000" in text and _has_nul(value):
        raise _not_storable()
    return storable(text)


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_has_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, (list, tuple)) and any(_has_nul(part) for part in value)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _not_storable() -> EvidenceNotStored:
    return EvidenceNotStored("the evidence was not stored: a text in it holds a NUL or half a surrogate pair, which "
                             "Postgres cannot store: correct the text at its source.")
