"""How the rows of a target come from tables, as far as that can be turned round: which column of which table a value
would have to be written to.

A mapping is SQL, and SQL cannot be inverted in general. What is understood here is what mappings look like: one table
with plain columns, and values that are looked up in other tables through equalities. Everything else is refused in
one sentence, never guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orgrecon_pipeline.domain.mapping import TENANT_COLUMN, Entity, Relation

_NAME = r'(?:[A-Za-z_][A-Za-z0-9_$]*|"(?:[^"]|"")+")'
_REFERENCE = re.compile(rf"(?:(?P<alias>{_NAME})\.)?(?P<column>{_NAME})")
_TABLE = rf"{_NAME}(?:\.{_NAME})?"
_KEYWORD = r"(?:AS|LEFT|RIGHT|FULL|INNER|CROSS|NATURAL|JOIN|ON|USING|LATERAL|TABLESAMPLE|ONLY|WHERE)\b"
_ALIASED = rf"(?P<table>{_TABLE})(?:\s+(?:AS\s+)?(?P<alias>(?!{_KEYWORD}){_NAME}))?"
_EQUALITY = rf"{_NAME}\.{_NAME}\s*=\s*{_NAME}\.{_NAME}"
_FIRST = re.compile(rf"\s*{_ALIASED}(?=\s|$)", re.IGNORECASE)
_JOIN = re.compile(
    rf"\s*(?P<kind>LEFT\s+(?:OUTER\s+)?|INNER\s+)?JOIN\s+{_ALIASED}\s+ON\s+(?P<on>{_EQUALITY}(?:\s+AND\s+{_EQUALITY})*)"
    r"(?=\s|$)", re.IGNORECASE)
_SELECT = re.compile(r"\b(?:SELECT|TABLE)\b", re.IGNORECASE)
_AND = re.compile(r"\s+AND\s+", re.IGNORECASE)
_IS_NULL = re.compile(rf"(?P<reference>(?:{_NAME}\.)?{_NAME})\s+IS\s+NULL", re.IGNORECASE)


class UnsupportedMapping(Exception):
    """Why SQL that heals cannot be derived from a mapping, as one sentence's rest."""


@dataclass(frozen=True)
class Table:
    """A table as it stands in a ``from``, and what it is called there."""

    name: str
    alias: str

    @property
    def identity(self) -> tuple[str, ...]:
        """What it is called in the catalog, however the mapping spells it."""
        return tuple(unquoted(part) for part in re.findall(_NAME, self.name))


@dataclass(frozen=True)
class Lookup:
    """A joined table. ``pairs`` are its columns and the base table's that are equal; ``columns`` the logical columns
    that it gives, each with its column. An ``outer`` one may find nothing."""

    table: Table
    outer: bool
    pairs: tuple[tuple[str, str], ...]
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Shape:
    """The target of an entity, turned round.

    ``own`` maps logical columns to columns of the base table; ``deleted`` is the column that is NULL in living rows,
    None where rows are really deleted. Names are quoted where the mapping quotes them.
    """

    base: Table
    own: dict[str, str]
    lookups: tuple[Lookup, ...]
    deleted: str | None

    def tables(self) -> set[str]:
        """Every table that is read."""
        return {self.base.name, *(lookup.table.name for lookup in self.lookups)}


def tables_of(relations: Sequence[Relation], side: str) -> list[Table]:
    """The tables that the relations of a side read.

    Raises:
        UnsupportedMapping: when one reads something else.
    """
    return [table for relation in relations for table, *_ in _parse_from(relation.from_, side)]


def may_read(relations: Sequence[Relation], side: str, table: Table) -> bool:
    """Whether the relations of a side read a table; of those that are not understood, whether they name it."""
    return any(_may_read(relation, side, table) for relation in relations)


def _may_read(relation: Relation, side: str, table: Table) -> bool:
    fragments = [text for text in (relation.where or "", *relation.columns.values()) if _SELECT.search(text)]
    try:
        if table.identity in {read.identity for read, *_ in _parse_from(relation.from_, side)}:
            return True
    except UnsupportedMapping:
        fragments.append(relation.from_)
    named = re.compile(rf"(?<![\w$]){re.escape(table.identity[-1])}(?![\w$])", re.IGNORECASE)
    return any(named.search(text) for text in fragments)


def bases_of(entity: Entity) -> set[tuple[str, ...]]:
    """The identities of the tables whose rows the rows of a target are, as far as they can be read."""
    firsts = (_FIRST.match(relation.from_) for relation in entity.target)
    return {_table(first).identity for first in firsts if first}


def shape_of(entity: Entity) -> Shape:
    """The target of an entity, turned round.

    Raises:
        UnsupportedMapping: when that is not possible.
    """
    if len(entity.target) != 1:
        raise UnsupportedMapping("its target is made of several relations, and nobody can say which of them a row belongs to")
    [relation] = entity.target
    (base, _, _), *joins = _parse_from(relation.from_, "target")
    aliases = {unquoted(base.alias), *(unquoted(table.alias) for table, _, _ in joins)}
    if len(aliases) != len(joins) + 1:
        raise UnsupportedMapping("its target names two tables alike")
    own: dict[str, str] = {}
    given: dict[str, list[tuple[str, str]]] = {alias: [] for alias in aliases}
    for logical in (TENANT_COLUMN, *entity.key, *entity.compare):
        alias, column = _reference(relation.columns[logical], base, bool(joins), logical)
        if unquoted(alias) == unquoted(base.alias):
            own[logical] = column
        elif unquoted(alias) in given:
            given[unquoted(alias)].append((logical, column))
        else:
            raise UnsupportedMapping(f"its target's {logical} is of a table that is not joined")
    if len({unquoted(column) for column in own.values()}) != len(own):
        raise UnsupportedMapping("its target maps two names to one column, which can hold only one value")
    if TENANT_COLUMN not in own:
        raise UnsupportedMapping("its target's tenant_id is not a column of its first table")
    lookups = tuple(
        Lookup(table, outer, tuple(_pairs(on, table, base)), tuple(given[unquoted(table.alias)]))
        for table, outer, on in joins
    )
    fixed = {unquoted(mine) for mine in own.values()}
    assigned = [found for lookup in lookups for _, mine in lookup.pairs if (found := unquoted(mine)) not in fixed]
    for lookup in lookups:
        if not lookup.columns or all(unquoted(mine) in fixed for _, mine in lookup.pairs):
            raise UnsupportedMapping(f"its target joins {lookup.table.name} for something other than to look a value up")
        if unquoted(own[TENANT_COLUMN]) not in {unquoted(mine) for _, mine in lookup.pairs}:
            raise UnsupportedMapping(f"its target looks values up in {lookup.table.name} without the tenant, in anybody's rows")
    if len(set(assigned)) != len(assigned):
        raise UnsupportedMapping("its target looks two values up through the same column")
    return Shape(base, own, lookups, _deleted(relation.where, base, bool(joins)))


def _parse_from(text: str, side: str) -> list[tuple[Table, bool, str]]:
    """Base table first, then each joined one: the table, whether the join is an outer one, its condition."""
    refused = UnsupportedMapping(f"its {side} reads from something other than tables joined by plain equalities")
    first = _FIRST.match(text)
    if first is None:
        raise refused
    found = [(_table(first), False, "")]
    at = first.end()
    while text[at:].strip():
        join = _JOIN.match(text, at)
        if join is None:
            raise refused
        found.append((_table(join), (join["kind"] or "").upper().startswith("LEFT"), join["on"]))
        at = join.end()
    return found


def _table(match: re.Match[str]) -> Table:
    return Table(match["table"], _folded(match["alias"] or match["table"].rpartition(".")[2]))


def _reference(text: str, base: Table, joined: bool, logical: str) -> tuple[str, str]:
    reference = _REFERENCE.fullmatch(text.strip())
    if reference is None or (joined and reference["alias"] is None):
        raise UnsupportedMapping(f"its target's {logical} is an expression, and no plain column that could be written")
    return _folded(reference["alias"] or base.alias), _folded(reference["column"])


def _pairs(on: str, table: Table, base: Table) -> Iterator[tuple[str, str]]:
    for equality in _AND.split(on):
        sides = [_REFERENCE.fullmatch(side.strip()) for side in equality.split("=")]
        columns = {unquoted(side["alias"]): _folded(side["column"]) for side in sides if side}
        if set(columns) != {unquoted(table.alias), unquoted(base.alias)}:
            raise UnsupportedMapping(f"its target joins {table.name} by something other than columns of its first table")
        yield columns[unquoted(table.alias)], columns[unquoted(base.alias)]


def _deleted(where: str | None, base: Table, joined: bool) -> str | None:
    if where is None:
        return None
    condition = _IS_NULL.fullmatch(where.strip())
    if condition is not None:
        alias, column = _reference(condition["reference"], base, joined, "where")
        if unquoted(alias) == unquoted(base.alias):
            return column
    raise UnsupportedMapping("its target's where is something other than '… IS NULL' of a column that marks deleted rows")


def unquoted(name: str) -> str:
    """A name as the catalog has it."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _folded(name: str) -> str:
    return name if name.startswith('"') else name.lower()
