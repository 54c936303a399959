"""Restriction of a comparison to the rows of one tenant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from psycopg import sql

from orgrecon_pipeline.compare.queries.column_type import ColumnType
from orgrecon_pipeline.domain.mapping.model import TENANT_COLUMN
from orgrecon_pipeline.postgres.sql_files import fragment


@dataclass(frozen=True)
class RowFilter:
    """The rows of one tenant, and of them only those with the given texts in some columns of the key."""

    tenant: str
    key: Mapping[str, str] = field(default_factory=dict)

    @property
    def texts(self) -> dict[str, str]:
        """The wanted text of each filtered column, in the notation of its type."""
        return {TENANT_COLUMN: self.tenant, **self.key}


def equals(expression: str, kind: ColumnType, text: str) -> sql.Composed:
    """Return the condition that an expression of the mapping equals a text. An index on the expression can be used."""
    value, literal = fragment(expression), as_literal(text)
    exactly = sql.SQL('({})::text COLLATE pg_catalog."C" = {}')
    if not kind.native_equality:
        return exactly.format(value, literal)
    # A constant, so that the planner also applies it to columns that are joined with this one.
    condition = sql.SQL("({}) = {}").format(value, literal)
    if kind.collatable:  # the collation of an index may ignore differences
        return sql.SQL('{} AND ({}) COLLATE pg_catalog."C" = {}').format(condition, value, literal)
    return condition


def as_literal(text: str) -> sql.Composable:
    """Return a text as a constant without a type. Sessions have standard_conforming_strings on."""
    return fragment("'" + text.replace("'", "''") + "'")
