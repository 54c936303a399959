"""Observations during a dual-write workload: no false FAIL and no missed loss. The tests print their counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from orgrecon_pipeline.demo.faults import DriftingKey
from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.evidence import Observation, Verdict
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline_tests.support.operations.concurrency import wait_until
from orgrecon_pipeline_tests.support.operations.site import READER, Site, fast_mapping
from orgrecon_pipeline_tests.support.secret_canary import ENCODED
from orgrecon_pipeline_tests.support.workload.writer import DualWriter, DualWriterSettings

LAG = 0.1


@dataclass
class Count:
    """Counts over several observations."""

    verdicts: Counter[str] = field(default_factory=Counter)
    transient: int = 0
    false_fail: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def see(self, seen: Observation, lost_before: frozenset[DriftingKey], perhaps_lost: frozenset[DriftingKey]) -> None:
        """Compare an observation with the losses before it started, and with the possible losses when it ended."""
        self.verdicts[seen.verdict.value] += 1
        if seen.verdict is Verdict.INCONCLUSIVE:
            self.false_fail.append(seen.reason)  # nothing prevents a decision here
            return
        for name, totals in seen.entities.items():
            self.transient += totals.transient or 0
            for kind in DriftKind:
                found = getattr(totals, kind)
                at_least, at_most = (
                    sum(d.entity == name and d.kind == kind for d in drifts) for drifts in (lost_before, perhaps_lost))
                if found < at_least:
                    self.missed.append(f"{found} of {at_least} {kind} {name}")
                if found > at_most:
                    self.false_fail.append(f"{found} {kind} {name}, of which at most {at_most} were lost")
        expected = {Verdict.FAIL} if lost_before else {Verdict.PASS} if not perhaps_lost else {
            Verdict.PASS, Verdict.FAIL}
        if seen.verdict not in expected:
            (self.missed if lost_before else self.false_fail).append(seen.reason)

    def report(self, what: str) -> None:
        """Print the counts, and require that nothing was wrong."""
        print(f"{what}: {sum(self.verdicts.values())} observations {dict(self.verdicts)}, {self.transient} transient, "
              f"{len(self.false_fail)} false FAIL, {len(self.missed)} missed")
        assert self.false_fail == self.missed == []


def watch(site: Site, settings: DualWriterSettings, observations: int, *, lose_every: int = 0) -> tuple[Count, int]:
    """Observe during the workload and once after it. Return the counts and the number of lost keys."""
    count = Count()
    admin_dsn = site.dsn.replace(f"{READER}:{ENCODED}@", "postgres@")
    with DualWriter(admin_dsn, settings) as writer:
        for number in range(observations):
            if lose_every and number % lose_every == lose_every - 1:
                already = writer.lost
                writer.lose_next()
                wait_until(lambda: writer.lost != already)  # noqa: B023 - called at once
            before, operations = writer.lost, sum(writer.operations.values())
            seen = site.observe()
            count.see(seen, before, writer.possibly_lost)
            assert sum(writer.operations.values()) > operations, "the workload must write during the observation"
    count.see(site.observe(), writer.lost, writer.lost)
    return count, len(writer.lost)


LENGTHS = pytest.mark.parametrize("length", [
    pytest.param(6, id="short", marks=pytest.mark.brief),
    pytest.param(40, id="long", marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),  # 200 observations in all
])


def busy_mapping(**scan: Any) -> MappingConfig:
    """Return a mapping for an application in which more tenants leave in a minute than elsewhere in a day."""
    mapping = fast_mapping(**scan)
    return mapping.model_copy(update={"gate": mapping.gate.model_copy(update={"max_departures": 1.0})})


@LENGTHS
def test_dual_write_in_one_transaction_never_drifts(site: Site, length: int) -> None:
    """Without rechecks and at full speed, only the consistency of the snapshot prevents drift."""
    site.mapping = busy_mapping(settle_seconds=0.0, rechecks=0)
    count, _ = watch(site, DualWriterSettings(operations_per_second=None, workers=2), length)
    count.report("one transaction, no recheck")
    assert count.verdicts == {"PASS": length + 1}
    assert count.transient == 0


@LENGTHS
@pytest.mark.parametrize("first", ["legacy", "v2_3"])
def test_dual_write_with_a_lag_is_transient(site: Site, length: int, first: str) -> None:
    site.mapping = busy_mapping(settle_seconds=3 * LAG, rechecks=3)
    settings = DualWriterSettings(operations_per_second=150, lag_seconds=LAG, first=first)  # type: ignore[arg-type]
    count, _ = watch(site, settings, length)
    count.report(f"{first} first, the other {LAG} s later")
    assert count.verdicts == {"PASS": length + 1}
    assert count.transient > 0


@LENGTHS
@pytest.mark.parametrize("lag", [0.0, LAG])
def test_lost_writes_always_fail(site: Site, length: int, lag: float) -> None:
    """Every loss, before, between or during observations, is drift from then on, and nothing else is drift."""
    site.mapping = busy_mapping(settle_seconds=3 * LAG, rechecks=3)
    settings = DualWriterSettings(operations_per_second=150, lag_seconds=lag, loss=0.0005)
    count, lost = watch(site, settings, length, lose_every=2)
    count.report(f"losses with a lag of {lag} s, {lost} keys lost")
    assert lost
    assert count.verdicts["FAIL"] >= length - 1
