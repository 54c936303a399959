"""The fast pass: which tenants differ, found by the database from row counts and fingerprints alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.source.session import Session
from orgrecon_pipeline.source.statements import EntityStatements

#: From here on tenants are many.
MANY_TENANTS = 20_000
_MANY_TENANTS_ROOM = "64MB"


@dataclass(frozen=True)
class SideRows:
    """Rows of one tenant (or of all) on each side."""

    source: int
    target: int


@dataclass(frozen=True)
class Fingerprints:
    """One entity over all tenants.

    ``tenants`` are those with a row on either side; ``differing`` those whose sides differ, and ``clean`` the first
    ones (in byte order) whose sides agree. ``null_keys`` counts rows without a tenant or a key.
    ``values`` says of each compared column in how many rows of both sides it is not NULL; ``balances``, of those that
    differ, the sum of the digests of the source's rows less that of the target's.
    """

    rows: SideRows
    null_keys: SideRows
    tenants: frozenset[str]
    differing: dict[str, SideRows]
    clean: dict[str, SideRows]
    values: dict[str, int]
    balances: dict[str, int] = field(repr=False)

    def rows_about(self, tenant: str) -> float:
        """Rows of both sides of a tenant; the average of all for a clean one that is not listed."""
        known = self.differing.get(tenant) or self.clean.get(tenant)
        return known.source + known.target if known else (self.rows.source + self.rows.target) / len(self.tenants)

    def balance(self, tenant: str) -> int:
        """The balance of a tenant; 0 of one whose sides agree."""
        return self.balances.get(tenant, 0)


def fingerprint(
    session: Session, statements: EntityStatements, clean_limit: int, *, many_tenants: bool = False
) -> Fingerprints:
    """Read both sides once.

    Of ``many_tenants`` the groups do not fit into the default work_mem, and would go through files: they get more.

    Raises:
        CannotDecide: when that fails.
    """
    if many_tenants:
        session.set_work_mem(_MANY_TENANTS_ROOM)
    found = session.query(statements.fingerprint(clean_limit, many_tenants=many_tenants), statements.name)
    parts: dict[str, dict[str, SideRows]] = {"differs": {}, "clean": {}}
    balances: dict[str, int] = {}
    totals = None
    for row in found:
        if row["part"] == "totals":
            totals = row
        else:
            parts[row["part"]][row["tenant"]] = SideRows(row["source_rows"], row["target_rows"])
            if row["balance"] is not None:
                balances[row["tenant"]] = int(row["balance"])
    assert totals is not None  # noqa: S101 - an aggregate without GROUP BY always returns its row
    rows = (totals["source_rows"] or 0) + (totals["target_rows"] or 0)
    return Fingerprints(
        rows=SideRows(totals["source_rows"] or 0, totals["target_rows"] or 0),
        null_keys=SideRows(totals["source_null_keys"] or 0, totals["target_null_keys"] or 0),
        tenants=frozenset(totals["tenants"] or ()),
        differing=parts["differs"],
        clean=parts["clean"],
        values={
            name: rows - (nulls or 0) for name, nulls in zip(statements.entity.compare, totals["nulls"], strict=True)},
        balances=balances,
    )


def refuse_null_keys(name: str, prints: Fingerprints) -> None:
    """Make sure that every row of an entity can be compared.

    Raises:
        CannotDecide: when one cannot.
    """
    for side in ("source", "target"):
        if without := getattr(prints.null_keys, side):
            raise CannotDecide(
                f"{name}.{side}: {without} rows have no tenant or a NULL in the key: they cannot be compared")
