"""Types, tables and declared tenants that a mapping refers to, read from the database's catalog."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from orgrecon_pipeline.compare.queries.column_type import ColumnType
from orgrecon_pipeline.compare.queries.row_hash import COMMA
from orgrecon_pipeline.compare.query_plan import TableScan, explain
from orgrecon_pipeline.compare.scan.merge_join import names_from_server
from orgrecon_pipeline.compare.types.mismatch import require_same_types
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping.model import TENANT_COLUMN, Entity, MappingConfig, Relation, Tenants
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.settings import RAISED_WORK_MEM
from orgrecon_pipeline.postgres.sql_files import fragment, load_sql, where_clause

# The only types with different names that are considered equal: same values, same equality, same hash.
_SYNONYMS = {"character varying": "text"}
# The equality of this extension's type ignores case, so it is compared as text.
_CITEXT = re.compile(r"(?:.*\.)?citext", re.DOTALL)

# For each column, where it is mapped and the OID of its type there.
_TypeOids = dict[str, list[tuple[str, int]]]


@dataclass(frozen=True)
class TableRead:
    """Relation that the mapping reads, directly or through a view."""

    oid: int
    schema: str
    name: str
    kind: str
    may_select: bool
    row_security_active: bool

    @property
    def identifier(self) -> sql.Identifier:
        """Qualified, quoted name."""
        return sql.Identifier(self.schema, self.name)


def column_types(session: Session, mapping: MappingConfig, sides: tuple[str, ...]) -> dict[str, dict[str, ColumnType]]:
    """Return the type of each column, by entity and column. It is the same on all the given sides.

    Raises:
        CannotDecide: if a table, column or permission is missing, or the sides have different types.
    """
    oids = {name: _type_oids(session, name, entity, sides) for name, entity in mapping.entities.items()}
    if mapping.tenants and "source" in sides:
        _declared_tenant_type(session, mapping.tenants)
    types = types_by_oid(
        session, {oid for columns in oids.values() for mapped in columns.values() for _, oid in mapped})
    require_same_types((f"{name}.{column}", [(where, types[oid]) for where, oid in mapped])
                       for name, columns in oids.items() for column, mapped in columns.items())
    for name in mapping.entities:
        _require_tenant_type(f"{name}.{TENANT_COLUMN}", types[oids[name][TENANT_COLUMN][0][1]])
    return {name: {column: types[mapped[0][1]] for column, mapped in columns.items()} for name, columns in oids.items()}


def require_equality(session: Session, mapping: MappingConfig, sides: tuple[str, ...]) -> None:
    """Raise CannotDecide if a column has a type without equality, such as json."""
    for name, entity in mapping.entities.items():
        columns = (TENANT_COLUMN, *entity.key, *entity.compare)
        for side in sides:
            for where, relation in entity.relations(name, side):
                session.describe(sql.SQL("{} LIMIT 0").format(select_columns(relation, columns, distinct=True)), where)


def tables_read(session: Session) -> tuple[TableRead, ...]:
    """Return every relation that the open transaction has read or planned to read.

    Raises:
        CannotDecide: if row-level security hides rows from this role, or a relation is a foreign table or a
            materialised view.
    """
    rows = session.query(load_sql("compare/sql/locked_relations.sql"), "listing the tables")
    tables = tuple(TableRead(**row) for row in rows)
    for table in tables:
        if table.row_security_active:
            raise CannotDecide(
                f"row-level security is active on {table.schema}.{table.name} and would hide rows from this role: "
                "let the role bypass it (ALTER ROLE … BYPASSRLS)", ReasonCode.ROW_LEVEL_SECURITY)
        if table.kind == "f":
            raise foreign_table(table.schema, table.name)
        if table.kind == "m":
            raise CannotDecide(
                f"{table.schema}.{table.name} is a materialised view, which shows its last refresh instead of the "
                "snapshot: map the tables behind it", ReasonCode.STALE_VIEW)
    return tables


def foreign_table(schema: str, name: str) -> CannotDecide:
    """Return the error to raise for a foreign table."""
    return CannotDecide(
        f"{schema}.{name} is a foreign table: it is not part of the snapshot, and the other server can hide rows; map "
        "the table on its own server", ReasonCode.FOREIGN_TABLE, relation=f"{schema}.{name}")


def table_sizes(session: Session, tables: Iterable[TableRead]) -> list[dict[str, Any]]:
    """Return for each table its rows and shards by the server's statistics, and whether this role may change them."""
    action, by_oid = "reading the sizes of the tables", {table.oid: table for table in tables}
    oids = {"oids": list(by_oid)}
    sizes = session.query(load_sql("compare/sql/table_sizes.sql"), action, oids)
    if session.citus_version:
        distributed = session.query(load_sql("compare/sql/distributed_tables.sql"), action, oids)
        scans = {row["oid"]: _scans_of_shards(session, by_oid[row["oid"]], action) for row in distributed}
        for size in sizes:
            if of_shards := scans.get(size["oid"]):
                size.update(estimated_rows=sum(scan.rows for scan in of_shards), shards=len(of_shards))
    return sizes


def _scans_of_shards(session: Session, table: TableRead, action: str) -> list[TableScan]:
    with session.planner_settings({"max_parallel_workers_per_gather": "0"}):  # else these are the rows of one worker
        try:
            return explain(session, sql.SQL("SELECT 1 FROM {}").format(table.identifier), action)
        except CannotDecide:  # if a node refuses to read the table, the comparison says why
            return []


def read_declared_tenants(session: Session, tenants: Tenants | None) -> TenantNames | None:
    """Return the declared universe, None if the mapping has none; raise CannotDecide if it contains NULL."""
    if tenants is None:
        return None
    tenant_type = _declared_tenant_type(session, tenants)
    statement = load_sql("compare/sql/declared_tenants.sql").format(
        tenants=_declared_tenants(tenants, tenant_type.as_tenant.as_text(fragment(tenants.tenant))),
        sort_key=sql.SQL("tenant" if session.encoding.sorts_as_utf8 else "name"))
    names = bytearray()
    with session.planner_settings({}, RAISED_WORK_MEM):
        for has_null, piece in session.stream(statement, "tenants"):
            if has_null:
                raise CannotDecide("tenants: the declared universe contains a NULL tenant: exclude it in the mapping",
                                   ReasonCode.NULL_KEY)
            names += piece or b""
    return names_from_server(bytes(names))


def _declared_tenant_type(session: Session, tenants: Tenants) -> ColumnType:
    statement = sql.SQL("{} LIMIT 0").format(_declared_tenants(tenants, fragment(tenants.tenant)))
    [(_, oid)] = session.describe(statement, "tenants")
    tenant_type = types_by_oid(session, {oid})[oid]
    _require_tenant_type("tenants.tenant", tenant_type)
    return tenant_type


def _declared_tenants(tenants: Tenants, tenant: sql.Composable) -> sql.Composed:
    return sql.SQL("SELECT DISTINCT ({}) AS tenant FROM {} {}").format(
        tenant, fragment(tenants.from_), where_clause(tenants.where))


def _type_oids(session: Session, name: str, entity: Entity, sides: tuple[str, ...]) -> _TypeOids:
    columns = (TENANT_COLUMN, *entity.key, *entity.compare)
    oids: _TypeOids = {column: [] for column in columns}
    for side in sides:
        for where, relation in entity.relations(name, side):
            statement = sql.SQL("{} LIMIT 0").format(select_columns(relation, columns))
            for column, oid in session.describe(statement, where):
                oids[column].append((where, oid))
    return oids


def select_columns(relation: Relation, columns: Iterable[str], *, distinct: bool = False) -> sql.Composed:
    """Return the SELECT of some columns; a ``distinct`` one fails for a type without equality, such as json."""
    expressions = COMMA.join(sql.SQL("({}) AS {}").format(fragment(relation.columns[column]), sql.Identifier(column))
                             for column in columns)
    return sql.SQL("SELECT {} {} FROM {} {}").format(
        sql.SQL("DISTINCT" if distinct else ""), expressions, fragment(relation.from_), where_clause(relation.where))


def types_by_oid(session: Session, oids: set[int]) -> dict[int, ColumnType]:
    """Return the given types. A domain stands for its base type."""
    rows = session.query(load_sql("compare/sql/types.sql"), "reading the types", {"oids": sorted(oids)})
    types = {}
    for row in rows:
        types[row["oid"]] = ColumnType(
            _comparable_name(row["name"]), row["collatable"], row["native_equality"], row["composite"], row["kind"],
            _comparable_name(row["element"]), row["element_kind"])
    return types


def _comparable_name(name: str) -> str:
    return "text" if _CITEXT.fullmatch(name) else _SYNONYMS.get(name, name)


def _require_tenant_type(column: str, column_type: ColumnType) -> None:
    if column_type.composite:
        raise CannotDecide(
            f"{column} is {column_type.name}, whose equal values can have different texts, so it cannot name a tenant: "
            "cast it in the mapping, as in (…)::text", ReasonCode.TYPE_MISMATCH)
