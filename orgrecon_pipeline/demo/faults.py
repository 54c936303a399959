"""Fault injection: the ways in which a dual write goes wrong, each applied to keys without drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from importlib.resources import files
from typing import Any

import psycopg


class Fault(str, Enum):
    """One way in which a dual write goes wrong; ``sql/faults/`` holds one file for each."""

    MISSING_UNIT = "missing_unit"
    MISSING_MEMBERSHIP = "missing_membership"
    REVOKED_MEMBERSHIP = "revoked_membership"
    DELETED_UNIT = "deleted_unit"
    RENAMED_UNIT = "renamed_unit"
    WRONG_ROLE = "wrong_role"
    DUPLICATE_UNIT = "duplicate_unit"


@dataclass(frozen=True, order=True)
class DriftingKey:
    """One drifting key: entity and drift kind as in a report, and the key's values as text, in the mapping's order."""

    entity: str
    kind: str
    tenant: str
    key: tuple[str, ...]


def inject(
    connection: psycopg.Connection[Any], fault: Fault, *, count: int = 1, tenants: Sequence[str] | None = None,
    seed: int = 0,
) -> frozenset[DriftingKey]:
    """Inject a fault into ``count`` units or memberships, and return all keys that drift because of it.

    A missing unit also removes its memberships, so the result can hold more than ``count`` keys. The same database,
    arguments and seed always choose the same keys, from ``tenants`` only if they are given.

    Raises:
        ValueError: if fewer than ``count`` keys without drift are left. Nothing is changed.
    """
    folder = files("orgrecon_pipeline.demo") / "sql/faults"
    statement = (folder / "intact.sql").read_bytes() + (folder / f"{fault.value}.sql").read_bytes()
    entity = "org_units" if fault.value.endswith("_unit") else "org_unit_memberships"
    with connection.transaction():
        rows = connection.execute(
            statement, {"count": count, "tenants": None if tenants is None else list(tenants), "seed": seed}).fetchall()
        injected = frozenset(DriftingKey(name, kind, tenant, tuple(key)) for name, kind, tenant, key in rows)
        if sum(key.entity == entity for key in injected) < count:
            raise ValueError(f"{fault.value}: fewer than {count} intact keys to choose from")
    return injected
