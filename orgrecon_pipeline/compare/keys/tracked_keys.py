"""The drifting keys of a tenant, watched from one read to the next."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from orgrecon_pipeline.domain.evidence import KINDS
from orgrecon_pipeline.postgres.int8_arrays import packed, unpack_int8

#: A state is folded to one of so many: it only has to change with the rows, and to fit a bigint.
STATES = 2**62

SOURCE_CHANGED, TARGET_CHANGED = 1, 2
#: Both sides have changed since the key is watched.
IN_FLUX = SOURCE_CHANGED | TARGET_CHANGED


@dataclass(frozen=True)
class TrackedKeys:
    """The drifting keys of one tenant.

    Counts by kind as of the latest read, of the keys that are not in flux; per key its digest, the state of each side
    as it was when the key began to be watched and as it is now, and which sides have been seen changed in between: a
    sum of :data:`SOURCE_CHANGED` and :data:`TARGET_CHANGED`, both of which make it one in flux. Eight bytes a number: a
    tenant can have lost millions of rows.
    """

    counts: dict[str, int]
    keys: array[int] = field(repr=False)
    source_states: array[int] = field(repr=False)
    target_states: array[int] = field(repr=False)
    sources_now: array[int] = field(repr=False)
    targets_now: array[int] = field(repr=False)
    changed: array[int] = field(repr=False)

    @classmethod
    def first_seen(
        cls, counts: dict[str, int], packed_keys: bytes = b"", packed_sources: bytes = b"", packed_targets: bytes = b""
    ) -> TrackedKeys:
        """Keys at the read that found them."""
        keys, source_states, target_states = map(unpack_int8, (packed_keys, packed_sources, packed_targets))
        return cls._watched(counts, keys, source_states, target_states)

    @classmethod
    def _watched(
        cls, counts: dict[str, int], keys: array[int], source_states: array[int], target_states: array[int]
    ) -> TrackedKeys:
        return cls(counts, keys, source_states, target_states, source_states, target_states, _zeros(len(keys)))

    def states(self) -> dict[int, tuple[int, int, int]]:
        """By key: the states of both sides as it began to be watched, and which have been seen changed since."""
        watched = zip(self.source_states, self.target_states, self.changed, strict=True)
        return dict(zip(self.keys, watched, strict=True))

    def part(self, *, in_flux: bool) -> TrackedKeys | None:
        """The keys that are in flux or those that are not, to be watched from their present state; None for none."""
        chosen = [place for place, changed in enumerate(self.changed) if (changed == IN_FLUX) == in_flux]
        if not chosen:
            return None
        counts = dict.fromkeys(KINDS, 0) if in_flux else self.counts
        watched = (self.keys, self.sources_now, self.targets_now)
        return TrackedKeys._watched(counts, *(_taken(numbers, chosen) for numbers in watched))

    def joined(self, other: TrackedKeys | None) -> TrackedKeys:
        """These keys and other ones of the same tenant."""
        if other is None:
            return self
        return TrackedKeys(
            {kind: self.counts[kind] + other.counts[kind] for kind in KINDS}, self.keys + other.keys,
            self.source_states + other.source_states, self.target_states + other.target_states,
            self.sources_now + other.sources_now, self.targets_now + other.targets_now, self.changed + other.changed,
        )


#: Drifting keys by entity and tenant.
Drift = dict[str, dict[str, TrackedKeys]]


def split(drift: Drift) -> tuple[Drift, Drift]:
    """What still drifts as it did, and what is in flux."""
    parts = []
    for in_flux in (False, True):
        chosen = {name: {t: d.part(in_flux=in_flux) for t, d in found.items()} for name, found in drift.items()}
        parts.append({name: {t: d for t, d in found.items() if d is not None} for name, found in chosen.items()})
    return parts[0], parts[1]


def merged(one: Drift, other: Drift) -> Drift:
    """The keys of both, which have none in common."""
    return {
        name: {t: other[name][t].joined(one[name].get(t)) if t in other[name] else one[name][t]
               for t in one[name].keys() | other[name].keys()}
        for name in one
    }


def _zeros(length: int) -> array[int]:
    return packed([0]) * length


def _taken(numbers: Sequence[int], places: list[int]) -> array[int]:
    return packed(numbers[place] for place in places)
