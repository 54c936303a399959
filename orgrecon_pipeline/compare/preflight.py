"""Holding a mapping against a live database before anything is compared."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from orgrecon_pipeline.compare.row_hash import COMMA, ColumnType
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping import TENANT_COLUMN, Entity, MappingConfig, Relation, Tenants
from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline.postgres.session import MANY_TENANTS_ROOM, DatabaseIdentity, Session
from orgrecon_pipeline.postgres.sql_files import fragment, load_sql, where_clause

SIDES = ("source", "target")

# varchar is text with a limit: same values, same equality, same hash. No other pair is taken for equal.
_SAME = {"character varying": "text"}
# An extension's type that calls texts equal that are not. It is compared as text, like text of any collation.
_CITEXT = re.compile(r"(?:.*\.)?citext", re.DOTALL)

# LOCK TABLE takes these; a foreign table is read as it stands.
LOCKABLE = ("r", "p", "v")
_TABLES = ("r", "p")


@dataclass(frozen=True)
class TableRead:
    """A relation that the mapping reads, views and what is behind them included."""

    oid: int
    schema: str
    name: str
    kind: str
    may_select: bool
    row_security_active: bool

    @property
    def identifier(self) -> sql.Identifier:
        """Its qualified, quoted name."""
        return sql.Identifier(self.schema, self.name)


@dataclass(frozen=True)
class Examined:
    """What preflight found: whose database, the type of each column by entity and name, and what is read.

    ``largest`` is the largest table by the server's statistics; None where only views may be read.
    """

    identity: DatabaseIdentity
    sides: tuple[str, ...]
    types: dict[str, dict[str, ColumnType]]
    tables: tuple[TableRead, ...]
    estimated_rows: int
    largest: sql.Identifier | None

    @property
    def lockable(self) -> tuple[sql.Identifier, ...]:
        """What is locked before the snapshot. Tables behind a view are locked through it."""
        return tuple(t.identifier for t in self.tables if t.kind in LOCKABLE and t.may_select)


def examine(session: Session, mapping: MappingConfig, sides: tuple[str, ...] = SIDES) -> Examined:
    """Describe every column of the mapping on the sides that this database holds.

    Raises:
        CannotDecide: when a table, column or permission is missing, row-level security is active, or the sides
            have different types.
    """
    with session.transaction():
        identity = session.identify()
        types = column_types(session, mapping, sides)
        tables = tables_read(session)
        rows = {row["oid"]: row["estimated_rows"] for row in sizes(session, tables)}
        largest = max(
            (table for table in tables if table.kind in _TABLES and table.may_select),
            key=lambda table: rows[table.oid], default=None)
        return Examined(identity, sides, types, tables, sum(rows.values()), largest.identifier if largest else None)


def refuse_elsewhere(identity: DatabaseIdentity, examined: Examined, connection: str) -> None:
    """Make sure that a transaction is on the server that was examined: a pooler or balancer can lead each elsewhere.

    Raises:
        CannotDecide: when it is not.
    """
    if identity.place != examined.identity.place:
        raise CannotDecide(
            f"{connection} led to another database or server in mid-run, or that was restarted: use one without a "
            "balancer, or run it again")


def unchanged(session: Session, mapping: MappingConfig, examined: Examined) -> None:
    """Hold the open transaction, whose tables are locked, against what the preflight found.

    Raises:
        CannotDecide: when a table was replaced or altered in between.
    """
    if column_types(session, mapping, examined.sides) != examined.types:
        raise CannotDecide("a table was altered while the comparison was under way: run it again")
    only_examined(session, examined)


def only_examined(session: Session, examined: Examined) -> None:
    """Make sure that the open transaction has read no other table than those that were locked for it.

    Raises:
        CannotDecide: when it did.
    """
    oids = {table.oid for table in examined.tables}
    names = {(table.schema, table.name) for table in examined.tables}
    for table in tables_read(session):
        if table.oid in oids:
            continue
        if (table.schema, table.name) in names:
            raise CannotDecide("a table was replaced while the comparison was under way: run it again")
        raise CannotDecide(
            f"{table.schema}.{table.name} is read by a function, and was not locked before the snapshot: a TRUNCATE "
            "could empty it unseen; join it in the mapping instead"
        )


def agree(source: Examined, target: Examined) -> None:
    """Make sure that two databases have the same types.

    Raises:
        CannotDecide: when they have not.
    """
    for name, types in source.types.items():
        for column, kind in types.items():
            _same_type(name, column, (f"{name}.source", kind), (f"{name}.target", target.types[name][column]))


def column_types(session: Session, mapping: MappingConfig, sides: tuple[str, ...]) -> dict[str, dict[str, ColumnType]]:
    """The type of each column by entity and name, the same on these sides.

    Raises:
        CannotDecide: when a table, column or permission is missing, or the sides have different types.
    """
    described = {name: _describe_entity(session, name, entity, sides) for name, entity in mapping.entities.items()}
    if mapping.tenants and "source" in sides:
        _declared_type(session, mapping.tenants)
    known = _types(session, {oid for entity in described.values() for cell in entity.values() for _, oid in cell})
    return {name: _agreed(name, cells, known) for name, cells in described.items()}


def tables_read(session: Session) -> tuple[TableRead, ...]:
    """Every relation that this transaction has read or planned to read.

    Raises:
        CannotDecide: when row-level security hides rows of one from this role, or it is not of this snapshot.
    """
    tables = tuple(TableRead(**row) for row in session.query(load_sql("compare", "locked_relations.sql"), "listing the tables"))
    for table in tables:
        if table.row_security_active:
            raise CannotDecide(
                f"row-level security is active on {table.schema}.{table.name} for this role and would hide rows: "
                "let the role bypass it (ALTER ROLE … BYPASSRLS)"
            )
        if table.kind == "m":
            raise CannotDecide(
                f"{table.schema}.{table.name} is a materialised view: it shows its last refresh and not the snapshot; "
                "map the tables behind it"
            )
    return tables


def sizes(session: Session, tables: Iterable[TableRead]) -> list[dict[str, Any]]:
    """Of each table the number of rows by the server's statistics, and whether this role may write it.

    Raises:
        CannotDecide: when reading fails.
    """
    oids = [table.oid for table in tables]
    return session.query(load_sql("compare", "table_sizes.sql"), "reading the sizes of the tables", {"oids": oids})


def read_declared(session: Session, tenants: Tenants | None) -> TenantNames | None:
    """The declared universe; None without one.

    Raises:
        CannotDecide: when it holds a NULL, or reading fails.
    """
    if tenants is None:
        return None
    kind = _declared_type(session, tenants)
    statement = load_sql("compare", "declared.sql").format(
        tenants=_declared(tenants, kind.as_tenant.as_text(fragment(tenants.tenant))),
        in_order=sql.SQL("tenant" if session.sorts_by_code_point else "name"))
    names = bytearray()
    with session.planned({}, MANY_TENANTS_ROOM):
        for has_null, piece in session.stream(statement, "tenants"):
            if has_null:
                raise CannotDecide("tenants: the declared universe holds a NULL tenant: exclude it in the mapping")
            names += piece or b""
    return TenantNames(bytes(names))


def _declared_type(session: Session, tenants: Tenants) -> ColumnType:
    statement = sql.SQL("{} LIMIT 0").format(_declared(tenants, fragment(tenants.tenant)))
    [(_, oid)] = session.describe(statement, "tenants")
    return _naming("tenants.tenant", _types(session, {oid})[oid])


def _declared(tenants: Tenants, tenant: sql.Composable) -> sql.Composed:
    return sql.SQL("SELECT DISTINCT ({}) AS tenant FROM {} {}").format(
        tenant, fragment(tenants.from_), where_clause(tenants.where))


# By column: where it is mapped, and the OID of its type there.
_Cells = dict[str, list[tuple[str, int]]]


def _describe_entity(session: Session, name: str, entity: Entity, sides: tuple[str, ...]) -> _Cells:
    columns = (TENANT_COLUMN, *entity.key, *entity.compare)
    cells: _Cells = {column: [] for column in columns}
    for side in sides:
        for relation in getattr(entity, side):
            where = f"{name}.{side}"
            for column, oid in session.describe(_empty(relation, columns), where):
                cells[column].append((where, oid))
    return cells


def _empty(relation: Relation, columns: tuple[str, ...]) -> sql.Composed:
    # DISTINCT asks for what a comparison needs, and json, say, does not have: an equality.
    return sql.SQL("SELECT DISTINCT {} FROM {} {} LIMIT 0").format(
        COMMA.join(
            sql.SQL("({}) AS {}").format(fragment(relation.columns[column]), sql.Identifier(column))
            for column in columns
        ),
        fragment(relation.from_),
        where_clause(relation.where),
    )


def _types(session: Session, oids: set[int]) -> dict[int, ColumnType]:
    rows = session.query(load_sql("compare", "types.sql"), "reading the types", {"oids": sorted(oids)})
    names = {row["oid"]: "text" if _CITEXT.fullmatch(row["name"]) else str(row["name"]) for row in rows}
    return {
        row["oid"]: ColumnType(
            _SAME.get(names[row["oid"]], names[row["oid"]]), row["collatable"], row["native_equality"], row["composed"]
        )
        for row in rows
    }


def _agreed(entity: str, cells: _Cells, known: dict[int, ColumnType]) -> dict[str, ColumnType]:
    agreed = {}
    for column, described in cells.items():
        (first_side, first_oid), *others = described
        agreed[column] = known[first_oid]
        for side, oid in others:
            _same_type(entity, column, (first_side, known[first_oid]), (side, known[oid]))
    _naming(f"{entity}.{TENANT_COLUMN}", agreed[TENANT_COLUMN])
    return agreed


def _naming(column: str, kind: ColumnType) -> ColumnType:
    """A type that can name tenants.

    Raises:
        CannotDecide: when equal values of it can be written in several ways.
    """
    if kind.composed:
        raise CannotDecide(
            f"{column} is {kind.name}: of that equal values can be written in several ways, and so do not name a "
            "tenant; cast it in the mapping, as in (…)::text")
    return kind


def _same_type(entity: str, column: str, *cells: tuple[str, ColumnType]) -> None:
    (one, kind), (other, other_kind) = cells
    if kind.name != other_kind.name:
        raise CannotDecide(
            f"{entity}.{column} is {kind.name} in {one} and {other_kind.name} in {other}: "
            f"cast one of them in the mapping, as in (…)::{kind.name}"
        )
