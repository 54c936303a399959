"""The fast pass: which tenants differ, found by the database from row counts and fingerprints alone."""

from __future__ import annotations

from dataclasses import dataclass

from orgrecon_pipeline.source.session import Session
from orgrecon_pipeline.source.statements import EntityStatements


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
    ``values`` says of each compared column in how many rows of both sides it is not NULL.
    """

    rows: SideRows
    null_keys: SideRows
    tenants: frozenset[str]
    differing: dict[str, SideRows]
    clean: dict[str, SideRows]
    values: dict[str, int]


def fingerprint(session: Session, statements: EntityStatements, clean_limit: int) -> Fingerprints:
    """Read both sides once.

    Raises:
        CannotDecide: when that fails.
    """
    rows = session.query(statements.fingerprint(clean_limit), statements.name)
    parts: dict[str, dict[str, SideRows]] = {"differs": {}, "clean": {}}
    totals = None
    for row in rows:
        if row["part"] == "totals":
            totals = row
        else:
            parts[row["part"]][row["tenant"]] = SideRows(row["source_rows"], row["target_rows"])
    assert totals is not None  # noqa: S101 - an aggregate without GROUP BY always returns its row
    return Fingerprints(
        rows=SideRows(totals["source_rows"] or 0, totals["target_rows"] or 0),
        null_keys=SideRows(totals["source_null_keys"] or 0, totals["target_null_keys"] or 0),
        tenants=frozenset(totals["tenants"] or ()),
        differing=parts["differs"],
        clean=parts["clean"],
        values={name: count or 0 for name, count in zip(statements.entity.compare, totals["values"], strict=True)},
    )
