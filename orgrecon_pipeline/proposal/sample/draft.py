"""Drafts: two tables with linked keys and columns, and what a sample of their rows says about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from orgrecon_pipeline.compare.types.lossless import EXPRESSION
from orgrecon_pipeline.proposal.catalog.deleted import DeletedRows, PossibleMark
from orgrecon_pipeline.proposal.catalog.references import Side
from orgrecon_pipeline.proposal.catalog.tables import Table
from orgrecon_pipeline.proposal.links import Link
from orgrecon_pipeline.proposal.sample.write import RelationSql, write_relation


@dataclass(frozen=True)
class Draft:
    """Two tables, how their keys are linked, and links of other columns that a sample is to judge.

    ``own_tenants`` are the columns of the source and of the target that name the tenant, or refer to it. ``marks`` are
    terms of each that may mark deleted rows.
    """

    source: Table
    target: Table
    tenant: Link | None
    key: tuple[Link, ...]
    columns: tuple[Link, ...] = ()
    source_deleted: DeletedRows | None = None
    target_deleted: DeletedRows | None = None
    own_tenants: tuple[str | None, str | None] = (None, None)
    marks: tuple[tuple[PossibleMark, ...], tuple[PossibleMark, ...]] = ((), ())

    @property
    def direction(self) -> int:
        """Return 1 if the target holds the primary key of the source beside one of its own, -1 if the reverse, else 0.

        A new model often gives rows new identifiers and keeps the old ones.
        """
        if not (self.source.keys and self.target.keys) or self.has_hops:
            return 0
        tables = zip(("source", "target"), (self.source, self.target), self.own_tenants, strict=True)
        own = [(set(table.keys[0]) - {tenant}, {getattr(link, side).column for link in self.key})
               for side, table, tenant in tables]
        (first, first_key), (second, second_key) = own
        return int(first == first_key and not second & second_key) - int(second == second_key and not first & first_key)

    @property
    def identifies_target(self) -> bool:
        """Whether the columns of the key contain a unique key of the target, but for its tenant."""
        used = {link.target.own_column for link in self.key} | {self.own_tenants[1]}
        return any(set(key) <= used for key in self.target.keys)

    @property
    def has_hops(self) -> bool:
        """Whether a column of the key is reached through references."""
        return any(link.source.hops or link.target.hops for link in self.key)

    def own_columns(self, side: str) -> set[str]:
        """Return the columns of a side's table that are in the key, or are its tenant."""
        own = self.own_tenants[side == "target"] if self.tenant else None
        return {getattr(link, side).own_column for link in self.key} | ({own} if own else set())

    def relations(self, sides: tuple[Side, Side]) -> tuple[RelationSql, RelationSql]:
        """Return the SQL of both sides.

        Columns are named ``k0``, ``k1`` … (the tenant first), ``v0``, ``v1`` …, and ``m0``, ``m1`` … for the marks.
        """
        keys = (*((self.tenant,) if self.tenant else ()), *self.key)
        links = {**{f"k{n}": link for n, link in enumerate(keys)},
                 **{f"v{n}": link for n, link in enumerate(self.columns)}}
        return self.write(sides, links, self.marks)

    def write(
        self, sides: tuple[Side, Side], links: Mapping[str, Link | None],
        marks: tuple[Sequence[PossibleMark], Sequence[PossibleMark]] = ((), ()),
    ) -> tuple[RelationSql, RelationSql]:
        """Return the SQL of both sides with the given names of columns; None is a tenant that does not exist."""
        source = {name: (link.source, link.conversion.first) if link else None for name, link in links.items()}
        target = {name: (link.target, link.conversion.second) if link else None for name, link in links.items()}
        for terms, of_side in zip((source, target), marks, strict=True):
            terms.update({f"m{n}": (mark.term, EXPRESSION) for n, mark in enumerate(of_side)})
        conditions = [deleted.where if deleted else None for deleted in (self.source_deleted, self.target_deleted)]
        return (write_relation(sides[0], self.source, source, conditions[0]),
                write_relation(sides[1], self.target, target, conditions[1]))


@dataclass(frozen=True)
class Agreement:
    """What sampled pairs of rows say about a column.

    Attributes:
        compared: pairs with a value on either side.
        agreed: pairs with the same value on both.
        values: number of values of the source.
        chance: probability that a value of the source and one of the target, each of any row, are the same.
        translated: number of values of the source that each go with one other value of the target; 0 if they do not.
        filled: the side that has one value where the other has NULL, if they agree otherwise; empty if none does.
    """

    compared: int = 0
    agreed: int = 0
    values: int = 0
    chance: float = 1.0
    translated: int = 0
    filled: str = ""

    @property
    def share(self) -> float | None:
        """Share of the pairs that agree; None if no row has a value."""
        return self.agreed / self.compared if self.compared else None


@dataclass(frozen=True)
class JoinedColumn:
    """A column of ``side`` that holds two columns of the other side, with ``between`` in between."""

    side: str
    column: str
    parts: tuple[str, str]
    between: str


@dataclass(frozen=True)
class Measurement:
    """What a sample of rows says about a draft.

    Attributes:
        sampled: keys of the source that were looked up on the target.
        matched: how many of them the target has.
        back_sampled: keys of the target that were looked up on the source.
        back_matched: how many of them the source has.
        null_keys: sampled rows of both sides with a NULL in the key.
        columns: for each column of the draft.
        joined: columns of one side that are two columns of the other one, with a text in between.
        deleted: for each side, the mark of the rows that the other side does not have.
        skipped: why no rows were read; empty if they were.
    """

    sampled: int = 0
    matched: int = 0
    back_sampled: int = 0
    back_matched: int = 0
    null_keys: int = 0
    columns: tuple[Agreement, ...] = field(default=())
    joined: tuple[JoinedColumn, ...] = ()
    deleted: tuple[DeletedRows | None, DeletedRows | None] = (None, None)
    skipped: str = ""

    @property
    def rate(self) -> float | None:
        """The smaller share of keys that the other side has; None if a side has no rows."""
        if not self.sampled or not self.back_sampled:
            return None
        return min(self.matched / self.sampled, self.back_matched / self.back_sampled)

    @property
    def size(self) -> int:
        """Number of keys in the smaller sample."""
        return min(self.sampled, self.back_sampled)


class Measures(Protocol):
    """Source of measurements."""

    def measure(self, draft: Draft) -> Measurement:
        """Return what a sample says about a draft."""
