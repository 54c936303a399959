"""Candidates whose names say nothing: two tables of about the same size with keys of the same shape."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from orgrecon_pipeline.proposal.candidates import Candidate, make_candidate, same_rows
from orgrecon_pipeline.proposal.catalog.tables import Table
from orgrecon_pipeline.proposal.keys import Key, unnamed_keys
from orgrecon_pipeline.proposal.links import Linker
from orgrecon_pipeline.proposal.target_index import Strength

_WHY = "their names say nothing, but their values agree"
_MIN_RATIO = 0.7
_MAX_TARGETS = 6


def find_unnamed_candidates(linker: Linker, taken: Collection[int]) -> Iterator[Candidate]:
    """Yield the candidates among the tables that are not taken. Only a sample of their values can confirm one."""
    sources = [table for table in linker.source.originals if table.id not in taken]
    targets = sorted((table for table in linker.target.originals if table.id not in taken),
                     key=lambda table: table.label)
    types = {table.id: {column.type.name for column in table.columns} for table in (*sources, *targets)}
    for source in sources:
        alike = [table for table in targets if table is not source and not same_rows(source, table)
                 and _ratio(source, table) >= _MIN_RATIO]
        alike.sort(key=lambda table: (-len(types[source.id] & types[table.id]), -_ratio(source, table)))
        for target in alike[:_MAX_TARGETS]:
            keys = unnamed_keys(linker, source, target)
            if keys := [key for key in keys if _may_identify(linker, key, source, target)]:
                yield make_candidate(linker, source, target, Strength.VALUES, _WHY, keys)


def _may_identify(linker: Linker, key: Key, source: Table, target: Table) -> bool:
    """Return whether a key uses the reference of a table to the other one, if it has one.

    A table of details, such as a log, has identifiers of its own beside the reference.
    """
    ours = {reference.column for reference in linker.source.references[source.id] if reference.hop.table == target.id}
    theirs = {reference.column for reference in linker.target.references[target.id] if reference.hop.table == source.id}
    return ((not ours or any(link.source.own_column in ours for link in key.links))
            and (not theirs or any(link.target.own_column in theirs for link in key.links)))


def _ratio(first: Table, second: Table) -> float:
    """Return the ratio of the numbers of rows; 1 if one of them is not known."""
    if first.rows is None or second.rows is None:
        return 1.0
    return min(first.rows, second.rows) / max(first.rows, second.rows, 1)
