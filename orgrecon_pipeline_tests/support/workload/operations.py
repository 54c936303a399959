"""Random operations of an application, chosen from the current state of its tenants.

The generator connects to no database: it keeps in memory what both sides should hold. Keys of a lost write are never
written again, so that no later write heals them, and the keys that drift at the end are exactly the lost ones.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from orgrecon_pipeline.demo.company import ROLES, random_uuid
from orgrecon_pipeline.demo.faults import DriftingKey

#: Name of a statement in ``dual_write.sql``, without its side, and its parameters.
Statement = tuple[str, dict[str, Any]]

_UNITS, _MEMBERSHIPS = "org_units", "org_unit_memberships"
_WORDS = ("Atlas", "Birch", "Comet", "Delta", "Ember", "Falcon", "Granite", "Harbor", "Indigo", "Juniper", "Kestrel")
#: Relative frequency of each operation. Tenants grow until the limits below are reached.
_WEIGHTS = {"add_member": 30, "remove_member": 20, "change_role": 15, "create_unit": 10, "rename_unit": 10,
            "move_unit": 5, "retire_unit": 4, "delete_unit": 3, "create_tenant": 2, "delete_tenant": 1}
_MOST_UNITS, _USERS = 25, 40
_TRIES = 100


@dataclass(frozen=True)
class Operation:
    """One change of the application.

    ``statements`` are executed on both sides, ``tenant_statements`` on the shared table of tenants. ``lost`` holds the
    keys that drift if only the legacy side is written. ``settle`` updates the state; its argument says whether the
    second write was lost.
    """

    name: str
    statements: tuple[Statement, ...]
    lost: frozenset[DriftingKey]
    settle: Callable[[bool], None]
    tenant_statements: tuple[Statement, ...] = ()

    @property
    def entities(self) -> frozenset[str]:
        """The entities of which it writes rows on each side."""
        return frozenset(_UNITS if "unit" in name else _MEMBERSHIPS for name, _ in self.statements)


@dataclass
class _Unit:
    id: int
    name: str
    parent: int | None
    members: dict[UUID, str] = field(default_factory=dict)
    # Users of lost memberships. They are never written again, and the unit stays: its deletion would heal them.
    lost_members: set[UUID] = field(default_factory=set)
    touched: float = float("-inf")
    touched_members: dict[UUID, float] = field(default_factory=dict)


@dataclass
class _Tenant:
    id: str
    users: list[UUID]
    permanent: bool
    units: dict[int, _Unit] = field(default_factory=dict)
    # Counts every row with a parent, including lost and soft-deleted rows: deleting the parent would change them.
    children: Counter[int | None] = field(default_factory=Counter)
    last_id: int = 0
    archived: list[_Unit] = field(default_factory=list)  # soft-deleted units keep their memberships


class OperationGenerator:
    """Chooses the next operation for the tenants of one writer.

    Args:
        name: prefix of the ids of new tenants.
        rng: the random generator.
        tenants: maximum number of new tenants that exist at the same time.
        cooldown_seconds: time for which a unit or membership is not written again. Deletions of units and tenants
            ignore it for the rows below them.
        taken: tenant ids that must not be used, because an earlier run may have left rows.
    """

    def __init__(self, name: str, rng: random.Random, *, tenants: int, cooldown_seconds: float = 0.0,
                 taken: Collection[str] = ()) -> None:
        self._name = name
        self._rng = rng
        self._limit = tenants
        self._cooldown = cooldown_seconds
        self._taken = taken
        self._tenants: dict[str, _Tenant] = {}
        self._created = 0
        self._now = 0.0

    def adopt(self, tenant: str, units: Iterable[tuple[int, str, int | None, bool]],
              members: Iterable[tuple[int, UUID, str]]) -> None:
        """Take over an existing tenant without drift. It is never deleted, and does not count as a new tenant.

        Args:
            tenant: the id.
            units: (id, name, parent, whether it is live) of each unit.
            members: (unit, user, role) of each membership.
        """
        adopted = _Tenant(tenant, self._new_users(), permanent=True)
        for number, name, parent, live in units:
            adopted.last_id = max(adopted.last_id, number)
            if parent is not None:
                adopted.children[parent] += 1
            if live:
                adopted.units[number] = _Unit(number, name, parent)
        for number, user, role in members:
            if number in adopted.units:
                adopted.units[number].members[user] = role
        self._tenants[tenant] = adopted
        self._limit += 1

    def create_first_tenant(self) -> Operation:
        """Return the creation of a tenant that is never deleted, so that there is always one."""
        return self._new_tenant(permanent=True)

    def next(self, now: float) -> Operation | None:
        """Return the next operation, or None if every candidate was written within the cooldown.

        Args:
            now: monotonic time in seconds.
        """
        self._now = now
        for _ in range(_TRIES):
            (name,) = self._rng.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()))
            operation: Operation | None = getattr(self, f"_{name}")()
            if operation is not None:
                return operation
        return None

    def _create_tenant(self) -> Operation | None:
        return self._new_tenant(permanent=False) if len(self._tenants) < self._limit else None

    def _new_tenant(self, *, permanent: bool) -> Operation:
        self._created += 1
        while f"{self._name}-{self._created}" in self._taken:
            self._created += 1
        tenant = _Tenant(f"{self._name}-{self._created}", self._new_users(), permanent)
        root = _Unit(1, f"{self._name} {self._created}".title(), None, touched=self._now)
        root.members = {user: self._rng.choice(ROLES) for user in tenant.users[:5]}
        root.touched_members = dict.fromkeys(root.members, self._now)
        tenant.units[root.id], tenant.last_id = root, root.id

        def settle(lost: bool) -> None:
            if not lost:
                self._tenants[tenant.id] = tenant

        return Operation(
            "create_tenant",
            (_create(tenant, root), *(_membership("add_member", tenant, root, user, role)
                                      for user, role in root.members.items())),
            frozenset({_key(tenant, root, "missing"),
                       *(_key(tenant, root, "missing", user) for user in root.members)}),
            settle, (("create_tenant", {"tenant": tenant.id}),))

    def _delete_tenant(self) -> Operation | None:
        tenant = self._pick_tenant()
        if tenant is None or tenant.permanent:
            return None

        def settle(_lost: bool) -> None:
            del self._tenants[tenant.id]

        where = {"tenant": tenant.id}
        rows = {_key(tenant, unit, "unexpected") for unit in tenant.units.values()}
        rows |= {_key(tenant, unit, "unexpected", user)
                 for unit in (*tenant.units.values(), *tenant.archived) for user in unit.members}
        return Operation("delete_tenant", (("delete_all_members", where), ("delete_all_units", where)),
                         frozenset(rows), settle, (("delete_tenant", where),))

    def _create_unit(self) -> Operation | None:
        tenant = self._pick_tenant()
        if tenant is None or len(tenant.units) >= _MOST_UNITS:
            return None
        parent = self._rng.choice(list(tenant.units)) if tenant.units else None
        unit = _Unit(tenant.last_id + 1, self._new_name(), parent, touched=self._now)

        def settle(lost: bool) -> None:
            tenant.last_id = unit.id
            if parent is not None:
                tenant.children[parent] += 1
            if lost:
                tenant.permanent = True  # its deletion would heal the lost unit
            else:
                tenant.units[unit.id] = unit

        return Operation("create_unit", (_create(tenant, unit),), frozenset({_key(tenant, unit, "missing")}), settle)

    def _rename_unit(self) -> Operation | None:
        tenant, unit = self._pick_unit()
        if tenant is None or unit is None:
            return None
        name = self._new_name()
        if name == unit.name:
            return None
        return self._change_unit("rename_unit", tenant, unit, "name", name)

    def _move_unit(self) -> Operation | None:
        tenant, unit = self._pick_unit()
        # Only leaves move, and never the root, so that no cycle arises.
        if tenant is None or unit is None or unit.parent is None or tenant.children[unit.id]:
            return None
        parent = self._rng.choice(list(tenant.units))
        if parent in (unit.id, unit.parent):
            return None
        return self._change_unit("move_unit", tenant, unit, "parent", parent)

    def _change_unit(self, name: str, tenant: _Tenant, unit: _Unit, column: str, value: Any) -> Operation:
        def settle(lost: bool) -> None:
            if column == "parent":
                tenant.children[value] += 1
                tenant.children[unit.parent] -= 1
            setattr(unit, column, value)
            unit.touched = self._now
            if lost:
                _abandon(tenant, unit)

        return Operation(name, ((name, {**_where(tenant, unit), column: value}),),
                         frozenset({_key(tenant, unit, "mismatched")}), settle)

    def _retire_unit(self) -> Operation | None:
        tenant, unit = self._pick_unit()
        if tenant is None or unit is None or unit.parent is None:
            return None

        def settle(lost: bool) -> None:
            _abandon(tenant, unit) if lost else tenant.archived.append(tenant.units.pop(unit.id))

        return Operation("retire_unit", (("retire_unit", _where(tenant, unit)),),
                         frozenset({_key(tenant, unit, "unexpected")}), settle)

    def _delete_unit(self) -> Operation | None:
        tenant, unit = self._pick_unit()
        if tenant is None or unit is None or unit.parent is None or tenant.children[unit.id] or unit.lost_members:
            return None

        def settle(lost: bool) -> None:
            if lost:
                _abandon(tenant, unit)
            else:
                del tenant.units[unit.id]
                tenant.children[unit.parent] -= 1

        return Operation(
            "delete_unit",
            (*(_membership("remove_member", tenant, unit, user) for user in unit.members),
             ("delete_unit", _where(tenant, unit))),
            frozenset({_key(tenant, unit, "unexpected"),
                       *(_key(tenant, unit, "unexpected", user) for user in unit.members)}), settle)

    def _add_member(self) -> Operation | None:
        tenant, unit = self._pick_unit(settled=False)
        if tenant is None or unit is None:
            return None
        user = self._rng.choice(tenant.users)
        if user in unit.members or user in unit.lost_members or self._in_cooldown(unit.touched_members.get(user)):
            return None
        return self._change_member("add_member", tenant, unit, user, self._rng.choice(ROLES), "missing")

    def _change_role(self) -> Operation | None:
        tenant, unit, user = self._pick_member()
        if tenant is None or unit is None or user is None:
            return None
        role = self._rng.choice([role for role in ROLES if role != unit.members[user]])
        return self._change_member("change_role", tenant, unit, user, role, "mismatched")

    def _remove_member(self) -> Operation | None:
        tenant, unit, user = self._pick_member()
        if tenant is None or unit is None or user is None:
            return None
        return self._change_member("remove_member", tenant, unit, user, None, "unexpected")

    def _change_member(self, name: str, tenant: _Tenant, unit: _Unit, user: UUID, role: str | None,
                       kind: str) -> Operation:
        def settle(lost: bool) -> None:
            unit.touched_members[user] = self._now
            if lost:
                unit.members.pop(user, None)
                unit.lost_members.add(user)
                tenant.permanent = True
            elif role is None:
                del unit.members[user]
            else:
                unit.members[user] = role

        return Operation(name, (_membership(name, tenant, unit, user, role),),
                         frozenset({_key(tenant, unit, kind, user)}), settle)

    def _pick_tenant(self) -> _Tenant | None:
        return self._rng.choice(list(self._tenants.values())) if self._tenants else None

    def _pick_unit(self, *, settled: bool = True) -> tuple[_Tenant | None, _Unit | None]:
        tenant = self._pick_tenant()
        if tenant is None or not tenant.units:
            return None, None
        unit = self._rng.choice(list(tenant.units.values()))
        return (None, None) if settled and self._in_cooldown(unit.touched) else (tenant, unit)

    def _pick_member(self) -> tuple[_Tenant | None, _Unit | None, UUID | None]:
        tenant, unit = self._pick_unit(settled=False)
        if tenant is None or unit is None or not unit.members:
            return None, None, None
        user = self._rng.choice(list(unit.members))
        recent = self._in_cooldown(unit.touched_members.get(user))
        return (None, None, None) if recent else (tenant, unit, user)

    def _in_cooldown(self, touched: float | None) -> bool:
        return touched is not None and self._now - touched < self._cooldown

    def _new_name(self) -> str:
        return f"{self._rng.choice(_WORDS)} {self._rng.choice(_WORDS)} {self._rng.randint(1, 99)}"

    def _new_users(self) -> list[UUID]:
        return [random_uuid(self._rng) for _ in range(_USERS)]


def _abandon(tenant: _Tenant, unit: _Unit) -> None:
    # The tenant stays, because its deletion would heal the lost key.
    del tenant.units[unit.id]
    tenant.permanent = True


def _where(tenant: _Tenant, unit: _Unit) -> dict[str, Any]:
    return {"tenant": tenant.id, "unit": unit.id}


def _create(tenant: _Tenant, unit: _Unit) -> Statement:
    return "create_unit", {**_where(tenant, unit), "name": unit.name, "parent": unit.parent}


def _membership(name: str, tenant: _Tenant, unit: _Unit, user: UUID, role: str | None = None) -> Statement:
    return name, {**_where(tenant, unit), "user": user, "role": role}


def _key(tenant: _Tenant, unit: _Unit, kind: str, user: UUID | None = None) -> DriftingKey:
    if user is None:
        return DriftingKey(_UNITS, kind, tenant.id, (str(unit.id),))
    return DriftingKey(_MEMBERSHIPS, kind, tenant.id, (str(unit.id), str(user)))
