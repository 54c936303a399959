"""Candidates: two tables whose rows can correspond, with the ways to link their keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from orgrecon_pipeline.proposal.catalog.names import generation, stem
from orgrecon_pipeline.proposal.catalog.references import Side
from orgrecon_pipeline.proposal.catalog.tables import Table
from orgrecon_pipeline.proposal.keys import Key, named_keys, unnamed_keys
from orgrecon_pipeline.proposal.links import Link, Linker
from orgrecon_pipeline.proposal.target_index import Strength, TargetIndex, old_identifiers, second_identifiers


@dataclass(frozen=True)
class Candidate:
    """Two tables whose rows can correspond. ``direction`` is positive if the names say which of them is the target."""

    source: Table
    target: Table
    tenant: Link | None
    keys: tuple[Key, ...]
    strength: Strength
    why: str
    direction: int

    @property
    def label(self) -> str:
        """Both tables in messages."""
        return f"{self.source.label} and {self.target.label}"


def find_candidates(linker: Linker, index: TargetIndex, chosen: Mapping[int, int]) -> Iterator[Candidate]:
    """Yield all candidates.

    ``index`` is about the target of ``linker``; ``chosen`` are the pairs of tables that the user named, by number.
    """
    tables = linker.source.catalog.tables
    taken = {*chosen, *chosen.values(), *linker.taken}
    for number, other in chosen.items():
        target = linker.target.catalog.tables[other]
        yield make_candidate(linker, tables[number], target, Strength.CHOSEN, "named by --pair")
    for source in linker.source.originals:
        if source.id in taken:
            continue
        referred = {reference.hop.table for reference in linker.source.references[source.id]}
        for target, strength, why in index.counterparts(source, referred, linker.pairs):
            if target.id not in taken and not same_rows(source, target):
                candidate = make_candidate(linker, source, target, strength, why)
                if candidate.keys or strength >= Strength.NAMES:
                    yield candidate


def same_rows(first: Table, second: Table) -> bool:
    """Return whether one of two relations of a database is the other, or a view of it or of what the other reads."""
    return bool(({first.id} | first.reads) & ({second.id} | second.reads))


def make_candidate(linker: Linker, source: Table, target: Table, strength: Strength, why: str,
                   keys: Iterable[Key] = ()) -> Candidate:
    """Return the candidate of two tables, with the given ways to link their keys or every other one, the best first."""
    tenant = linker.tenant_link(source, target)
    keys = list(keys) or named_keys(linker, source, target)
    if strength is Strength.CHOSEN or (strength is Strength.NAMES and not keys):
        keys = list(dict.fromkeys((*keys, *unnamed_keys(linker, source, target))))
    direction = _direction(linker.source, source, target) if linker.source is linker.target else 1
    return Candidate(source, target, tenant, tuple(keys), strength, why, direction)


def _direction(side: Side, source: Table, target: Table) -> int:
    """Return a positive number if the names say which of two tables is the target, a negative one if the reverse."""
    by_name = generation(target.schema, target.name) - generation(source.schema, source.name)
    return by_name + 2 * (_has_identifier_of(side, target, source) - _has_identifier_of(side, source, target))


def _has_identifier_of(side: Side, table: Table, other: Table) -> bool:
    named = old_identifiers(table) | second_identifiers(table, side)
    return not {(), stem(other.name)}.isdisjoint(named)
