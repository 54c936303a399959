"""The SQL of an entity, composed from its mapping.

Expressions and ``from`` clauses are the user's own SQL and are taken as they are; names are quoted; values travel as
parameters. Every fragment ends its line, so that a ``--`` comment in it ends there too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import cast

from psycopg import sql
from typing_extensions import LiteralString

from orgrecon_pipeline.compare.row_hash import COMMA, Column, ColumnType, RowHash
from orgrecon_pipeline.domain.mapping import TENANT_COLUMN, Entity, MappingConfig, Relation
from orgrecon_pipeline.postgres.sql_files import fragment, load_sql


def canary(digest: RowHash) -> sql.Composed:
    """The statement of ``canary.sql``."""
    kinds = ("text", "uuid", "smallint", "integer", "bigint", "boolean", "numeric", "text")
    columns = [(sql.Identifier(name), ColumnType(kind, kind == "text", native_equality=True))
               for name, kind in zip("abcdefgh", kinds, strict=True)]
    return load_sql("compare", "self_test.sql").format(digest=digest.of(columns[:-1], columns[-1:]))


@dataclass(frozen=True)
class Sums:
    """How the digests of a tenant are added up, and the two unpack_int8 that the sum travels as.

    It is ``high * base + low``, and ``shift`` more for each row.
    """

    prints: LiteralString
    high: LiteralString
    low: LiteralString
    base: int
    shift: int = 0


#: As one sum, which is a numeric.
WHOLE = Sums("sum(digest) AS print", "div(print, 4611686018427387904)::bigint",
             "mod(print, 4611686018427387904)::bigint", base=2**62)
#: As sums of the upper and the lower halves: a sum of integers is a bigint, which costs a row a little more, and a
#: group much less.
HALVES = Sums("sum((digest >> 32)::integer) AS high, sum(((digest & 4294967295) - 2147483648)::integer) AS low",
              "high", "low", base=2**32, shift=2**31)

#: What to read from where there is no table.
NO_TABLE = sql.SQL("(SELECT) AS nothing")


class Which(Enum):
    """The keys that a statement reads: of the tenants given every one, those in some buckets (parameters ``mask`` and
    ``buckets``), or those seen before (``seen_keys``)."""

    EVERY = auto()
    IN_BUCKETS = auto()
    SEEN = auto()


@dataclass(frozen=True)
class EntityStatements:
    """Builds the statements for one entity."""

    name: str
    entity: Entity
    types: dict[str, ColumnType]
    digest: RowHash

    @property
    def columns(self) -> tuple[str, ...]:
        """Tenant, key and compared columns."""
        return (TENANT_COLUMN, *self.entity.key, *self.entity.compare)

    def side_packed(
        self, side: str, largest: sql.Identifier | None, sums: Sums, *, by_code_point: bool
    ) -> sql.Composed:
        """The statement of ``side_packed.sql``.

        Args:
            side: source or target.
            largest: the largest table of the database that may be read, see ``side_sums.sql``.
            sums: how digests are added up.
            by_code_point: :attr:`Session.sorts_by_code_point`.
        """
        return load_sql("compare", "side_packed.sql").format(
            side=self._side_sums(side, largest, sums),
            high=sql.SQL(sums.high),
            low=sql.SQL(sums.low),
            all_values=COMMA.join(sql.SQL("sum({})").format(name) for name in self._value_counts),
            tenant_text=self._tenant_text(),
            in_order=self._tenant_text() if by_code_point else sql.SQL("name"),
        )

    @property
    def one_spelling(self) -> bool:
        """Whether equal rows always have one digest."""
        return all(self.types[name].one_spelling for name in self.columns)

    @property
    def joinable(self) -> bool:
        """Whether the sides can be joined by key: equal keys have one digest."""
        return all(self.types[name].one_spelling for name in (TENANT_COLUMN, *self.entity.key))

    def drift_joined(self, *, everyone: bool) -> sql.Composed:
        """The statement of ``drift_joined.sql``, for all tenants or for those of parameter ``tenants``."""
        keys = [(key,) for key in self._keys]
        compare = [(value,) for value in self._values]
        return load_sql("compare", "drift_joined.sql").format(
            source=self.side(self.entity.source, of_tenants=not everyone),
            target=self.side(self.entity.target, of_tenants=not everyone),
            either_key=_each(", coalesce(s.{0}, t.{0}) AS {0}", keys),
            same_key=_each(" AND s.{0} = t.{0}", keys),
            other_values=_each(" OR s.{0} IS DISTINCT FROM t.{0}", compare),
            source_digest=self._row_digest("s"),
            target_digest=self._row_digest("t"),
            tenant_text=self._tenant_text(),
            key_digest=self._key_digest(),
        )

    def drift(self, tail: str, *, first_read: bool = True) -> sql.Composed:
        """``drift.sql`` for the tenants of parameter ``tenants``, ended by the statement of the file ``tail``.

        Unless it is the first read, only the keys of parameter ``seen_keys`` count.
        """
        keys = self._keys
        body = load_sql("compare", "drift.sql").format(
            source=self.side(self.entity.source, of_tenants=True),
            target=self.side(self.entity.target, of_tenants=True),
            only_seen=sql.SQL("") if first_read else self._only_seen(),
            keys=COMMA.join(keys),
            comma_values=_each(", {}", ((value,) for value in self._values)),
            state_digest=sql.SQL("{}::numeric").format(self._row_digest()),
            tenant_text=self._tenant_text(),
            key_digest=self._key_digest(),
        )
        ending = load_sql("compare", tail).format(
            key_texts=sql.SQL("ARRAY[{}]").format(COMMA.join(sql.SQL("{}::text").format(key) for key in keys))
        )
        return sql.SQL("WITH {}\n{}").format(body, ending)

    def differing_columns(self) -> sql.Composed:
        """The statement of ``differing_columns.sql``, for an entity that has compared columns."""
        one = load_sql("compare", "differing_column.sql")
        return load_sql("compare", "differing_columns.sql").format(
            source=self.side(self.entity.source, of_tenants=True),
            target=self.side(self.entity.target, of_tenants=True),
            key_digest=self._key_digest(),
            columns=sql.SQL("UNION ALL\n").join(
                one.format(column=value, column_name=sql.Literal(name))
                for name, value in zip(self.entity.compare, self._values, strict=True)),
        )

    def side_fingerprint(self, side: str, largest: sql.Identifier | None) -> sql.Composed:
        """The statement of ``side_fingerprint.sql``; ``largest`` as for :meth:`side_packed`."""
        return load_sql("compare", "side_fingerprint.sql").format(
            side=self._side_sums(side, largest, WHOLE),
            values=COMMA.join(self._value_counts),
            tenant_text=self._tenant_text(),
        )

    def side_buckets(self, side: str, largest: sql.Identifier | None) -> sql.Composed:
        """The statement of ``side_buckets.sql``, for parameter ``mask``; ``largest`` as for :meth:`side_packed`."""
        return load_sql("compare", "side_buckets.sql").format(
            side=self.side(getattr(self.entity, side), of_tenants=True),
            bucket=self._bucket(),
            digest=self.digest.of(
                self._typed((TENANT_COLUMN, *self.entity.key)), self._typed(self.entity.compare)),
            largest=largest or NO_TABLE,
        )

    def side_keys(self, side: str, which: Which) -> sql.Composed:
        """The statement of ``side_keys.sql``."""
        conditions = {
            Which.EVERY: sql.SQL(""),
            Which.IN_BUCKETS: sql.SQL("WHERE pg_catalog.get_bit(%(buckets)s, {}) = 1").format(self._bucket()),
            Which.SEEN: self._seen(),
        }
        return load_sql("compare", "side_keys.sql").format(
            side=self.side(getattr(self.entity, side), of_tenants=True),
            key_digest=self._key_digest(),
            row_digest=self._row_digest(),
            which=conditions[which],
            tenant_text=self._tenant_text(),
        )

    def side_texts(self, side: str) -> sql.Composed:
        """The statement of ``side_texts.sql``."""
        return load_sql("compare", "side_texts.sql").format(
            side=self.side(getattr(self.entity, side), of_tenants=True),
            key_digest=self._key_digest(),
            key_texts=COMMA.join(sql.SQL("{}::text").format(key) for key in self._keys),
            value_texts=COMMA.join(kind.as_text(name) for name, kind in self._typed(self.entity.compare)),
        )

    def any_row(self, side: str) -> sql.Composed:
        """Whether a side has a row: column ``any_row``."""
        return sql.SQL("SELECT EXISTS (SELECT FROM ({}) AS r) AS any_row").format(self.side(getattr(self.entity, side)))

    def side(self, relations: tuple[Relation, ...], *, of_tenants: bool = False) -> sql.Composed:
        """One side as a SELECT; ``of_tenants`` restricts it to the tenants of parameter ``tenants``."""
        return sql.SQL("\nUNION ALL\n").join(self._relation(relation, of_tenants) for relation in relations)

    @property
    def _keys(self) -> list[sql.Identifier]:
        return [self._names[name] for name in self.entity.key]

    @property
    def _values(self) -> list[sql.Identifier]:
        return [self._names[name] for name in self.entity.compare]

    @property
    def _names(self) -> dict[str, sql.Identifier]:
        """What a mapped column is called in a statement: a user's name for it could be one of the statement's own."""
        mapped = {**_numbered("key", self.entity.key), **_numbered("value", self.entity.compare)}
        return {TENANT_COLUMN: sql.Identifier(TENANT_COLUMN), **mapped}

    @property
    def _value_counts(self) -> list[sql.Identifier]:
        """By compared column: the name under which it is counted in how many rows it is not NULL."""
        return [sql.Identifier(f"with_value_{place}") for place in range(len(self.entity.compare))]

    def _side_sums(self, side: str, largest: sql.Identifier | None, sums: Sums) -> sql.Composed:
        """The statement of ``side_sums.sql``."""
        counted = list(zip(self._values, self._value_counts, strict=True))
        return load_sql("compare", "side_sums.sql").format(
            side=self.side(getattr(self.entity, side)),
            digest=self._row_digest(),
            prints=sql.SQL(sums.prints),
            # In this form a composite value that has a NULL in it is one.
            with_value=_each(", {} IS DISTINCT FROM NULL AS {}", counted),
            without_value=_each(", false", ((),) * len(counted)),
            count_values=_each(", count(*) FILTER (WHERE {1}) AS {1}", counted),
            no_tenant=self._no_tenant(),
            largest=largest or NO_TABLE,
        )

    def _no_tenant(self) -> sql.Composed:
        # Only types of the server's own are named: the role may not use the schema of another one.
        kind = self.types[TENANT_COLUMN]
        collation = sql.SQL(' COLLATE pg_catalog."C"' if kind.collatable else "")
        return sql.SQL("NULL::{}{}").format(sql.SQL(cast("LiteralString", kind.name)), collation)

    def _relation(self, relation: Relation, of_tenants: bool) -> sql.Composed:
        conditions = [sql.SQL("({})").format(fragment(relation.where))] if relation.where else []
        if of_tenants:
            conditions.append(self._is_wanted(relation.columns[TENANT_COLUMN]))
        return sql.SQL("SELECT {} FROM {} {}").format(
            COMMA.join(self._column(name, relation.columns[name]) for name in self.columns),
            fragment(relation.from_),
            sql.SQL("WHERE ") + sql.SQL(" AND ").join(conditions) if conditions else sql.SQL(""),
        )

    def _column(self, name: str, expression: str) -> sql.Composed:
        # Byte by byte: a collation that calls two texts equal must not hide that they differ. And as one type: the
        # planner appends the two sides, and scans both with its parallel workers, only where their types are the same.
        kind = self.types[name]
        cast_to = sql.SQL("::text" if kind.compared_as_text else "")
        collation = sql.SQL(' COLLATE pg_catalog."C"' if kind.compared_as_text or kind.collatable else "")
        return sql.SQL("({}){}{} AS {}").format(fragment(expression), cast_to, collation, self._names[name])

    def _is_wanted(self, tenant: str) -> sql.Composed:
        # On the bare expression, in its own type and collation, so that an index on it is used. What such a collation
        # calls equal comes along.
        kind = self.types[TENANT_COLUMN]
        if kind.native_equality:
            wanted = sql.SQL("({}) = ANY (%(tenants)s::{})")
            return wanted.format(fragment(tenant), sql.SQL(cast("LiteralString", f"{kind.name}[]")))
        return sql.SQL("({})::text = ANY (%(tenants)s::text[])").format(fragment(tenant))

    def _only_seen(self) -> sql.Composed:
        # Of a key that can be written in several ways, rows of another digest belong to it: all are grouped then.
        return self._seen() if self.joinable else sql.Composed([])

    def _seen(self) -> sql.Composed:
        return sql.SQL("WHERE {} = ANY (%(seen_keys)s::bigint[])").format(self._key_digest())

    def _tenant_text(self) -> sql.Composed:
        return self.types[TENANT_COLUMN].as_text(sql.Identifier(TENANT_COLUMN))

    def _row_digest(self, side: str = "") -> sql.Composed:
        return self.digest.of(self._typed(self.entity.key, side), self._typed(self.entity.compare, side))

    def _key_digest(self) -> sql.Composed:
        return self.digest.of(self._typed((TENANT_COLUMN, *self.entity.key)))

    def _bucket(self) -> sql.Composed:
        return sql.SQL("({} & %(mask)s)::integer").format(self._key_digest())

    def _typed(self, names: Iterable[str], side: str = "") -> list[Column]:
        qualifier = sql.SQL(f"{side}.") if side else sql.SQL("")
        return [(sql.Composed([qualifier, self._names[name]]), self.types[name]) for name in names]


def _numbered(kind: str, names: Iterable[str]) -> dict[str, sql.Identifier]:
    return {name: sql.Identifier(f"{kind}_{place}") for place, name in enumerate(names)}


def _each(pattern: LiteralString, rows: Iterable[tuple[sql.Composable, ...]]) -> sql.Composed:
    return sql.SQL("").join(sql.SQL(pattern).format(*row) for row in rows)


def statements_of(
    mapping: MappingConfig, types: dict[str, dict[str, ColumnType]], digest: RowHash
) -> dict[str, EntityStatements]:
    """The statements of each entity, whose columns have those types."""
    return {
        name: EntityStatements(
            name, entity, {**types[name], TENANT_COLUMN: types[name][TENANT_COLUMN].as_tenant}, digest)
        for name, entity in mapping.entities.items()
    }
