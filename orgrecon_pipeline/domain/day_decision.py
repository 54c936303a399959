"""Which of several observations decides a day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Literal, Protocol, TypeVar

from orgrecon_pipeline.domain.evidence import Provenance, Verdict

_EVER = datetime.min.replace(tzinfo=timezone.utc)

# A comparison outranks a stamp, and a real company outranks the demo, whatever came later.
_RANK = {Provenance.BASELINE: 0, Provenance.SIMULATED: 1, Provenance.RESTORED: 2, Provenance.LIVE: 2}


class Observed(Protocol):
    """What must be known of an observation to rank it."""

    @property
    def id(self) -> str: ...
    @property
    def provenance(self) -> Provenance: ...
    @property
    def verdict(self) -> Verdict: ...
    @property
    def observed_at(self) -> datetime | None: ...


Seen = TypeVar("Seen", bound=Observed)


def in_order(observations: Iterable[Seen]) -> list[Seen]:
    """Oldest first; the same order whatever ledger they came from."""
    return sorted(observations, key=lambda seen: (seen.observed_at or _EVER, seen.id))


def deciding_observation(observations: Sequence[Seen], same_day: Literal["latest", "worst"]) -> Seen | None:
    """The observation that decides a day, None for a day without any.

    A decided observation outranks an INCONCLUSIVE one, so that a rerun that failed hides nothing. Among the
    decided ones the latest counts, or the worst where ``same_day`` says so. Of two of one moment the worse counts:
    nobody can tell which came later.
    """
    if not observations:
        return None
    rank = max(_RANK[seen.provenance] for seen in observations)
    candidates = [seen for seen in observations if _RANK[seen.provenance] == rank]
    decided = [seen for seen in candidates if seen.verdict.decided]
    if same_day == "worst":
        failed = [seen for seen in decided if seen.verdict is Verdict.FAIL]
        decided = failed or decided
    return max(decided or candidates,
               key=lambda seen: (seen.observed_at or _EVER, seen.verdict is Verdict.FAIL, seen.id))
