"""References between tables, and terms: a column of a table, or one that is reached through references."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from orgrecon_pipeline.proposal.catalog.copies import find_copies
from orgrecon_pipeline.proposal.catalog.names import (
    generation,
    identifier_words,
    is_parent,
    references_by_name,
    stem,
    tenant_rank,
    tenant_table_rank,
    words,
)
from orgrecon_pipeline.proposal.catalog.owner import Owner, find_owner
from orgrecon_pipeline.proposal.catalog.tables import Catalog, Column, Table

_MAX_HOPS = 3


@dataclass(frozen=True)
class Hop:
    """A join to the table with the number ``table``, on pairs of a column here and one there.

    It is ``certain`` if a validated foreign key says that every row has exactly one row there.
    """

    table: int
    columns: tuple[tuple[str, str], ...]
    certain: bool


@dataclass(frozen=True)
class Term:
    """A column, after the joins of ``hops``."""

    column: str
    hops: tuple[Hop, ...] = ()

    @property
    def own_column(self) -> str:
        """The column of the first table with which the term begins."""
        return self.hops[0].columns[0][0] if self.hops else self.column


@dataclass(frozen=True)
class Reference:
    """A column that refers to the column ``referenced`` of another row, by a foreign key or by its name."""

    column: str
    hop: Hop
    referenced: str


class Side:
    """The tables of one database, with their references and tenants.

    ``tenant_columns`` are names of columns that are known to hold the tenant.
    """

    def __init__(self, catalog: Catalog, tenant_columns: Sequence[str] = ()) -> None:
        self.catalog, self._tenant_columns = catalog, tuple(tenant_columns)

    @cached_property
    def copies(self) -> dict[int, str]:
        """The tables that are taken for copies, each with the reason."""
        return find_copies(self.catalog.comparable)

    @cached_property
    def originals(self) -> list[Table]:
        """The tables that a comparison can read, without copies."""
        return [table for table in self.catalog.comparable if table.id not in self.copies]

    @cached_property
    def references(self) -> dict[int, list[Reference]]:
        """The references of each table, foreign keys first."""
        return {table.id: list(self._references_of(table)) for table in self.catalog.comparable}

    @cached_property
    def _tables_by_word(self) -> dict[str, list[Table]]:
        by_word = defaultdict(list)
        for table in self.originals:
            by_word[stem(table.name)[-1] if stem(table.name) else ""].append(table)
        return by_word

    @cached_property
    def _tables_by_key(self) -> dict[str, list[Table]]:
        """The tables by the column of their primary key, if its name says which rows it identifies, unlike ``id``."""
        by_key = defaultdict(list)
        for table in self.originals:
            key = self.own_keys(table)[0] if table.keys else ()
            if len(key) == 1 and len(words(key[0])) > 1:
                by_key[key[0]].append(table)
        return by_key

    @cached_property
    def owners(self) -> dict[str, Owner]:
        """The owner of the rows of each schema in which no column is named for a tenant."""
        by_schema = defaultdict(list)
        for table in () if self._tenant_columns else self.originals:
            by_schema[table.schema].append(table)
        return {schema: owner for schema, tables in by_schema.items()
                if all(self._rank(table, column) is None for table in tables for column in table.columns)
                and (owner := find_owner(tables))}

    @cached_property
    def tenant_tables(self) -> list[Table]:
        """The tables to which columns of tenants refer, or that are named for tenants."""
        referred = {reference.hop.table for table in self.catalog.comparable for reference in self.references[table.id]
                    if reference.column in self.tenant_columns(table)[:1]}
        return [table for table in self.originals
                if table.id in referred or tenant_table_rank(table.name) is not None]

    @cached_property
    def _coverage(self) -> dict[int, int]:
        """Number of tables that have a column for each word for a tenant."""
        coverage: dict[int, int] = defaultdict(int)
        for table in self.catalog.comparable:
            for rank in {self._rank(table, column) for column in table.columns} - {None}:
                coverage[rank] += 1  # type: ignore[index]
        return coverage

    def _rank(self, table: Table, column: Column) -> int | None:
        """Return how well a column is named for a tenant: -1 if the user named it, None if not at all."""
        if self._tenant_columns:
            return -1 if column.name in self._tenant_columns else None
        rank = tenant_rank(column.name)
        if rank and len(words(column.name)) == 1:  # "company" is often the name of a company
            declared = any(column.name in key.columns for key in table.foreign_keys)
            return rank if declared else None
        return None if rank is None or column.type.composite else rank

    def tenant_columns(self, table: Table) -> list[str]:
        """Return the columns of a table that can hold its tenant, the best first."""
        if owner := self.owners.get(table.schema):
            return [owner.column] if owner.column in table.by_name else []
        ranked = [(rank, column.name) for column in table.columns
                  if (rank := self._rank(table, column)) is not None]
        return [name for _, name in sorted(ranked, key=lambda item: (item[0] > 0, -self._coverage[item[0]], item[0]))]

    def own_keys(self, table: Table) -> list[tuple[str, ...]]:
        """Return the keys of a table, each without the column of the tenant if it has another one."""
        tenants = self.tenant_columns(table)[:1]
        return [tuple(name for name in key if name not in tenants) or key for key in table.keys]

    def ambiguous_tenants(self, table: Table) -> list[str]:
        """Return the columns of a table among which the tenant is not clear; empty if it is clear."""
        names = self.tenant_columns(table)
        if len(names) < 2 or words(names[0])[:1] == ("tenant",) or self._tenant_columns:
            return []
        counts = [self._coverage[self._rank(table, table.by_name[name]) or 0] for name in names]
        return names if counts[1] == counts[0] else []

    def tenant(self, table: Table) -> Term | None:
        """Return where a table has its tenant: in a column, or through references; None if it has none."""
        queue: deque[tuple[Table, tuple[Hop, ...]]] = deque([(table, ())])
        visited = {table.id}
        while queue:
            current, hops = queue.popleft()
            if columns := self.tenant_columns(current):
                return Term(columns[0], hops)
            own = next((key[0] for key in current.keys if len(key) == 1), None)
            if own and not self._tenant_columns and self._is_about_tenants(current):
                return Term(own, hops)
            if len(hops) < _MAX_HOPS:
                for reference in self.references.get(current.id, ()):
                    target = self.catalog.tables[reference.hop.table]
                    if target.id not in visited:
                        visited.add(target.id)
                        queue.append((target, (*hops, reference.hop)))
        return None

    def _is_about_tenants(self, table: Table) -> bool:
        if owner := self.owners.get(table.schema):
            return table.id == owner.table
        return tenant_table_rank(table.name) is not None

    def _references_of(self, table: Table) -> Iterator[Reference]:
        tenants = set(self.tenant_columns(table))
        declared = set()
        for key in table.foreign_keys:
            pairs = tuple(zip(key.columns, key.referenced, strict=True))
            other = self.catalog.tables.get(key.table)
            main = [pair for pair in pairs if pair[0] not in tenants] or list(pairs)
            if other is None or not other.readable or len(main) != 1:
                continue
            pairs = (*main, *(pair for pair in pairs if pair not in main))
            certain = key.validated and not any(table.by_name[column].nullable for column in key.columns)
            declared.add(main[0][0])
            yield Reference(main[0][0], Hop(key.table, pairs, certain), main[0][1])
        for column in table.columns:
            if column.name not in declared:
                yield from self._guesses(table, column, tenants)

    def _prefixed(self, table: Table, column: str) -> list[Table]:
        """Return the one table whose name is that of a reference after a prefix, as ``app_team`` for ``team_id``."""
        if not (named := identifier_words(column)):
            return []
        others = [other for other in self._tables_by_word.get(named[-1], ())
                  if other.id != table.id and other.schema == table.schema and stem(other.name)[-len(named):] == named]
        return others if len(others) == 1 else []

    def _guesses(self, table: Table, column: Column, tenants: set[str]) -> Iterator[Reference]:
        if is_parent(column.name):
            others = [table]
        else:
            parts = words(column.name)
            others = [other for other in self._tables_by_word.get(parts[-2] if len(parts) > 1 else "", ())
                      if references_by_name(column.name, other.name)] or self._prefixed(table, column.name)
        own_generation = generation(table.schema, table.name)
        others.sort(key=lambda other: (
            other.schema != table.schema, abs(generation(other.schema, other.name) - own_generation),
            -len(stem(other.name)), other.name))
        same_name = [other for other in self._tables_by_key.get(column.name, ())
                     if other.id != table.id and other not in others]
        for other in (*others[:3], *same_name[:1]):
            for key in other.keys[:1] if other in same_name else other.keys:
                shared = [name for name in key
                          if name in tenants and name in table.by_name and name != column.name]
                rest = [name for name in key if name not in shared]
                if (len(rest) == 1 and other.by_name[rest[0]].type.name == column.type.name
                        and (other.id, rest[0]) != (table.id, column.name)):
                    pairs = ((column.name, rest[0]), *((name, name) for name in shared))
                    yield Reference(column.name, Hop(other.id, pairs, certain=False), rest[0])
                    break


def translate(side: Side, table: Table, term: Term, other: int, column: str) -> Term | None:
    """Return the term for a column of another table to which a term refers; None if it does not refer to it."""
    holder = side.catalog.tables[term.hops[-1].table] if term.hops else table
    if holder.id == other:
        return Term(column, term.hops)
    for reference in side.references.get(holder.id, ()):
        if reference.column == term.column and reference.hop.table == other:
            return term if reference.referenced == column else Term(column, (*term.hops, reference.hop))
    return None


def resolve(side: Side, table: Table, term: Term) -> Column:
    """Return the column at the end of a term."""
    for hop in term.hops:
        table = side.catalog.tables[hop.table]
    return table.by_name[term.column]
