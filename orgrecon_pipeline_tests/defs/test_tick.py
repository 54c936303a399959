"""The tick at 08:00 UTC, fired by a real daemon with a shifted clock."""

from __future__ import annotations

import os
from datetime import datetime, time, timedelta, timezone
from pathlib import Path

import dagster as dg
import pytest

from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline_tests.support.defs.host import Host
from orgrecon_pipeline_tests.support.defs.processes import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

# Written as sitecustomize.py, so that every Python process of the daemon shifts Dagster's clock back by the number of
# seconds in the file, except for small helpers that do not import Dagster. This relies on the private dagster._time.
SHIFT_CLOCK = """
import os, sys
def behind():
    with open(os.environ["BEHIND"]) as file:
        return float(file.read())
if any(word in " ".join(sys.orig_argv) for word in ("dagster-daemon", " grpc ", "spawn_main")):
    import dagster._time as clock
    real_datetime, real_timestamp = clock._mockable_get_current_datetime, clock._mockable_get_current_timestamp
    clock._mockable_get_current_datetime = lambda: real_datetime() - clock.timedelta(seconds=behind())
    clock._mockable_get_current_timestamp = lambda: real_timestamp() - behind()
"""


def test_schedule_at_eight_observes_today_and_a_fail_is_observed_again(host: Host, tmp_path: Path) -> None:
    """Today has drift at 08:00 and none half an hour later."""
    world = host.world
    now = datetime.now(timezone.utc)
    tick = datetime.combine(now.date(), time(8), timezone.utc)
    # Dagster's storage uses the real clock, so the shifted clock must not be ahead of it.
    tick -= timedelta(days=1) if tick > now else timedelta()
    day = tick.date()
    world.inject_drift()
    world.set_clock(day, 8, 1)  # too early for the sensor that makes up for missed ticks
    (tmp_path / "shifted").mkdir()
    (tmp_path / "shifted/sitecustomize.py").write_text(SHIFT_CLOCK, encoding="utf-8")
    shifted = {"BEHIND": str(tmp_path / "behind"),
               "PYTHONPATH": os.pathsep.join(filter(None, (str(tmp_path / "shifted"), os.environ.get("PYTHONPATH"))))}

    def set_dagster_clock(moment: datetime) -> None:
        (tmp_path / "new").write_text(str((datetime.now(timezone.utc) - moment).total_seconds()), encoding="ascii")
        (tmp_path / "new").replace(tmp_path / "behind")

    # The daemon evaluates schedules when it has started, some seconds later, and then at the beginning of each minute.
    set_dagster_clock(tick - timedelta(minutes=5, seconds=20))
    with host.daemon(ORGRECON_REOBSERVE_HOURS="0.5", **shifted):
        eventually(lambda: schedule_was_evaluated(host.instance), 120, host.log)  # the daemon skips earlier ticks
        assert not host.runs(day)
        set_dagster_clock(tick - timedelta(seconds=2))
        eventually(lambda: host.observed(day), 120, host.log)
        host.wait_until_idle()
        [run] = host.runs(day)
        assert run.tags["dagster/schedule_name"] == "every_utc_day"
        [observation] = world.ledger.observations(day)
        assert observation.verdict is Verdict.FAIL
        world.heal_drift()
        world.set_clock(day, 8, 31)
        eventually(lambda: len(world.ledger.observations(day)) == 2, 120, host.log)
        host.wait_until_idle()
    runs, log = host.runs(day), host.log()
    # Dagster repeats a run whose process it lost. The repetition has a parent, and may observe the day once more.
    requested = [run.tags.get("dagster/sensor_name") for run in runs if run.parent_run_id is None]
    assert requested == ["reobserve_today", None], (runs, log)
    first, *later = (observation.verdict for observation in world.ledger.observations(day))
    assert (first, set(later)) == (Verdict.FAIL, {Verdict.PASS}), (runs, log)
    assert runs[0].status is dg.DagsterRunStatus.SUCCESS, (runs, log)
    host.assert_no_overlapping_runs()


def schedule_was_evaluated(instance: dg.DagsterInstance) -> bool:
    """Return whether the daemon has evaluated the schedule."""
    return any(state.instigator_name == "every_utc_day" for state in instance.all_instigator_state())
