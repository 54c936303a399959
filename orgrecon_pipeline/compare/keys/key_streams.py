"""Drift by key between two databases, found in two sorted streams of key hashes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from orgrecon_pipeline.compare.keys.tracked_keys import (
    IN_FLUX,
    SOURCE_CHANGED,
    STATE_MODULUS,
    TARGET_CHANGED,
    TrackedKeys,
)
from orgrecon_pipeline.compare.scan.merge_join import Row, merge_join
from orgrecon_pipeline.domain.drift_kinds import Counts, DriftKind
from orgrecon_pipeline.postgres.int8_arrays import int8_array


def find_drift(
    source: Iterator[Row], target: Iterator[Row], tracked: dict[str, TrackedKeys] | None, *,
    untracked: int | None = None,
) -> dict[str, TrackedKeys]:
    """Return the drift by tenant in two streams of ``side_keys.sql``.

    Only the ``tracked`` keys count, unless it is None. The others of the same tenants are returned as changed on the
    sides of ``untracked``, or not at all if it is None.
    """
    drift = {}
    for tenant, keys in groupby(merge_join(source, target, 2), key=lambda pair: pair[0][0]):
        if tracked is None:
            collector = _TenantCollector({}, 0)
        elif tenant in tracked:
            collector = _TenantCollector(tracked[tenant].states(), untracked)
        else:  # an equal tenant with another text, as in a collation
            collector = _TenantCollector({}, None)
        for (_, key), source_row, target_row in keys:
            collector.add(key, source_row, target_row)
        if result := collector.result():
            drift[tenant] = result
    return drift


class _TenantCollector:
    """Collects the drifting keys of one tenant."""

    def __init__(self, states: dict[int, tuple[int, int, int]], untracked: int | None) -> None:
        self._states, self._untracked = states, untracked
        self._counts = {kind.value: 0 for kind in DriftKind}
        self._arrays = tuple(int8_array(()) for _ in range(6))

    def add(self, key: int, source: Row | None, target: Row | None) -> None:
        """Add a key if it drifts."""
        if not (kinds := kinds_of(*(row and row[2:] for row in (source, target)))):
            return
        source_now, target_now = now = [int(row[4]) % STATE_MODULUS if row else 0 for row in (source, target)]
        before = self._states.get(key)
        if before is None:
            if self._untracked is None:
                return
            before = source_now, target_now, self._untracked
        *states, changed = before
        for side, flag in enumerate((SOURCE_CHANGED, TARGET_CHANGED)):
            changed |= flag if states[side] != now[side] else 0
        for numbers, number in zip(self._arrays, (key, *states, *now, changed), strict=True):
            numbers.append(number)
        if changed != IN_FLUX:
            for kind, count in kinds.items():
                self._counts[kind] += count

    def result(self) -> TrackedKeys | None:
        """Return the collected keys; None if there are none."""
        return TrackedKeys(Counts.of(self._counts), *self._arrays) if self._arrays[0] else None


def kinds_of(source: Sequence[Any] | None, target: Sequence[Any] | None) -> dict[str, int]:
    """Return the kinds of drift of one key with their counts, by the rules of docs/concepts.md.

    Each side, None if it lacks the key, is its number of copies, and their values as a set and as a multiset.
    """
    if source is None:
        return {DriftKind.UNEXPECTED.value: 1}
    if target is None:
        return {DriftKind.MISSING.value: 1}
    copies, as_set, as_multiset = source
    target_copies, target_set, target_multiset = target
    if copies == target_copies:
        return {} if as_multiset == target_multiset else {DriftKind.MISMATCHED.value: 1}
    mismatched = {} if as_set == target_set else {DriftKind.MISMATCHED.value: 1}
    return {DriftKind.DUPLICATE.value: abs(copies - target_copies), **mismatched}
