"""The dual writer's metrics exist from the start and are correct for late, lost and pending writes."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from orgrecon_pipeline.metrics.dual_write import DualWriteMetrics


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make_metrics() -> tuple[DualWriteMetrics, CollectorRegistry, Clock]:
    registry, clock = CollectorRegistry(), Clock()
    return DualWriteMetrics(registry, ["org_units"], now=clock), registry, clock


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, {"entity": "org_units", **labels})


def test_series_are_zero_before_the_first_write() -> None:
    _, registry, _ = make_metrics()
    for side in ("source", "target"):
        assert value(registry, "dualwrite_last_success_timestamp_seconds", side=side) == 0
        for outcome in ("success", "failure"):
            assert value(registry, "dualwrite_writes_total", side=side, outcome=outcome) == 0
    assert value(registry, "dualwrite_lag_seconds_count") == 0
    assert value(registry, "dualwrite_oldest_pending_timestamp_seconds") == 0


def test_late_second_write_is_pending_until_it_succeeds_and_then_has_a_lag() -> None:
    metrics, registry, clock = make_metrics()
    metrics.wrote("org_units", "source", 1, success=True)
    clock.now = 1004
    metrics.wrote("org_units", "source", 2, success=True)
    metrics.wrote("org_units", "target", 1, success=False)
    assert value(registry, "dualwrite_oldest_pending_timestamp_seconds") == 1000
    clock.now = 1007
    metrics.wrote("org_units", "target", 1, success=True)
    assert value(registry, "dualwrite_oldest_pending_timestamp_seconds") == 1004
    metrics.gave_up("org_units", 2)
    assert value(registry, "dualwrite_oldest_pending_timestamp_seconds") == 0
    assert value(registry, "dualwrite_lag_seconds_sum") == 7
    assert value(registry, "dualwrite_lag_seconds_bucket", le="5.0") == 0
    assert value(registry, "dualwrite_lag_seconds_bucket", le="10.0") == 1
    assert value(registry, "dualwrite_writes_total", side="target", outcome="failure") == 1
    assert value(registry, "dualwrite_writes_total", side="target", outcome="success") == 1
    assert value(registry, "dualwrite_last_success_timestamp_seconds", side="target") == 1007


def test_pending_write_that_is_repeated_keeps_its_first_time() -> None:
    metrics, registry, clock = make_metrics()
    metrics.wrote("org_units", "source", 1, success=True)
    clock.now = 1050
    metrics.wrote("org_units", "source", 1, success=True)
    assert value(registry, "dualwrite_oldest_pending_timestamp_seconds") == 1000
