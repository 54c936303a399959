"""What can be kept as it is, on every database: no NUL, no half of a surrogate pair, no number that JSON has not."""

from __future__ import annotations

import json
from typing import Any

from orgrecon_pipeline.domain.errors import EvidenceNotKept


def keepable(text: str) -> str:
    """The text itself.

    Raises:
        EvidenceNotKept: when Postgres could not keep it.
    """
    if "\x00" in text or not (text.isascii() or _encodable(text)):
        raise _unfit()
    return text


def json_text(value: Any) -> str:
    """JSON that reads back as the same value, keys in the same order.

    Raises:
        EvidenceNotKept: when it holds what cannot be kept.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError):
        raise EvidenceNotKept("the evidence was not kept: it holds a value that JSON does not have.") from None
    # In JSON a NUL is an escape, and so is the same six characters' second half after an escaped backslash.
    if "\\u0000" in text and _holds_nul(value):
        raise _unfit()
    return keepable(text)


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_holds_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, (list, tuple)) and any(_holds_nul(part) for part in value)


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _unfit() -> EvidenceNotKept:
    return EvidenceNotKept("the evidence was not kept: a text in it holds a NUL or half a surrogate pair, which "
                           "no database of Postgres holds; correct where it comes from.")
