"""What is published about the evidence, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from orgrecon_pipeline.domain.evidence import Observation, Verdict


@dataclass(frozen=True)
class MetricsSnapshot:
    """The state of the evidence at one moment.

    ``latest`` is the deciding observation of ``latest_day``, the latest day that has any. ``last_completion`` is
    when the latest observation of any verdict was made, ``last_success`` the latest PASS; both None for never.
    ``observations`` counts what the ledger holds, by verdict. ``scan_seconds`` is how long the latest comparison
    took, None where none was made.
    """

    ledger_up: bool
    window_days: int
    latest_day: date | None = None
    latest: Observation | None = None
    last_completion: datetime | None = None
    last_success: datetime | None = None
    scan_seconds: float | None = None
    streak_days: int = 0
    live_days: int = 0
    gate_open: bool = False
    observations: Mapping[Verdict, int] = field(default_factory=dict)

    def unreachable(self) -> MetricsSnapshot:
        """What may still be said when the ledger does not answer: the last figures, but never an open gate.

        The figures are kept because an alert on drift that resolves itself, only because the ledger went away,
        would be read as good news. Their age is seen in the timestamps.
        """
        return replace(self, ledger_up=False, gate_open=False)
