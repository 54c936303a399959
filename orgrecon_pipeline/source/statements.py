"""The SQL of an entity, composed from its mapping.

Expressions and ``from`` clauses are the user's own SQL and are taken as they are; names are quoted; values travel as
parameters. Every fragment ends its line, so that a ``--`` comment in it ends there too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from psycopg import sql
from typing_extensions import LiteralString

from orgrecon_pipeline.domain.mapping import TENANT_COLUMN, Entity, Relation
from orgrecon_pipeline.source.session import load_sql

COMMA = sql.SQL(", ")


@dataclass(frozen=True)
class ColumnType:
    """The type of a mapped column, the same on both sides.

    ``native_equality`` says that ``=`` on it is found in an empty search_path; ``name`` is the type's SQL name.
    """

    name: str
    collatable: bool
    native_equality: bool


@dataclass(frozen=True)
class Digest:
    """How a row becomes 64 bits: the server's own hash, or one that any server computes alike.

    ``seed`` is drawn anew for every observation, so that two multisets that collide today do not tomorrow.
    """

    native: bool
    seed: int

    @property
    def name(self) -> str:
        """``native`` or ``portable``, as it stands in the record."""
        return "native" if self.native else "portable"

    def of(self, columns: Iterable[sql.Composable]) -> sql.Composed:
        """The expression over a row of columns."""
        row = sql.SQL("ROW({})").format(COMMA.join(columns))
        if self.native:
            return sql.SQL("hash_record_extended({}, {})").format(row, sql.Literal(self.seed))
        salted = sql.SQL("md5({} || ({})::text)").format(sql.Literal(str(self.seed)), row)
        return sql.SQL("('x' || substr({}, 1, 16))::bit(64)::bigint").format(salted)


def fragment(text: str) -> sql.SQL:
    """A piece of the mapping's SQL; its ``%`` are not placeholders."""
    return sql.SQL(cast("LiteralString", text.replace("%", "%%") + "\n"))


@dataclass(frozen=True)
class EntityStatements:
    """Builds the statements for one entity."""

    name: str
    entity: Entity
    types: dict[str, ColumnType]
    digest: Digest

    @property
    def columns(self) -> tuple[str, ...]:
        """Tenant, key and compared columns."""
        return (TENANT_COLUMN, *self.entity.key, *self.entity.compare)

    def fingerprint(self, clean_limit: int) -> sql.Composed:
        """The statement of ``fingerprint.sql``."""
        compare = [sql.Identifier(name) for name in self.entity.compare]
        counts = [sql.Identifier(f"v{place}") for place in range(len(compare))]
        is_null = [sql.SQL("{} IS NULL").format(sql.Identifier(name)) for name in (TENANT_COLUMN, *self.entity.key)]
        return load_sql("fingerprint.sql").format(
            source=self.side(self.entity.source),
            target=self.side(self.entity.target),
            digest=self.digest.of(sql.Identifier(name) for name in (*self.entity.key, *self.entity.compare)),
            key_is_null=sql.SQL(" OR ").join(is_null),
            count_values=_each(", count({}) AS {}", zip(compare, counts, strict=True)),
            values=_each(", coalesce(s.{0}, 0) + coalesce(t.{0}, 0) AS {0}", ((name,) for name in counts)),
            sum_values=sql.SQL("ARRAY[{}]::bigint[]").format(
                COMMA.join(sql.SQL("sum({})").format(name) for name in counts)
            ),
            tenant_text=self._tenant_text(),
            clean_limit=sql.Literal(clean_limit),
        )

    def drift(self, tail: str) -> sql.Composed:
        """``drift.sql`` for the tenants of parameter ``tenants``, ended by the statement of the file ``tail``."""
        keys = [sql.Identifier(name) for name in self.entity.key]
        compare = [sql.Identifier(name) for name in self.entity.compare]
        body = load_sql("drift.sql").format(
            source=self.side(self.entity.source, of_tenants=True),
            target=self.side(self.entity.target, of_tenants=True),
            keys=COMMA.join(keys),
            comma_values=_each(", {}", ((name,) for name in compare)),
            state_digest=sql.SQL("{}::numeric").format(self.digest.of((*keys, *compare))),
            tenant_text=self._tenant_text(),
            key_digest=self._key_digest(),
        )
        ending = load_sql(tail).format(
            key_texts=sql.SQL("ARRAY[{}]").format(COMMA.join(sql.SQL("{}::text").format(key) for key in keys))
        )
        return sql.SQL("WITH {}\n{}").format(body, ending)

    def differing_column(self, column: str) -> sql.Composed:
        """The statement of ``differing_column.sql`` for one compared column."""
        return load_sql("differing_column.sql").format(
            source=self.side(self.entity.source, of_tenants=True),
            target=self.side(self.entity.target, of_tenants=True),
            column=sql.Identifier(column),
            column_name=sql.Literal(column),
            key_digest=self._key_digest(),
        )

    def tenant_rows(self) -> sql.Composed:
        """The statement of ``tenant_rows.sql``."""
        return load_sql("tenant_rows.sql").format(
            source=self.side(self.entity.source, of_tenants=True),
            target=self.side(self.entity.target, of_tenants=True),
            tenant_text=self._tenant_text(),
        )

    def side(self, relations: tuple[Relation, ...], *, of_tenants: bool = False) -> sql.Composed:
        """One side as a SELECT; ``of_tenants`` restricts it to the tenants of parameter ``tenants``."""
        return sql.SQL("\nUNION ALL\n").join(self._relation(relation, of_tenants) for relation in relations)

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
        # Byte by byte: a collation that calls two texts equal must not hide that they differ.
        collation = sql.SQL(' COLLATE pg_catalog."C"') if self.types[name].collatable else sql.SQL("")
        return sql.SQL("({}){} AS {}").format(fragment(expression), collation, sql.Identifier(name))

    def _is_wanted(self, tenant: str) -> sql.Composed:
        # On the bare expression, in its own type and collation, so that an index on it is used.
        kind = self.types[TENANT_COLUMN]
        if kind.native_equality:
            wanted = sql.SQL("({}) = ANY (%(tenants)s::{})")
            return wanted.format(fragment(tenant), sql.SQL(cast("LiteralString", f"{kind.name}[]")))
        return sql.SQL("({})::text = ANY (%(tenants)s::text[])").format(fragment(tenant))

    def _tenant_text(self) -> sql.Composed:
        tenant = sql.Identifier(TENANT_COLUMN)
        if self.types[TENANT_COLUMN].name == "numeric":  # 1.0 and 1.00 are one tenant
            return sql.SQL('trim_scale({})::text COLLATE pg_catalog."C"').format(tenant)
        return sql.SQL('{}::text COLLATE pg_catalog."C"').format(tenant)

    def _key_digest(self) -> sql.Composed:
        return self.digest.of(sql.Identifier(name) for name in (TENANT_COLUMN, *self.entity.key))


def _each(pattern: LiteralString, rows: Iterable[tuple[sql.Composable, ...]]) -> sql.Composed:
    return sql.SQL("").join(sql.SQL(pattern).format(*row) for row in rows)
