"""Choice of the keys that are shown as samples, from a stream of drifting keys in any order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orgrecon_pipeline.compare.keys.key_rows import KeyWithHash
from orgrecon_pipeline.compare.keys.tracked_keys import TrackedKeys
from orgrecon_pipeline.domain.drift.key import DriftingKey
from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.evidence import Sample

# Keys by kind that are held until the first ones are chosen.
_HELD = 1_000


@dataclass(frozen=True)
class SampledKey:
    """Sample of a key, with the full name of its tenant and the hash of the key."""

    tenant: str
    key_hash: int
    sample: Sample


class FirstKeysByKind:
    """The first ``limit`` keys of each kind, by tenant and key, of the tenants that drift most."""

    def __init__(self, drift: Mapping[str, TrackedKeys], limit: int, key_columns: Sequence[str]) -> None:
        self._limit, self._key_columns = limit, key_columns
        self._tenants = _most_drifting(drift, limit)
        # By kind: tenant, key and key hash, by which they are sorted.
        self._held: dict[str, list[tuple[str, DriftingKey, int]]] = {kind.value: [] for kind in DriftKind}

    def add(self, keys: Iterable[KeyWithHash]) -> None:
        """Add some keys."""
        for tenant, key_hash, key in keys:
            if tenant in self._tenants:
                for kind in key.kinds:
                    held = self._held[kind]
                    held.append((tenant, key, key_hash))
                    if len(held) > self._limit + _HELD:
                        self._drop_others(held)

    def samples(self) -> list[SampledKey]:
        """Return the chosen keys of all kinds, by tenant and key, without values and context."""
        samples = []
        for kind, held in self._held.items():
            self._drop_others(held)
            samples += [SampledKey(tenant, key_hash, self._sample(key, kind)) for tenant, key, key_hash in held]
        return sorted(samples, key=lambda s: (s.tenant, list(s.sample.key.values()), s.sample.kind))

    def _sample(self, key: DriftingKey, kind: str) -> Sample:
        texts = dict(zip(sorted(self._key_columns), key.key, strict=True))
        return Sample(
            tenant=key.tenant, entity=key.entity, kind=kind, key={name: texts[name] for name in self._key_columns},
            columns=key.columns if kind == DriftKind.MISMATCHED else ())

    def _drop_others(self, held: list[tuple[str, DriftingKey, int]]) -> None:
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
