"""How a row becomes 64 bits.

PostgreSQL's own hashes serve joins, where values that collide only cost time; here they would cost a verdict. So only
those are used that see every bit of their type, and every type without such a one goes in as text. Each column's hash
is the seed of the next one's: ``hash_record_extended`` adds them up, weighted, and a sum of such sums over rows no
longer knows which value stood beside which key. Whole numbers are put into that seed as they are, by XOR: a seed of 64
bits takes one of them without losing anything, and a hash has to follow before it takes the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql
from typing_extensions import LiteralString

COMMA = sql.SQL(", ")

# Put into the seed as they are; and what stands in for NULL, as a mask tells the two apart.
_NUMBERS: dict[str, LiteralString] = {
    "smallint": "{}::bigint", "integer": "{}::bigint", "bigint": "{}", "boolean": "{}::integer::bigint"}
_NO_NUMBER: dict[str, LiteralString] = dict.fromkeys(_NUMBERS, "0") | {"boolean": "false"}

# By type: the hash of a value x, seeded by h, and what stands in for NULL.
_HASHES: dict[str, tuple[LiteralString, LiteralString]] = {
    "text": ("pg_catalog.hashtextextended({x}, {h})", "''"),
    "uuid": ("pg_catalog.uuid_hash_extended({x}, {h})", "'00000000-0000-0000-0000-000000000000'"),
}

# Of these equal values are written in several ways: the one that all are brought to.
_TEXTS: dict[str, LiteralString] = {
    "numeric": "pg_catalog.trim_scale({})::text",
    "double precision": "({} + 0::double precision)::text",  # of 0 and -0
    "real": "({} + 0::real)::text",
    "interval": "pg_catalog.justify_interval({})::text",  # 24 hours are a day, and 30 days a month
}

# Types of which equal values are written alike, as text of this server or of any other one.
_WRITTEN_ALIKE = {
    *_NUMBERS, *_HASHES, *_TEXTS, "bytea", "date", "time without time zone", "timestamp without time zone",
    "timestamp with time zone",
}

# Of a bigint, without its sign.
_MASK_BITS = 62


@dataclass(frozen=True)
class ColumnType:
    """The type of a mapped column, the same on both sides.

    ``native_equality`` says that its ``=`` is the server's own; of any other type nobody knows what its ``=`` is blind
    to (citext's to case, that of an array of citext too), and it is compared as text. ``name`` is the type's SQL name;
    ``composed`` says that it holds values of other types, as an array does.
    """

    name: str
    collatable: bool
    native_equality: bool
    composed: bool = False

    @property
    def one_spelling(self) -> bool:
        """Whether equal values always have one digest. Of 1.0 and 1.00 in jsonb, say, the texts differ."""
        return self.name in _WRITTEN_ALIKE or self.compared_as_text

    @property
    def compared_as_text(self) -> bool:
        """Whether its values are compared as text, byte by byte."""
        return self.name == "text" or not self.native_equality

    @property
    def as_tenant(self) -> ColumnType:
        """The type as which it names tenants: text, unless equal values of it are written alike everywhere."""
        return self if self.name in _WRITTEN_ALIKE else ColumnType("text", collatable=True, native_equality=False)

    def as_text(self, value: sql.Composable) -> sql.Composed:
        """The value as text, compared byte by byte; equal values are one text if :attr:`one_spelling` says so."""
        text = sql.SQL(_TEXTS.get(self.name, "({})::text"))
        return sql.SQL('{} COLLATE pg_catalog."C"').format(text.format(value))


#: A column's identifier, and its type.
Column = tuple[sql.Composable, ColumnType]


@dataclass(frozen=True)
class RowHash:
    """Rows as 64 bits: by the server's own hashes of values, or in a way that any server computes alike.

    ``seed`` is drawn anew for every observation, so that two multisets that collide today do not tomorrow.
    """

    native: bool
    seed: int

    @property
    def name(self) -> str:
        """``native`` or ``portable``, as it stands in the record."""
        return "native" if self.native else "portable"

    def of(self, keys: Sequence[Column], values: Sequence[Column] = ()) -> sql.Composed:
        """The expression: NULL when a key is NULL; a value may be, and that is not any other value."""
        return self._chained(keys, values) if self.native else self._portable(keys, values)

    def _chained(self, keys: Sequence[Column], values: Sequence[Column]) -> sql.Composed:
        """Of most rows no value is NULL: they are spared the question which ones are."""
        plain = self._chain_of((*keys, *values)).hashed()
        if not values:
            return plain
        chain = self._chain_of(keys)
        for start in range(0, len(values), _MASK_BITS):
            nulls = [
                sql.SQL("CASE WHEN {} IS NULL THEN {}::bigint ELSE 0 END").format(column, sql.Literal(1 << place))
                for place, (column, _) in enumerate(values[start : start + _MASK_BITS])
            ]
            chain.add_number(sql.SQL(" + ").join(nulls))
        for column, kind in values:
            chain.add(column, kind, nullable=True)
        return sql.SQL("coalesce({}, {})").format(plain, chain.hashed())

    def _chain_of(self, columns: Sequence[Column]) -> _Chain:
        chain = _Chain(sql.SQL("{}::bigint").format(sql.Literal(self.seed)))
        for column, kind in columns:
            chain.add(column, kind)
        return chain

    def _portable(self, keys: Sequence[Column], values: Sequence[Column]) -> sql.Composed:
        texts = COMMA.join(kind.as_text(column) for column, kind in (*keys, *values))
        # The encoding of the database is its own affair.
        salted = sql.SQL("pg_catalog.md5(pg_catalog.convert_to({} || ROW({})::text, 'UTF8'))").format(
            sql.Literal(str(self.seed)), texts)
        null = sql.SQL(" OR ").join(sql.SQL("{} IS NULL").format(column) for column, _ in keys)
        return sql.SQL(
            "CASE WHEN NOT ({}) THEN ('x' || pg_catalog.substr({}, 1, 16))::bit(64)::bigint END"
        ).format(null, salted)


class _Chain:
    """The expression so far, and whether it is a hash or the seed, into which a number can be put."""

    def __init__(self, seed: sql.Composed) -> None:
        self._digest, self._takes_number = seed, True

    def add(self, column: sql.Composable, kind: ColumnType, *, nullable: bool = False) -> None:
        if kind.name in _NUMBERS:
            number = _filled(column, _NO_NUMBER[kind.name], nullable)
            self.add_number(sql.SQL(_NUMBERS[kind.name]).format(number))
            return
        known = _HASHES.get(kind.name)
        pattern, null = known or _HASHES["text"]
        value = _filled(column if known else kind.as_text(column), null, nullable)
        self._digest, self._takes_number = sql.SQL(pattern).format(x=value, h=self._digest), True

    def add_number(self, number: sql.Composable) -> None:
        self._digest = sql.SQL("({} # ({}))").format(self.hashed(), number)
        self._takes_number = False

    def hashed(self) -> sql.Composed:
        if self._takes_number:
            return self._digest
        return sql.SQL("pg_catalog.hashint4extended(0, {})").format(self._digest)


def _filled(value: sql.Composable, null: LiteralString, nullable: bool) -> sql.Composable:
    return sql.SQL("coalesce({}, {})").format(value, sql.SQL(null)) if nullable else value
