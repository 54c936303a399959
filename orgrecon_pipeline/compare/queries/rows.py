"""Rows of an entity as SQL: its relations, with their columns under aliases, and expressions over these.

Expressions and FROM clauses are the user's own SQL and stay as they are. Names are quoted, and values are parameters.
Each fragment of the mapping ends its line, so that a ``--`` comment in it ends too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from psycopg import sql
from typing_extensions import LiteralString

from orgrecon_pipeline.compare.queries.column_type import ColumnType
from orgrecon_pipeline.compare.queries.row_filter import RowFilter, equals
from orgrecon_pipeline.compare.queries.row_hash import COMMA, Column, RowHash
from orgrecon_pipeline.domain.mapping.model import TENANT_COLUMN, Entity, Relation
from orgrecon_pipeline.postgres.sql_files import fragment


@dataclass(frozen=True)
class EntityRows:
    """Builds SQL for the rows of one entity.

    With ``only``, they are restricted to its rows. ``distributed`` are the sides whose database has Citus: its
    planner needs other statements to let the nodes do the work.
    """

    name: str
    entity: Entity
    types: dict[str, ColumnType]
    row_hash: RowHash
    only: RowFilter | None = None
    distributed: frozenset[str] = frozenset()

    @property
    def columns(self) -> tuple[str, ...]:
        """Tenant, key and compared columns."""
        return (TENANT_COLUMN, *self.entity.key, *self.entity.compare)

    @property
    def consistent_row_hash(self) -> bool:
        """Whether equal rows always have the same hash."""
        return all(self.types[name].consistent_hash for name in self.columns)

    @property
    def consistent_key_hash(self) -> bool:
        """Whether equal keys always have the same hash, so that the sides can be joined by key."""
        return all(self.types[name].consistent_hash for name in (TENANT_COLUMN, *self.entity.key))

    @property
    def respellable_keys(self) -> bool:
        """Whether a key can get another hash without becoming another key for users."""
        return any(self.types[name].is_respellable for name in self.entity.key)

    @property
    def traceable_keys(self) -> bool:
        """Whether a key that is written again always has the same hash."""
        return self.consistent_key_hash and not self.respellable_keys

    def context_columns(self, side: str) -> tuple[str, ...]:
        """Return the context columns that a relation of one side maps."""
        relations: tuple[Relation, ...] = getattr(self.entity, side)
        return tuple(name for name in self.entity.show if any(name in relation.columns for relation in relations))

    def side(
        self, side: str, *, of_tenants: bool = False, with_context: bool = False, with_bare_tenant: bool = False
    ) -> sql.Composed:
        """Return the rows of one side; with ``of_tenants``, only those of parameter ``tenants``."""
        relations: tuple[Relation, ...] = getattr(self.entity, side)
        return sql.SQL("\nUNION ALL\n").join(
            self._relation(relation, of_tenants, with_context, with_bare_tenant) for relation in relations)

    @property
    def _needs_bare_tenant(self) -> bool:
        # Collation "C" hides the distribution column from Citus. Equal bytes are equal in every collation, so grouping
        # and joining by the bare expression as well does not change the result.
        return bool(self.distributed) and self.types[TENANT_COLUMN].name == "text"

    def _relation(
        self, relation: Relation, of_tenants: bool, with_context: bool, with_bare_tenant: bool
    ) -> sql.Composed:
        columns = [self._column(name, relation.columns[name]) for name in self.columns]
        if with_bare_tenant and self._needs_bare_tenant:
            columns.append(sql.SQL("({}) AS bare_tenant").format(fragment(relation.columns[TENANT_COLUMN])))
        if with_context:
            columns += [context_column(relation, name, alias)
                        for name, alias in numbered_aliases("context", self.entity.show).items()]
        conditions = [sql.SQL("({})").format(fragment(relation.where))] if relation.where else []
        if of_tenants:
            conditions.append(self._is_wanted(relation.columns[TENANT_COLUMN]))
        if self.only:
            conditions += [equals(relation.columns[name], self.types[name], text)
                           for name, text in self.only.texts.items()]
        return sql.SQL("SELECT {} FROM {} {}").format(
            COMMA.join(columns),
            fragment(relation.from_),
            sql.SQL("WHERE ") + sql.SQL(" AND ").join(conditions) if conditions else sql.SQL(""),
        )

    def _column(self, name: str, expression: str) -> sql.Composed:
        # In collation "C", so that no collation hides a difference. In one type on both sides, so that the planner can
        # scan the whole UNION ALL with parallel workers.
        kind = self.types[name]
        cast_to = sql.SQL("::text" if kind.compared_as_text else "")
        if self.distributed and kind.compared_as_text:
            # Citus fails on the cast of a varchar to text, unless an operator follows the cast.
            cast_to = sql.SQL("::text || ''")
        collation = sql.SQL(' COLLATE pg_catalog."C"' if kind.compared_as_text or kind.collatable else "")
        return sql.SQL("(({}){}){} AS {}").format(fragment(expression), cast_to, collation, self._names[name])

    def _is_wanted(self, tenant: str) -> sql.Composed:
        # On the bare expression in its own type and collation, so that an index can be used. Tenants that such a
        # collation considers equal are read too, and are filtered later.
        kind = self.types[TENANT_COLUMN]
        if kind.native_equality:
            wanted = sql.SQL("({}) = ANY (%(tenants)s::{})")
            return wanted.format(fragment(tenant), sql.SQL(cast("LiteralString", f"{kind.name}[]")))
        return sql.SQL("({})::text = ANY (%(tenants)s::text[])").format(fragment(tenant))

    @cached_property
    def _names(self) -> dict[str, sql.Identifier]:
        """Aliases of the columns in statements. The mapping's own names could clash with names of the statements."""
        mapped = {**numbered_aliases("key", self.entity.key), **numbered_aliases("value", self.entity.compare)}
        return {TENANT_COLUMN: sql.Identifier(TENANT_COLUMN), **mapped}

    @property
    def _keys(self) -> list[sql.Identifier]:
        return [self._names[name] for name in self.entity.key]

    @property
    def _values(self) -> list[sql.Identifier]:
        return [self._names[name] for name in self.entity.compare]

    def _key_texts(self) -> sql.Composed:
        return COMMA.join(kind.as_text(name) for name, kind in self._typed(self.entity.key))

    def _tenant_text(self) -> sql.Composed:
        return self.types[TENANT_COLUMN].as_text(sql.Identifier(TENANT_COLUMN))

    def _row_hash(self) -> sql.Composed:
        # In the order of their names: a mapping that lists its columns in another order computes the same hash.
        return self.row_hash.of(self._typed(sorted(self.entity.key)), self._typed(sorted(self.entity.compare)))

    def _key_hash(self) -> sql.Composed:
        return self.row_hash.of(self._typed((TENANT_COLUMN, *self.entity.key)))

    def _typed(self, names: Iterable[str]) -> list[Column]:
        return [(self._names[name], self.types[name]) for name in names]


def context_column(relation: Relation, name: str, alias: sql.Identifier) -> sql.Composed:
    """Return a context column as text; NULL if the relation does not map it."""
    return sql.SQL('({})::text COLLATE pg_catalog."C" AS {}').format(
        fragment(relation.columns.get(name, "NULL")), alias)


def numbered_aliases(prefix: str, names: Iterable[str]) -> dict[str, sql.Identifier]:
    """Return an alias for each name."""
    return {name: sql.Identifier(f"{prefix}_{position}") for position, name in enumerate(names)}
