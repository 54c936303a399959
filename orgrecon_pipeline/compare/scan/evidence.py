"""The fingerprints of a comparison in the form in which the ledger keeps them."""

from __future__ import annotations

import base64
from array import array
from collections.abc import Mapping
from typing import Any

from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints
from orgrecon_pipeline.domain.integrity.snapshot_fingerprints import MODULUS, SideFigures, SnapshotFingerprints
from orgrecon_pipeline.domain.mapping.model import SIDES
from orgrecon_pipeline.domain.tenant_names import TenantNames


def snapshot_fingerprints(
    seed: int, probe: str | None, tenants: TenantNames, by_method: Mapping[str, Mapping[str, Fingerprints]]
) -> SnapshotFingerprints:
    """Return the fingerprints by method and entity as one value, with the same ``tenants`` for all entities."""
    first = next(iter(by_method.values()))
    sides = {
        name: _merged([_sides(method, tenants, of_method[name]) for method, of_method in by_method.items()])
        for name in sorted(first)}
    return SnapshotFingerprints(seed, probe, tenants, sides)


def fingerprints_to_json(value: SnapshotFingerprints | None) -> Any:
    """Return the fingerprints as a JSON value."""
    return value and {"tenants": list(value.tenants), "packed": base64.b64encode(value.pack()).decode()}


def fingerprints_from_json(value: Any) -> SnapshotFingerprints | None:
    """Return the fingerprints of :func:`fingerprints_to_json`."""
    if value is None or isinstance(value, SnapshotFingerprints):
        return value
    return SnapshotFingerprints.unpack(base64.b64decode(value["packed"]), TenantNames.ascending(value["tenants"]))


def _merged(of_methods: list[dict[str, SideFigures]]) -> dict[str, SideFigures]:
    """Return the figures of all methods together."""
    if len(of_methods) == 1:
        return of_methods[0]
    source, target = (
        SideFigures({name: numbers for sides in of_methods for name, numbers in sides[side].figures.items()})
        for side in SIDES)
    agree = all(sides["source"] is sides["target"] for sides in of_methods)
    return {"source": source, "target": source if agree else target}


def _sides(method: str, tenants: TenantNames, of_entity: Fingerprints) -> dict[str, SideFigures]:
    rows, sums = array("Q", of_entity.source_rows), array("Q", of_entity.source_sums)
    if of_entity.tenants != tenants:
        rows, sums = _aligned(tenants, of_entity.tenants, rows, sums)
    source = SideFigures.of(rows, {method: sums})
    positions = [position for tenant in of_entity.differing if (position := tenants.position(tenant)) is not None]
    if not positions:
        return {"source": source, "target": source}
    differing = zip(positions, of_entity.differing.values(), of_entity.balances.values(), strict=True)
    target = [(both.target, (sums[position] - balance) % MODULUS) for position, both, balance in differing]
    return {"source": source, "target": source.replaced(positions, {
        "rows": [number for number, _ in target], method: [number for _, number in target]})}


def _aligned(tenants: TenantNames, present: TenantNames, *columns: array[int]) -> list[array[int]]:
    """Return the columns, which are in the order of the ``present`` tenants, for all tenants: 0 for the others."""
    aligned = [array("Q", bytes(8 * len(tenants))) for _ in columns]
    wanted = enumerate(present)
    index, name = next(wanted, (0, None))
    for position, tenant in enumerate(tenants):
        if tenant == name:
            for column, values in zip(aligned, columns, strict=True):
                column[position] = values[index]
            index, name = next(wanted, (0, None))
    return aligned
