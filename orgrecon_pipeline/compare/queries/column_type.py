"""Types of mapped columns: their equality, and their values as text."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql
from typing_extensions import LiteralString

# Equal values of these types can be written differently. The expression returns one text for all of them.
_CANONICAL_TEXT: dict[str, LiteralString] = {
    "numeric": "pg_catalog.trim_scale({})::text",
    "double precision": "({} + 0::double precision)::text",  # 0 and -0
    "real": "({} + 0::real)::text",
    "interval": "pg_catalog.justify_interval({})::text",  # 24 hours are a day, and 30 days a month
}

# Types whose equal values have the same text on every server.
_UNIQUE_TEXT = {
    *_CANONICAL_TEXT, "smallint", "integer", "bigint", "boolean", "text", "uuid", "bytea", "date",
    "time without time zone", "timestamp without time zone", "timestamp with time zone",
}


@dataclass(frozen=True)
class ColumnType:
    """Type of a mapped column, the same on both sides.

    Attributes:
        name: the SQL name.
        collatable: whether its values have a collation.
        native_equality: whether its ``=`` is PostgreSQL's own. Another ``=`` may ignore differences, as citext ignores
            case, so such values are compared as text.
        composite: whether its values contain values of other types, as an array does.
        kind: as in ``pg_type.typtype``: ``b`` for a base type, ``c`` for a composite type, ``e`` for an enum and so on.
        element: the name of the type of an array's elements; empty for other types.
        element_kind: the kind of that type.
    """

    name: str
    collatable: bool
    native_equality: bool
    composite: bool = False
    kind: str = "b"
    element: str = ""
    element_kind: str = ""

    @property
    def compared_as_text(self) -> bool:
        """Whether values are compared as text, byte by byte."""
        return self.name == "text" or not self.native_equality

    @property
    def consistent_hash(self) -> bool:
        """Whether equal values always have the same hash. In jsonb, 1.0 and 1.00 are equal but have different texts."""
        return self.name in _UNIQUE_TEXT or self.compared_as_text or self.kind == "e"

    @property
    def is_respellable(self) -> bool:
        """Whether a value can be written differently, so that it gets another hash, and still be equal for users.

        Values of other types with a text for each spelling, such as ``numeric``, are brought to one text.
        """
        return not self.native_equality or (self.composite and not self.consistent_hash)

    @property
    def of_element(self) -> ColumnType:
        """Type of an array's elements, without its properties of equality."""
        return ColumnType(self.element, collatable=False, native_equality=False, kind=self.element_kind)

    @property
    def as_tenant(self) -> ColumnType:
        """Type under which its values name tenants: text, unless equal values have the same text everywhere."""
        return self if self.name in _UNIQUE_TEXT else ColumnType("text", collatable=True, native_equality=False)

    def as_text(self, value: sql.Composable) -> sql.Composed:
        """Return the value as text to be compared byte by byte."""
        text = sql.SQL(_CANONICAL_TEXT.get(self.name, "({})::text"))
        return sql.SQL('{} COLLATE pg_catalog."C"').format(text.format(value))
