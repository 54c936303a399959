"""Index of tables that finds the possible counterparts of a table without looking at all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum

from orgrecon_pipeline.proposal.catalog.maps import MapTable
from orgrecon_pipeline.proposal.catalog.names import (
    identifier_words,
    is_bookkeeping,
    old_identifier,
    stem,
    tenant_table_rank,
    words,
)
from orgrecon_pipeline.proposal.catalog.references import Side
from orgrecon_pipeline.proposal.catalog.tables import Table
from orgrecon_pipeline.proposal.links import Pair

_MIN_SHARED_COLUMNS = 3
# A column name in more tables than that says nothing about a pair.
_COMMON = 40
# A table can have an old identifier of any other: only the most similar ones are candidates.
_SIMILAR_TABLES = 8


class Strength(IntEnum):
    """How much the catalog alone says for a candidate: nothing for ``VALUES``, which only a sample can confirm."""

    VALUES = 0
    WEAK = 1
    STRUCTURE = 2
    NAMES = 3
    CHOSEN = 4


class TargetIndex:
    """The tables of a side by what can make one the counterpart of a table of the other side."""

    def __init__(self, side: Side, maps: Mapping[int, Sequence[MapTable]]) -> None:
        self._maps = [(number, map_table) for number, of_table in maps.items()
                      for map_table in of_table if map_table.is_named]
        self._tables = {table.id: table for table in side.originals}
        self._by_stem: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self._by_old_identifier: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self._by_second_identifier: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self._by_column: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self._by_reference: dict[int, list[int]] = defaultdict(list)
        for table in self._tables.values():
            self._by_stem[stem(table.name)].append(table.id)
            for named in old_identifiers(table):
                self._by_old_identifier[named].append(table.id)
            for named in second_identifiers(table, side):
                self._by_second_identifier[named].append(table.id)
            for column in table.columns:
                if not is_bookkeeping(column.name) and column.name != "id":
                    self._by_column[words(column.name)].append(table.id)
            for reference in side.references[table.id]:
                self._by_reference[reference.hop.table].append(table.id)

    def counterparts(
        self, source: Table, referred: Iterable[int], pairs: Iterable[Pair]
    ) -> Iterator[tuple[Table, Strength, str]]:
        """Yield the possible counterparts of a table, each with the strength of its best reason and that reason.

        ``referred`` are the tables to which the source refers, and ``pairs`` those that correspond.
        """
        reasons: dict[int, tuple[Strength, str]] = {}
        shared = self._sharing(source)
        for number, columns in shared.items():
            if columns >= _MIN_SHARED_COLUMNS:
                reasons[number] = Strength.WEAK, f"{columns} columns have the same names"
        targets = {pair.target for pair in pairs if pair.source in set(referred)}
        for number in (number for target in targets for number in self._by_reference[target]):
            reasons[number] = Strength.STRUCTURE, "both refer to tables whose rows correspond"
        for number in sorted(self._by_old_identifier[()], key=lambda number: -self._affinity(source, number, shared)
                             )[:_SIMILAR_TABLES]:
            reasons[number] = Strength.STRUCTURE, f"{self._tables[number].label} has an old identifier"
        for number in self._by_second_identifier[stem(source.name)]:
            why = f"{self._tables[number].label} has a unique column that names {source.label}"
            reasons[number] = Strength.STRUCTURE, why
        for number in self._by_old_identifier[stem(source.name)]:
            why = f"{self._tables[number].label} has an identifier that names {source.label}"
            reasons[number] = Strength.NAMES, why
        for number, map_table in self._maps:
            if number in self._tables and number != source.id and map_table.is_about(source):
                reasons[number] = Strength.NAMES, f"{map_table.table.label} maps their identifiers"
        for number in self._by_stem[stem(source.name)]:
            reasons[number] = Strength.NAMES, "named alike"
        # An "organisation" can be a unit of another model; a "tenant" is nothing else.
        about_tenants = tenant_table_rank(source.name) == 0
        for number, reason in reasons.items():
            if about_tenants == (tenant_table_rank(self._tables[number].name) == 0):
                yield (self._tables[number], *reason)

    def _sharing(self, source: Table) -> dict[int, int]:
        """Return the number of columns that each table shares with another one, by name."""
        shared: dict[int, int] = defaultdict(int)
        for column in source.columns:
            numbers = self._by_column.get(words(column.name), ())
            if len(numbers) <= _COMMON:
                for number in numbers:
                    shared[number] += 1
        return shared

    def _affinity(self, source: Table, number: int, shared: dict[int, int]) -> int:
        common = set(stem(source.name)) & set(stem(self._tables[number].name))
        return shared.get(number, 0) + 2 * len(common)


def second_identifiers(table: Table, side: Side) -> set[tuple[str, ...]]:
    """Return the words of tables that unique columns beside the primary key name, as ``department_id`` does.

    A declared reference is left out: such a table often holds details of the other, one row for each.
    """
    declared = {column for key in table.foreign_keys for column in key.columns}
    tenants = side.tenant_columns(table)
    columns = [rest[0] for key in table.keys[1:]
               if len(rest := [name for name in key if name not in tenants]) == 1 and rest[0] not in declared]
    return {named for column in columns if (named := identifier_words(column))}


def old_identifiers(table: Table) -> set[tuple[str, ...]]:
    """Return what the old identifiers of a table name: the words of other tables, or nothing at all."""
    return {named for column in table.columns if (named := old_identifier(column.name)) is not None}
