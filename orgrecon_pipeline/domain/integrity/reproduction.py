"""Differences between the fingerprints of an observation and later fingerprints of the same tenants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from orgrecon_pipeline.domain.integrity.snapshot_fingerprints import SnapshotFingerprints, name_digest, removed_digest
from orgrecon_pipeline.domain.mapping.model import SIDES

# A tenant, and its positions then and now; None if it had no row.
_Pair = tuple[str, int | None, int | None]


class TenantDifference(NamedTuple):
    """A tenant whose rows on one side of an entity differ from the rows of the observation."""

    tenant: str
    entity: str
    side: str
    rows_then: int
    rows_now: int


class Compared(NamedTuple):
    """The differences, and how many tenants and rows of both sides were compared, as of then."""

    differences: list[TenantDifference]
    tenants: int
    rows: int


def compare_fingerprints(
    then: SnapshotFingerprints, now: SnapshotFingerprints, method: str, tenants: Sequence[str] = ()
) -> Compared:
    """Compare fingerprints by the sums of one method; only of ``tenants`` if any are given."""
    if not tenants and (then.tenants, _figures(then, method)) == (now.tenants, _figures(now, method)):
        rows = sum(sum(by_side[side].rows) for by_side in then.sides.values() for side in SIDES)
        return Compared([], len(then.tenants), rows)
    wanted = {name_digest(_encoded(tenant)) for tenant in tenants}
    differences, counted, rows = [], 0, 0
    for name, position, position_now in _pairs(then, now):
        if wanted and name_digest(_encoded(name)) not in wanted:
            continue
        counted += 1
        for entity in then.sides:
            for side in SIDES:
                figures = _of(then, position, entity, side, method)
                figures_now = _of(now, position_now, entity, side, method)
                rows += figures[0]
                if figures != figures_now:
                    shown = name.partition("\x01")[0] if removed_digest(_encoded(name)) else name
                    differences.append(TenantDifference(shown, entity, side, figures[0], figures_now[0]))
    return Compared(differences, counted, rows)


def _figures(of: SnapshotFingerprints, method: str) -> list[object]:
    return [(name, side, by_side[side].figures[figure]) for name, by_side in sorted(of.sides.items())
            for side in SIDES for figure in ("rows", method)]


def _of(of: SnapshotFingerprints, position: int | None, entity: str, side: str, method: str) -> tuple[int, int]:
    if position is None:
        return 0, 0
    figures = of.sides[entity][side].figures
    return figures["rows"][position], figures[method][position]


def _pairs(then: SnapshotFingerprints, now: SnapshotFingerprints) -> Iterator[_Pair]:
    """Yield every tenant. One whose name was removed from the ledger is recognised by its digest."""
    removed = {digest: (name, position) for position, name in enumerate(then.tenants)
               if (digest := removed_digest(_encoded(name)))}
    positions = {position for _, position in removed.values()}
    known = ((name, 0, position) for position, name in enumerate(then.tenants) if position not in positions)
    present = ((name, 1, position) for position, name in enumerate(now.tenants))
    for name, of_name in groupby(merge(known, present, key=itemgetter(0)), key=itemgetter(0)):
        at = {when: position for _, when, position in of_name}
        if 0 not in at and removed and (original := removed.pop(sha256(_encoded(name)).digest(), None)):
            yield *original, at[1]
        else:
            yield name, at.get(0), at.get(1)
    for name, position in removed.values():
        yield name, position, None


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")
