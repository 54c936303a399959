"""Drift by key between two databases, found in two sorted streams of the hashes of their rows."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from orgrecon_pipeline.compare.keys.tracked_keys import (
    IN_FLUX,
    SOURCE_CHANGED,
    STATE_MODULUS,
    TARGET_CHANGED,
    TrackedKeys,
)
from orgrecon_pipeline.compare.scan.merge_join import Row, merge_join
from orgrecon_pipeline.domain.drift.kinds import Counts, DriftKind
from orgrecon_pipeline.postgres.int8_arrays import decode_int8, int8_array

# Hashes of the rows of a key on one side: one for each copy.
_Copies = Sequence[int]


def find_drift(
    source: Iterator[Row], target: Iterator[Row], tracked: dict[str, TrackedKeys] | None, *,
    untracked: int | None = None,
) -> dict[str, TrackedKeys]:
    """Return the drift by tenant in two streams of ``side_keys.sql``.

    Only the ``tracked`` keys count, unless it is None. The others of the same tenants are returned as changed on the
    sides of ``untracked``, or not at all if it is None.
    """
    drift = {}
    for tenant, chunks in groupby(merge_join(source, target, 2), key=lambda pair: pair[0][0]):
        if tracked is None:
            collector = TenantCollector({}, 0)
        elif tenant in tracked:
            collector = TenantCollector(tracked[tenant].states(), untracked)
        else:  # an equal tenant with another text, as in a collation
            collector = TenantCollector({}, None)
        for _, source_row, target_row in chunks:
            old, new = (decode_int8(row[2] if row else None) for row in (source_row, target_row))
            collector.add(_differing_keys(old, new))
        if result := collector.result():
            drift[tenant] = result
    return drift


def _differing_keys(source: array[int], target: array[int]) -> Iterator[tuple[int, _Copies, _Copies]]:
    """Yield the keys whose rows differ, with these rows. Arguments are alternating hashes of key and row."""
    unique = [dict(zip(numbers[::2], numbers[1::2], strict=True)) for numbers in (source, target)]
    if all(2 * len(rows) == len(numbers) for rows, numbers in zip(unique, (source, target), strict=True)):
        old, new = unique
        for key in {key for key, _ in old.items() ^ new.items()}:
            yield key, (old[key],) if key in old else (), (new[key],) if key in new else ()
        return
    old_copies, new_copies = (copies_by_key(numbers[::2], numbers[1::2]) for numbers in (source, target))
    for key in old_copies.keys() | new_copies.keys():
        before, after = old_copies.get(key, []), new_copies.get(key, [])
        if Counter(before) != Counter(after):
            yield key, before, after


def copies_by_key(keys: array[int], rows: array[int]) -> dict[int, list[int]]:
    """Return the row hashes of each key, from the hashes of key and row of each row."""
    copies: dict[int, list[int]] = {}
    for key, row in zip(keys, rows, strict=True):
        copies.setdefault(key, []).append(row)
    return copies


class TenantCollector:
    """Collects the drifting keys of one tenant, as of a later read.

    ``states`` is what :meth:`TrackedKeys.states` returned. For ``untracked`` see :func:`find_drift`.
    """

    def __init__(self, states: dict[int, tuple[int, int, int]], untracked: int | None) -> None:
        self._states, self._untracked = states, untracked
        self._counts: Counter[str] = Counter()
        self._arrays = tuple(int8_array(()) for _ in range(6))

    def add(self, keys: Iterable[tuple[int, _Copies, _Copies]]) -> None:
        """Add drifting keys."""
        rows = []
        for key, source, target in keys:
            source_now, target_now = sum(source) % STATE_MODULUS, sum(target) % STATE_MODULUS
            if before := self._states.get(key):
                source_state, target_state, changed = before
                changed |= (source_state != source_now) * SOURCE_CHANGED | (target_state != target_now) * TARGET_CHANGED
            elif self._untracked is None:
                continue
            else:
                source_state, target_state, changed = source_now, target_now, self._untracked
            rows.append((key, source_state, target_state, source_now, target_now, changed))
            if changed != IN_FLUX:
                for kind, number in kinds_of(source, target).items():
                    self._counts[kind] += number
        for numbers, column in zip(self._arrays, zip(*rows, strict=True), strict=False):  # there may be no rows
            numbers.extend(column)

    def result(self) -> TrackedKeys | None:
        """Return the collected keys; None if there are none."""
        return TrackedKeys(Counts.of(self._counts), *self._arrays) if self._arrays[0] else None


_UNEXPECTED, _MISSING, _MISMATCHED = ({kind.value: 1} for kind in (
    DriftKind.UNEXPECTED, DriftKind.MISSING, DriftKind.MISMATCHED))


def kinds_of(source: Sequence[Hashable], target: Sequence[Hashable]) -> Mapping[str, int]:
    """Return the kinds of drift of one key with their counts, by the rules of docs/concepts.md.

    Each side is given by the compared values of each copy of the key.
    """
    if not source:
        return _UNEXPECTED
    if not target:
        return _MISSING
    copies, target_copies = len(source), len(target)
    if copies == target_copies:
        are_equal = source[0] == target[0] if copies == 1 else Counter(source) == Counter(target)
        return {} if are_equal else _MISMATCHED
    mismatched = {} if set(source) == set(target) else _MISMATCHED
    return {DriftKind.DUPLICATE.value: abs(copies - target_copies), **mismatched}
