"""State of the evidence at one moment, read from the ledger, as the metrics publish it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path

from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.evidence import Observation, Provenance, Verdict
from orgrecon_pipeline.domain.mapping.model import GatePolicy, MappingConfig
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.metrics.tenant_figures import UNKNOWN, TenantCounter, TenantFigures
from orgrecon_pipeline.operations.gate.sources import GateEvidence, evidence_of_ledger
from orgrecon_pipeline.operations.own_ledger import existing_ledger

# A baseline compares nothing and a restored database belongs to another day, so neither shows that the daily run works.
_DAILY = (Provenance.LIVE, Provenance.SIMULATED)


@dataclass(frozen=True)
class MetricsSnapshot:
    """State of the evidence of an identity at one moment. ``ledger`` is the id of its ledger, empty if unknown.

    ``latest`` is the deciding observation of ``latest_day``, the latest day with an observation. ``last_completion`` is
    the time of the latest daily observation with any verdict, ``last_success`` that of the latest PASS; None if there
    is none. ``observations`` holds the number of stored observations by verdict. ``scan_seconds`` is the duration of
    the latest comparison; None if the latest day was not compared.
    """

    ledger_up: bool
    window_days: int
    ledger: str = ""
    latest_day: date | None = None
    latest: Observation | None = None
    last_completion: datetime | None = None
    last_success: datetime | None = None
    scan_seconds: float | None = None
    streak_days: int = 0
    live_days: int = 0
    gate_open: bool = False
    observations: Mapping[Verdict, int] = field(default_factory=dict)
    tenants: TenantFigures = UNKNOWN

    def unreachable(self) -> MetricsSnapshot:
        """Return the snapshot to publish while the ledger does not answer: the same figures and a closed gate.

        Figures that disappeared would resolve an alert on drift, which would read as good news. The timestamps show
        how old the figures are. The number of ready tenants becomes unknown, because an old one could be too high.
        """
        return replace(self, ledger_up=False, gate_open=False, tenants=UNKNOWN)


def read_snapshot(
    settings: Settings, mapping: MappingConfig, now: datetime, tenants: TenantCounter | None = None
) -> MetricsSnapshot:
    """Open the ledger and return the state of its evidence, with the gate as of today or yesterday (UTC).

    Reports in the output directory that the ledger lacks close the gate.

    Raises:
        ConfigurationError: if there is no ledger (not yet, or no longer), or it cannot be read.
        UsageError: if it is not clear which identity is meant.
    """
    ledger = existing_ledger(settings, mapping)
    if ledger is None:
        raise ConfigurationError("there is no ledger: run orgrecon report once, or check ORGRECON_LEDGER_URL.")
    return take_snapshot(ledger, mapping.gate, now, mapping.digest, settings.output_dir, tenants)


def take_snapshot(
    ledger: Ledger, policy: GatePolicy, now: datetime, mapping_digest: str | None = None, trail: Path | None = None,
    tenants: TenantCounter | None = None,
) -> MetricsSnapshot:
    """Return the state of the evidence in an open ledger; see :func:`read_snapshot`."""
    days, distrust, _ = evidence_of_ledger(ledger, trail, policy) if trail else (ledger.evidence(date.max), None, None)
    evidence = GateEvidence(ledger.identity, ledger, {}, days, policy, now, mapping_digest, distrust=distrust)
    gate = evidence.answer
    latest_day = max(days, default=None)
    latest = ledger.deciding(latest_day, policy.same_day) if latest_day else None
    completed = ledger.latest(_DAILY)
    passed_day = max((
        day for day, evidence in days.items() if evidence.verdict is Verdict.PASS and evidence.provenance in _DAILY
    ), default=None)
    passed = ledger.deciding(passed_day, policy.same_day) if passed_day else None
    seconds = latest.compared.get("seconds") if latest else None
    return MetricsSnapshot(
        ledger_up=True,
        ledger=ledger.id,
        window_days=policy.window_days,
        latest_day=latest_day,
        latest=latest,
        last_completion=completed.observed_at if completed else None,
        last_success=passed.observed_at if passed else None,
        scan_seconds=None if seconds is None else float(seconds),
        streak_days=gate.decision.streak_days,
        live_days=gate.decision.live_days,
        gate_open=gate.open,
        observations=ledger.verdict_counts(),
        tenants=(tenants or TenantCounter()).count(evidence),
    )
