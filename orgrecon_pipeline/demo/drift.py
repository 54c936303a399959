"""Drift on purpose: the faults that a dual write has in real life, each injected into keys that were intact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from importlib.resources import files
from typing import Any

import psycopg


class Fault(str, Enum):
    """One way in which a dual write goes wrong; each is an SQL file in ``faults/``."""

    MISSING_UNIT = "missing_unit"
    MISSING_MEMBERSHIP = "missing_membership"
    REVOKED_MEMBERSHIP = "revoked_membership"
    DELETED_UNIT = "deleted_unit"
    RENAMED_UNIT = "renamed_unit"
    WRONG_ROLE = "wrong_role"
    DUPLICATE_UNIT = "duplicate_unit"


@dataclass(frozen=True, order=True)
class Drift:
    """One drifting key: entity and kind as in a report, and the key's values as text, in the mapping's order."""

    entity: str
    kind: str
    tenant: str
    key: tuple[str, ...]


def inject(
    connection: psycopg.Connection[Any], fault: Fault, *, count: int = 1, tenants: Sequence[str] | None = None,
    seed: int = 0,
) -> frozenset[Drift]:
    """Injects a fault into ``count`` units or memberships, of those tenants or of any, and returns all that drifts now.

    A missing unit takes its memberships along, so more may drift than was asked for. Only keys without drift are
    chosen; the same database, arguments and seed choose the same. Raises :class:`ValueError`, and changes nothing,
    when fewer than ``count`` are left.
    """
    folder = files("orgrecon_pipeline.demo") / "faults"
    statement = (folder / "intact.sql").read_bytes() + (folder / f"{fault.value}.sql").read_bytes()
    with connection.transaction():
        rows = connection.execute(
            statement, {"count": count, "tenants": None if tenants is None else list(tenants), "seed": seed}).fetchall()
        injected = frozenset(Drift(entity, kind, tenant, tuple(key)) for entity, kind, tenant, key in rows)
        if sum(drift.entity == _entity(fault) for drift in injected) < count:
            raise ValueError(f"{fault.value}: fewer than {count} intact keys to choose from")
    return injected


def _entity(fault: Fault) -> str:
    return "org_units" if fault.value.endswith("_unit") else "org_unit_memberships"
