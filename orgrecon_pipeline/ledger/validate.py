"""Validation of text and JSON that both SQLite and Postgres must store unchanged."""

from __future__ import annotations

import json
import re
from typing import Any

from orgrecon_pipeline.domain.errors import EvidenceNotStored

# A NUL as json.dumps writes it. With an even number of backslashes, u0000 is text.
_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def storable(text: str) -> str:
    """Return the text unchanged.

    Raises:
        EvidenceNotStored: if it holds a NUL or half a surrogate pair, which Postgres cannot store.
    """
    try:
        if b"\x00" not in text.encode("utf-8"):
            return text
    except UnicodeEncodeError:
        pass
    raise EvidenceNotStored("the evidence was not stored: a text in it holds a NUL or half a surrogate pair, which "
                            "Postgres cannot store: correct the text at its source.")


def json_text(value: Any) -> str:
    """Return JSON that parses to the same value, with keys in the same order.

    Raises:
        EvidenceNotStored: if JSON or Postgres cannot represent the value.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError):
        raise EvidenceNotStored("the evidence was not stored: JSON cannot represent a value in it.") from None
    return storable(_ESCAPED_NUL.sub("\x00", text))  # an escaped NUL is refused like any other
