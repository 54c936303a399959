"""A drifting key, how it is recognised on another day, and its state since the previous decided day."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from enum import Enum
from typing import NamedTuple

# Made once, because a day can have a million keys.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class DriftingKey(NamedTuple):
    """One drifting key of an entity. A tuple, because a day can have a million.

    Attributes:
        tenant: name of the tenant, at most ``MAX_NAME`` characters long.
        entity: name of the entity.
        key: the key as text, in the order of the names of its columns.
        kinds: in which ways it drifts, at least one.
        columns: names of the differing columns if it is mismatched, else empty.
    """

    tenant: str
    entity: str
    key: tuple[str, ...]
    kinds: tuple[str, ...]
    columns: tuple[str, ...]


class KeyState(str, Enum):
    """A drifting key compared with the previous decided day, on which a new key did not drift.

    A healed key drifted on the previous decided day only.
    """

    NEW = "new"
    PERSISTENT = "persistent"
    HEALED = "healed"


def state_of(first_seen: date | None, day: date) -> KeyState | None:
    """Return the state on a day of a key that drifts, None if it is unknown."""
    if first_seen is None:
        return None
    return KeyState.NEW if first_seen == day else KeyState.PERSISTENT


def key_text(key: Iterable[str]) -> str:
    """Return the texts of a key, in the order of the names of its columns, as they are stored and compared."""
    return _encode(list(key))
