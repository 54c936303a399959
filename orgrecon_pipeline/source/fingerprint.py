"""What the scan finds of an entity: which tenants differ, by row counts and fingerprints alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.names import Names


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
    tenants: Names
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


def refuse_null_keys(name: str, prints: Fingerprints) -> None:
    """Make sure that every row of an entity can be compared.

    Raises:
        CannotDecide: when one cannot.
    """
    for side in ("source", "target"):
        if without := getattr(prints.null_keys, side):
            raise CannotDecide(
                f"{name}.{side}: {without} rows have no tenant or a NULL in the key: they cannot be compared")
