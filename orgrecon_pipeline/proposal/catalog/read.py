"""Reading of the facts of a catalog: relations, columns, keys, references and views."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from orgrecon_pipeline.compare.catalog import types_by_oid
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.sql_files import load_sql
from orgrecon_pipeline.proposal.catalog.tables import Catalog, Column, ForeignKey, Table

#: A catalog with more relations must be restricted to some schemas.
MAX_RELATIONS = 2_000
#: Added to the OIDs of a second database, which can be those of the first.
SECOND = 2**32

_ACTION = "reading the catalog"


def read_catalog(session: Session, schemas: Sequence[str] = (), offset: int = 0) -> Catalog:
    """Return the catalog of a database, or of some of its schemas. It reads no table of users.

    ``offset`` is added to the OIDs, to number the tables.

    Raises:
        CannotDecide: if the catalog cannot be read.
        UsageError: if there are too many relations.
    """
    with session.transaction():
        relations = session.query(load_sql("proposal/catalog/sql/relations.sql"), _ACTION, {
            "schemas": list(schemas) or None, "limit": MAX_RELATIONS + 1})
        if len(relations) > MAX_RELATIONS:
            raise UsageError(f"the database of {session.endpoint.variable} has more than {MAX_RELATIONS:,} tables and "
                             "views: name the schemas to read with --schema.")
        return _read(session, {row.pop("oid"): row for row in relations}, offset)


def _read(session: Session, relations: Mapping[int, dict[str, Any]], offset: int) -> Catalog:
    oids = {"oids": list(relations)}
    columns = session.query(load_sql("proposal/catalog/sql/columns.sql"), _ACTION, oids)
    types = types_by_oid(session, {row["type"] for row in columns})
    columns_of: dict[int, list[Column]] = defaultdict(list)
    for row in columns:
        if kind := types.get(row["type"]):
            columns_of[row["table"]].append(
                Column(row["name"], row["quoted"], kind, row["nullable"], tuple(row["labels"])))
    keys, indexes = defaultdict(list), defaultdict(list)
    for row in session.query(load_sql("proposal/catalog/sql/indexes.sql"), _ACTION, oids):
        if row["whole"]:
            indexes[row["table"]].append(tuple(row["columns"]))
        if row["is_key"]:
            keys[row["table"]].append(tuple(row["columns"]))
    foreign_keys = defaultdict(list)
    for row in session.query(load_sql("proposal/catalog/sql/foreign_keys.sql"), _ACTION, oids):
        foreign_keys[row["table"]].append(
            ForeignKey(
                tuple(row["columns"]), row["referenced_table"] + offset, tuple(row["referenced"]), row["validated"]))
    reads = defaultdict(set)
    for row in session.query(load_sql("proposal/catalog/sql/view_reads.sql"), _ACTION, oids):
        reads[row["view"]].add(row["relation"] + offset)
    return Catalog({oid + offset: Table(
        id=oid + offset, **row, columns=tuple(columns_of[oid]), keys=tuple(dict.fromkeys(keys[oid])),
        indexes=tuple(indexes[oid]), foreign_keys=tuple(foreign_keys[oid]), reads=frozenset(reads[oid]))
        for oid, row in relations.items()})
