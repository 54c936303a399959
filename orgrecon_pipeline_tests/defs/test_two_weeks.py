"""Two weeks of a real daemon on Postgres storage, in minutes: the clock is injected, everything else is real.

For some days the daemon is down, one morning the database is, once the code server is killed, and once a run: in the
middle of its comparison, or when the evidence is kept and the report is not written yet. ``ORGRECON_TEST_TIMINGS``
names other timings than the one below, by numbers, such as ``1,2,3``.
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
from orgrecon_pipeline.report.read import read_report
from orgrecon_pipeline_tests.support.defs.host import DAY_SECONDS, Host, assert_never_twice_at_once, below, runs
from orgrecon_pipeline_tests.support.defs.processes import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

_DAYS = 14


@dataclass(frozen=True)
class Timing:
    """What happens on which of the days, counted from 0."""

    down: range
    database: int
    code_server: int
    run: int
    #: Whether the run is killed when its evidence is kept, instead of in the middle of its comparison.
    kept: bool = False

    @classmethod
    def of(cls, number: int) -> Timing:
        """Any other timing."""
        chance = random.Random(number)
        begin = chance.randrange(1, 9)
        down = range(begin, begin + chance.randrange(2, 5))
        others = [day for day in range(_DAYS) if day not in down]
        database, code_server, run = chance.sample(others, 3)
        return cls(down, database, code_server, run, kept=chance.random() < 0.5)


TIMINGS = {"four days from the fourth": Timing(range(3, 7), 8, 9, 11)} | {
    number: Timing.of(int(number)) for number in os.environ.get("ORGRECON_TEST_TIMINGS", "").split(",") if number
}


@pytest.mark.parametrize("timing", TIMINGS.values(), ids=list(TIMINGS))
def test_two_weeks(host: Host, connect: Callable[[str], Any], timing: Timing) -> None:
    world = host.world
    today = datetime.now(timezone.utc).date()
    days = [today - timedelta(days=back) for back in reversed(range(_DAYS))]
    world.at(days[0], 7)
    with ExitStack() as stack:
        daemon = stack.enter_context(host.daemon())
        for number, day in enumerate(days):
            if number in timing.down:
                stack.close()
                continue
            if number - 1 in timing.down:
                world.at(day, 7)
                daemon = stack.enter_context(host.daemon())
            if number == timing.database:
                a_morning_without_database(host, day, connect)
            elif number == timing.code_server:
                kill(eventually(lambda: code_servers(daemon), DAY_SECONDS, host.log))  # noqa: B023 - called at once
                host.passes(day)
            elif number == timing.run:
                (killed_when_it_is_kept if timing.kept else killed_in_the_middle)(host, day, daemon)
                host.passes(day, 9, 0)
            else:
                host.passes(day)
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
    # The day of the killed run may have what that kept, what Dagster's retry and what the sensor's own attempt found,
    # one after the other; every other day has one observation.
    most = dict.fromkeys(days, 1) | {days[timing.run]: 3 if timing.kept else 2}
    assert {day: n for day in days if (n := len(world.ledger.observations(day))) > most[day]} == {}
    assert_never_twice_at_once()
    if not timing.kept:
        assert {run.status.value for run in runs(days[timing.run])} == {"FAILURE", "SUCCESS"}


def a_morning_without_database(host: Host, day: date, connect: Callable[[str], Any]) -> None:
    """It is back when the day is over."""
    url = host.world.environ["DATABASE_URL"]
    name = url.split("@/")[1].split("?")[0]
    admin = connect(url.replace(name, "postgres"))
    admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    host.passes(day)
    admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def killed_in_the_middle(host: Host, day: date, daemon: int) -> None:
    """The day's run waits for a lock when it is killed."""
    host.world.mapping(lock_timeout_seconds=120, deadline_seconds=300)
    with psycopg.connect(host.world.environ["DATABASE_URL"]) as blocker:
        blocker.execute("LOCK TABLE public.team_members IN ACCESS EXCLUSIVE MODE")
        before = set(below(daemon))
        host.world.at(day, 8, 30)
        eventually(host.waiting, DAY_SECONDS, host.log)
        workers = new_below(daemon, before)
        assert workers
        kill(workers)


def killed_when_it_is_kept(host: Host, day: date, daemon: int) -> None:
    """The day's run has kept its evidence when it is killed."""
    before = set(below(daemon))
    host.world.at(day, 8, 30)
    eventually(lambda: host.world.ledger.observations(day), DAY_SECONDS, host.log)
    kill(new_below(daemon, before))


def code_servers(daemon: int) -> set[int]:
    """Where the daemon has the code from; for some seconds there may be none, or two."""
    return {pid for pid, command in below(daemon).items() if "api grpc" in command}


def new_below(daemon: int, before: set[int]) -> set[int]:
    """The processes of runs; a code server that was started in between is none."""
    return {pid for pid, command in below(daemon).items() if pid not in before and "api grpc" not in command}


def kill(workers: set[int]) -> None:
    for pid in workers:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
