"""Facts of a database's catalog from which a mapping is proposed. They contain no rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from orgrecon_pipeline.compare.queries.column_type import ColumnType

#: Why a table is not compared without the privileges for it.
UNREADABLE = "cannot be read by this role: grant SELECT on it, and USAGE on its schema"

# Why relations of a kind are not compared. Tables, partitioned tables and views are.
_OTHER_KINDS = {
    "m": "is a materialised view, which shows its last refresh: map the tables behind it",
    "f": "is a foreign table, which is not part of the snapshot: map the table on its own server",
}


@dataclass(frozen=True)
class Column:
    """A column; ``quoted`` is its name in SQL, ``labels`` are the values of an enum."""

    name: str
    quoted: str
    type: ColumnType
    nullable: bool
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class ForeignKey:
    """A declared reference to the table with the number ``table``; not ``validated`` if rows may refer to nothing."""

    columns: tuple[str, ...]
    table: int
    referenced: tuple[str, ...]
    validated: bool


@dataclass(frozen=True)
class Table:
    """A relation of the catalog.

    Attributes:
        id: its number, unique among both catalogs.
        quoted: its qualified name in SQL.
        kind: as in ``pg_class.relkind``.
        blocks: size in blocks of 8 kB; 0 for a view.
        rows: number of rows at the last ANALYZE; None if there was none, and for a view.
        keys: the columns of each unique index without a condition, the primary key first.
        indexes: the columns of every index, in order.
        reads: numbers of the relations that a view reads, through other views too.
    """

    id: int
    schema: str
    name: str
    quoted: str
    kind: str
    blocks: int
    rows: int | None
    readable: bool
    columns: tuple[Column, ...]
    keys: tuple[tuple[str, ...], ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    reads: frozenset[int] = frozenset()

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """The columns by their names."""
        return {column.name: column for column in self.columns}

    @property
    def obstacle(self) -> str:
        """Why a comparison cannot read the table with this role; empty if it can."""
        return _OTHER_KINDS.get(self.kind) or ("" if self.readable else UNREADABLE)

    @property
    def label(self) -> str:
        """Qualified name in messages, as one printable line."""
        return printable(f"{self.schema}.{self.name}")


@dataclass(frozen=True)
class Catalog:
    """The relations of one database, by their numbers."""

    tables: dict[int, Table] = field(default_factory=dict)

    @property
    def comparable(self) -> list[Table]:
        """Relations that a comparison can read with this role."""
        return [table for table in self.tables.values() if not table.obstacle]


def printable(text: str) -> str:
    """Return the text on one line, with control and direction characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
