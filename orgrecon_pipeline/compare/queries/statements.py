"""SQL statements of an entity, composed from its rows and the files in ``compare/sql``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import cast

from psycopg import sql
from typing_extensions import LiteralString

from orgrecon_pipeline.compare.queries.column_type import ColumnType
from orgrecon_pipeline.compare.queries.hash_sum import HashSum
from orgrecon_pipeline.compare.queries.row_filter import RowFilter
from orgrecon_pipeline.compare.queries.row_hash import COMMA, Column, RowHash
from orgrecon_pipeline.compare.queries.rows import EntityRows, numbered_aliases
from orgrecon_pipeline.domain.canonical import MAX_NAME
from orgrecon_pipeline.domain.mapping.model import SIDES, TENANT_COLUMN, MappingConfig
from orgrecon_pipeline.postgres.sql_files import load_sql

_NO_TABLE = sql.SQL("(SELECT) AS nothing")


@dataclass(frozen=True)
class EntityStatements(EntityRows):
    """Builds the statements of one entity. Each public method returns the statement of the SQL file of that name.

    A ``largest_table`` is the largest table that the role may read, see ``no_rows.sql``. With ``only``, all statements
    except :meth:`has_rows` are restricted to its rows.
    """

    def side_arrays(
        self, side: str, largest_table: sql.Identifier | None, hash_sum: HashSum, *, sorts_as_utf8: bool,
        of_tenants: bool = False,
    ) -> sql.Composed:
        """Return the scan of one side with its result as arrays; for ``sorts_as_utf8`` see :class:`Encoding`.

        With ``of_tenants``, only the tenants of parameter ``tenants`` are scanned.
        """
        return load_sql("compare/sql/side_arrays.sql").format(
            side=self._side_fingerprints(side, largest_table, hash_sum, of_tenants=of_tenants),
            materialized=self._materialized(side),
            high=sql.SQL(hash_sum.high),
            low=sql.SQL(hash_sum.low),
            value_totals=COMMA.join(sql.SQL("sum(row_count - {})").format(name) for name in self._null_counts),
            tenant_text=self._tenant_text(),
            sort_key=self._tenant_text() if sorts_as_utf8 else sql.SQL("name"),
        )

    def side_buckets(self, side: str, largest_table: sql.Identifier | None) -> sql.Composed:
        """Return the scan of one side by bucket, for parameters ``tenants`` and ``mask``."""
        return load_sql("compare/sql/side_buckets.sql").format(
            side=self.side(side, of_tenants=True),
            bucket=self._bucket(),
            row_hash=self.row_hash.of(self._typed((TENANT_COLUMN, *self.entity.key)), self._typed(self.entity.compare)),
            no_rows=self._no_rows(side, largest_table, [sql.SQL("NULL::integer"), sql.SQL("NULL::bigint")]),
        )

    def differing_buckets(self, largest_table: sql.Identifier | None) -> sql.Composed:
        """Return the buckets that differ, for parameters ``tenants`` and ``mask``."""
        return load_sql("compare/sql/differing_buckets.sql").format(
            **{side: self.side_buckets(side, largest_table) for side in SIDES})

    def side_keys(
        self, side: str, largest_table: sql.Identifier | None, *, of_tenants: bool = True,
        in_buckets: bool = False, in_chunks: bool = False, sliced: bool = False,
    ) -> sql.Composed:
        """Return the rows of one side as hashes, with ``of_tenants`` only of the tenants in the parameter ``tenants``.

        ``in_buckets`` needs parameters ``mask`` and ``buckets``, ``in_chunks`` needs ``chunk_mask``, and ``sliced``
        needs ``slice_mask`` and ``slice``.
        """
        conditions: list[sql.Composable] = []
        if in_buckets:
            conditions.append(sql.SQL("pg_catalog.get_bit(%(buckets)s, (key_hash & %(mask)s)::integer) = 1"))
        if sliced:
            conditions.append(sql.SQL("key_hash & %(slice_mask)s = %(slice)s"))
        return load_sql("compare/sql/side_keys.sql").format(
            side=self.side(side, of_tenants=of_tenants),
            materialized=self._materialized(side),
            key_hash=self._key_hash(),
            row_hash=self._row_hash(),
            # A constant if possible: the planner expects many groups of an expression.
            chunk=sql.SQL("coalesce((key_hash & %(chunk_mask)s)::integer, 0)" if in_chunks else "0"),
            no_rows=self._no_rows(side, largest_table, [self._no_tenant(), *[sql.SQL("NULL::bigint")] * 2]),
            selection=sql.SQL("WHERE ") + sql.SQL(" AND ").join(conditions) if conditions else sql.SQL(""),
            tenant_text=self._tenant_text(),
        )

    def side_values(self, side: str) -> sql.Composed:
        """Return the compared values as text, for parameters ``tenants`` and ``tracked_keys``."""
        return load_sql("compare/sql/side_values.sql").format(
            side=self.side(side, of_tenants=True),
            key_hash=self._key_hash(),
            value_texts=COMMA.join(kind.as_text(name) for name, kind in self._typed(self.entity.compare)),
        )

    def side_context(self, side: str) -> sql.Composed:
        """Return the context columns as text, for parameters ``tenants`` and ``tracked_keys``."""
        return load_sql("compare/sql/side_context.sql").format(
            side=self.side(side, of_tenants=True, with_context=True),
            key_hash=self._key_hash(),
            context=COMMA.join(sql.SQL("pg_catalog.left({}, {})").format(name, sql.Literal(MAX_NAME + 1))
                               for name in numbered_aliases("context", self.entity.show).values()),
        )

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
            only_tracked=self._where_tracked(sql.SQL("key_hash")),
            tenant_text=self._tenant_text(),
            key_texts=self._key_texts(),
            value_numbers=COMMA.join(
                self._value_number(column, across_sides=both) for column in self._typed(self.entity.compare)),
        )

    def key_join(
        self, largest_table: sql.Identifier | None, *, all_tenants: bool, in_buckets: bool = False
    ) -> sql.Composed:
        """Return the join of both sides, for all tenants or for the ones in parameter ``tenants``.

        With ``in_buckets``, only the keys in parameters ``mask`` and ``buckets`` are joined.
        """
        # The key hash includes the tenant, but Citus must see that rows of one tenant are joined.
        tenant = [TENANT_COLUMN] if self.distributed else []
        tenant += ["bare_tenant"] if self._needs_bare_tenant else []
        # Where equal values can hash differently, a difference of the hashes alone is no drift.
        values = [] if self.consistent_row_hash else [
            sql.SQL("s.{0} IS DISTINCT FROM t.{0}").format(value) for value in self._values]
        return load_sql("compare/sql/key_join.sql").format(
            source=self._hashed_side("source", largest_table, not all_tenants, in_buckets),
            target=self._hashed_side("target", largest_table, not all_tenants, in_buckets),
            same_tenant=_repeat(" AND s.{0} = t.{0}", ((sql.Identifier(name),) for name in tenant)),
            materialized=self._materialized(*SIDES),
            other_values=sql.SQL("AND (s.key_hash IS NULL OR t.key_hash IS NULL OR {})").format(
                sql.SQL(" OR ").join(values)) if values else sql.SQL(""),
            tenant_text=self._tenant_text(),
        )

    def drift(self, *, first_read: bool = True) -> sql.Composed:
        """Return the drifting keys of the tenants of parameter ``tenants``.

        A ``first_read`` reads all keys, instead of only those of parameter ``tracked_keys``.
        """
        # Where equal keys can hash differently, untracked rows may belong to a tracked key: all rows are grouped.
        only_tracked = not first_read and self.consistent_key_hash and not self.respellable_keys
        return load_sql("compare/sql/drift.sql").format(
            source=self.side("source", of_tenants=True, with_bare_tenant=True),
            target=self.side("target", of_tenants=True, with_bare_tenant=True),
            comma_bare_tenant=sql.SQL(", bare_tenant" if self._needs_bare_tenant else ""),
            materialized=self._materialized(*SIDES),
            only_tracked=self._where_tracked(self._key_hash()) if only_tracked else sql.SQL(""),
            keys=COMMA.join(self._keys),
            comma_values=_repeat(", {}", ((value,) for value in self._values)),
            row_hash=sql.SQL("{}::numeric").format(self._row_hash()),
            tenant_text=self._tenant_text(),
            key_hash=self._key_hash(),
        )

    def has_rows(self, side: str) -> sql.Composed:
        """Return whether one side has a row, as column ``has_rows``."""
        return sql.SQL("SELECT EXISTS (SELECT 1 FROM ({}) AS r) AS has_rows").format(
            replace(self, only=None).side(side))

    def _side_fingerprints(
        self, side: str, largest_table: sql.Identifier | None, hash_sum: HashSum, *, of_tenants: bool = False
    ) -> sql.Composed:
        counted = list(zip(self._values, self._null_counts, strict=True))
        return load_sql("compare/sql/side_fingerprints.sql").format(
            side=self.side(side, of_tenants=of_tenants),
            row_hash=self._row_hash(),
            sums=sql.SQL(hash_sum.aggregates),
            # IS NULL would be true for a composite value whose fields are all NULL.
            is_null=_repeat(", {} IS NOT DISTINCT FROM NULL AS {}", counted),
            count_nulls=_repeat(", count(*) FILTER (WHERE {1}) AS {1}", counted),
            no_rows=self._no_rows(
                side, largest_table, [self._no_tenant(), sql.SQL("NULL::bigint"), *[sql.SQL("false")] * len(counted)]),
        )

    def _hashed_side(
        self, side: str, largest_table: sql.Identifier | None, of_tenants: bool, in_buckets: bool
    ) -> sql.Composed:
        """Return the tenant, the key hash and the row hash of each row of one side, with what else the join needs."""
        extra = [sql.Identifier("bare_tenant")] if self._needs_bare_tenant else []
        if not self.consistent_row_hash:
            extra += self._values
        return load_sql("compare/sql/side_hashes.sql").format(
            side=self.side(side, of_tenants=of_tenants, with_bare_tenant=True),
            key_hash=self._key_hash(),
            row_hash=self._row_hash(),
            extra=_repeat(", {}", ((column,) for column in extra)),
            selection=self._where_in_buckets() if in_buckets else sql.SQL(""),
            # Few rows remain of some buckets: where the planner expects many, it does not read them with workers.
            no_rows=sql.SQL("") if extra or in_buckets else self._no_rows(
                side, largest_table, [self._no_tenant(), *[sql.SQL("NULL::bigint")] * 2]),
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

    def _where_tracked(self, key_hash: sql.Composable) -> sql.Composed:
        return sql.SQL("WHERE ") + self._is_tracked(key_hash)

    def _is_tracked(self, key_hash: sql.Composable) -> sql.Composed:
        # PostgreSQL 13 searches an array from its start for each row, but hashes a subquery. Citus needs the array.
        tracked: LiteralString = "= ANY (%(tracked_keys)s::bigint[])"
        if not self.distributed:
            tracked = "IN (SELECT pg_catalog.unnest(%(tracked_keys)s::bigint[]))"
        return sql.SQL("{} ").format(key_hash) + sql.SQL(tracked)

    @property
    def _null_counts(self) -> list[sql.Identifier]:
        """Aliases of the numbers of rows in which each compared column is NULL."""
        return [sql.Identifier(f"nulls_{position}") for position in range(len(self.entity.compare))]

    def _value_number(self, column: Column, *, across_sides: bool) -> sql.Composed:
        """Return a number that is the same for equal values; NULL for NULL."""
        name, kind = column
        number = self.row_hash.of([column])
        if across_sides and _hashes_differ(kind):
            return sql.SQL("min({}) OVER (PARTITION BY {})").format(number, name)
        return number

    def _bucket(self) -> sql.Composed:
        return sql.SQL("({} & %(mask)s)::integer").format(self._key_hash())

    def _where_in_buckets(self) -> sql.Composed:
        return sql.SQL("WHERE pg_catalog.get_bit(%(buckets)s, {}) = 1").format(self._bucket())


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


def hash_probe(row_hash: RowHash) -> sql.Composed:
    """Return the statement that hashes a fixed row, to find out whether two servers hash rows equally."""
    kinds = ("text", "uuid", "smallint", "integer", "bigint", "boolean", "numeric", "date", "time without time zone",
             "timestamp without time zone", "timestamp with time zone", "text")
    columns = [(sql.Identifier(name), ColumnType(kind, kind == "text", native_equality=True))
               for name, kind in zip("abcdefghijkl", kinds, strict=True)]
    return load_sql("compare/sql/hash_probe.sql").format(row_hash=row_hash.of(columns[:-1], columns[-1:]))


def _hashes_differ(kind: ColumnType) -> bool:
    """Whether equal values can hash differently, so that all of them must get the hash of one."""
    return kind.composite and not kind.consistent_hash


def _repeat(pattern: LiteralString, rows: Iterable[tuple[sql.Composable, ...]]) -> sql.Composed:
    return sql.SQL("").join(sql.SQL(pattern).format(*row) for row in rows)
