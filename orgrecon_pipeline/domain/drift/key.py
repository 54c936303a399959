"""A drifting key, how it is recognised on another day, and its state since the previous decided day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from enum import Enum
from json.encoder import encode_basestring
from typing import NamedTuple


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
    """Return the texts of a key, in the order of the names of its columns, as the JSON that is stored and compared."""
    # An encoder of the module json takes four times as long, and a day can have a million keys.
    return f"[{','.join(map(encode_basestring, key))}]"
