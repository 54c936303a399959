"""Fingerprints of a snapshot: the compact form loses nothing, and the root depends on every figure and name."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgrecon_pipeline.domain.integrity.snapshot_fingerprints import (
    SideFigures,
    SnapshotFingerprints,
    name_digest,
    names_digest,
)
from orgrecon_pipeline.domain.tenant_names import TenantNames

UINT64 = st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 3))
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)


@st.composite
def snapshots(draw: st.DrawFn) -> SnapshotFingerprints:
    """Draw fingerprints of up to three entities with one or two methods, whose sides agree or not."""
    names = TenantNames.of(draw(st.lists(NAMES, max_size=6)))
    methods = draw(st.sampled_from([("native",), ("native", "portable"), ("portable",)]))

    def side() -> SideFigures:
        rows, *sums = (draw(st.lists(UINT64, min_size=len(names), max_size=len(names))) for _ in ("rows", *methods))
        return SideFigures.of(rows, dict(zip(methods, sums, strict=True)))

    entities = draw(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, unique=True))
    sides = {}
    for entity in sorted(entities):
        source = side()
        sides[entity] = {"source": source, "target": side() if draw(st.booleans()) else source}
    return SnapshotFingerprints(draw(UINT64), draw(st.sampled_from([None, "-5 UTF8"])), names, sides)


@given(snapshots())
def test_packed_fingerprints_are_unpacked_unchanged(original: SnapshotFingerprints) -> None:
    again = SnapshotFingerprints.unpack(original.pack(), original.tenants)
    assert again == original
    assert again.root == original.root
    assert again.facts() == original.facts()


@given(snapshots())
def test_root_is_the_hash_that_the_reference_describes(original: SnapshotFingerprints) -> None:
    def sha256(content: bytes) -> str:
        return hashlib.sha256(content).hexdigest()

    names = [hashlib.sha256(name.encode()).digest() for name in original.tenants]
    entities = {
        entity: {side: {figure: sha256(b"".join(number.to_bytes(8, "big") for number in numbers))
                        for figure, numbers in figures.figures.items()} for side, figures in by_side.items()}
        for entity, by_side in original.sides.items()}
    canonical = json.dumps({"tenants": sha256(b"".join(names)), "entities": entities}, sort_keys=True,
                           separators=(",", ":"))
    assert original.root == sha256(canonical.encode())


@given(snapshots(), st.data())
def test_root_changes_with_every_figure(original: SnapshotFingerprints, data: st.DataObject) -> None:
    if not original.tenants:
        return
    entity = data.draw(st.sampled_from(sorted(original.sides)))
    side = data.draw(st.sampled_from(["source", "target"]))
    figures = original.sides[entity][side]
    figure = data.draw(st.sampled_from(sorted(figures.figures)))
    position = data.draw(st.integers(0, len(original.tenants) - 1))
    other = (figures.figures[figure][position] + data.draw(st.integers(1, 2**64 - 1))) % 2**64
    changed = replace(original, sides={**original.sides, entity: {
        **original.sides[entity], side: figures.replaced([position], {figure: [other]})}})
    assert changed.root != original.root
    assert SnapshotFingerprints.unpack(changed.pack(), changed.tenants).root == changed.root


def test_root_changes_with_a_name_and_with_the_order() -> None:
    digests = {names_digest(TenantNames.of(names).packed) for names in ([], [""], ["a"], ["b"], ["a", "b"], ["ab"])}
    assert len(digests) == 6


def test_removed_name_keeps_its_digest() -> None:
    names = TenantNames.of(["acme", "beta"])
    removed = b"redacted-0a1b\x01" + hashlib.sha256(b"acme").hexdigest().encode()
    assert names_digest(removed + b"\0beta\0") == names_digest(names.packed)
    assert name_digest(b"redacted-0a1b\x01short") == hashlib.sha256(b"redacted-0a1b\x01short").digest()


@pytest.mark.parametrize("packed", [
    b"", b"{}", b"[]\n", b'{"sections":[1]}\nx', b'{"sections":[3]}\nzxx', b"[" * 100_000,
    # The first tenant of none has other rows in the target.
    b'{"entities":["a"],"methods":[],"probe":null,"sections":[1,9,9],"seed":"1"}\nrr' + bytes(8) + b"r" + bytes(8),
])
def test_bytes_that_are_not_packed_fingerprints_raise_an_error(packed: bytes) -> None:
    with pytest.raises(ValueError, match="not packed fingerprints"):
        SnapshotFingerprints.unpack(packed, TenantNames())


def test_fingerprints_of_equal_sides_are_stored_once() -> None:
    figures = SideFigures.of([3] * 1_000, {"native": [(2**63 + 7919**5 * n) % 2**64 for n in range(1_000)]})
    equal = SnapshotFingerprints(1, None, TenantNames.of(f"{n:04}" for n in range(1_000)), {
        "a": {"source": figures, "target": figures}})
    one_differs = replace(equal, sides={"a": {"source": figures, "target": figures.replaced([5], {"rows": [4]})}})
    assert len(equal.pack()) < 8_500
    assert len(one_differs.pack()) < len(equal.pack()) + 100
