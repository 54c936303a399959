"""The target of an entity, inverted: the table and column to which each compared value would be written.

SQL cannot be inverted in general. Supported are targets of one table with plain columns, plus values that are looked
up in other tables by equality. Any other target is rejected with a reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from orgrecon_pipeline.domain.mapping.model import TENANT_COLUMN, Entity, Relation

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
    """No repair can be derived from a mapping. The message is a clause that completes "because"."""


@dataclass(frozen=True)
class Table:
    """A table in a ``from`` clause and its alias."""

    name: str
    alias: str

    @property
    def identity(self) -> tuple[str, ...]:
        """Schema and name as the catalog stores them, however the mapping spells them."""
        return tuple(catalog_name(part) for part in re.findall(_NAME, self.name))


@dataclass(frozen=True)
class Lookup:
    """A joined table that yields values; ``optional`` if it is an outer join, which may match no row.

    ``join_columns`` are pairs of equal columns: one of the joined table, one of the base table. ``values`` are the
    logical columns that it yields, each with its column. ``tenant_column`` holds the tenant in the joined table, as the
    table's own entity says, if the mapping joins the table without the tenant.
    """

    table: Table
    optional: bool
    join_columns: tuple[tuple[str, str], ...]
    values: tuple[tuple[str, str], ...]
    tenant_column: str | None = None


@dataclass(frozen=True)
class TargetShape:
    """The target of an entity, inverted. Names are quoted where the mapping quotes them.

    Attributes:
        base: the table whose rows are the target's rows.
        base_columns: logical columns that are columns of the base table, each with its column.
        lookups: the tables that yield all other logical columns.
        deletion_column: the column that is NULL in live rows; None if rows are deleted physically.
    """

    base: Table
    base_columns: dict[str, str]
    lookups: tuple[Lookup, ...]
    deletion_column: str | None

    def tables(self) -> set[str]:
        """Return the name of every table that the target reads."""
        return {self.base.name, *(lookup.table.name for lookup in self.lookups)}


def tenant_columns(entities: Iterable[Entity]) -> dict[tuple[str, ...], str]:
    """Return the column of the tenant of each target's table that has one, by the identity of the table."""
    columns = {}
    for entity in entities:
        for relation in entity.target:
            try:
                (base, _, _), *joins = _parse_from(relation.from_, "target")
                alias, column = _reference(relation.columns[TENANT_COLUMN], base, bool(joins), TENANT_COLUMN)
            except UnsupportedMapping:
                continue
            if catalog_name(alias) == catalog_name(base.alias):
                columns[base.identity] = column
    return columns


def shape_of(entity: Entity, tenants: Mapping[tuple[str, ...], str]) -> TargetShape:
    """Return the inverted target of an entity; raise UnsupportedMapping if it cannot be inverted.

    ``tenants`` are the columns of the tenant of the targets' tables, as :func:`tenant_columns` returns them.
    """
    if len(entity.target) != 1:
        raise UnsupportedMapping("its target reads several relations, so the table of a new row is unknown")
    logical_columns = (TENANT_COLUMN, *entity.key, *entity.compare)
    if any(name.startswith("orgrecon_") for name in logical_columns):
        raise UnsupportedMapping("the name of a column begins with orgrecon_…, which is reserved for the repair")
    [relation] = entity.target
    (base, _, _), *joins = _parse_from(relation.from_, "target")
    base_columns, values = _assign_columns(relation, logical_columns, base, [table for table, _, _ in joins])
    lookups = tuple(
        _with_tenant(Lookup(table, optional, tuple(_join_columns(condition, table, base)),
                            tuple(values[catalog_name(table.alias)])), base_columns.get(TENANT_COLUMN), tenants)
        for table, optional, condition in joins)
    _check_lookups(entity, base_columns, lookups)
    return TargetShape(base, base_columns, lookups, _deletion_column(relation.where, base, bool(joins)))


def _assign_columns(
    relation: Relation, logical_columns: Sequence[str], base: Table, joined: Sequence[Table]
) -> tuple[dict[str, str], dict[str, list[tuple[str, str]]]]:
    """Return the logical columns of the base table, and by alias those of each joined table."""
    aliases = {catalog_name(table.alias) for table in (base, *joined)}
    if len(aliases) != len(joined) + 1:
        raise UnsupportedMapping("its target uses one alias for two tables")
    base_columns: dict[str, str] = {}
    values: dict[str, list[tuple[str, str]]] = {alias: [] for alias in aliases}
    for logical in logical_columns:
        alias, column = _reference(relation.columns[logical], base, bool(joined), logical)
        if catalog_name(alias) == catalog_name(base.alias):
            base_columns[logical] = column
        elif catalog_name(alias) in values:
            values[catalog_name(alias)].append((logical, column))
        else:
            raise UnsupportedMapping(f"its target's {logical} comes from a table that is not joined")
    if len({catalog_name(column) for column in base_columns.values()}) != len(base_columns):
        raise UnsupportedMapping("its target maps two names to one column, which can hold only one value")
    return base_columns, values


def _with_tenant(lookup: Lookup, own: str | None, tenants: Mapping[tuple[str, ...], str]) -> Lookup:
    """Return a lookup that reads only rows of the tenant, of which ``own`` is the column in the base table."""
    joined = own is not None and catalog_name(own) in {catalog_name(base) for _, base in lookup.join_columns}
    if joined or TENANT_COLUMN in dict(lookup.values):
        return lookup
    column = tenants.get(lookup.table.identity)
    if column is None:
        raise UnsupportedMapping(
            f"its target looks up values in {lookup.table.name} without the tenant, so in rows of any tenant")
    return replace(lookup, tenant_column=column)


def _check_lookups(entity: Entity, base_columns: dict[str, str], lookups: Sequence[Lookup]) -> None:
    """Raise UnsupportedMapping unless each lookup determines its join columns in the base table."""
    mapped = {catalog_name(column) for column in base_columns.values()}
    for lookup in lookups:
        table, joined = lookup.table.name, {catalog_name(base) for _, base in lookup.join_columns}
        if not {logical for logical, _ in lookup.values} - {TENANT_COLUMN} or joined <= mapped:
            raise UnsupportedMapping(f"its target joins {table} without looking up a value in it")
        names = {logical for logical, _ in lookup.values}
        if names.intersection(entity.compare) and not names <= set(entity.compare):
            raise UnsupportedMapping(f"its target looks up a key column and a compared column in {table}")
    assigned = [name for lookup in lookups for _, base in lookup.join_columns
                if (name := catalog_name(base)) not in mapped]
    if len(set(assigned)) != len(assigned):
        raise UnsupportedMapping("its target looks up two values through the same column")


def tables_of(relations: Sequence[Relation], side: str) -> list[Table]:
    """Return the tables that the relations of a side read; raise UnsupportedMapping if they read anything else."""
    return [table for relation in relations for table, *_ in _parse_from(relation.from_, side)]


def may_read(relations: Sequence[Relation], side: str, table: Table) -> bool:
    """Return whether relations of a side read a table, or mention its name in SQL that cannot be parsed."""
    name = re.compile(rf"(?<![\w$]){re.escape(table.identity[-1])}(?![\w$])", re.IGNORECASE)
    for relation in relations:
        unparsed = [text for text in (relation.where or "", *relation.columns.values()) if _SELECT.search(text)]
        try:
            if table.identity in {read.identity for read in tables_of([relation], side)}:
                return True
        except UnsupportedMapping:
            unparsed.append(relation.from_)
        if any(name.search(text) for text in unparsed):
            return True
    return False


def base_identities(entity: Entity) -> set[tuple[str, ...]]:
    """Return the identity of each table that a target reads first, even if the target cannot be inverted."""
    matches = (_FIRST.match(relation.from_) for relation in entity.target)
    return {_table(match).identity for match in matches if match}


def catalog_name(name: str) -> str:
    """Return a name as the catalog stores it: without quotes, or in lower case."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _parse_from(text: str, side: str) -> list[tuple[Table, bool, str]]:
    """Return the base table, then each joined table: with whether its join is outer, and the join condition."""
    unsupported = UnsupportedMapping(f"its {side} reads something other than tables joined by plain equalities")
    first = _FIRST.match(text)
    if first is None:
        raise unsupported
    tables = [(_table(first), False, "")]
    position = first.end()
    while text[position:].strip():
        join = _JOIN.match(text, position)
        if join is None:
            raise unsupported
        tables.append((_table(join), (join["kind"] or "").upper().startswith("LEFT"), join["on"]))
        position = join.end()
    return tables


def _table(match: re.Match[str]) -> Table:
    return Table(match["table"], _folded(match["alias"] or match["table"].rpartition(".")[2]))


def _reference(text: str, base: Table, joined: bool, logical: str) -> tuple[str, str]:
    """Return the alias and the column of a column reference; without joins the alias may be omitted."""
    reference = _REFERENCE.fullmatch(text.strip())
    if reference is None or (joined and reference["alias"] is None):
        raise UnsupportedMapping(f"its target's {logical} is an expression, not a plain column that could be written")
    return _folded(reference["alias"] or base.alias), _folded(reference["column"])


def _join_columns(condition: str, table: Table, base: Table) -> Iterator[tuple[str, str]]:
    for equality in _AND.split(condition):
        references = [_REFERENCE.fullmatch(operand.strip()) for operand in equality.split("=")]
        columns = {catalog_name(match["alias"]): _folded(match["column"]) for match in references if match}
        if set(columns) != {catalog_name(table.alias), catalog_name(base.alias)}:
            raise UnsupportedMapping(
                f"its target joins {table.name} by something other than columns of its first table")
        yield columns[catalog_name(table.alias)], columns[catalog_name(base.alias)]


def _deletion_column(where: str | None, base: Table, joined: bool) -> str | None:
    if where is None:
        return None
    condition = _IS_NULL.fullmatch(where.strip())
    if condition is not None:
        alias, column = _reference(condition["reference"], base, joined, "where")
        if catalog_name(alias) == catalog_name(base.alias):
            return column
    raise UnsupportedMapping(
        "its target's where is something other than '… IS NULL' of a column that marks deleted rows")


def _folded(name: str) -> str:
    return name if name.startswith('"') else name.lower()
