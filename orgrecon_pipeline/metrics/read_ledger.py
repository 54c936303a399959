"""From the ledger to what is published."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from orgrecon_pipeline.config.mapping_file import load_mapping
from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.evidence import Observation, Provenance, Verdict
from orgrecon_pipeline.domain.gate import DayEvidence
from orgrecon_pipeline.domain.mapping import GatePolicy
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.open import open_existing
from orgrecon_pipeline.metrics.collector import EvidenceCollector
from orgrecon_pipeline.metrics.snapshot import MetricsSnapshot
from orgrecon_pipeline.operations.clock import SIMULATED_NOW_VARIABLE, clock_of
from orgrecon_pipeline.operations.gate.current import current_gate

# A baseline compares nothing and a restored database shows another day: neither says that the daily run works.
_DAILY = (Provenance.LIVE, Provenance.SIMULATED)


def open_collector(settings: Settings) -> EvidenceCollector:
    """What publishes the ledger of the settings; a ledger that is not there yet is published as being down.

    Raises:
        ConfigurationError: when the mapping cannot be used.
    """
    mapping = load_mapping(settings.mapping_file, settings.environ)
    clock = clock_of(settings.environ.get(SIMULATED_NOW_VARIABLE))
    return EvidenceCollector(
        lambda: read_snapshot(settings.ledger_url, mapping.gate, clock.now()), tuple(mapping.entities),
        mapping.gate.window_days,
    )


def read_snapshot(ledger_url: str, policy: GatePolicy, now: datetime) -> MetricsSnapshot:
    """The state of the evidence in the ledger at ``ledger_url``, which is opened anew: it may have come back.

    Raises:
        ConfigurationError: when there is no ledger, or it cannot be read. None yet and gone again look the same from
            here, and the second must be seen.
    """
    ledger = open_existing(ledger_url)
    if ledger is None:
        raise ConfigurationError("there is no ledger: run orgrecon report once, or check ORGRECON_LEDGER_URL.")
    return snapshot_of(ledger, policy, now)


def snapshot_of(ledger: Ledger, policy: GatePolicy, now: datetime) -> MetricsSnapshot:
    """The state of the evidence at a moment, with the gate as of today or yesterday (UTC)."""
    days = ledger.evidence(date.max, policy.same_day)
    gate = current_gate(days, policy, now)
    latest_day = max(days, default=None)
    latest = ledger.deciding(latest_day, policy.same_day) if latest_day else None
    completed = ledger.latest(_DAILY)
    passed = _last_pass(ledger, days, policy)
    return MetricsSnapshot(
        ledger_up=True,
        window_days=policy.window_days,
        latest_day=latest_day,
        latest=latest,
        last_completion=completed.observed_at if completed else None,
        last_success=passed.observed_at if passed else None,
        scan_seconds=_scan_seconds(latest),
        streak_days=gate.judgement.streak_days,
        live_days=gate.judgement.live_days,
        gate_open=gate.open,
        observations=ledger.verdict_counts(),
    )


def _last_pass(ledger: Ledger, days: Mapping[date, DayEvidence], policy: GatePolicy) -> Observation | None:
    passed = [day for day, seen in days.items() if seen.verdict is Verdict.PASS and seen.provenance in _DAILY]
    return ledger.deciding(max(passed), policy.same_day) if passed else None


def _scan_seconds(latest: Observation | None) -> float | None:
    seconds = latest.compared.get("seconds") if latest else None
    return float(seconds) if isinstance(seconds, int | float) else None
