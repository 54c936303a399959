"""SQL expressions that hash a row to 64 bits. docs/architecture.md explains why each column's hash seeds the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql
from typing_extensions import LiteralString

from orgrecon_pipeline.compare.queries.column_type import ColumnType

COMMA = sql.SQL(", ")

# By type: the value as a bigint to be mixed into the seed by XOR, and the substitute for NULL. The infinite dates have
# numbers that no finite date has.
_INTEGERS: dict[str, tuple[LiteralString, LiteralString]] = {
    "smallint": ("{0}::bigint", "0"),
    "integer": ("{0}::bigint", "0"),
    "bigint": ("{0}", "0"),
    "boolean": ("{0}::integer::bigint", "false"),
    "date": ("CASE WHEN pg_catalog.isfinite({0}) THEN {0} - date '2000-01-01' WHEN {0} > date '2000-01-01' "
             "THEN 2147483647 WHEN {0} < date '2000-01-01' THEN -2147483648 END::bigint", "date '2000-01-01'"),
}
# By type: the seeded hash function, and the substitute for NULL. These hashes read every bit of their type.
_HASHES: dict[str, tuple[LiteralString, LiteralString]] = {
    "text": ("pg_catalog.hashtextextended", "''"),
    "uuid": ("pg_catalog.uuid_hash_extended", "'00000000-0000-0000-0000-000000000000'"),
}
# By type: the expression for the bytes of a value. To hash them as hexadecimal text takes half as long as to hash the
# usual text.
_BYTES: dict[str, LiteralString] = {
    "time without time zone": "pg_catalog.time_send({})",
    "timestamp without time zone": "pg_catalog.timestamp_send({})",
    "timestamp with time zone": "pg_catalog.timestamptz_send({})",
}

# Bits of a bigint, without the sign bit, that mark which values are NULL.
_MASK_BITS = 62

#: Identifier and type of a column.
Column = tuple[sql.Composable, ColumnType]


@dataclass(frozen=True)
class RowHash:
    """Hash function over rows.

    Attributes:
        native: whether it uses the server's own hash functions. The portable alternative, MD5 over text, has the same
            result on every server.
        seed: drawn anew for each observation, so that rows that collide today do not collide tomorrow.
    """

    native: bool
    seed: int

    @property
    def name(self) -> str:
        """``native`` or ``portable``, as stored in the record."""
        return "native" if self.native else "portable"

    def of(self, keys: Sequence[Column], values: Sequence[Column] = ()) -> sql.Composed:
        """Return the expression. It is NULL if a key is NULL; a NULL value differs from every other value."""
        return self._chain(keys, values) if self.native else self._portable(keys, values)

    def _chain(self, keys: Sequence[Column], values: Sequence[Column]) -> sql.Composed:
        # Most rows have no NULL, so the expression without masks comes first.
        plain = self._chain_of((*keys, *values)).hashed()
        if not values:
            return plain
        chain = self._chain_of(keys)
        for start in range(0, len(values), _MASK_BITS):
            chain.mix_in(sql.SQL(" + ").join(
                sql.SQL("CASE WHEN {} IS NULL THEN {}::bigint ELSE 0 END").format(column, sql.Literal(1 << bit))
                for bit, (column, _) in enumerate(values[start : start + _MASK_BITS])))
        for column, column_type in values:
            chain.add(column, column_type, nullable=True)
        return sql.SQL("coalesce({}, {})").format(plain, chain.hashed())

    def _chain_of(self, columns: Sequence[Column]) -> _Chain:
        chain = _Chain(self.seed)
        for column, column_type in columns:
            chain.add(column, column_type)
        return chain

    def _portable(self, keys: Sequence[Column], values: Sequence[Column]) -> sql.Composed:
        texts = COMMA.join(column_type.as_text(column) for column, column_type in (*keys, *values))
        # As UTF-8, because the two databases can have different encodings.
        md5 = sql.SQL("pg_catalog.md5(pg_catalog.convert_to({} || ROW({})::text, 'UTF8'))").format(
            sql.Literal(str(self.seed)), texts)
        key_is_null = sql.SQL(" OR ").join(sql.SQL("{} IS NULL").format(column) for column, _ in keys)
        return sql.SQL("CASE WHEN NOT ({}) THEN ('x' || pg_catalog.substr({}, 1, 16))::bit(64)::bigint END").format(
            key_is_null, md5)


class _Chain:
    """Expression under construction. After an integer is mixed in, it must be hashed before the next one.

    Each step wraps the expression before it. Its text is kept flat, because psycopg composes nested texts recursively.
    """

    def __init__(self, seed: int) -> None:
        self._before: deque[sql.Composable] = deque([sql.SQL("{}::bigint").format(sql.Literal(seed))])
        self._after: list[sql.Composable] = []
        self._must_hash = False

    def add(self, column: sql.Composable, column_type: ColumnType, *, nullable: bool = False) -> None:
        if column_type.name in _INTEGERS:
            pattern, null = _INTEGERS[column_type.name]
            self.mix_in(sql.SQL(pattern).format(_coalesce(column, null, nullable)))
            return
        own_hash = _HASHES.get(column_type.name)
        function, null = own_hash or _HASHES["text"]
        value = _coalesce(column if own_hash else _text_to_hash(column, column_type), null, nullable)
        self._wrap(sql.SQL(function) + sql.SQL("(") + value + sql.SQL(", "), sql.SQL(")"))
        self._must_hash = False

    def mix_in(self, integer: sql.Composable) -> None:
        """Mix a bigint into the seed by XOR, which loses nothing of it."""
        self._finish()
        self._wrap(sql.SQL("("), sql.SQL(" # ({}))").format(integer))
        self._must_hash = True

    def hashed(self) -> sql.Composed:
        """Return the expression, which is not changed after that."""
        self._finish()
        return sql.Composed([*self._before, *self._after])

    def _finish(self) -> None:
        if self._must_hash:
            self._wrap(sql.SQL("pg_catalog.hashint4extended(0, "), sql.SQL(")"))
            self._must_hash = False

    def _wrap(self, before: sql.Composable, after: sql.Composable) -> None:
        self._before.appendleft(before)
        self._after.append(after)


def _text_to_hash(column: sql.Composable, column_type: ColumnType) -> sql.Composed:
    if column_type.name not in _BYTES:
        return column_type.as_text(column)
    return sql.SQL("pg_catalog.encode({}, 'hex') COLLATE pg_catalog.\"C\"").format(
        sql.SQL(_BYTES[column_type.name]).format(column))


def _coalesce(value: sql.Composable, null: LiteralString, nullable: bool) -> sql.Composable:
    return sql.SQL("coalesce({}, {})").format(value, sql.SQL(null)) if nullable else value
