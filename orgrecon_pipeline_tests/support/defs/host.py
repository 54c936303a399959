"""Dagster as deployed on a host: a real daemon with Postgres storage, and its child processes."""

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
#: Counts comparisons that wait for a table lock.
WAITING = ("SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
           "WHERE NOT granted AND a.application_name = 'orgrecon'")


class Host:
    """A daemon for a world, and waiting for what it does. ``instance`` stays open, because opening it is slow."""

    def __init__(self, world: World, home: Path, instance: dg.DagsterInstance) -> None:
        self.world, self.home, self.instance = world, home, instance
        self._log = home / "daemon.log"

    @contextmanager
    def daemon(self, **more: str) -> Iterator[int]:
        """Run the daemon until the block ends and yield its process id.

        Args:
            more: additional environment variables.
        """
        command = [str(Path(sys.executable).with_name("dagster-daemon")), "run", *MODULE]
        with process(command, {**self.world.environ, **more}, self.home, self._log) as started:
            yield started.pid

    def log(self) -> str:
        """Return the end of the daemon's log."""
        return self._log.read_text(errors="replace")[-4000:]

    def observed(self, day: date) -> bool:
        """Return whether the day has evidence and a report."""
        return bool(self.world.ledger.observations(day)) and (self.world.reports / f"{day}.md").exists()

    def pass_day(self, day: date, hour: int = 8, minute: int = 30) -> None:
        """Set the clock to a day and wait until the daemon has observed it."""
        self.world.set_clock(day, hour, minute)
        eventually(lambda: self.observed(day), DAY_SECONDS, lambda: f"{day}: {self.log()}")
        self.wait_until_idle()

    def wait_until_idle(self) -> None:
        """Wait until no run is queued or active."""
        eventually(lambda: not self.runs(statuses=_UNFINISHED), DAY_SECONDS, self.log)

    def comparison_waits(self) -> bool:
        """Return whether a comparison waits for a lock."""
        return bool(self.world.admin.execute(WAITING).fetchone()[0])

    def runs(self, day: date | None = None, statuses: list[dg.DagsterRunStatus] | None = None) -> list[dg.DagsterRun]:
        """Return the runs of the instance, latest first; of one day and with these statuses, if given."""
        tags = {PARTITION_TAG: str(day)} if day else {}
        return list(self.instance.get_runs(dg.RunsFilter(tags=tags, statuses=statuses)))

    def assert_no_overlapping_runs(self) -> None:
        """Assert that no run of a day started before the previous run of that day ended."""
        spans: dict[str, list[tuple[float, float]]] = {}
        for record in self.instance.get_run_records():
            partition = record.dagster_run.tags.get(PARTITION_TAG)
            if partition and record.start_time:
                spans.setdefault(partition, []).append((record.start_time, record.end_time or float("inf")))
        assert spans
        for partition, of_partition in spans.items():
            of_partition.sort()
            assert all(earlier[1] <= later[0] for earlier, later in pairwise(of_partition)), (partition, of_partition)


def descendants(pid: int) -> dict[int, str]:
    """Return the command lines of all descendants of a process by process id."""
    processes = _processes()
    result: dict[int, str] = {}
    while True:
        children = {child: command for child, (parent, command) in processes.items()
                    if (parent == pid or parent in result) and child not in result}
        if not children:
            return result
        result |= children


def _processes() -> dict[int, tuple[int, str]]:
    # Parent and command line by process id.
    processes = {}
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                parent = int((directory / "stat").read_text().rsplit(")", 1)[1].split()[1])
                processes[int(directory.name)] = parent, (directory / "cmdline").read_text().replace("\0", " ")
            except OSError:  # it has ended
                continue
    return processes
