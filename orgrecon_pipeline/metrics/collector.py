"""Prometheus metrics of the evidence. Names, labels and units are a public contract with alerts and dashboards.

Every metric has the labels ``migration`` and ``environment``, so that several exporters can share one Prometheus.
Streaks are counted in daily reports (``_reports``), because a unit of time would have to be seconds. No tenant is ever
a label: their number has no bound, and their names are private. All series exist from the first scrape on, so an alert
never waits for one to appear. An unknown figure is NaN, never 0.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.days import midnight
from orgrecon_pipeline.domain.drift.key import KeyState
from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.errors import OrgreconError
from orgrecon_pipeline.domain.evidence import Change, EntityTotals, Verdict
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.mapping.model import SIDES
from orgrecon_pipeline.metrics.snapshot import MetricsSnapshot, read_snapshot
from orgrecon_pipeline.metrics.tenant_figures import TenantCounter
from orgrecon_pipeline.operations.clock import read_clock
from orgrecon_pipeline.version import __version__

Metric = GaugeMetricFamily | CounterMetricFamily | InfoMetricFamily

_log = logging.getLogger(__name__)

_VERDICTS = (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE)


class EvidenceCollector(Collector):
    """Prometheus collector that reads the ledger at every scrape, one scrape at a time.

    ``read`` returns the current state. If it raises, the scrape is answered with ``orgrecon_ledger_up 0``, a closed
    gate and the last known figures.
    """

    def __init__(
        self, read: Callable[[], MetricsSnapshot], identity: Identity, entities: Sequence[str], window_days: int
    ) -> None:
        self._read = read
        self._identity = identity
        self._entities = tuple(entities)
        self._lock = threading.Lock()
        self._last = MetricsSnapshot(ledger_up=False, window_days=window_days)
        self._logged_error = False

    def collect(self) -> Iterator[Metric]:
        """Return the current metrics."""
        return iter(metric_families(self.current(), self._identity, self._entities))

    def current(self) -> MetricsSnapshot:
        """Return the current state, or :meth:`MetricsSnapshot.unreachable` of the last state if the ledger fails."""
        with self._lock:
            try:
                self._last = self._read()
                self._logged_error = False
            except Exception as error:  # any failure must appear in the scrape as a ledger that is down
                if not self._logged_error:
                    # Only the message of an OrgreconError is known to contain no secret.
                    known = isinstance(error, OrgreconError)
                    _log.error("%s", error if known else f"cannot read the ledger: {type(error).__name__}")
                self._logged_error = True
                self._last = self._last.unreachable()
            return self._last

    def describe(self) -> list[Metric]:
        """Return no metrics, so that registration does not read the ledger."""
        return []


def open_collector(settings: Settings, *, wait_seconds: float | None = None) -> EvidenceCollector:
    """Return the collector for the ledger of the settings; a ledger that does not exist yet counts as down.

    ``wait_seconds`` is how long a scrape waits for the figures of the tenants; see :class:`TenantCounter`.
    """
    tenants = TenantCounter(wait_seconds)
    mapping = settings.mapping
    clock = read_clock(settings.environ)
    return EvidenceCollector(
        lambda: read_snapshot(settings, mapping, clock.now(), tenants),
        mapping.identity(settings.environment), tuple(mapping.entities), mapping.gate.window_days,
    )


def make_registry(collector: EvidenceCollector) -> CollectorRegistry:
    """Return a registry that contains only this collector."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return registry


def metric_families(snapshot: MetricsSnapshot, identity: Identity, entities: Sequence[str]) -> list[Metric]:
    """Return every metric of a snapshot of an identity, for the mapping's ``entities`` in their order."""
    build = InfoMetricFamily("orgrecon_build", "Always 1; the label is the version that serves the metrics.")
    build.add_metric([], {"version": __version__})
    ledger = InfoMetricFamily("orgrecon_ledger", "Always 1; the label is the ledger id, empty while it is unknown.")
    ledger.add_metric([], {"ledger": snapshot.ledger})
    metrics = [build, ledger, *_freshness(snapshot), *_gate(snapshot), *_latest_day(snapshot, entities)]
    for metric in metrics:
        for sample in metric.samples:
            sample.labels.update(identity.as_json_value())
    return metrics


def _freshness(snapshot: MetricsSnapshot) -> list[Metric]:
    observations = CounterMetricFamily(
        "orgrecon_observations", "Observations in the ledger, by verdict.", labels=["verdict"])
    for verdict in _VERDICTS:
        observations.add_metric([verdict.value], snapshot.observations.get(verdict, 0))
    return [
        GaugeMetricFamily(
            "orgrecon_ledger_up",
            "1 while the ledger can be read. At 0, the gate is closed, the figures of tenant gates are unknown, and "
            "all other metrics have their last known values.", snapshot.ledger_up),
        GaugeMetricFamily(
            "orgrecon_last_completion_timestamp_seconds",
            "Time of the latest observation with any verdict; 0 if there is none.",
            _timestamp(snapshot.last_completion)),
        GaugeMetricFamily(
            "orgrecon_last_success_timestamp_seconds", "Time of the latest PASS; 0 if there is none.",
            _timestamp(snapshot.last_success)),
        observations,
    ]


def _gate(snapshot: MetricsSnapshot) -> list[Metric]:
    return [
        GaugeMetricFamily(
            "orgrecon_gate_open", "1 while the zero-delta gate is open, as of today or yesterday (UTC).",
            snapshot.gate_open),
        GaugeMetricFamily(
            "orgrecon_streak_reports", "Consecutive clean days, as of today or yesterday (UTC).",
            snapshot.streak_days),
        GaugeMetricFamily(
            "orgrecon_window_reports", "Consecutive clean days that the gate needs.", snapshot.window_days),
        GaugeMetricFamily(
            "orgrecon_live_reports", "Counted days on which a live database was compared.", snapshot.live_days),
        GaugeMetricFamily(
            "orgrecon_tenants_ready",
            "Tenants whose tenant gate is open, as of today or yesterday (UTC); NaN while it is unknown.",
            _figure(snapshot.tenants.ready)),
        GaugeMetricFamily(
            "orgrecon_tenants_total", "Tenants that were compared and have not left; NaN while it is unknown.",
            _figure(snapshot.tenants.total)),
    ]


def _latest_day(snapshot: MetricsSnapshot, entities: Sequence[str]) -> list[Metric]:
    latest = snapshot.latest
    verdicts = GaugeMetricFamily(
        "orgrecon_day_verdict", "1 for the verdict of the latest day, 0 for the other verdicts.", labels=["verdict"])
    for verdict in _VERDICTS:
        verdicts.add_metric([verdict.value], latest is not None and latest.verdict is verdict)
    drift = GaugeMetricFamily(
        "orgrecon_drift_rows", "Drifting keys of the latest day, by kind.", labels=["entity", "kind"])
    transient = GaugeMetricFamily(
        "orgrecon_transient_rows", "Keys of the latest day that differed, but not when they were read again.",
        labels=["entity"])
    compared = GaugeMetricFamily(
        "orgrecon_rows_compared", "Rows compared on the latest day, by side.", labels=["entity", "side"])
    for entity in entities:
        totals = (latest.entities.get(entity) if latest else None) or EntityTotals.unknown()
        for kind, keys in totals.counts.items():
            drift.add_metric([entity, kind], _figure(keys))
        transient.add_metric([entity], _figure(totals.transient))
        for side in SIDES:
            compared.add_metric([entity, side], _figure(getattr(totals, f"{side}_rows")))
    return [
        GaugeMetricFamily(
            "orgrecon_latest_day_timestamp_seconds",
            "Midnight (UTC) of the latest day with evidence; 0 if there is none.",
            _timestamp(midnight(snapshot.latest_day) if snapshot.latest_day else None)),
        verdicts,
        GaugeMetricFamily(
            "orgrecon_tenants_scanned", "Tenants scanned on the latest day.",
            _figure(latest.tenants_scanned if latest else None)),
        GaugeMetricFamily(
            "orgrecon_tenants_with_drift", "Tenants with drift on the latest day.",
            _figure(latest.tenants_with_drift if latest else None)),
        drift, *_change(latest.change if latest else None, entities), transient, compared,
        GaugeMetricFamily(
            "orgrecon_scan_duration_seconds", "Duration of the comparison of the latest day.",
            _figure(snapshot.scan_seconds)),
    ]


def _change(change: Change | None, entities: Sequence[str]) -> list[Metric]:
    states = GaugeMetricFamily(
        "orgrecon_drift_state_rows",
        "Drifting keys of the latest day by kind: new, persistent or healed since the previous decided day.",
        labels=["entity", "kind", "state"])
    oldest = GaugeMetricFamily(
        "orgrecon_oldest_drift_timestamp_seconds",
        "Midnight (UTC) of the day on which the oldest drift that is still there was first seen; 0 if there is none.",
        labels=["entity"])
    for entity in entities:
        kinds = change.entities.get(entity, {}) if change else {}
        for kind in DriftKind:
            for state in KeyState:
                keys = getattr(kinds[kind.value], state.value) if kind.value in kinds else None
                states.add_metric([entity, kind.value, state.value], _figure(keys))
        first = change.oldest.get(entity) if change else None
        known = change is not None and (first is not None or entity not in change.oldest)
        oldest.add_metric([entity], _timestamp(midnight(first.first_seen) if first else None) if known else math.nan)
    return [states, oldest]


def _figure(figure: float | None) -> float:
    return math.nan if figure is None else figure


def _timestamp(moment: datetime | None) -> float:
    return 0.0 if moment is None else moment.timestamp()
