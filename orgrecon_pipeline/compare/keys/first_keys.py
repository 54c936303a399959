"""Choice of the keys that are shown as samples, from a stream of drifting keys in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from orgrecon_pipeline.compare.keys.tracked_keys import TrackedKeys
from orgrecon_pipeline.domain.drift_kinds import Counts, DriftKind
from orgrecon_pipeline.domain.drifting_key import DriftingKey
from orgrecon_pipeline.postgres.int8_arrays import int8_array

# Keys by kind that are held until the first ones are chosen.
_HELD = 1_000


class FirstKeysByKind:
    """The first ``limit`` keys of each kind, by tenant and key, of the tenants that drift most."""

    def __init__(self, drift: Mapping[str, TrackedKeys], limit: int) -> None:
        self._limit = limit
        self._tenants = _most_drifting(drift, limit)
        # By kind: tenant, key and key hash, by which they are sorted.
        self._held: dict[str, list[tuple[str, tuple[str, ...], int]]] = {kind.value: [] for kind in DriftKind}

    def add(self, tenant: str, key_hash: int, key: DriftingKey) -> None:
        """Add a key, given with the full name of its tenant."""
        if tenant not in self._tenants:
            return
        for kind in key.kinds:
            held = self._held[kind]
            held.append((tenant, key.key, key_hash))
            if len(held) > self._limit + _HELD:
                self._drop_others(held)

    def chosen(self) -> dict[str, TrackedKeys]:
        """Return the chosen keys by tenant."""
        counts: dict[str, Counter[str]] = {}
        hashes: dict[str, dict[int, None]] = {}
        for kind, held in self._held.items():
            self._drop_others(held)
            for tenant, _, key_hash in held:
                counts.setdefault(tenant, Counter())[kind] += 1
                hashes.setdefault(tenant, {})[key_hash] = None
        return {tenant: TrackedKeys.start(Counts.of(counts[tenant]), keys := int8_array(of_tenant), keys, keys)
                for tenant, of_tenant in hashes.items()}

    def _drop_others(self, held: list[tuple[str, tuple[str, ...], int]]) -> None:
        held.sort()
        del held[self._limit:]


def _most_drifting(drift: Mapping[str, TrackedKeys], limit: int) -> set[str]:
    """Return the most drifting tenants that together have ``limit`` keys of each kind, if there are so many."""
    chosen: set[str] = set()
    for kind in DriftKind:
        remaining = limit
        for tenant in sorted(drift, key=lambda t: (-drift[t].counts[kind], t)):
            if remaining <= 0 or not drift[tenant].counts[kind]:
                break
            chosen.add(tenant)
            remaining -= drift[tenant].counts[kind]
    return chosen
