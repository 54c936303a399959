"""Preflight checks of a mapping against its databases, and the checks that nothing has changed since then."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import cast

from psycopg import sql
from typing_extensions import LiteralString

from orgrecon_pipeline.compare.catalog import TableRead, column_types, require_equality, table_sizes, tables_read
from orgrecon_pipeline.compare.inspection import SqlWarning, context_warnings, inspect_sql
from orgrecon_pipeline.compare.queries.column_type import ColumnType
from orgrecon_pipeline.compare.queries.row_filter import RowFilter, as_literal
from orgrecon_pipeline.compare.queries.statements import EntityStatements
from orgrecon_pipeline.compare.result import SnapshotPair
from orgrecon_pipeline.compare.types.mismatch import require_same_types
from orgrecon_pipeline.domain.errors import CannotDecide, UsageError
from orgrecon_pipeline.domain.mapping.model import SIDES, MappingConfig, ScanSettings
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.dsn import Endpoint, Endpoints
from orgrecon_pipeline.postgres.identity import DatabaseIdentity, identify
from orgrecon_pipeline.postgres.session import Session

# Tables, partitioned tables and views.
_LOCKABLE = ("r", "p", "v")
_TABLES = ("r", "p")


@dataclass(frozen=True)
class Preflight:
    """Result of the preflight checks of one database.

    Attributes:
        identity: the database.
        sides: the sides that it holds.
        types: the type of each column, by entity and column.
        tables: the relations that the mapping reads.
        estimated_rows: rows of all tables, by the server's statistics.
        largest_table: by the server's statistics; None if the role may read only views.
        warnings: about SQL that may hide rows, as the record stores them.
        opaque_functions: as in :class:`SqlInspection`.
    """

    identity: DatabaseIdentity
    sides: tuple[str, ...]
    types: dict[str, dict[str, ColumnType]]
    tables: tuple[TableRead, ...]
    estimated_rows: int
    largest_table: sql.Identifier | None
    warnings: tuple[SqlWarning, ...]
    opaque_functions: bool

    @property
    def lockable(self) -> tuple[sql.Identifier, ...]:
        """Relations to lock before the snapshot. Tables behind a view are locked through the view."""
        return tuple(table.identifier for table in self.tables if table.kind in _LOCKABLE and table.may_select)


def run_preflight(session: Session, mapping: MappingConfig, sides: tuple[str, ...] = SIDES) -> Preflight:
    """Run the preflight checks for the sides that a database holds.

    Raises:
        CannotDecide: if a table, column or permission is missing, rows could be hidden from this role, or the sides
            have different types.
    """
    return session.until_unlocked(lambda: _run_preflight(session, mapping, sides))


def _run_preflight(session: Session, mapping: MappingConfig, sides: tuple[str, ...]) -> Preflight:
    with session.transaction():
        inspection = inspect_sql(session, mapping, sides)
        identity = identify(session)
        types = column_types(session, mapping, sides)
        if sides == SIDES:
            require_equality(session, mapping, sides)
        tables = tables_read(session)
        warnings = inspection.warnings + context_warnings(session, mapping, sides)
        rows = {row["oid"]: row["estimated_rows"] for row in table_sizes(session, tables)}
    readable = [table for table in tables if table.kind in _TABLES and table.may_select]
    largest = max(readable, key=lambda table: rows[table.oid]).identifier if readable else None
    return Preflight(
        identity, sides, types, tables, sum(rows.values()), largest, warnings, inspection.opaque_functions)


def require_lockable(session: Session, preflight: Preflight) -> None:
    """Lock the tables as the comparison will; raise CannotDecide if a table of the mapping is not locked by that.

    Only a role with SELECT on all columns can lock a table. A partition, or a table behind a view, is locked through
    its parent. Without a lock, a snapshot that is older than a TRUNCATE would read the table as empty.
    """
    with session.transaction(preflight.lockable):
        locked = {table.oid for table in tables_read(session)}
    for table in preflight.tables:
        if table.kind in _LOCKABLE and table.oid not in locked:
            raise CannotDecide(
                f"{table.schema}.{table.name} cannot be locked before the snapshot, so a TRUNCATE could go unnoticed: "
                "grant SELECT on the table instead of on columns", ReasonCode.PERMISSION_DENIED)


def require_comparable(
    sessions: Mapping[str, Session], mapping: MappingConfig, preflights: Mapping[str, Preflight]
) -> None:
    """Raise CannotDecide if a column has different types in two databases, or a type without equality."""
    source, target = (preflights[side].types for side in SIDES)
    require_same_types(
        (f"{name}.{column}", [(f"{name}.source", kind), (f"{name}.target", target[name][column])])
        for name, types in source.items() for column, kind in types.items())
    for side, session in sessions.items():
        with session.transaction():
            require_equality(session, mapping, (side,))


def require_values(session: Session, statements: EntityStatements, only: RowFilter) -> None:
    """Raise UsageError if a text of the row filter is not a value of its column's type in the open transaction."""
    for column, text in only.texts.items():
        kind, named = statements.types[column], f"{statements.name}.{column}"
        if not session.encoding.expressible([text]):
            raise UsageError(f"{text!a} cannot be a value of {named}: a database's encoding lacks its characters.")
        if kind.native_equality:
            name = sql.SQL(cast("LiteralString", kind.name))
            try:
                session.query_aside(sql.SQL("SELECT {}::{}").format(as_literal(text), name), named)
            except CannotDecide as failure:
                if str(failure.reason.parameters.get("sqlstate", "")).startswith("22"):
                    raise UsageError(f"{text!a} is not a value of {named}, which is {kind.name}: correct it.") from None


def require_same_database(identity: DatabaseIdentity, preflight: Preflight, connection: str) -> None:
    """Raise CannotDecide if a transaction reads another database than the preflight checks, as behind a pooler.

    A server that was restarted counts as another one.
    """
    if identity.instance != preflight.identity.instance:
        raise CannotDecide(
            f"{connection} led to another database or server during the run, or the server was restarted: connect "
            "without a load balancer, or run the report again", ReasonCode.WRONG_DATABASE)


def require_unchanged(session: Session, mapping: MappingConfig, preflight: Preflight) -> None:
    """Raise CannotDecide if a table was altered or replaced between the preflight checks and this transaction."""
    if column_types(session, mapping, preflight.sides) != preflight.types:
        raise CannotDecide("a table was altered during the comparison: run the report again", ReasonCode.TABLE_CHANGED)
    require_only_locked_tables(session, preflight)


def require_only_locked_tables(session: Session, preflight: Preflight) -> None:
    """Raise CannotDecide if the open transaction has read a table that was not locked for it."""
    oids = {table.oid for table in preflight.tables}
    names = {(table.schema, table.name) for table in preflight.tables}
    for table in tables_read(session):
        if table.oid in oids:
            continue
        if (table.schema, table.name) in names:
            raise CannotDecide(
                "a table was replaced during the comparison: run the report again", ReasonCode.TABLE_CHANGED)
        raise CannotDecide(
            f"{table.schema}.{table.name} is read by a function and was not locked before the snapshot, so a TRUNCATE "
            "could go unnoticed: join the table in the mapping instead", ReasonCode.UNLOCKED_TABLE)


def current_identities(endpoints: Endpoints, settings: ScanSettings) -> SnapshotPair:
    """Return the identities of both sides' databases, and read nothing else; raise CannotDecide if one is down."""
    source = _current_identity(endpoints.source, settings)
    return SnapshotPair(source, source if endpoints.one_database else _current_identity(endpoints.target, settings))


def _current_identity(endpoint: Endpoint, settings: ScanSettings) -> DatabaseIdentity:
    deadline = Deadline(settings.deadline_seconds)
    with closing(Session(endpoint, settings, deadline)) as session:
        return session.until_unlocked(lambda: _identify(session))


def _identify(session: Session) -> DatabaseIdentity:
    with session.transaction():
        return identify(session)
