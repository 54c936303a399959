"""Keys: the ways to link a key of one table to columns of another one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from orgrecon_pipeline.proposal.catalog.names import is_bookkeeping
from orgrecon_pipeline.proposal.catalog.references import Term
from orgrecon_pipeline.proposal.catalog.tables import Table
from orgrecon_pipeline.proposal.links import Link, Linker

_MAX_KEYS = 6
_MAX_KEY_COLUMNS = 3
_MAX_UNNAMED = 4
_DATES = {"date", "timestamp without time zone", "timestamp with time zone"}


@dataclass(frozen=True)
class Key:
    """One way to link the keys of two tables; ``unique`` if a unique key of the other table is covered, too."""

    links: tuple[Link, ...]
    unique: bool

    @property
    def similarity(self) -> float:
        """How alike the columns are."""
        return sum(link.similarity for link in self.links) / len(self.links)

    def needs_no_tenant(self, source: Table, target: Table) -> bool:
        """Return whether the key identifies rows of both tables without their tenant."""
        ours, theirs = {link.source.own_column for link in self.links}, {link.target.own_column for link in self.links}
        return any(set(key) <= ours for key in source.keys) and any(set(key) <= theirs for key in target.keys)


def named_keys(linker: Linker, source: Table, target: Table) -> list[Key]:
    """Return the best keys whose columns are linked by names or references, the best first."""
    keys = dict.fromkeys(itertools.chain(_keys(linker, source, target), _reversed_keys(linker, source, target)))
    return sorted(keys, key=lambda key: (not key.unique, -round(key.similarity, 1)))[:_MAX_KEYS]


def unnamed_keys(linker: Linker, source: Table, target: Table) -> list[Key]:
    """Return some ways to link a key of the source to one of the target, or to other dates, by comparable types."""
    keys = (*itertools.islice(_unnamed_keys(linker, source, target), _MAX_UNNAMED),
            *itertools.islice(_dated_keys(linker, source, target), _MAX_UNNAMED))
    return list(dict.fromkeys(keys))


def _keys(linker: Linker, source: Table, target: Table) -> Iterator[Key]:
    covers = linker.target.own_keys(target)
    for key, names in zip(source.keys, linker.source.own_keys(source), strict=True):
        if any(source.by_name[name].nullable for name in key):
            continue
        alternatives = [linker.key_links(source, name, target, alone=len(names) == 1) for name in names]
        for links in itertools.islice(itertools.product(*alternatives), _MAX_KEYS):
            used = {link.target.own_column for link in links}
            if len(used) == len(links):
                yield Key(links, unique=any(set(cover) <= used for cover in covers))


def _reversed_keys(linker: Linker, source: Table, target: Table) -> Iterator[Key]:
    """Yield the ways to link the keys of the target to columns of the source."""
    covers = linker.source.own_keys(source)
    links = [link for name in source.by_name for link in linker.key_links(source, name, target, alone=False)]
    for names in linker.target.own_keys(target):
        alternatives = [[link for link in links if link.target.own_column == name] for name in names]
        for chosen in itertools.islice(itertools.product(*alternatives), _MAX_KEYS):
            used = {link.source.own_column for link in chosen}
            if len(used) == len(chosen):
                yield Key(chosen, unique=any(set(cover) <= used for cover in covers))


def _unnamed_keys(linker: Linker, source: Table, target: Table) -> Iterator[Key]:
    linked = linker.tenant_link(source, target) is not None
    all_ours, all_theirs = ((linker.source.own_keys(source), linker.target.own_keys(target)) if linked
                            else (source.keys, target.keys))
    ours = [key for key in all_ours if not any(source.by_name[name].nullable for name in key)]
    for key, other in itertools.product(ours, all_theirs):
        if len(key) == len(other) <= _MAX_KEY_COLUMNS:
            alternatives = [list(_unnamed_links(linker, source, name, target, other)) for name in key]
            for links in itertools.product(*alternatives):
                if len({link.target.own_column for link in links}) == len(links):
                    yield Key(links, unique=True)


def _dated_keys(linker: Linker, source: Table, target: Table) -> Iterator[Key]:
    """Yield the keys in which the date of a key of the source gives way to any other two dates.

    Of rows that are valid from one date to another, one model can identify them by the end, the other by the start.
    """
    covers = linker.target.own_keys(target)
    columns = tuple(dict.fromkeys(itertools.chain(*covers)))
    dates = [Link(Term(ours), Term(theirs), 0.2, "both are dates of a row", conversion)
             for ours, theirs in itertools.product(_dates(source), _dates(target))
             if (conversion := linker.conversion(source, Term(ours), target, Term(theirs)))]
    for key in linker.source.own_keys(source):
        rest = [name for name in key if source.by_name[name].type.name not in _DATES]
        if not rest or len(key) != len(rest) + 1 or len(key) > _MAX_KEY_COLUMNS:
            continue
        alternatives = [linker.key_links(source, name, target, alone=False)
                        or list(_unnamed_links(linker, source, name, target, columns)) for name in rest]
        for links in itertools.product(*alternatives, dates):
            used = {link.target.own_column for link in links}
            if len(used) == len(links) and not any(source.by_name[name].nullable for name in rest):
                yield Key(links, unique=any(set(cover) <= used for cover in covers))


def _dates(table: Table) -> list[str]:
    return [column.name for column in table.columns
            if column.type.name in _DATES and not column.nullable and not is_bookkeeping(column.name)]


def _unnamed_links(linker: Linker, source: Table, column: str, target: Table, key: tuple[str, ...]) -> Iterator[Link]:
    named = [link for link in linker.key_links(source, column, target, alone=False) if link.target.own_column in key]
    yield from named
    for name in key:
        first, second = Term(column), Term(name)
        conversion = linker.conversion(source, first, target, second)
        if conversion and not any(link.target.own_column == name for link in named):
            yield Link(first, second, 0.2, "identifies rows of both tables", conversion)
