"""The comparison of fingerprints finds exactly the differences that a plain comparison of every tenant finds."""

from __future__ import annotations

import hashlib
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from orgrecon_pipeline.domain.integrity.reproduction import TenantDifference, compare_fingerprints
from orgrecon_pipeline.domain.integrity.snapshot_fingerprints import SideFigures, SnapshotFingerprints
from orgrecon_pipeline.domain.tenant_names import TenantNames

ENTITIES, SIDES = ("a", "b"), ("source", "target")
#: Rows and sum of each entity and side, of one tenant.
Figures = dict[tuple[str, str], tuple[int, int]]
NAMES = st.sampled_from(["", "a", "b", "ba", "é", "redacted-0", "\x01", "zz"])
FIGURES = st.fixed_dictionaries({
    entity_and_side: st.tuples(st.integers(1, 2), st.integers(0, 1)) for entity_and_side in product(ENTITIES, SIDES)})


def snapshot(companies: dict[str, Figures]) -> SnapshotFingerprints:
    """Return the fingerprints of tenants with these figures."""
    names = TenantNames.of(companies)

    def side(entity: str, of_side: str) -> SideFigures:
        figures = [companies[name][entity, of_side] for name in names]
        return SideFigures.of([rows for rows, _ in figures], {"native": [total for _, total in figures]})

    return SnapshotFingerprints(1, "1 UTF8", names, {
        entity: {of_side: side(entity, of_side) for of_side in SIDES} for entity in ENTITIES})


def without_name(original: SnapshotFingerprints, name: str) -> SnapshotFingerprints:
    """Return the fingerprints after a name was removed, in the position of the name."""
    removed = b"redacted-0a1b\x01" + hashlib.sha256(name.encode()).hexdigest().encode()
    names = [removed if entry == name.encode() else entry for entry in original.tenants.packed[:-1].split(b"\0")]
    return SnapshotFingerprints(1, "1 UTF8", TenantNames(b"\0".join(names) + b"\0"), original.sides)


@given(st.dictionaries(NAMES, FIGURES), st.dictionaries(NAMES, FIGURES), st.booleans(), st.data())
def test_differences_are_those_of_a_plain_comparison(
    then: dict[str, Figures], now: dict[str, Figures], copy: bool, data: st.DataObject
) -> None:
    now = {**then, **now} if copy else now
    wanted = data.draw(st.lists(st.sampled_from(sorted({*then, *now, "nobody"})), unique=True, max_size=3))
    none: Figures = dict.fromkeys(product(ENTITIES, SIDES), (0, 0))
    compared = [name for name in {*then, *now} if not wanted or name in wanted]
    expected = {
        TenantDifference(
            name, entity, side, then.get(name, none)[entity, side][0], now.get(name, none)[entity, side][0])
        for name in compared for entity, side in product(ENTITIES, SIDES)
        if then.get(name, none)[entity, side] != now.get(name, none)[entity, side]}
    stored = snapshot(then)
    result = compare_fingerprints(stored, snapshot(now), "native", wanted)
    assert set(result.differences) == expected
    assert len(result.differences) == len(expected)
    assert result.tenants == len(compared)
    assert result.rows == sum(rows for name in compared for rows, _ in then.get(name, none).values())

    if not then:
        return
    # A removed name is recognised by its digest, and never shown.
    hidden = data.draw(st.sampled_from(sorted(then)))
    redacted = without_name(stored, hidden)
    assert redacted.root == stored.root
    again = compare_fingerprints(redacted, snapshot(now), "native", wanted)
    assert (again.tenants, again.rows) == (result.tenants, result.rows)
    assert {difference._replace(tenant=hidden) if difference.tenant == "redacted-0a1b" else difference
            for difference in again.differences} == expected
    assert hidden not in {difference.tenant for difference in again.differences}
