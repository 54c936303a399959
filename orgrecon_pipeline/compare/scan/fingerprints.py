"""Fingerprints of an entity: row counts and hash sums by tenant, which show the tenants that differ."""

from __future__ import annotations

from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass, field

from orgrecon_pipeline.domain.canonical import bounded_name
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping.model import SIDES
from orgrecon_pipeline.domain.reasons import ReasonCode, counted
from orgrecon_pipeline.domain.tenant_names import TenantNames

# From this part of all rows on, an index takes longer than a scan.
_LARGE_PART = 0.1


@dataclass(frozen=True)
class SideRows:
    """Number of rows on each side."""

    source: int
    target: int

    @property
    def total(self) -> int:
        """Rows of both sides."""
        return self.source + self.target


@dataclass(frozen=True)
class Extent:
    """Number of tenants, and of the rows of both sides, of an entity."""

    tenants: int
    rows: int

    def is_all(self, tenants: Collection[str]) -> bool:
        """Return whether these are all tenants, so that a statement need not select them."""
        return len(tenants) == self.tenants

    def is_large(self, rows: int) -> bool:
        """Return whether so many rows are better read by a scan of the whole table than through an index."""
        return rows >= _LARGE_PART * self.rows


#: A tenant's rows, the sum of the source's row hashes modulo 2**64, and that sum minus that of the target. If they are
#: equal at two reads, no row of the tenant has changed in the meantime.
TenantFigures = tuple[SideRows, int, int]


@dataclass(frozen=True)
class Fingerprints:
    """Result of the scan of one entity.

    Attributes:
        rows: rows of each side.
        null_keys: rows of each side without a tenant or with a NULL in the key.
        tenants: tenants with a row on either side.
        source_rows: rows on the source, in the order of ``tenants``.
        source_sums: sums of the source's row hashes modulo 2**64, in the same order.
        differing: tenants whose sides differ, with their rows.
        values: rows of both sides in which a compared column is not NULL, by column.
        balances: for each differing tenant, the sum of the source's row hashes minus that of the target's.
        differing_sums: the numbers of ``source_sums`` of the differing tenants.
    """

    rows: SideRows
    null_keys: SideRows
    tenants: TenantNames
    source_rows: Sequence[int] = field(repr=False)
    source_sums: Sequence[int] = field(repr=False)
    differing: dict[str, SideRows]
    values: dict[str, int]
    balances: dict[str, int] = field(repr=False)
    differing_sums: dict[str, int] = field(repr=False, default_factory=dict)

    @property
    def extent(self) -> Extent:
        """Size of the entity."""
        return Extent(len(self.tenants), self.rows.total)

    def rows_of(self, tenant: str) -> SideRows:
        """Return the rows of a tenant on each side."""
        if tenant in self.differing:
            return self.differing[tenant]
        position = self.tenants.position(tenant)
        rows = 0 if position is None else self.source_rows[position]
        return SideRows(rows, rows)

    def of_tenant(self, tenant: str) -> TenantFigures | None:
        """Return what identifies the rows of a differing tenant on both sides; None for another tenant."""
        if tenant not in self.differing:
            return None
        return self.differing[tenant], self.differing_sums[tenant], self.balances[tenant]


def require_no_null_keys(name: str, fingerprints: Fingerprints) -> None:
    """Require that every row of an entity has a tenant and a key."""
    for side in SIDES:
        if rows := getattr(fingerprints.null_keys, side):
            raise CannotDecide(
                f"{name}.{side}: {counted(rows, 'row')} without a tenant or with a NULL in the key cannot be compared: "
                "correct the data, or exclude it with a where in the mapping", ReasonCode.NULL_KEY)


def require_drift_found(
    name: str, fingerprints: Fingerprints, drifting: Container[str], *, consistent_hash: bool
) -> None:
    """Require that the comparison by key found drift in every tenant whose fingerprints differ.

    Without a consistent hash, fingerprints can differ without drift, but numbers of rows cannot.
    """
    for tenant, rows in fingerprints.differing.items():
        if tenant not in drifting and (consistent_hash or rows.source != rows.target):
            raise CannotDecide(
                f"{name}: the sides of tenant {bounded_name(tenant)} differ, but the comparison by key found no drift: "
                "cast tenant and key in the mapping to a plain type, as in (…)::text",
                ReasonCode.UNACCOUNTED_DIFFERENCE)
