"""Candidates: two tables whose rows can correspond, with the ways to link their keys."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from orgrecon_pipeline.proposal.catalog import Table
from orgrecon_pipeline.proposal.links import Link, Linker
from orgrecon_pipeline.proposal.names import (
    generation,
    is_bookkeeping,
    is_copy,
    points_to,
    same_stem,
    tenant_table_rank,
    words,
)
from orgrecon_pipeline.proposal.references import Side

_MAX_KEYS = 6
_MIN_SHARED_COLUMNS = 3
# A column name in more tables than that says nothing about a pair.
_COMMON = 40


class Strength(IntEnum):
    """How much the catalog alone says for a candidate."""

    WEAK = 0
    STRUCTURE = 1
    NAMES = 2
    CHOSEN = 3


@dataclass(frozen=True)
class Key:
    """One way to link the keys of two tables; ``unique`` if a unique key of the other table is covered, too."""

    links: tuple[Link, ...]
    unique: bool

    @property
    def similarity(self) -> float:
        """How alike the columns are."""
        return sum(link.similarity for link in self.links) / len(self.links)


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


def find_candidates(linker: Linker, chosen: dict[int, int]) -> Iterator[Candidate]:
    """Yield all candidates; ``chosen`` are the pairs of tables that the user named, by their numbers."""
    sources = linker.source.catalog.comparable
    targets = linker.target.catalog.comparable
    known = {pair.source for pair in linker.pairs} | {pair.target for pair in linker.pairs}
    one_database = linker.source is linker.target
    by_column = _by_column(targets)
    for source in sources:
        if source.id in chosen:
            target = linker.target.catalog.tables[chosen[source.id]]
            yield make_candidate(linker, source, target, Strength.CHOSEN, "named by --pair")
            continue
        if is_copy(source.name) or (one_database and source.id in chosen.values()) or source.id in known:
            continue
        shared = _sharing(source, by_column)
        for target in targets:
            taken = target.id in chosen.values() or target.id in known or is_copy(target.name)
            if taken or (one_database and _same_rows(source, target)):
                continue
            if guess := _guess(linker, source, target, shared.get(target.id, 0)):
                strength, why = guess
                candidate = make_candidate(linker, source, target, strength, why)
                if candidate.keys or strength >= Strength.NAMES:
                    yield candidate


def _by_column(tables: list[Table]) -> dict[tuple[str, ...], list[int]]:
    by_column = defaultdict(list)
    for table in tables:
        for column in table.columns:
            if not is_bookkeeping(column.name) and column.name != "id":
                by_column[words(column.name)].append(table.id)
    return {name: numbers for name, numbers in by_column.items() if len(numbers) <= _COMMON}


def _sharing(table: Table, by_column: dict[tuple[str, ...], list[int]]) -> dict[int, int]:
    """Return the number of columns that each other table shares with this one, by name."""
    shared: dict[int, int] = defaultdict(int)
    for column in table.columns:
        for number in by_column.get(words(column.name), ()):
            shared[number] += 1
    return shared


def _same_rows(first: Table, second: Table) -> bool:
    """Return whether one of two relations of a database is the other, or a view of it or of what the other reads."""
    return bool(({first.id} | first.reads) & ({second.id} | second.reads))


def _guess(linker: Linker, source: Table, target: Table, shared: int) -> tuple[Strength, str] | None:
    if (tenant_table_rank(source.name) is None) != (tenant_table_rank(target.name) is None):
        return None
    if same_stem(source.name, target.name):
        return Strength.NAMES, "named alike"
    for column in target.columns:
        kind = _points(linker, source, target, column.name)
        if kind == "named":
            return Strength.NAMES, f"{target.label} has an identifier that names {source.label}"
        if kind:
            return Strength.STRUCTURE, f"{target.label} has an old identifier"
    refers = {r.hop.table for r in linker.source.references.get(source.id, ())}
    referred = {r.hop.table for r in linker.target.references.get(target.id, ())}
    if any(pair.source in refers and pair.target in referred for pair in linker.pairs):
        return Strength.STRUCTURE, "both refer to tables whose rows correspond"
    return (Strength.WEAK, f"{shared} columns have the same names") if shared >= _MIN_SHARED_COLUMNS else None


def _points(linker: Linker, source: Table, target: Table, column: str) -> str:
    kind = points_to(column, source.name)
    return kind if kind in ("named", "old") else ""


def make_candidate(linker: Linker, source: Table, target: Table, strength: Strength, why: str) -> Candidate:
    """Return the candidate of two tables, with every way to link their keys, the best first."""
    tenant = _tenant(linker, source, target)
    keys = dict.fromkeys(itertools.chain(
        _keys(linker, source, target), _reversed_keys(linker, source, target)))
    ranked = sorted(keys, key=lambda key: (not key.unique, -round(key.similarity, 1)))
    direction = generation(target.schema, target.name) - generation(source.schema, source.name)
    pointers = any(_points(linker, source, target, column.name) for column in target.columns)
    back = any(_points(linker, target, source, column.name) for column in source.columns)
    if linker.source is not linker.target:
        direction = 1
    else:
        direction += 2 * (int(pointers) - int(back))
    return Candidate(source, target, tenant, tuple(ranked[:_MAX_KEYS]), strength, why, direction)


def _tenant(linker: Linker, source: Table, target: Table) -> Link | None:
    ours, theirs = linker.source.tenant(source), linker.target.tenant(target)
    if ours is None or theirs is None:
        return None
    if conversion := linker.conversion(source, ours, target, theirs):
        return Link(ours, theirs, 1.0, "", conversion)
    if not ours.hops:
        links = linker.key_links(source, ours.column, target, alone=False)
        return next((link for link in links if link.target.hops), None)
    return None


def _keys(linker: Linker, source: Table, target: Table) -> Iterator[Key]:
    tenants = _tenant_columns(linker.source, source)
    covers = [_without(key, _tenant_columns(linker.target, target)) for key in target.keys]
    for key in source.keys:
        if any(source.by_name[name].nullable for name in key):
            continue
        names = _without(key, tenants)
        alternatives = [linker.key_links(source, name, target, alone=len(names) == 1) for name in names]
        for links in itertools.islice(itertools.product(*alternatives), _MAX_KEYS):
            used = {link.target.own_column for link in links}
            if len(used) == len(links):
                yield Key(links, unique=any(set(cover) <= used for cover in covers))


def _reversed_keys(linker: Linker, source: Table, target: Table) -> Iterator[Key]:
    """Yield the ways to link the keys of the target to columns of the source."""
    tenants = _tenant_columns(linker.target, target)
    covers = [_without(key, _tenant_columns(linker.source, source)) for key in source.keys]
    links = [link for name in source.by_name for link in linker.key_links(source, name, target, alone=False)]
    for key in target.keys:
        alternatives = [[link for link in links if link.target.own_column == name] for name in _without(key, tenants)]
        for chosen in itertools.islice(itertools.product(*alternatives), _MAX_KEYS):
            used = {link.source.own_column for link in chosen}
            if len(used) == len(chosen):
                yield Key(chosen, unique=any(set(cover) <= used for cover in covers))


def _tenant_columns(side: Side, table: Table) -> list[str]:
    return side.tenant_columns(table)[:1]


def _without(key: tuple[str, ...], tenants: list[str]) -> tuple[str, ...]:
    return tuple(name for name in key if name not in tenants) or key
