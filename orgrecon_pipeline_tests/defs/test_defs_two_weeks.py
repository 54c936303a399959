"""Two weeks of a real daemon on Postgres storage, in minutes: the clock is injected, everything else is real.

For four days the daemon is down, one morning the database is, once the code server is killed, and once a run in the
middle of its comparison.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from defs_processes import MODULE, eventually, process
from defs_world import World

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.report.read import read_report

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

INSTANCE = Path(__file__).parents[2] / "deploy/dagster/dagster.yaml"
DAY_SECONDS = 150.0


def commands() -> dict[int, tuple[int, str]]:
    """Every process: its parent, and its command line."""
    found = {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                parent = int((place / "stat").read_text().rsplit(")", 1)[1].split()[1])
                found[int(place.name)] = parent, (place / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
    return found


def below(pid: int) -> dict[int, str]:
    """The descendants of a process that this test started."""
    everything = commands()
    wanted, found = {pid}, {}
    while True:
        more = {one: command for one, (parent, command) in everything.items()
                if parent in wanted and one not in found}
        if not more:
            return found
        found |= more
        wanted |= set(more)


class Site:
    """The daemon over a world, and the days as they pass."""

    def __init__(self, world: World, home: Path) -> None:
        self.world, self.home = world, home
        self.log = home / "daemon.log"

    @contextmanager
    def daemon(self) -> Iterator[int]:
        """The daemon until the end of the block; its process id."""
        command = [str(Path(sys.executable).with_name("dagster-daemon")), "run", *MODULE]
        with process(command, self.world.environ, self.home, self.log) as started:
            yield started.pid

    def observed(self, day: date) -> bool:
        return bool(self.world.ledger.observations(day)) and (self.world.reports / f"{day}.md").exists()

    def passes(self, day: date) -> None:
        """The day comes, and the daemon sees to it."""
        self.world.at(day, 8, 30)
        eventually(lambda: self.observed(day), DAY_SECONDS, lambda: f"{day}: {self.log.read_text()[-4000:]}")
        self.quiet()

    def quiet(self) -> None:
        """Nothing is queued or under way."""

        def idle() -> bool:
            with dg.DagsterInstance.get() as instance:
                return not instance.get_run_records(
                    dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING,
                                            dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]), limit=1)

        eventually(idle, DAY_SECONDS, lambda: self.log.read_text()[-4000:])


@pytest.fixture
def site(
    world: World, server: EmbeddedServer, new_database: Callable[..., str], home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Site:
    """The world of a company, and Dagster as it is deployed on a host, with eager sensors."""
    (home / "dagster.yaml").write_text(INSTANCE.read_text(encoding="utf-8"), encoding="utf-8")
    first = datetime.now(timezone.utc).date() - timedelta(days=13)
    world.environ |= {
        "DAGSTER_HOME": str(home), "ORGRECON_SENSOR_SECONDS": "2", "ORGRECON_START_DATE": str(first),
        "DAGSTER_PG_URL": new_database().replace("postgresql://", "postgresql+psycopg2://"),
    }
    monkeypatch.setenv("DAGSTER_PG_URL", world.environ["DAGSTER_PG_URL"])
    return Site(world, home)


def test_two_weeks(site: Site, connect: Callable[[str], Any]) -> None:
    world = site.world
    today = datetime.now(timezone.utc).date()
    days = [today - timedelta(days=back) for back in reversed(range(14))]
    world.at(days[0], 7)
    with site.daemon():
        for day in days[:3]:
            site.passes(day)
    # Days 3 to 6: nobody is there.
    with ExitStack() as stack:
        world.at(days[7], 7)
        daemon = stack.enter_context(site.daemon())
        site.passes(days[7])
        # Day 8: the database is down in the morning, and back when the day is over.
        name = world.environ["DATABASE_URL"].split("@/")[1].split("?")[0]
        admin = connect(world.environ["DATABASE_URL"].replace(name, "postgres"))
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        site.passes(days[8])
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        # Day 9: the code server is killed before the day's hour.
        [code_server] = [pid for pid, command in below(daemon).items() if "api grpc" in command]
        os.kill(code_server, signal.SIGKILL)
        site.passes(days[9])
        site.passes(days[10])
        # Day 11: the run is killed in the middle of its comparison, which waits for a lock.
        world.mapping(lock_timeout_seconds=120, deadline_seconds=300)
        with psycopg.connect(world.environ["DATABASE_URL"]) as blocker:
            blocker.execute("LOCK TABLE public.team_members IN ACCESS EXCLUSIVE MODE")
            before = set(below(daemon))
            world.at(days[11], 8, 30)
            waits = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) " \
                    "WHERE NOT granted AND a.application_name = 'orgrecon'"
            eventually(lambda: world.admin.execute(waits).fetchone()[0], DAY_SECONDS,
                       lambda: site.log.read_text()[-4000:])
            workers = [pid for pid in below(daemon) if pid not in before]
            assert workers
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
        world.at(days[11], 9, 0)
        site.passes(days[11])
        for day in days[12:]:
            site.passes(day)
    verdicts = {}
    for day in days:
        deciding = world.ledger.deciding(day, "latest")
        verdicts[day] = deciding.verdict if deciding else Verdict.MISSING
    expected = dict.fromkeys(days, Verdict.PASS) | dict.fromkeys(days[3:7], Verdict.MISSING)
    expected[days[8]] = Verdict.INCONCLUSIVE
    assert verdicts == expected
    assert {day for day in days if (world.reports / f"{day}.md").exists()} == set(days) - set(days[3:7])
    assert all(read_report(path).day for path in world.reports.glob("*.md"))
    for day in days:
        assert len(world.ledger.observations(day)) <= (2 if day == days[11] else 1), day
    assert_never_twice_at_once()
    with dg.DagsterInstance.get() as instance:
        ends = [run.status.value for run in instance.get_runs(dg.RunsFilter(tags={"dagster/partition": str(days[11])}))]
    assert sorted(set(ends)) == ["FAILURE", "SUCCESS"]


def assert_never_twice_at_once() -> None:
    """Of all runs of one day, none began before the one before it had ended."""
    with dg.DagsterInstance.get() as instance:
        spans: dict[str, list[tuple[float, float]]] = {}
        for record in instance.get_run_records():
            partition = record.dagster_run.tags.get("dagster/partition")
            if partition and record.start_time:
                spans.setdefault(partition, []).append((record.start_time, record.end_time or float("inf")))
    assert spans
    for partition, held in spans.items():
        held.sort()
        assert all(a[1] <= b[0] for a, b in pairwise(held)), (partition, held)
