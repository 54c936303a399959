"""What the scan finds of an entity: which tenants differ, by row counts and fingerprints alone."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from orgrecon_pipeline.domain.bounded_names import bounded_name
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.tenant_names import TenantNames


@dataclass(frozen=True)
class SideRows:
    """Rows of one tenant (or of all) on each side."""

    source: int
    target: int


@dataclass(frozen=True)
class Fingerprints:
    """One entity over all tenants.

    ``tenants`` are those with a row on either side; ``differing`` those whose sides differ. ``source_rows`` holds the
    rows of each tenant on the source, in the order of ``tenants``. ``null_keys`` counts rows without a tenant or a key.
    ``values`` says of each compared column in how many rows of both sides it is not NULL; ``balances``, of those that
    differ, the sum of the digests of the source's rows less that of the target's.
    """

    rows: SideRows
    null_keys: SideRows
    tenants: TenantNames
    source_rows: Sequence[int] = field(repr=False)
    differing: dict[str, SideRows]
    values: dict[str, int]
    balances: dict[str, int] = field(repr=False)

    def rows_of(self, tenant: str) -> SideRows:
        """Rows of both sides of a tenant."""
        if tenant in self.differing:
            return self.differing[tenant]
        place = self.tenants.place(tenant)
        rows = 0 if place is None else self.source_rows[place]
        return SideRows(rows, rows)

    def rows_in(self, tenant: str) -> int:
        """Rows of both sides of a tenant together."""
        of_tenant = self.rows_of(tenant)
        return of_tenant.source + of_tenant.target

    def balance(self, tenant: str) -> int:
        """The balance of a tenant; 0 of one whose sides agree."""
        return self.balances.get(tenant, 0)


def refuse_unfound(name: str, prints: Fingerprints, found: Container[str], *, one_spelling: bool) -> None:
    """Make sure that drift was found by key in every tenant of an entity whose sides differ.

    Where equal values can be written in several ways fingerprints differ without any drift; numbers of rows never do.

    Args:
        name: the entity's.
        prints: its fingerprints.
        found: tenants with drift by key.
        one_spelling: whether equal values of its columns are always written alike.

    Raises:
        CannotDecide: when one was not.
    """
    for tenant, rows in prints.differing.items():
        if tenant not in found and (one_spelling or rows.source != rows.target):
            raise CannotDecide(
                f"{name}: the sides of tenant {bounded_name(tenant)} differ, and none of its keys was found that does; cast "
                "tenant and key in the mapping to a plain type, as in (…)::text")


def refuse_null_keys(name: str, prints: Fingerprints) -> None:
    """Make sure that every row of an entity can be compared.

    Raises:
        CannotDecide: when one cannot.
    """
    for side in ("source", "target"):
        if without := getattr(prints.null_keys, side):
            raise CannotDecide(
                f"{name}.{side}: {without} rows have no tenant or a NULL in the key: they cannot be compared")
