"""Summary of the gates of all tenants: how many are OPEN, which drift, and which are nearest to opening."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field

from orgrecon_pipeline.operations.gate.tenants import TenantAnswer, TenantGates


@dataclass
class TenantGroup:
    """Some tenants: their number, and the first ``limit`` of them in order of ``rank``, then of their names."""

    limit: int
    count: int = 0
    _first: list[tuple[int, int, TenantAnswer]] = field(default_factory=list)

    def add(self, rank: int, answer: TenantAnswer) -> None:
        """Add a tenant. Tenants come in the order of their names."""
        self.count += 1
        if len(self._first) < self.limit or (self._first and rank < self._first[-1][0]):
            insort(self._first, (rank, self.count, answer))
            del self._first[self.limit:]

    def __iter__(self) -> Iterator[TenantAnswer]:
        return (answer for _, _, answer in self._first)

    @property
    def more(self) -> int:
        """The number of tenants after the first ones."""
        return self.count - len(self._first)


@dataclass(frozen=True)
class TenantSummary:
    """The gates of the tenants that exist; tenants that left are not counted.

    Attributes:
        ready: those whose gate is OPEN.
        waiting: those whose gate is CLOSED though no key drifts: the longest streak first.
        drifting: those whose keys drift: the most keys first.
    """

    ready: TenantGroup
    waiting: TenantGroup
    drifting: TenantGroup

    @classmethod
    def of(cls, gates: TenantGates, limit: int) -> TenantSummary:
        """Return the summary of all tenants, which keeps at most ``limit`` tenants of each group."""
        summary = cls(TenantGroup(limit), TenantGroup(limit), TenantGroup(limit))
        for answer in gates.all():
            if not answer.exists:
                continue
            if answer.open:
                summary.ready.add(0, answer)
            elif answer.drifting_keys:
                summary.drifting.add(-answer.drifting_keys, answer)
            else:
                summary.waiting.add(-answer.decision.streak_days, answer)
        return summary

    @property
    def total(self) -> int:
        """The number of tenants."""
        return self.ready.count + self.waiting.count + self.drifting.count
