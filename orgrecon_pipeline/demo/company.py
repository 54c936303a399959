"""The demo company: its tables, and realistic rows that are the same in both models."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.resources import files
from itertools import product
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

Connection = psycopg.Connection[Any]

#: The roles of a membership, from the most to the least powerful.
ROLES = ("owner", "admin", "member", "viewer")

_FIRST = ("acme", "globex", "initech", "northwind", "contoso", "fabrikam", "umbra", "hooli", "vandelay", "tyrell",
          "paper-street", "stark", "cyberdyne", "soylent", "wonka", "duff", "oceanic", "aperture", "gringotts",
          "monarch")
_SECOND = ("", "-logistics", "-health", "-foods", "-energy", "-bank", "-studios", "-retail", "-robotics", "-travel")
_DEPARTMENTS = {
    "Engineering": ("Platform", "Mobile", "Data", "Security", "Quality"),
    "Sales": ("EMEA", "Americas", "APAC", "Partners"),
    "Operations": ("Warehouse", "Fleet", "Procurement"),
    "People": ("Recruiting", "Payroll"),
    "Finance": ("Accounting", "Controlling"),
    "Support": ("First line", "Second line", "Night shift"),
}
_COLUMNS = {
    "tenants": ("id",),
    "teams": ("tenant_id", "id", "name", "parent_team_id", "deleted_at"),
    "team_members": ("tenant_id", "team_id", "user_id", "role"),
    "org_units": ("tenant_id", "id", "legacy_id", "kind", "name", "parent_id", "deleted_at"),
    "org_unit_memberships": ("tenant_id", "org_unit_id", "user_id", "role"),
}
_DELETED_AT = datetime(2026, 1, 15, 9, 30, tzinfo=timezone.utc)
_EVERY_NTH_TENANT_IS_EMPTY = 10


@dataclass(frozen=True)
class Company:
    """The seeded company: tenant ids in order, those without rows, and numbers of rows per side.

    ``units`` and ``memberships`` count rows that are not soft-deleted.
    """

    tenants: tuple[str, ...]
    empty_tenants: tuple[str, ...]
    units: int
    deleted_units: int
    memberships: int


@dataclass(frozen=True)
class _Unit:
    id: int
    unit_id: UUID
    name: str
    parent: _Unit | None
    deleted_at: datetime | None
    members: tuple[tuple[UUID, str], ...]


def create_schema(connection: Connection) -> None:
    """Create the tables of the packaged default mapping."""
    connection.execute((files("orgrecon_pipeline.demo") / "sql/company.sql").read_bytes())


def mark_simulated(connection: Connection) -> None:
    """Mark the database as a demo for new sessions: its evidence is then *simulated*, never *live*."""
    database = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("ALTER DATABASE {} SET orgrecon.simulated = 'on'").format(database))


def create_company(connection: Connection) -> Company:
    """Create the tables, mark the database as a demo, and seed it."""
    create_schema(connection)
    mark_simulated(connection)
    return seed(connection)


def tenant_names() -> Iterator[str]:
    """Yield distinct tenant ids without end."""
    names = [first + second for second, first in product(_SECOND, _FIRST)]
    yield from names
    for number, name in product(range(2, 1_000_000), names):
        yield f"{name}-{number}"


def seed(connection: Connection, *, tenants: int = 40, users_per_tenant: int = 50, seed: int = 1) -> Company:
    """Fill the empty tables of :func:`create_schema` identically on both sides, in one transaction.

    The same arguments give the same rows. Tenants have from half to one and a half times ``users_per_tenant`` users;
    every tenth tenant has no rows. About one team in twenty is soft-deleted together with its members.
    """
    rng = random.Random(seed)  # noqa: S311 (names of a demo)
    names = tenant_names()
    ids = tuple(next(names) for _ in range(tenants))
    empty = tuple(ids[_EVERY_NTH_TENANT_IS_EMPTY - 1::_EVERY_NTH_TENANT_IS_EMPTY])
    units = [(tenant, unit) for tenant in ids if tenant not in empty
             for unit in _plan(tenant, users_per_tenant, rng)]
    with connection.transaction():
        _copy(connection, "tenants", ((tenant,) for tenant in ids))
        _copy(connection, "teams", (
            (tenant, unit.id, unit.name, unit.parent and unit.parent.id, unit.deleted_at) for tenant, unit in units))
        _copy(connection, "team_members", (
            (tenant, unit.id, user, role) for tenant, unit in units for user, role in unit.members))
        _copy(connection, "org_units", (
            (tenant, unit.unit_id, unit.id, "team", unit.name, unit.parent and unit.parent.unit_id, unit.deleted_at)
            for tenant, unit in units))
        _copy(connection, "org_unit_memberships", (
            (tenant, unit.unit_id, user, role) for tenant, unit in units for user, role in unit.members))
        # Without statistics on a new table, a query plan can be a hundred times slower than necessary.
        for table in _COLUMNS:
            connection.execute(sql.SQL("ANALYZE public.{}").format(sql.Identifier(table)))
    deleted = sum(unit.deleted_at is not None for _, unit in units)
    return Company(ids, empty, units=len(units) - deleted, deleted_units=deleted,
                   memberships=sum(len(unit.members) for _, unit in units))


def _plan(tenant: str, users_per_tenant: int, rng: random.Random) -> list[_Unit]:
    users = [random_uuid(rng) for _ in range(max(2, rng.randint(users_per_tenant // 2, users_per_tenant * 3 // 2)))]
    units: list[_Unit] = []

    def add(name: str, parent: _Unit | None, size: int, *, deleted: bool = False) -> _Unit:
        chosen = rng.sample(users, min(size, len(users)))
        roles = ("owner", *rng.choices(ROLES[1:], weights=(1, 7, 2), k=len(chosen)))
        members = tuple(zip(chosen, roles, strict=False))
        deleted_at = _DELETED_AT if deleted else None
        units.append(_Unit(len(units) + 1, random_uuid(rng), name, parent, deleted_at, members))
        return units[-1]

    root = add(tenant.replace("-", " ").title(), None, len(users))
    for department in rng.sample(sorted(_DEPARTMENTS), rng.randint(2, len(_DEPARTMENTS))):
        unit = add(department, root, len(users) // 3)
        for team in rng.sample(_DEPARTMENTS[department], rng.randint(0, len(_DEPARTMENTS[department]))):
            add(f"{department} {team}", unit, rng.randint(2, 9), deleted=rng.random() < 0.05)
    return units


def random_uuid(rng: random.Random) -> UUID:
    """Return a version 4 UUID from the generator: the same seed gives the same UUID."""
    return UUID(int=rng.getrandbits(128), version=4)


def _copy(connection: Connection, table: str, rows: Iterator[tuple[Any, ...]]) -> None:
    statement = sql.SQL("COPY public.{} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, _COLUMNS[table])))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
