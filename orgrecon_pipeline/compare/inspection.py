"""Inspection of the mapping's SQL, and of the views behind it, for what could hide rows: before anything is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import sql

from orgrecon_pipeline.compare.catalog import TableRead, foreign_table, tables_read
from orgrecon_pipeline.compare.queries.row_hash import COMMA
from orgrecon_pipeline.compare.queries.rows import context_column
from orgrecon_pipeline.compare.statement_facts import CHANCE, CODES, ROLE, SETTING, TIME, StatementFacts
from orgrecon_pipeline.compare.types.lossy_casts import MappedColumns, lossy_casts
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping.model import TENANT_COLUMN, MappingConfig
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.postgres.node_tree import Node, Value, queries, read_tree
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.sql_files import fragment, load_sql, where_clause

#: A warning as the record stores it: ``code``, parameters, and ``text``.
SqlWarning = dict[str, Any]

_TEXTS = {
    SETTING: "depends on settings of the session ({names}), which can hide the same rows of both sides",
    ROLE: "depends on the role or the connection ({names}): another reader may see other rows",
    TIME: "depends on the time of the run ({names}): a condition on the time can hide every recent loss",
    CHANCE: "contains {names} and can return something else at every call, or drop rows",
}
_LOSSY_CAST = "lossy_cast"
_LOSSY_CASTS = ("casts {names}, so different values can become equal and hide drift: cast the other side to a type "
                "that keeps every value")
_NOT_INSPECTED = ("was not inspected for limits and volatile functions, because a proxy withholds the server's "
                  "messages: connect without it")
# Databases that a warning names.
_NAMED = 3
# Names that the text of a warning lists.
_LISTED = 10
_HEARTBEAT = "scan.heartbeat"

#: The name of the mapping's SQL in messages, the names of its columns, the SELECT, and the text of the mapping.
MappedSql = tuple[str, tuple[str, ...], sql.Composed, str]
# Functions by OID, as functions.sql returns them.
_Functions = dict[int, dict[str, Any]]
_DROPPED = {"volatile": False, "short_name": "", "built_in": True}


class SqlInspection(NamedTuple):
    """Result of :func:`inspect_sql`.

    Attributes:
        warnings: about SQL that may hide rows.
        opaque_functions: whether a function is called that may read more than this database, as one with ``dblink``
            does: it is user-defined and not immutable, and the server has not analysed its body.
    """

    warnings: tuple[SqlWarning, ...]
    opaque_functions: bool


def inspect_sql(session: Session, mapping: MappingConfig, sides: tuple[str, ...]) -> SqlInspection:
    """Refuse SQL that can return other rows at another read, and return what else its result may depend on.

    Nothing is read or planned, so no foreign table is opened.

    Raises:
        CannotDecide: if a relation is a foreign table, also as a partition or behind a view; if the mapping or a view
            samples or limits its rows, or calls a volatile function.
    """
    warnings: list[SqlWarning] = []
    facts: dict[str, StatementFacts] = {}
    columns: list[tuple[str, MappedColumns]] = []
    for subject, names, select, text in mapped_statements(mapping, sides):
        of_sql = facts.setdefault(subject, StatementFacts())
        if tree := session.parse_tree(select, subject):
            root = read_tree(tree)
            of_sql.add_tree(root, text)
            columns += [(subject, MappedColumns(names, query)) for query in queries(root)]
            if subject == _HEARTBEAT and isinstance(root, Node):
                _refuse_current_time(root)
        else:
            warnings.append(_warning("not_inspected", subject, _NOT_INSPECTED))
    tables = tables_read(session)
    statement, oids = load_sql("compare/sql/foreign_partitions.sql"), [table.oid for table in tables]
    for row in session.query(statement, "listing the partitions", {"oids": oids}):
        raise foreign_table(row["schema"], row["name"])
    views = _views(session, tables)
    facts |= {name: StatementFacts().add_tree(tree) for name, tree in views.values()}
    functions = _functions_called(session, facts)
    for subject, of_subject in facts.items():
        _refuse(subject, of_subject, functions)
        warnings += [_warning(code, subject, _TEXTS[code], sorted(of_subject.names[code]))
                     for code in CODES if of_subject.names[code]]
    warnings += [_warning(_LOSSY_CAST, subject, _LOSSY_CASTS, casts)
                 for subject, casts in lossy_casts(session, columns, views).items()]
    if session.custom_settings:
        settings = ", ".join(session.custom_settings)
        warnings.append({"code": "custom_settings", "names": list(session.custom_settings), "text": (
            f"{settings}: set for this role, database or connection, and emptied for the comparison, so that every "
            "reader sees the same rows")})
    opaque = any(not (row["built_in"] or row["immutable"] or row["body_tree"]) for row in functions.values())
    return SqlInspection(tuple(warnings), opaque)


def context_warnings(session: Session, mapping: MappingConfig, sides: tuple[str, ...]) -> tuple[SqlWarning, ...]:
    """Return a warning for each context column that cannot be read. Nothing else depends on them."""
    warnings = []
    for name, entity in mapping.entities.items():
        for side in sides:
            for relation in getattr(entity, side):
                for column in entity.show:
                    try:
                        session.query_aside(sql.SQL("SELECT {} FROM {} {} LIMIT 0").format(
                            context_column(relation, column, sql.Identifier(column)), fragment(relation.from_),
                            where_clause(relation.where)), column)
                    except CannotDecide as failure:
                        warnings.append(context_warning(f"{name}.{side}", str(failure)))
    return tuple(warnings)


def context_warning(subject: str, failure: str) -> SqlWarning:
    """Return the warning that the context columns of one side, such as ``org_units.source``, cannot be read."""
    return {"code": "context_unreadable", "subject": subject, "names": [], "text": (
        f"{subject}: the context columns cannot be read and are left out: {failure}: correct show in the mapping")}


def lock_queue_warning(variable: str, problem: str) -> SqlWarning:
    """Return the warning that the lock queue of the database of an environment variable was not watched."""
    return {"code": "lock_queue_unwatched", "names": [variable], "text": (
        f"the lock queue of the database of {variable} could not be watched ({problem}): a migration may have waited "
        "for this comparison, and the application for the migration")}


def merge_warnings(warnings: Mapping[str, Sequence[SqlWarning]]) -> tuple[SqlWarning, ...]:
    """Return the warnings about several databases, given by label. Those that only some have name the first of them."""
    labels: dict[str, list[str]] = {}
    merged: dict[str, SqlWarning] = {}
    for label, of_database in warnings.items():
        for warning in of_database:
            labels.setdefault(warning["text"], []).append(label)
            merged.setdefault(warning["text"], warning)
    for text, warning in merged.items():
        named = labels[text][:_NAMED]
        if len(labels[text]) < len(warnings) and not str(warning.get("subject")).endswith(f".{named[0]}"):
            merged[text] = {**warning, "databases": named, "text": f"{', '.join(named)}: {text}"}
    return tuple(merged.values())


def _warning(code: str, subject: str, text: str, names: Sequence[str] = ()) -> SqlWarning:
    listed = ", ".join(names[:_LISTED]) + f" and {len(names) - _LISTED} more" * (len(names) > _LISTED)
    return {"code": code, "subject": subject, "names": list(names), "text": f"{subject} {text.format(names=listed)}"}


def mapped_statements(mapping: MappingConfig, sides: tuple[str, ...]) -> Iterator[MappedSql]:
    """Yield each part of the mapping that is SQL."""
    if beat := mapping.scan.heartbeat:
        yield _statement(_HEARTBEAT, {"at": beat.at}, beat.from_, beat.where)
    for name, entity in mapping.entities.items():
        for side in sides:
            for relation in getattr(entity, side):
                columns = {name: relation.columns[name] for name in (TENANT_COLUMN, *entity.key, *entity.compare)}
                yield _statement(f"{name}.{side}", columns, relation.from_, relation.where)
    if mapping.tenants and "source" in sides:
        yield _statement("tenants", {"tenant": mapping.tenants.tenant}, mapping.tenants.from_, mapping.tenants.where)


def _statement(place: str, columns: dict[str, str], from_: str, where: str | None) -> MappedSql:
    statement = sql.SQL("SELECT {} FROM {} {}").format(
        COMMA.join(sql.SQL("({})").format(fragment(column)) for column in columns.values()), fragment(from_),
        where_clause(where))
    return place, tuple(columns), statement, " ".join((*columns.values(), from_, where or ""))


def _views(session: Session, tables: tuple[TableRead, ...]) -> dict[int, tuple[str, Value]]:
    """Return the names and the trees of the views by OID."""
    views = {table.oid: f"view {table.schema}.{table.name}" for table in tables if table.kind == "v"}
    rows = session.query(load_sql("compare/sql/view_trees.sql"), "reading the views", {"oids": list(views)})
    return {row["oid"]: (views[row["oid"]], read_tree(row["tree"])) for row in rows}


def _functions_called(session: Session, facts: dict[str, StatementFacts]) -> _Functions:
    """Return all functions that are called, and add what the bodies of user-defined ones contain to ``facts``."""
    functions: _Functions = {}
    while missing := {oid for of_subject in facts.values() for oid in of_subject.functions} - functions.keys():
        rows = session.query(load_sql("compare/sql/functions.sql"), "reading the functions", {"oids": list(missing)})
        functions |= dict.fromkeys(missing, _DROPPED) | {row["oid"]: row for row in rows}
        for row in rows:
            if not row["built_in"]:
                body = facts[f"function {row['name']}"] = StatementFacts()
                if row["body_tree"]:
                    body.add_tree(read_tree(row["body_tree"]))
                else:
                    body.add_body(row["body_text"], returns_rows=row["returns_rows"])
    for of_subject in facts.values():
        for oid in of_subject.functions:
            of_subject.add_call(functions[oid]["short_name"])
    return functions


def _refuse(subject: str, facts: StatementFacts, functions: _Functions) -> None:
    if facts.samples:
        raise CannotDecide(f"{subject} reads a sample of the rows (TABLESAMPLE) and misses the others: remove it",
                           ReasonCode.TABLE_SAMPLE, subject=subject)
    if facts.limits:
        raise CannotDecide(
            f"{subject} limits the number of rows (LIMIT, OFFSET or FETCH), so the rows beyond it are not compared: "
            "remove the limit", ReasonCode.ROW_LIMIT, subject=subject)
    volatile = [functions[oid] for oid in sorted(facts.functions) if functions[oid]["volatile"]]
    if volatile:
        name = volatile[0]["name"]
        advice = "" if volatile[0]["built_in"] else (
            ", or declare it STABLE (ALTER FUNCTION … STABLE) if it returns the same for the same rows")
        raise CannotDecide(
            f"{subject} calls {name}, which is volatile: it can return something else at every call and hide rows; "
            f"remove the call{advice}", ReasonCode.VOLATILE_FUNCTION, subject=subject, function=name)


def _refuse_current_time(heartbeat: Node) -> None:
    names = StatementFacts().add_tree(heartbeat.fields["targetList"]).names[TIME]
    if names:
        raise CannotDecide(
            f"{_HEARTBEAT}: at is computed from {', '.join(sorted(names))}, so it never shows a lag: name the column "
            "that the heartbeat updates", ReasonCode.VOLATILE_FUNCTION, subject=_HEARTBEAT)
