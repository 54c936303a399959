"""Two weeks of a real daemon on Postgres storage within minutes; only the clock is simulated.

The daemon is down for some days, the database for one morning. The code server is killed once, and so is a run: during
its comparison, or after it stored its evidence and before it wrote its report. ``ORGRECON_TEST_TIMINGS`` adds random
timings by their seeds, such as ``1,2,3``.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline_tests.support.default_identity import read_report
from orgrecon_pipeline_tests.support.defs.host import DAY_SECONDS, Host, descendants
from orgrecon_pipeline_tests.support.defs.processes import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

_DAYS = 14


@dataclass(frozen=True)
class Timing:
    """The days, counted from 0, on which each fault happens.

    ``after_commit`` says whether the run is killed after it stored its evidence, or during its comparison.
    """

    down: range
    database: int
    code_server: int
    run: int
    after_commit: bool = False

    @classmethod
    def from_seed(cls, seed: int) -> Timing:
        """Return a random timing."""
        rng = random.Random(seed)
        begin = rng.randrange(1, 9)
        down = range(begin, begin + rng.randrange(2, 5))
        others = [day for day in range(_DAYS) if day not in down]
        database, code_server, run = rng.sample(others, 3)
        return cls(down, database, code_server, run, after_commit=rng.random() < 0.5)


TIMINGS = {"four days from the fourth": Timing(range(3, 7), 8, 9, 11)} | {
    seed: Timing.from_seed(int(seed)) for seed in os.environ.get("ORGRECON_TEST_TIMINGS", "").split(",") if seed
}


@pytest.mark.parametrize("timing", TIMINGS.values(), ids=list(TIMINGS))
def test_two_weeks_with_faults_have_the_expected_verdicts_and_no_overlapping_runs(
    host: Host, connect: Callable[[str], Any], timing: Timing,
) -> None:
    world = host.world
    today = datetime.now(timezone.utc).date()
    days = [today - timedelta(days=back) for back in reversed(range(_DAYS))]
    world.set_clock(days[0], 7)
    with ExitStack() as stack:
        daemon = stack.enter_context(host.daemon())
        for number, day in enumerate(days):
            if number in timing.down:
                stack.close()
                continue
            if number - 1 in timing.down:
                world.set_clock(day, 7)
                daemon = stack.enter_context(host.daemon())
            if number == timing.database:
                pass_day_without_database(host, day, connect)
            elif number == timing.code_server:
                kill(eventually(lambda: code_servers(daemon), DAY_SECONDS, host.log))  # noqa: B023 - called at once
                host.pass_day(day)
            elif number == timing.run:
                (kill_run_after_commit if timing.after_commit else kill_run_during_comparison)(host, day, daemon)
                host.pass_day(day, 9, 0)
            else:
                host.pass_day(day)
    missing = [days[number] for number in timing.down]
    verdicts = {}
    for day in days:
        deciding = world.ledger.deciding(day, "latest")
        verdicts[day] = deciding.verdict if deciding else Verdict.MISSING
    expected = dict.fromkeys(days, Verdict.PASS) | dict.fromkeys(missing, Verdict.MISSING)
    expected[days[timing.database]] = Verdict.INCONCLUSIVE
    assert verdicts == expected
    assert {day for day in days if (world.reports / f"{day}.md").exists()} == set(days) - set(missing)
    assert all(read_report(path).day for path in world.reports.glob("*.md"))
    # The day of the killed run may have observations by that run, by Dagster's retry and by the sensor's attempt.
    # Every other day has one.
    most = dict.fromkeys(days, 1) | {days[timing.run]: 3 if timing.after_commit else 2}
    assert {day: n for day in days if (n := len(world.ledger.observations(day))) > most[day]} == {}
    host.assert_no_overlapping_runs()
    if not timing.after_commit:
        assert {run.status.value for run in host.runs(days[timing.run])} == {"FAILURE", "SUCCESS"}


def pass_day_without_database(host: Host, day: date, connect: Callable[[str], Any]) -> None:
    """Refuse connections to the database until the day is observed."""
    url = host.world.environ["DATABASE_URL"]
    name = url.split("@/")[1].split("?")[0]
    admin = connect(url.replace(name, "postgres"))
    admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    host.pass_day(day)
    admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def kill_run_during_comparison(host: Host, day: date, daemon: int) -> None:
    """Kill the run of the day while its comparison waits for a table lock."""
    host.world.write_mapping(lock_timeout_seconds=120, deadline_seconds=300)
    with psycopg.connect(host.world.environ["DATABASE_URL"]) as blocker:
        blocker.execute("LOCK TABLE public.team_members IN ACCESS EXCLUSIVE MODE")
        before = set(descendants(daemon))
        host.world.set_clock(day, 8, 30)
        eventually(host.comparison_waits, DAY_SECONDS, host.log)
        processes = new_run_processes(daemon, before)
        assert processes
        kill(processes)


def kill_run_after_commit(host: Host, day: date, daemon: int) -> None:
    """Kill the run of the day when it has stored its evidence."""
    before = set(descendants(daemon))
    host.world.set_clock(day, 8, 30)
    eventually(lambda: host.world.ledger.observations(day), DAY_SECONDS, host.log)
    kill(new_run_processes(daemon, before))


def code_servers(daemon: int) -> set[int]:
    """Return the process ids of the daemon's code servers: usually one, but for some seconds none or two."""
    return {pid for pid, command in descendants(daemon).items() if "api grpc" in command}


def new_run_processes(daemon: int, before: set[int]) -> set[int]:
    """Return the descendants that are not in ``before`` and not code servers."""
    return {pid for pid, command in descendants(daemon).items() if pid not in before and "api grpc" not in command}


def kill(processes: set[int]) -> None:
    for pid in processes:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
