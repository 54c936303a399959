"""The evidence as Prometheus metrics: names, labels and units are a public contract of alerts and dashboard.

Days are counted as the daily reports that they are (``_reports``): a unit of time would have to be seconds.

No tenant is ever a label: their number has no bound, and their names are nobody's business but the report's.
Every label set is present from the first scrape on, so that an alert never waits for a series to appear. What is
not known (before the first observation, after an INCONCLUSIVE one) is NaN and never 0.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from orgrecon_pipeline.domain.days import midnight
from orgrecon_pipeline.domain.errors import OrgreconError
from orgrecon_pipeline.domain.evidence import KINDS, EntityTotals, Verdict
from orgrecon_pipeline.metrics.snapshot import MetricsSnapshot
from orgrecon_pipeline.version import __version__

Metric = GaugeMetricFamily | CounterMetricFamily | InfoMetricFamily

_log = logging.getLogger(__name__)

_SIDES = ("source", "target")
_VERDICTS = (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE)


class EvidenceCollector(Collector):
    """Reads the ledger at every scrape; one scrape at a time.

    ``read`` returns the present state and raises when the ledger does not answer: the scrape is then answered
    all the same, with ``orgrecon_ledger_up 0`` and a closed gate.
    """

    def __init__(self, read: Callable[[], MetricsSnapshot], entities: Sequence[str], window_days: int) -> None:
        self._read = read
        self._entities = tuple(entities)
        self._lock = threading.Lock()
        self._last = MetricsSnapshot(ledger_up=False, window_days=window_days)
        self._complained = False

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        return iter(families(self.current(), self._entities))

    def current(self) -> MetricsSnapshot:
        """The present state, or the last known one as :meth:`MetricsSnapshot.unreachable`."""
        with self._lock:
            try:
                self._last = self._read()
                self._complained = False
            except Exception as error:  # whatever is wrong with the ledger, a scrape must say that it is down
                self._complain(error)
                self._last = self._last.unreachable()
            return self._last

    def _complain(self, error: Exception) -> None:
        # Once, and not with every scrape. Only our own errors are known to hold no secret.
        if not self._complained:
            _log.error("%s", error if isinstance(error, OrgreconError) else f"the ledger: {type(error).__name__}")
        self._complained = True

    def describe(self) -> list[Metric]:
        """Nothing: registering must not read the ledger."""
        return []


def registry_of(collector: EvidenceCollector) -> CollectorRegistry:
    """A registry that holds the evidence and nothing else."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return registry


def families(snapshot: MetricsSnapshot, entities: Sequence[str]) -> list[Metric]:
    """Every metric of a snapshot; ``entities`` are those of the mapping, in its order."""
    info = InfoMetricFamily("orgrecon_build", "The version of orgrecon that answers.")
    info.add_metric([], {"version": __version__})
    return [info, *_freshness(snapshot), *_gate(snapshot), *_latest_day(snapshot, entities)]


def _freshness(snapshot: MetricsSnapshot) -> list[Metric]:
    observations = CounterMetricFamily(
        "orgrecon_observations", "Observations that the ledger holds, by verdict.", labels=["verdict"]
    )
    for verdict in _VERDICTS:
        observations.add_metric([verdict.value], snapshot.observations.get(verdict, 0))
    return [
        _gauge("orgrecon_ledger_up", "1 while the ledger answers; at 0 all other figures are the last known ones.",
               snapshot.ledger_up),
        _gauge("orgrecon_last_completion_timestamp_seconds",
               "When the latest observation was made, whatever its verdict; 0 for never.",
               _instant(snapshot.last_completion)),
        _gauge("orgrecon_last_success_timestamp_seconds", "When the latest PASS was observed; 0 for never.",
               _instant(snapshot.last_success)),
        observations,
    ]


def _gate(snapshot: MetricsSnapshot) -> list[Metric]:
    return [
        _gauge("orgrecon_gate_open", "1 while the zero-delta gate is open, as of today or yesterday (UTC).",
               snapshot.gate_open),
        _gauge("orgrecon_streak_reports", "Consecutive clean days, as of today or yesterday (UTC).",
               snapshot.streak_days),
        _gauge("orgrecon_window_reports", "Consecutive clean days that the gate needs.", snapshot.window_days),
        _gauge("orgrecon_live_reports", "Counted days that compared a live database.", snapshot.live_days),
    ]


def _latest_day(snapshot: MetricsSnapshot, entities: Sequence[str]) -> list[Metric]:
    latest = snapshot.latest
    verdicts = GaugeMetricFamily(
        "orgrecon_day_verdict", "1 for the verdict of the latest day, 0 for the others.", labels=["verdict"]
    )
    for verdict in _VERDICTS:
        verdicts.add_metric([verdict.value], latest is not None and latest.verdict is verdict)
    drift = GaugeMetricFamily(
        "orgrecon_drift_rows", "Drifting keys of the latest day, by kind.", labels=["entity", "kind"]
    )
    transient = GaugeMetricFamily(
        "orgrecon_transient_rows", "Keys of the latest day that drifted and had healed when read again.",
        labels=["entity"],
    )
    compared = GaugeMetricFamily(
        "orgrecon_rows_compared", "Rows that the latest day compared, by side.", labels=["entity", "side"]
    )
    for entity in entities:
        totals = (latest.entities.get(entity) if latest else None) or EntityTotals.unknown()
        for kind in KINDS:
            drift.add_metric([entity, kind], _known(getattr(totals, kind)))
        transient.add_metric([entity], _known(totals.transient))
        for side in _SIDES:
            compared.add_metric([entity, side], _known(getattr(totals, f"{side}_rows")))
    return [
        _gauge("orgrecon_latest_day_timestamp_seconds", "Midnight (UTC) of the latest day with evidence; 0 for none.",
               _instant(midnight(snapshot.latest_day)) if snapshot.latest_day else 0),
        verdicts,
        _gauge("orgrecon_tenants_scanned", "Tenants that the latest day compared.",
               _known(latest.tenants_scanned if latest else None)),
        _gauge("orgrecon_tenants_with_drift", "Tenants of the latest day with any drift.",
               _known(latest.tenants_with_drift if latest else None)),
        drift, transient, compared,
        _gauge("orgrecon_scan_duration_seconds", "How long the latest day's comparison took.",
               _known(snapshot.scan_seconds)),
    ]


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _known(figure: float | None) -> float:
    return math.nan if figure is None else figure


def _instant(moment: datetime | None) -> float:
    return 0.0 if moment is None else moment.timestamp()
