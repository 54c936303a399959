"""Shapes of benchmark data: tables that the server fills, and the mapping that compares them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.domain.mapping.model import MappingConfig

SQL = Path(__file__).with_name("sql")
_MEMBERS = 50  # memberships of a unit


@dataclass(frozen=True)
class Side:
    """Rows of one side: the mapping's ``from`` and ``columns``, and the table whose rows are counted and changed."""

    relation: str
    columns: dict[str, str]
    table: str

    @property
    def select(self) -> str:
        """The rows as a SELECT statement."""
        columns = ", ".join(f"{expression} AS {name}" for name, expression in self.columns.items())
        return f"SELECT {columns} FROM {self.relation}"


@dataclass(frozen=True)
class Shape:
    """One shape of data.

    Attributes:
        name: name on the command line and in tables.
        title: what is special about it.
        seed: name of the file with the statements that create and fill the tables.
        key: key columns.
        compare: compared columns; ``role`` is the one that drifts.
        tenant_rows: rows per tenant.
        giant: whether one tenant has half of all rows.
        sorted: whether the heaps are in the order of the source's key; otherwise in random order.
        databases: 2 if each side is read over a connection of its own.
    """

    name: str
    title: str
    seed: str
    key: tuple[str, ...]
    compare: tuple[str, ...]
    source: Side
    target: Side
    tenant_rows: int = 2_000
    giant: bool = False
    sorted: bool = False
    databases: int = 1

    @property
    def sides(self) -> tuple[Side, Side]:
        """Source and target."""
        return self.source, self.target

    def mapping(self, **scan: Any) -> MappingConfig:
        """Return the mapping, without rechecks unless ``scan`` asks for them."""
        packaged = default_mapping().model_dump(by_alias=True, mode="json", exclude_none=True)
        tenants = packaged.pop("tenants")
        return MappingConfig.model_validate({
            **packaged, **({"tenants": tenants} if self.seed == "company" else {}),
            "entities": {"rows": {"key": list(self.key), "compare": list(self.compare), **{
                side: {"from": of_side.relation, "columns": of_side.columns}
                for side, of_side in zip(("source", "target"), self.sides, strict=True)}}},
            "scan": {**packaged["scan"], "settle_seconds": 0, "rechecks": 0, **scan},
        })

    def target_dsn(self, dsn: str) -> str:
        """Return the DSN of the target: another URL of the same database if the shape has two databases.

        Different URLs make the comparison open two connections with a snapshot each, and merge in the process.
        """
        return f"{dsn}&options=-cjit%3Doff" if self.databases == 2 else dsn

    def parameters(self, rows: int) -> dict[str, int]:
        """Return the parameters of the seed for a number of rows per side."""
        tenants = max(1, rows // self.tenant_rows // (2 if self.giant else 1))
        members = min(_MEMBERS, self.tenant_rows)
        units = max(1, self.tenant_rows // members)
        return {"rows": rows, "tenants": tenants, "members": members, "units": units,
                "first_units": units * tenants if self.giant else units}


def _plain(name: str, title: str, key: tuple[str, ...], compare: tuple[str, ...]) -> Shape:
    """Return a shape whose both sides are tables with the same columns."""
    columns = {column: column for column in ("tenant_id", *key, *compare)}
    source, target = (Side(f"public.{table}", columns, table) for table in ("source_rows", "target_rows"))
    return Shape(name, title, name, key, compare, source, target)


_KEY, _COMPARE = ("unit_id", "user_id"), ("role",)
_SOURCE = Side("public.team_members", {
    "tenant_id": "tenant_id", "unit_id": "team_id", "user_id": "user_id", "role": "role"}, "team_members")
FLAT = Shape("flat", "no join", "company", _KEY, _COMPARE, _SOURCE,
             replace(_SOURCE, relation="public.flat_memberships", table="flat_memberships"))
JOINED = Shape(
    "joined", "the packaged mapping: the target joins memberships to units", "company", _KEY, _COMPARE, _SOURCE, Side(
        "public.org_unit_memberships m JOIN public.org_units u ON u.id = m.org_unit_id AND u.tenant_id = m.tenant_id",
        {"tenant_id": "m.tenant_id", "unit_id": "u.legacy_id", "user_id": "m.user_id", "role": "m.role"},
        "org_unit_memberships"))
#: All shapes, by name.
SHAPES = {shape.name: shape for shape in (
    FLAT, JOINED,
    replace(FLAT, name="flat, sorted", title="no join, heaps in the order of the key", sorted=True),
    replace(JOINED, name="joined, sorted", title="joined, heaps in the order of the source's key", sorted=True),
    replace(JOINED, name="skew", title="joined, and one tenant has half of all rows", giant=True),
    replace(FLAT, name="small tenants", title="no join, ten rows per tenant", tenant_rows=10),
    _plain("text_keys", "text keys of 60 bytes", ("path", "email"), _COMPARE),
    _plain("composite_keys", "keys of four columns", ("region", "day", "document", "line"), _COMPARE),
    _plain("wide_rows", "a kilobyte per row that is not compared", ("id",), _COMPARE),
    _plain("twenty_columns", "twenty compared columns of twelve types", ("id",), (
        "role", "name", "email", "note", "phone", "level", "seats", "points", "rank", "limit_bytes", "created_at",
        "changed_at", "seen_at", "born_on", "price", "share", "active", "settings", "owner", "tags")),
    replace(FLAT, name="two databases", title="no join, each side over its own connection", databases=2),
)}
