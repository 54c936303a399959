"""Dagster as it is deployed on a host: a real daemon on Postgres storage, and the processes below it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from itertools import pairwise
from pathlib import Path

import dagster as dg
from orgrecon_pipeline.defs.jobs import PARTITION_TAG

from orgrecon_pipeline_tests.support.defs.processes import MODULE, eventually, process
from orgrecon_pipeline_tests.support.defs.world import World

DEPLOYED = Path(__file__).parents[3] / "deploy/dagster/dagster.yaml"
DAY_SECONDS = 150.0
_UNFINISHED = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.QUEUED,
               dg.DagsterRunStatus.NOT_STARTED]
#: A comparison that waits for a table that somebody holds.
WAITING = ("SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
           "WHERE NOT granted AND a.application_name = 'orgrecon'")


class Host:
    """The daemon over a world, and the days as they pass."""

    def __init__(self, world: World, home: Path) -> None:
        self.world, self.home = world, home
        self._log = home / "daemon.log"

    @contextmanager
    def daemon(self, **more: str) -> Iterator[int]:
        """The daemon until the end of the block; its process id. ``more`` are further variables of its environment."""
        command = [str(Path(sys.executable).with_name("dagster-daemon")), "run", *MODULE]
        with process(command, {**self.world.environ, **more}, self.home, self._log) as started:
            yield started.pid

    def log(self) -> str:
        """The end of what the daemon said."""
        return self._log.read_text(errors="replace")[-4000:]

    def observed(self, day: date) -> bool:
        """Whether the day has evidence and report."""
        return bool(self.world.ledger.observations(day)) and (self.world.reports / f"{day}.md").exists()

    def passes(self, day: date, hour: int = 8, minute: int = 30) -> None:
        """The day comes, and the daemon sees to it."""
        self.world.at(day, hour, minute)
        eventually(lambda: self.observed(day), DAY_SECONDS, lambda: f"{day}: {self.log()}")
        self.quiet()

    def quiet(self) -> None:
        """Nothing is queued or under way."""
        eventually(lambda: not runs(statuses=_UNFINISHED), DAY_SECONDS, self.log)

    def waiting(self) -> bool:
        """Whether a comparison waits for a lock."""
        return bool(self.world.admin.execute(WAITING).fetchone()[0])


def runs(
    day: date | None = None, statuses: list[dg.DagsterRunStatus] | None = None
) -> list[dg.DagsterRun]:
    """The runs of the instance, or of a day, latest first."""
    tags = {PARTITION_TAG: str(day)} if day else {}
    with dg.DagsterInstance.get() as instance:
        return list(instance.get_runs(dg.RunsFilter(tags=tags, statuses=statuses)))


def below(pid: int) -> dict[int, str]:
    """The descendants of a process that a test started, with their command lines."""
    everything = _commands()
    wanted, found = {pid}, {}
    while True:
        more = {one: command for one, (parent, command) in everything.items()
                if parent in wanted and one not in found}
        if not more:
            return found
        found |= more
        wanted |= set(more)


def _commands() -> dict[int, tuple[int, str]]:
    found = {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                parent = int((place / "stat").read_text().rsplit(")", 1)[1].split()[1])
                found[int(place.name)] = parent, (place / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
    return found


def assert_never_twice_at_once() -> None:
    """Of all runs of one day, none began before the one before it had ended."""
    with dg.DagsterInstance.get() as instance:
        spans: dict[str, list[tuple[float, float]]] = {}
        for record in instance.get_run_records():
            partition = record.dagster_run.tags.get(PARTITION_TAG)
            if partition and record.start_time:
                spans.setdefault(partition, []).append((record.start_time, record.end_time or float("inf")))
    assert spans
    for partition, held in spans.items():
        held.sort()
        assert all(a[1] <= b[0] for a, b in pairwise(held)), (partition, held)
