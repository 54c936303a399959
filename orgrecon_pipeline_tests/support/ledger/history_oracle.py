"""Independent oracle: the definitions of docs/concepts.md for new, persistent, healed and first seen, on plain sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

#: Tenant, entity and key.
Key = tuple[str, str, tuple[str, ...]]
#: The kinds of each drifting key of a day.
Drift = Mapping[Key, frozenset[str]]


@dataclass
class History:
    """Decided days in order."""

    first_seen: dict[Key, date] = field(default_factory=dict)
    drift: Drift = field(default_factory=dict)

    def decide(self, day: date, drift: Drift) -> dict[str, Counter[tuple[str, str]]]:
        """Add a decided day, and return the number of keys by state, entity and kind."""
        states: dict[str, Counter[tuple[str, str]]] = {"new": Counter(), "persistent": Counter(), "healed": Counter()}
        for key, kinds in drift.items():
            states["persistent" if key in self.drift else "new"].update((key[1], kind) for kind in kinds)
        for key, kinds in self.drift.items():
            if key not in drift:
                states["healed"].update((key[1], kind) for kind in kinds)
        self.first_seen = {key: self.first_seen.get(key, day) for key in drift}
        self.drift = dict(drift)
        return states
