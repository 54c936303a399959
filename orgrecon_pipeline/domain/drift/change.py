"""Change of a day's drift since the previous decided day: new, persistent and healed keys.

Keys are compared by tenant, entity and key, whatever their kinds. The previous decided day is the latest earlier one
that was decided under the same mapping. Days in between are skipped: they do not tell whether a key drifted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Protocol

from orgrecon_pipeline.domain.evidence import Provenance, SkippedDay, Verdict


class Decided(Protocol):
    """The part of a day's evidence, or of an observation, that decides with which day it is compared."""

    @property
    def verdict(self) -> Verdict: ...
    @property
    def provenance(self) -> Provenance: ...
    @property
    def mapping_digest(self) -> str: ...


def previous_decided_day(
    day: date, current: Decided, days: Mapping[date, Decided]
) -> tuple[date | None, tuple[SkippedDay, ...]]:
    """Return the previous decided day among ``days``, and the days in between; None and no days if there is none.

    It must be decided, and both days must have compared databases of one kind (real or simulated) under one mapping.
    """
    skipped: list[SkippedDay] = []
    for earlier in _backwards(day, min(days, default=day)):
        known = days.get(earlier)
        if known is not None and _continues(current, known):
            return earlier, tuple(reversed(skipped))
        skipped.append(SkippedDay(day=earlier, verdict=known.verdict if known else Verdict.MISSING))
    return None, ()


def _continues(current: Decided, earlier: Decided) -> bool:
    return (
        earlier.verdict.decided and earlier.mapping_digest == current.mapping_digest
        and current.provenance.compared and earlier.provenance.compared
        and earlier.provenance.real == current.provenance.real)


def _backwards(day: date, first: date) -> Iterator[date]:
    while day > first:
        day -= timedelta(days=1)
        yield day
