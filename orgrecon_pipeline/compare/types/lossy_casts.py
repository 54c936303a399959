"""Casts of mapped columns that can lose information, so that different values become equal and drift is hidden."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orgrecon_pipeline.compare.catalog import types_by_oid
from orgrecon_pipeline.compare.queries.column_type import ColumnType
from orgrecon_pipeline.compare.types.casts import Cast, CastFunctions, casts_by_column
from orgrecon_pipeline.compare.types.lossless import keeps_every_length, keeps_every_value
from orgrecon_pipeline.postgres.node_tree import Node, Value, queries
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.sql_files import load_sql


@dataclass(frozen=True)
class MappedColumns:
    """The names of a relation's columns in the mapping, and the tree of the SELECT that returns them."""

    names: Sequence[str]
    query: Node


def lossy_casts(
    session: Session, relations: Iterable[tuple[str, MappedColumns]], views: Mapping[int, tuple[str, Value]]
) -> dict[str, list[str]]:
    """Return the lossy casts of each relation that has some, such as ``rank to character(1)``.

    Args:
        session: a session in a transaction.
        relations: by their names in messages.
        views: the names and the trees of all views behind them, by OID.
    """
    functions = _cast_functions(session)
    trees = {oid: query for oid, (_, tree) in views.items() for query in queries(tree)}
    casts = [(subject, column, cast) for subject, relation in relations
             for column, of_column in zip(
                 relation.names, casts_by_column(relation.query, trees, functions), strict=True)
             for cast in of_column]
    types = types_by_oid(session, {oid for *_, cast in casts for oid in (cast.source, cast.target, cast.before) if oid})
    lossy = [(subject, column, cast) for subject, column, cast in casts if _loses(cast, types)]
    names = _type_names(session, [cast for *_, cast in lossy])
    texts: dict[str, list[str]] = defaultdict(list)
    for subject, column, cast in lossy:
        within = f" (in {views[cast.view][0]})" if cast.view else ""
        texts[subject].append(f"{column} to {names[cast.target, cast.length]}{within}")
    return {subject: list(dict.fromkeys(of_subject)) for subject, of_subject in texts.items()}


def _cast_functions(session: Session) -> CastFunctions:
    functions: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for row in session.query(load_sql("compare/sql/cast_functions.sql"), "reading the casts"):
        functions[row["function"]].append((row["source"], row["target"]))
    return functions


def _loses(cast: Cast, types: Mapping[int, ColumnType]) -> bool:
    source, target, before = (types[oid].name if oid in types else "" for oid in (
        cast.source, cast.target, cast.before))
    if not source or not target:
        return False
    if source == target:
        return not keeps_every_length(target, cast.length, before, cast.length_before)
    if source == "text" and types[cast.target].kind == "e":
        return False  # only the exact text of a label is accepted
    return not (keeps_every_value(source, target) or keeps_every_value(before, target, source))


def _type_names(session: Session, casts: Sequence[Cast]) -> dict[tuple[int, int], str]:
    parameters = {"oids": [cast.target for cast in casts], "lengths": [cast.length for cast in casts]}
    rows = session.query(load_sql("compare/sql/type_names.sql"), "reading the names of types", parameters)
    return {(row["oid"], row["length"]): row["name"] for row in rows}
