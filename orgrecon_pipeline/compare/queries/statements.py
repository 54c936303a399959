"""SQL statements of an entity, composed from its mapping.

Expressions and FROM clauses are the user's own SQL and stay as they are. Names are quoted, and values are parameters.
Each fragment of the mapping ends its line, so that a ``--`` comment in it ends too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

from psycopg import sql
from typing_extensions import LiteralString

from orgrecon_pipeline.compare.queries.column_type import ColumnType
from orgrecon_pipeline.compare.queries.hash_sum import NUMERIC_SUM, HashSum
from orgrecon_pipeline.compare.queries.row_filter import RowFilter, equals
from orgrecon_pipeline.compare.queries.row_hash import COMMA, Column, RowHash
from orgrecon_pipeline.domain.canonical import MAX_NAME
from orgrecon_pipeline.domain.mapping import SIDES, TENANT_COLUMN, Entity, MappingConfig, Relation
from orgrecon_pipeline.postgres.sql_files import fragment, load_sql

_NO_TABLE = sql.SQL("(SELECT) AS nothing")


@dataclass(frozen=True)
class EntityStatements:
    """Builds the statements of one entity. Each public method returns the statement of the SQL file of that name.

    A ``largest_table`` is the largest table that the role may read, see ``no_rows.sql``. With ``only``, all statements
    except :meth:`has_rows` are restricted to its rows. ``distributed`` are the sides whose database has Citus: its
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

    def side_arrays(
        self, side: str, largest_table: sql.Identifier | None, hash_sum: HashSum, *, sorts_as_utf8: bool
    ) -> sql.Composed:
        """Return the scan of one side with its result as arrays; for ``sorts_as_utf8`` see :class:`Encoding`."""
        return load_sql("compare/sql/side_arrays.sql").format(
            side=self._side_fingerprints(side, largest_table, hash_sum),
            materialized=self._materialized(side),
            high=sql.SQL(hash_sum.high),
            low=sql.SQL(hash_sum.low),
            value_totals=COMMA.join(sql.SQL("sum({})").format(name) for name in self._value_counts),
            tenant_text=self._tenant_text(),
            sort_key=self._tenant_text() if sorts_as_utf8 else sql.SQL("name"),
        )

    def side_stream(self, side: str, largest_table: sql.Identifier | None) -> sql.Composed:
        """Return the scan of one side with one result row per tenant."""
        return load_sql("compare/sql/side_stream.sql").format(
            side=self._side_fingerprints(side, largest_table, NUMERIC_SUM),
            materialized=self._materialized(side),
            values=COMMA.join(self._value_counts),
            tenant_text=self._tenant_text(),
        )

    def side_buckets(self, side: str, largest_table: sql.Identifier | None) -> sql.Composed:
        """Return the scan of one side by bucket, for parameters ``tenants`` and ``mask``."""
        return load_sql("compare/sql/side_buckets.sql").format(
            side=self.side(side, of_tenants=True),
            bucket=self._bucket(),
            row_hash=self.row_hash.of(self._typed((TENANT_COLUMN, *self.entity.key)), self._typed(self.entity.compare)),
            no_rows=self._no_rows(side, largest_table, [sql.SQL("NULL::integer"), sql.SQL("NULL::bigint")]),
        )

    def side_keys(self, side: str, *, tracked: bool = False, in_buckets: bool = False) -> sql.Composed:
        """Return the keys of one side in ascending order, for parameter ``tenants``.

        ``tracked`` keys are those of parameter ``tracked_keys``; ``in_buckets`` needs ``mask`` and ``buckets``.
        """
        selection: sql.Composable = sql.SQL("")
        if tracked:
            selection = self._where_tracked()
        elif in_buckets:
            selection = sql.SQL("WHERE pg_catalog.get_bit(%(buckets)s, {}) = 1").format(self._bucket())
        return load_sql("compare/sql/side_keys.sql").format(
            side=self.side(side, of_tenants=True),
            key_hash=self._key_hash(),
            row_hash=self._row_hash(),
            selection=selection,
            tenant_text=self._tenant_text(),
        )

    def side_samples(self, side: str) -> sql.Composed:
        """Return keys and values as text, for parameters ``tenants`` and ``tracked_keys``."""
        return load_sql("compare/sql/side_samples.sql").format(
            side=self.side(side, of_tenants=True),
            key_hash=self._key_hash(),
            key_texts=self._key_texts(),
            value_texts=COMMA.join(kind.as_text(name) for name, kind in self._typed(self.entity.compare)),
        )

    def side_context(self, side: str) -> sql.Composed:
        """Return the context columns as text, for parameters ``tenants`` and ``tracked_keys``."""
        return load_sql("compare/sql/side_context.sql").format(
            side=self.side(side, of_tenants=True, with_context=True),
            key_hash=self._key_hash(),
            context=COMMA.join(sql.SQL("pg_catalog.left({}, {})").format(name, sql.Literal(MAX_NAME + 1))
                               for name in _numbered("context", self.entity.show).values()),
        )

    def context_columns(self, side: str) -> tuple[str, ...]:
        """Return the context columns that a relation of one side maps."""
        relations: tuple[Relation, ...] = getattr(self.entity, side)
        return tuple(name for name in self.entity.show if any(name in relation.columns for relation in relations))

    def key_rows(self, sides: tuple[str, ...]) -> sql.Composed:
        """Return the rows of some keys on the given sides, for parameters ``tenants`` and ``tracked_keys``."""
        both = len(sides) > 1
        rows = sql.SQL("\nUNION ALL\n").join(
            sql.SQL("SELECT r.*, {} AS on_source FROM ({}) AS r").format(
                sql.Literal(side == "source"), self.side(side, of_tenants=True))
            for side in sides)
        key_hash = self._key_hash()
        if both and any(_hashes_differ(kind) for _, kind in self._typed(self.entity.key)):
            key_hash = sql.SQL("min({}) OVER (PARTITION BY tenant_id, {})").format(key_hash, COMMA.join(self._keys))
        return load_sql("compare/sql/key_rows.sql").format(
            rows=rows,
            key_hash=key_hash,
            tenant_text=self._tenant_text(),
            key_texts=self._key_texts(),
            value_numbers=COMMA.join(
                self._value_number(column, across_sides=both) for column in self._typed(self.entity.compare)),
        )

    def key_join(self, *, all_tenants: bool) -> sql.Composed:
        """Return the join of both sides, for all tenants or for those of parameter ``tenants``."""
        keys = [(key,) for key in self._keys]
        values = [(value,) for value in self._values]
        return load_sql("compare/sql/key_join.sql").format(
            source=self.side("source", of_tenants=not all_tenants, with_bare_tenant=True),
            target=self.side("target", of_tenants=not all_tenants, with_bare_tenant=True),
            either_key=_repeat(", coalesce(s.{0}, t.{0}) AS {0}", keys),
            same_key=_repeat(" AND s.{0} = t.{0}", [
                *keys, *([(sql.Identifier("bare_tenant"),)] if self._needs_bare_tenant else ())]),
            other_values=_repeat(" OR s.{0} IS DISTINCT FROM t.{0}", values),
            source_hash=self._row_hash("s"),
            target_hash=self._row_hash("t"),
            tenant_text=self._tenant_text(),
            key_hash=self._key_hash(),
        )

    def drift(self, final_select: str, *, first_read: bool = True) -> sql.Composed:
        """Return ``drift.sql`` with a final SELECT from another file, for the parameters of that file.

        A ``first_read`` reads all keys, instead of only those of parameter ``tracked_keys``.
        """
        # Where equal keys can hash differently, untracked rows may belong to a tracked key: all rows are grouped.
        only_tracked = not first_read and self.consistent_key_hash
        common = load_sql("compare/sql/drift.sql").format(
            source=self.side("source", of_tenants=True, with_bare_tenant=True),
            target=self.side("target", of_tenants=True, with_bare_tenant=True),
            comma_bare_tenant=sql.SQL(", bare_tenant" if self._needs_bare_tenant else ""),
            materialized=self._materialized(*SIDES),
            only_tracked=self._where_tracked() if only_tracked else sql.SQL(""),
            keys=COMMA.join(self._keys),
            comma_values=_repeat(", {}", ((value,) for value in self._values)),
            row_hash=sql.SQL("{}::numeric").format(self._row_hash()),
            tenant_text=self._tenant_text(),
            key_hash=self._key_hash(),
        )
        final = load_sql(f"compare/sql/{final_select}").format(key_texts=sql.SQL("ARRAY[{}]").format(self._key_texts()))
        return sql.SQL("WITH {}\n{}").format(common, final)

    def differing_columns(self) -> sql.Composed:
        """Return the columns that differ, for parameters ``tenants`` and ``keys``. Needs compared columns."""
        column = load_sql("compare/sql/differing_column.sql")
        return load_sql("compare/sql/differing_columns.sql").format(
            source=self.side("source", of_tenants=True),
            target=self.side("target", of_tenants=True),
            key_hash=self._key_hash(),
            columns=sql.SQL("UNION ALL\n").join(
                column.format(column=value, column_name=sql.Literal(name))
                for name, value in zip(self.entity.compare, self._values, strict=True)),
        )

    def has_rows(self, side: str) -> sql.Composed:
        """Return whether one side has a row, as column ``has_rows``."""
        return sql.SQL("SELECT EXISTS (SELECT 1 FROM ({}) AS r) AS has_rows").format(
            replace(self, only=None).side(side))

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

    def _side_fingerprints(self, side: str, largest_table: sql.Identifier | None, hash_sum: HashSum) -> sql.Composed:
        counted = list(zip(self._values, self._value_counts, strict=True))
        return load_sql("compare/sql/side_fingerprints.sql").format(
            side=self.side(side),
            row_hash=self._row_hash(),
            sums=sql.SQL(hash_sum.aggregates),
            # IS NOT NULL would be false for a composite value that contains a NULL.
            with_value=_repeat(", {} IS DISTINCT FROM NULL AS {}", counted),
            count_values=_repeat(", count(*) FILTER (WHERE {1}) AS {1}", counted),
            no_rows=self._no_rows(
                side, largest_table, [self._no_tenant(), sql.SQL("NULL::bigint"), *[sql.SQL("false")] * len(counted)]),
        )

    def _materialized(self, *sides: str) -> sql.SQL:
        # Otherwise Citus also sends parts of the statement around the CTE to the nodes, and ignores its ORDER BY.
        return sql.SQL("MATERIALIZED" if self.distributed.intersection(sides) else "")

    def _no_rows(
        self, side: str, largest_table: sql.Identifier | None, columns: list[sql.Composable]
    ) -> sql.Composable:
        if side in self.distributed:  # Citus would send every row to the coordinator, instead of a sum
            return sql.SQL("")
        return load_sql("compare/sql/no_rows.sql").format(
            columns=COMMA.join(columns), largest=largest_table or _NO_TABLE)

    def _no_tenant(self) -> sql.Composed:
        # Names only a built-in type: the role may lack USAGE on the schema of another type.
        kind = self.types[TENANT_COLUMN]
        collation = sql.SQL(' COLLATE pg_catalog."C"' if kind.collatable else "")
        return sql.SQL("NULL::{}{}").format(sql.SQL(cast("LiteralString", kind.name)), collation)

    def _relation(
        self, relation: Relation, of_tenants: bool, with_context: bool, with_bare_tenant: bool
    ) -> sql.Composed:
        columns = [self._column(name, relation.columns[name]) for name in self.columns]
        if with_bare_tenant and self._needs_bare_tenant:
            columns.append(sql.SQL("({}) AS bare_tenant").format(fragment(relation.columns[TENANT_COLUMN])))
        if with_context:
            columns += [context_column(relation, name, alias)
                        for name, alias in _numbered("context", self.entity.show).items()]
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

    def _where_tracked(self) -> sql.Composed:
        return sql.SQL("WHERE {} = ANY (%(tracked_keys)s::bigint[])").format(self._key_hash())

    @cached_property
    def _names(self) -> dict[str, sql.Identifier]:
        """Aliases of the columns in statements. The mapping's own names could clash with names of the statements."""
        mapped = {**_numbered("key", self.entity.key), **_numbered("value", self.entity.compare)}
        return {TENANT_COLUMN: sql.Identifier(TENANT_COLUMN), **mapped}

    @property
    def _keys(self) -> list[sql.Identifier]:
        return [self._names[name] for name in self.entity.key]

    @property
    def _values(self) -> list[sql.Identifier]:
        return [self._names[name] for name in self.entity.compare]

    @property
    def _value_counts(self) -> list[sql.Identifier]:
        """Aliases of the numbers of rows in which each compared column is not NULL."""
        return [sql.Identifier(f"with_value_{position}") for position in range(len(self.entity.compare))]

    def _key_texts(self) -> sql.Composed:
        return COMMA.join(kind.as_text(name) for name, kind in self._typed(self.entity.key))

    def _tenant_text(self) -> sql.Composed:
        return self.types[TENANT_COLUMN].as_text(sql.Identifier(TENANT_COLUMN))

    def _row_hash(self, alias: str = "") -> sql.Composed:
        # In the order of their names: a mapping that lists its columns in another order computes the same hash.
        return self.row_hash.of(
            self._typed(sorted(self.entity.key), alias), self._typed(sorted(self.entity.compare), alias))

    def _key_hash(self) -> sql.Composed:
        return self.row_hash.of(self._typed((TENANT_COLUMN, *self.entity.key)))

    def _value_number(self, column: Column, *, across_sides: bool) -> sql.Composed:
        """Return a number that is the same for equal values; NULL for NULL."""
        name, kind = column
        number = self.row_hash.of([column])
        if across_sides and _hashes_differ(kind):
            return sql.SQL("min({}) OVER (PARTITION BY {})").format(number, name)
        return number

    def _bucket(self) -> sql.Composed:
        return sql.SQL("({} & %(mask)s)::integer").format(self._key_hash())

    def _typed(self, names: Iterable[str], alias: str = "") -> list[Column]:
        qualifier = sql.SQL(f"{alias}.") if alias else sql.SQL("")
        return [(sql.Composed([qualifier, self._names[name]]), self.types[name]) for name in names]


def statements_by_entity(
    mapping: MappingConfig, types: dict[str, dict[str, ColumnType]], row_hash: RowHash, only: RowFilter | None = None,
    *, distributed: frozenset[str],
) -> dict[str, EntityStatements]:
    """Return the statements of each entity, given the types of its columns.

    The other arguments are those of :class:`EntityStatements`.
    """
    return {
        name: EntityStatements(
            name, entity, {**types[name], TENANT_COLUMN: types[name][TENANT_COLUMN].as_tenant}, row_hash, only,
            distributed)
        for name, entity in mapping.entities.items()}


def context_column(relation: Relation, name: str, alias: sql.Identifier) -> sql.Composed:
    """Return a context column as text; NULL if the relation does not map it."""
    return sql.SQL('({})::text COLLATE pg_catalog."C" AS {}').format(
        fragment(relation.columns.get(name, "NULL")), alias)


def hash_probe(row_hash: RowHash) -> sql.Composed:
    """Return the statement that hashes a fixed row, to find out whether two servers hash rows equally."""
    kinds = ("text", "uuid", "smallint", "integer", "bigint", "boolean", "numeric", "text")
    columns = [(sql.Identifier(name), ColumnType(kind, kind == "text", native_equality=True))
               for name, kind in zip("abcdefgh", kinds, strict=True)]
    return load_sql("compare/sql/hash_probe.sql").format(row_hash=row_hash.of(columns[:-1], columns[-1:]))


def _hashes_differ(kind: ColumnType) -> bool:
    """Whether equal values can hash differently, so that all of them must get the hash of one."""
    return kind.composite and not kind.consistent_hash


def _numbered(prefix: str, names: Iterable[str]) -> dict[str, sql.Identifier]:
    return {name: sql.Identifier(f"{prefix}_{position}") for position, name in enumerate(names)}


def _repeat(pattern: LiteralString, rows: Iterable[tuple[sql.Composable, ...]]) -> sql.Composed:
    return sql.SQL("").join(sql.SQL(pattern).format(*row) for row in rows)
