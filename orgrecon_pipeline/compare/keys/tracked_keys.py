"""Drifting keys that are tracked from one read to the next."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress, pairwise
from operator import ne

from orgrecon_pipeline.domain.drift.kinds import Counts, DriftKind
from orgrecon_pipeline.postgres.int8_arrays import concatenate, in_chunks, int8_array

#: States are reduced modulo this number, so that they fit a bigint. They only have to change when the rows change.
STATE_MODULUS = 2**62

SOURCE_CHANGED, TARGET_CHANGED = 1, 2
#: Both sides have changed since tracking began.
IN_FLUX = SOURCE_CHANGED | TARGET_CHANGED

# If fewer of the keys are taken out of the arrays, copying the parts between them takes less than copying each key.
_FEW = 0.1


@dataclass(frozen=True)
class TrackedKeys:
    """Drifting keys of one tenant, as arrays of 64-bit integers: a tenant can have lost millions of rows.

    Attributes:
        counts: keys by kind as of the latest read, without those in flux.
        keys: hashes of the keys.
        source_states: sum of the row hashes of each key on the source when tracking began.
        target_states: the same on the target.
        source_now: the same on the source at the latest read.
        target_now: the same on the target at the latest read.
        changed: the sides of each key that were ever read changed since tracking began: a sum of
            :data:`SOURCE_CHANGED` and :data:`TARGET_CHANGED`.
    """

    counts: Counts[int]
    keys: array[int] = field(repr=False)
    source_states: array[int] = field(repr=False)
    target_states: array[int] = field(repr=False)
    source_now: array[int] = field(repr=False)
    target_now: array[int] = field(repr=False)
    changed: array[int] = field(repr=False)

    @classmethod
    def start(
        cls, counts: Counts[int], keys: array[int], source_states: array[int], target_states: array[int]
    ) -> TrackedKeys:
        """Start tracking keys."""
        unchanged = int8_array([0]) * len(keys)
        return cls(counts, keys, source_states, target_states, source_states, target_states, unchanged)

    @property
    def counts_are_known(self) -> bool:
        """Whether each key that is not in flux is counted. When :meth:`select` starts tracking anew, no key is."""
        return self.counts.total > 0 or self.changed.count(IN_FLUX) == len(self.changed)

    def states(self) -> dict[int, tuple[int, int, int]]:
        """Return by key the state of both sides when tracking began, and which sides have changed since."""
        tracked = zip(self.source_states, self.target_states, self.changed, strict=True)
        return dict(zip(self.keys, tracked, strict=True))

    def split(self, chosen: Collection[int]) -> tuple[TrackedKeys | None, TrackedKeys | None]:
        """Return the other keys, and the chosen ones without counts; None if there are none.

        The other keys must have at most one row on each side, if any are chosen or the counts are not known.
        """
        if not chosen and self.counts_are_known:
            return self, None
        positions = [position for position, key in enumerate(self.keys) if key in chosen]
        if len(positions) < _FEW * len(self.keys):
            between = list(pairwise([-1, *positions, len(self.keys)]))
            rest = [concatenate(numbers[start + 1:end] for start, end in between) for numbers in self._arrays()]
        else:
            others = [key not in chosen for key in self.keys]
            rest = [int8_array(compress(numbers, others)) for numbers in self._arrays()]
        selected = [int8_array(numbers[position] for position in positions) for numbers in self._arrays()]
        if self.counts_are_known and not self.counts[DriftKind.DUPLICATE]:
            chosen_counts = _counts_of(*selected[3:])
            counts = Counts.of({kind: number - chosen_counts[kind] for kind, number in self.counts.items()})
        else:
            counts = _counts_of(*rest[3:])
        return (TrackedKeys(counts, *rest) if rest[0] else None,
                TrackedKeys(Counts.zero(), *selected) if positions else None)

    def as_of(self, source_now: array[int], target_now: array[int]) -> TrackedKeys | None:
        """Return the keys that still drift at a later read, given their states then; None if there are none.

        No key may have several rows on a side.
        """
        changed = int8_array([
            before | (old != old_now) * SOURCE_CHANGED | (new != new_now) * TARGET_CHANGED
            for before, old, old_now, new, new_now in zip(
                self.changed, self.source_states, source_now, self.target_states, target_now, strict=True)])
        arrays: tuple[array[int], ...] = (
            self.keys, self.source_states, self.target_states, source_now, target_now, changed)
        drifting = list(map(ne, source_now, target_now))
        if not all(drifting):
            arrays = tuple(int8_array(compress(numbers, drifting)) for numbers in arrays)
        return TrackedKeys(_counts_of(*arrays[3:]), *arrays) if arrays[0] else None

    def may_have_become(self, now: TrackedKeys, others: TrackedKeys | None) -> TrackedKeys | None:
        """Return these keys as of a later read, and what they may have become; None if no key remains.

        The later read has untracked keys too, as in flux. They are kept only if one of these keys is gone: it may have
        been written differently. The ``others``, which are already confirmed, have not been these keys.
        """
        gone = set(self.keys).difference(now.keys)
        left_out = set(now.keys).difference(self.keys) if not gone else set(others.keys if others else ())
        if not left_out.intersection(now.keys):
            return now
        positions = [position for position, key in enumerate(now.keys) if key not in left_out]
        arrays = [int8_array(numbers[position] for position in positions) for numbers in now._arrays()]
        return TrackedKeys(now.counts, *arrays) if positions else None

    def select(self, *, in_flux: bool) -> TrackedKeys | None:
        """Start tracking anew the keys that are in flux, or those that are not; None if there are none."""
        positions = [position for position, changed in enumerate(self.changed) if (changed == IN_FLUX) == in_flux]
        if not positions:
            return None
        return TrackedKeys.start(Counts.zero() if in_flux else self.counts, *(
            int8_array(numbers[position] for position in positions)
            for numbers in (self.keys, self.source_now, self.target_now)))

    def merged_with(self, other: TrackedKeys | None) -> TrackedKeys:
        """Return these keys and other keys of the same tenant."""
        return self if other is None else TrackedKeys.merged([self, other])

    def in_chunks(self, count: int) -> Iterator[TrackedKeys]:
        """Yield the keys by their last bits, in ``count`` chunks without counts."""
        return (TrackedKeys(Counts.zero(), *arrays) for arrays in in_chunks(self._arrays(), count))

    @classmethod
    def merged(cls, parts: Sequence[TrackedKeys]) -> TrackedKeys:
        """Return the keys of all parts, which are different keys of one tenant."""
        return cls(Counts.sum([part.counts for part in parts]), *map(concatenate, zip(
            *(part._arrays() for part in parts), strict=True)))

    def _arrays(self) -> tuple[array[int], ...]:
        return (self.keys, self.source_states, self.target_states, self.source_now, self.target_now, self.changed)


def _counts_of(source: Sequence[int], target: Sequence[int], changed: Sequence[int]) -> Counts[int]:
    """Return the kinds of keys with at most one row on each side, from their states: 0 without a row."""
    if IN_FLUX in changed:
        counted = [sides != IN_FLUX for sides in changed]
        source, target = list(compress(source, counted)), list(compress(target, counted))
    missing, unexpected = target.count(0), source.count(0)
    return Counts.of({DriftKind.MISSING: missing, DriftKind.UNEXPECTED: unexpected,
                      DriftKind.MISMATCHED: len(source) - missing - unexpected})


#: Drifting keys by entity and tenant.
Drift = dict[str, dict[str, TrackedKeys]]


def split_by_flux(drift: Drift) -> tuple[Drift, Drift]:
    """Return the keys that are not in flux, and those that are."""
    parts = []
    for in_flux in (False, True):
        selected = {name: {t: keys.select(in_flux=in_flux) for t, keys in tenants.items()}
                    for name, tenants in drift.items()}
        parts.append({name: {t: keys for t, keys in tenants.items() if keys} for name, tenants in selected.items()})
    return parts[0], parts[1]


def merge_drift(first: Drift, second: Drift) -> Drift:
    """Return the keys of both, which must not overlap."""
    merged = {name: dict(tenants) for name, tenants in first.items()}
    for name, tenants in second.items():
        merged[name] = merge_tenants(merged.get(name, {}), tenants)
    return merged


def merge_tenants(first: dict[str, TrackedKeys], second: dict[str, TrackedKeys]) -> dict[str, TrackedKeys]:
    """Return the keys of one entity in both, which must not overlap."""
    return first | {tenant: keys.merged_with(first.get(tenant)) for tenant, keys in second.items()}


def count_keys(tenants: Mapping[str, TrackedKeys]) -> int:
    """Return the number of keys of all tenants."""
    return sum(len(tracked.keys) for tracked in tenants.values())
