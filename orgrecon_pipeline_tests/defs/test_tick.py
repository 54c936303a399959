"""The tick of 08:00 UTC, fired by a real daemon whose clock is moved; the schedule is as shipped."""

from __future__ import annotations

import os
from datetime import datetime, time, timedelta, timezone
from pathlib import Path

import dagster as dg
import pytest

from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline_tests.support.defs.host import Host, assert_never_twice_at_once, runs
from orgrecon_pipeline_tests.support.defs.processes import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

# Every Python below the daemon runs this before anything else: what Dagster itself takes for the present is moved by as
# many seconds as the file says.
MOVED = """
import os
import dagster._time as clock
def behind():
    with open(os.environ["BEHIND"]) as file:
        return float(file.read())
real_datetime, real_timestamp = clock._mockable_get_current_datetime, clock._mockable_get_current_timestamp
clock._mockable_get_current_datetime = lambda: real_datetime() - clock.timedelta(seconds=behind())
clock._mockable_get_current_timestamp = lambda: real_timestamp() - behind()
"""


def test_the_tick_fires_and_a_fail_is_observed_again(host: Host, tmp_path: Path) -> None:
    """Dagster's clock passes eight: the schedule observes today, which drifts; half an hour later it does not."""
    world = host.world
    now = datetime.now(timezone.utc)
    tick = datetime.combine(now.date(), time(8), timezone.utc)
    tick -= timedelta(days=1) if tick > now else timedelta()  # Dagster's storage goes by the real clock: never ahead
    day = tick.date()
    world.drift()
    world.at(day, 8, 1)  # too early for the sensor that looks for missed ticks
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved/sitecustomize.py").write_text(MOVED, encoding="utf-8")
    moved = {"BEHIND": str(tmp_path / "behind"),
             "PYTHONPATH": os.pathsep.join(filter(None, (str(tmp_path / "moved"), os.environ.get("PYTHONPATH"))))}

    def dagster_believes(moment: datetime) -> None:
        (tmp_path / "new").write_text(str((datetime.now(timezone.utc) - moment).total_seconds()), encoding="ascii")
        (tmp_path / "new").replace(tmp_path / "behind")

    dagster_believes(tick - timedelta(minutes=5))
    with host.daemon(ORGRECON_REOBSERVE_HOURS="0.5", **moved):
        eventually(schedule_is_seen, 120, host.log)  # it fires no tick of before
        assert not runs(day)
        dagster_believes(tick - timedelta(seconds=2))
        eventually(lambda: host.observed(day), 120, host.log)
        host.quiet()
        [run] = runs(day)
        assert run.tags["dagster/schedule_name"] == "every_utc_day"
        [seen] = world.ledger.observations(day)
        assert seen.verdict is Verdict.FAIL
        world.heal()
        world.at(day, 8, 31)
        eventually(lambda: len(world.ledger.observations(day)) == 2, 120, host.log)
        host.quiet()
    assert [seen.verdict for seen in world.ledger.observations(day)] == [Verdict.FAIL, Verdict.PASS]
    assert [(run.status.value, run.tags.get("dagster/sensor_name")) for run in runs(day)] == [
        ("SUCCESS", "reobserve_today"), ("SUCCESS", None)]
    assert_never_twice_at_once()


def schedule_is_seen() -> bool:
    """Whether the daemon has looked at the schedule."""
    with dg.DagsterInstance.get() as instance:
        return any(state.instigator_name == "every_utc_day" for state in instance.all_instigator_state())
