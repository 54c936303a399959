"""A drifting key, by which it is recognised from one day to the next."""

from __future__ import annotations

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
