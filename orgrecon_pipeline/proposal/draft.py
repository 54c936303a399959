"""Drafts: two tables with linked keys and columns, and what a sample of their rows says about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orgrecon_pipeline.proposal.catalog.deleted import DeletedRows
from orgrecon_pipeline.proposal.catalog.references import Side
from orgrecon_pipeline.proposal.catalog.tables import Table
from orgrecon_pipeline.proposal.links import Link
from orgrecon_pipeline.proposal.write import RelationSql, write_relation


@dataclass(frozen=True)
class Draft:
    """Two tables, how their keys are linked, and links of other columns that a sample is to judge."""

    source: Table
    target: Table
    tenant: Link | None
    key: tuple[Link, ...]
    columns: tuple[Link, ...] = ()
    source_deleted: DeletedRows | None = None
    target_deleted: DeletedRows | None = None

    def own_columns(self, side: str) -> set[str]:
        """Return the columns of a side's table that are in the key, or are its tenant."""
        tenant = {getattr(self.tenant, side).column} if self.tenant and not getattr(self.tenant, side).hops else set()
        return tenant | {getattr(link, side).own_column for link in self.key}

    def relations(self, sides: tuple[Side, Side]) -> tuple[RelationSql, RelationSql]:
        """Return the SQL of both sides. Columns are named ``k0``, ``k1`` … (the tenant first) and ``v0``, ``v1`` …"""
        keys = (*((self.tenant,) if self.tenant else ()), *self.key)
        links = {**{f"k{n}": link for n, link in enumerate(keys)},
                 **{f"v{n}": link for n, link in enumerate(self.columns)}}
        return self.write(sides, links)

    def write(self, sides: tuple[Side, Side], links: Mapping[str, Link | None]) -> tuple[RelationSql, RelationSql]:
        """Return the SQL of both sides with the given names of columns; None is a tenant that does not exist."""
        source = {name: (link.source, link.conversion.first) if link else None for name, link in links.items()}
        target = {name: (link.target, link.conversion.second) if link else None for name, link in links.items()}
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
    """

    compared: int = 0
    agreed: int = 0
    values: int = 0
    chance: float = 1.0

    @property
    def share(self) -> float | None:
        """Share of the pairs that agree; None if no row has a value."""
        return self.agreed / self.compared if self.compared else None


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
        skipped: why no rows were read; empty if they were.
    """

    sampled: int = 0
    matched: int = 0
    back_sampled: int = 0
    back_matched: int = 0
    null_keys: int = 0
    columns: tuple[Agreement, ...] = field(default=())
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
