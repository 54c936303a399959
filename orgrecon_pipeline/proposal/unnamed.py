"""Candidates whose names say nothing: two tables of about the same size with keys of the same shape."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator

from orgrecon_pipeline.proposal.candidates import Candidate, Key, make_candidate, same_rows
from orgrecon_pipeline.proposal.catalog.names import is_copy
from orgrecon_pipeline.proposal.catalog.references import Term
from orgrecon_pipeline.proposal.catalog.tables import Table
from orgrecon_pipeline.proposal.links import Link, Linker
from orgrecon_pipeline.proposal.target_index import Strength

_WHY = "their names say nothing, but their values agree"
_MIN_RATIO = 0.7
_MAX_TARGETS = 6
_MAX_KEY_COLUMNS = 3
_MAX_KEYS = 4


def find_unnamed_candidates(linker: Linker, taken: Collection[int]) -> Iterator[Candidate]:
    """Yield the candidates among the tables that are not taken. Only a sample of their values can confirm one."""
    sources = [table for table in linker.source.catalog.comparable if _is_free(table, taken)]
    targets = [table for table in linker.target.catalog.comparable if _is_free(table, taken)]
    for source in sources:
        alike = [table for table in targets if table is not source and not same_rows(source, table)
                 and _ratio(source, table) >= _MIN_RATIO]
        alike.sort(key=lambda table: (-_common_types(source, table), -_ratio(source, table), table.label))
        for target in alike[:_MAX_TARGETS]:
            if keys := tuple(itertools.islice(_keys(linker, source, target), _MAX_KEYS)):
                yield make_candidate(linker, source, target, Strength.VALUES, _WHY, keys)


def _is_free(table: Table, taken: Collection[int]) -> bool:
    return table.id not in taken and not is_copy(table.name)


def _ratio(first: Table, second: Table) -> float:
    """Return the ratio of the numbers of rows; 1 if one of them is not known."""
    if first.rows is None or second.rows is None:
        return 1.0
    return min(first.rows, second.rows) / max(first.rows, second.rows, 1)


def _common_types(first: Table, second: Table) -> int:
    return len({column.type.name for column in first.columns} & {column.type.name for column in second.columns})


def _keys(linker: Linker, source: Table, target: Table) -> Iterator[Key]:
    """Yield the ways to link a key of the source to one of the target with as many columns of comparable types."""
    ours = [key for key in linker.source.own_keys(source)
            if not any(source.by_name[name].nullable for name in key)]
    for key, other in itertools.product(ours, linker.target.own_keys(target)):
        if len(key) == len(other) <= _MAX_KEY_COLUMNS:
            alternatives = [list(_links(linker, source, name, target, other)) for name in key]
            for links in itertools.product(*alternatives):
                if len({link.target.own_column for link in links}) == len(links):
                    yield Key(links, unique=True)


def _links(linker: Linker, source: Table, column: str, target: Table, key: tuple[str, ...]) -> Iterator[Link]:
    named = [link for link in linker.key_links(source, column, target, alone=False) if link.target.own_column in key]
    yield from named
    for name in key:
        first, second = Term(column), Term(name)
        conversion = linker.conversion(source, first, target, second)
        if conversion and not any(link.target.own_column == name for link in named):
            yield Link(first, second, 0.2, "identifies rows of both tables", conversion)
