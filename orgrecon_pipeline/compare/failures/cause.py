"""The cause of a failed statement: a missing GRANT, or the column whose expression fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from psycopg import sql

from orgrecon_pipeline.compare.catalog import select_columns
from orgrecon_pipeline.compare.failures.missing_grants import name_missing_grant
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping.model import TENANT_COLUMN, MappingConfig, Relation
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.postgres.errors import UNDEFINED_TABLE, PermissionDenied
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.sql_files import fragment, where_clause

# Classes of errors that an expression can cause: invalid data, invalid SQL, and a limit of the server.
_CLASSES = ("22", "42", "54")

# Returns the statement that evaluates some columns of a relation.
_Probe = Callable[[Relation, Sequence[str]], sql.Composed]


def name_cause(
    sessions: Mapping[str, Session], mapping: MappingConfig, failure: CannotDecide, *, show_role: bool = False
) -> CannotDecide:
    """Return an error that names the cause of ``failure`` if it can be found; else ``failure``.

    ``sessions`` holds the session of each side. None may be in a transaction. ``show_role`` names the role in a GRANT.
    """
    if isinstance(failure, PermissionDenied):
        return name_missing_grant(sessions, mapping, failure, show_role=show_role)
    return _name_failing_column(sessions, mapping, failure)


def _name_failing_column(
    sessions: Mapping[str, Session], mapping: MappingConfig, failure: CannotDecide
) -> CannotDecide:
    """Return an error that names the column whose expression fails, found by trying fewer and fewer of them.

    Return ``failure`` if no single column is the cause.
    """
    action, state = failure.reason.parameters.get("action", ""), failure.reason.parameters.get("sqlstate", "")
    if failure.reason.code is not ReasonCode.CANNOT_READ or state[:2] not in _CLASSES or state == UNDEFINED_TABLE:
        return failure
    probe = _analysed if state.startswith("42") else _evaluated
    for name, entity in mapping.entities.items():
        for side, session in sessions.items():
            if action not in (name, f"{name}.{side}"):
                continue
            for where, relation in entity.relations(name, side):
                columns = (TENANT_COLUMN, *entity.key, *entity.compare)
                if error := _first_failing(session, relation, where, columns, probe, state):
                    return error
    return failure


def _first_failing(
    session: Session, relation: Relation, where: str, columns: Sequence[str], probe: _Probe, state: str
) -> CannotDecide | None:
    """Return the error of the first column that fails with an SQLSTATE; None if no column does."""
    if failure := _error(session, probe(relation, ()), f"{where}, from or where", state):
        return failure
    if not _error(session, probe(relation, columns), where, state):
        return None
    while len(columns) > 1:
        half = columns[:len(columns) // 2]
        columns = half if _error(session, probe(relation, half), where, state) else columns[len(half):]
    return _error(session, probe(relation, columns), f"{where}, column {columns[0]}", state)


def _error(session: Session, statement: sql.Composed, action: str, state: str) -> CannotDecide | None:
    """Return the error of a statement; None if it succeeds or fails for another reason."""
    try:
        with session.transaction():
            session.query(statement, action)
    except CannotDecide as error:
        return error if error.reason.parameters.get("sqlstate") == state else None
    return None


def _analysed(relation: Relation, columns: Sequence[str]) -> sql.Composed:
    if not columns:
        return sql.SQL("SELECT FROM {} {} LIMIT 0").format(fragment(relation.from_), where_clause(relation.where))
    return sql.SQL("{} LIMIT 0").format(select_columns(relation, columns, distinct=True))


def _evaluated(relation: Relation, columns: Sequence[str]) -> sql.Composed:
    counts: list[sql.Composable] = [
        sql.SQL("count(({}))").format(fragment(relation.columns[column])) for column in columns]
    return sql.SQL("SELECT {} FROM {} {}").format(
        sql.SQL(", ").join(counts or [sql.SQL("count(*)")]), fragment(relation.from_), where_clause(relation.where))
