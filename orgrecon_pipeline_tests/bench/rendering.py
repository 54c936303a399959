"""A year of reports, rendered again as one run in process: ``python -m orgrecon_pipeline_tests.bench.rendering``.

Every day has 200 tenants in its breakdown, one tenth of them drifting, and sample keys. ``BENCH_DAYS`` (default 365)
are rendered in both ways that one run can: the job ``render_days``, and ``reconcile_day`` with a range of partitions,
whose four assets give Dagster eight events a day to keep instead of one. Where they are kept is what takes the time:
the second way with its events in SQLite takes minutes, and is left out.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import dagster as dg

from orgrecon_pipeline.defs.build import build_definitions
from orgrecon_pipeline.defs.jobs import JOB_NAME
from orgrecon_pipeline.defs.render_job import RENDER_JOB_NAME
from orgrecon_pipeline.domain.evidence import Sample, TenantRow, Verdict
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline_tests.support.report.cases import ENTITIES, observation, totals

TENANTS = 200
DRIFTING = TENANTS // 10
ROWS = 5_000
SAMPLES = 10
LAST = date(2025, 12, 31)  # long past, whenever this runs
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_OURS = ("ORGRECON_", "DATABASE_URL", "DAGSTER_")


def fill(ledger_url: str, days: list[date]) -> None:
    """One FAIL a day, as large as the packaged default shows it."""
    ledger = open_ledger(ledger_url)
    rows = [
        TenantRow(tenant=f"tenant-{number:05}", entity=entity, source_rows=ROWS, target_rows=ROWS - drift,
                  missing=drift, unexpected=0, mismatched=0, duplicate=0, transient=0)
        for number in range(TENANTS) for entity in ENTITIES for drift in [3 if number < DRIFTING else 0]
    ]
    samples = [
        Sample(tenant=f"tenant-{number % DRIFTING:05}", entity=entity, kind="missing",
               key={"unit_id": str(number), "user_id": f"00000000-0000-0000-0000-{number:012}"})
        for entity in ENTITIES for number in range(SAMPLES)
    ]
    each = totals(ROWS * TENANTS, missing=3 * DRIFTING)
    for day in days:
        seen = observation(
            day, Verdict.FAIL, tenants=TENANTS, drifting=DRIFTING, entities=dict.fromkeys(ENTITIES, each))
        ledger.append(seen, rows, samples, ())


def render_days(definitions: dg.Definitions, first: date, last: date, instance: dg.DagsterInstance) -> bool:
    """The job that is made for it."""
    config = {"ops": {"render_reports": {"config": {"first": str(first), "last": str(last)}}}, **_QUIET}
    return definitions.resolve_job_def(RENDER_JOB_NAME).execute_in_process(run_config=config, instance=instance).success


def range_of_partitions(definitions: dg.Definitions, first: date, last: date, instance: dg.DagsterInstance) -> bool:
    """All assets of the days in one run, as a backfill with the policy of a single run launches it."""
    tags = {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}
    return definitions.resolve_job_def(JOB_NAME).execute_in_process(
        run_config=_QUIET, tags=tags, instance=instance).success


Way = Callable[[dg.Definitions, date, date, dg.DagsterInstance], bool]
WAYS: tuple[tuple[str, Way, bool], ...] = (
    ("render_days", render_days, False), ("render_days", render_days, True),
    ("reconcile_day over a range", range_of_partitions, False),
)


@contextmanager
def environment(directory: Path) -> Iterator[dict[str, str]]:
    """A ledger and an audit directory of their own; nothing of the caller's configuration gets in."""
    ours = {"ORGRECON_LEDGER_URL": f"sqlite:///{directory / 'ledger.db'}",
            "ORGRECON_OUTPUT_DIR": str(directory / "reports"), "ORGRECON_START_DATE": "2020-01-01"}
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(_OURS)]:
        del os.environ[name]
    os.environ.update(ours)  # Dagster resolves its variables from the process
    try:
        yield ours
    finally:
        os.environ.clear()
        os.environ.update(before)


def measure(days: int) -> dict[str, tuple[float, float, int]]:
    """By way: the seconds on the clock, those of the processor, and how many reports were written."""
    found = {}
    range_of_days = [LAST - timedelta(days=back) for back in reversed(range(days))]
    with tempfile.TemporaryDirectory(prefix="orgrecon-bench-") as place, environment(Path(place)) as environ:
        fill(environ["ORGRECON_LEDGER_URL"], range_of_days)
        definitions = build_definitions(environ)
        for name, way, stored in WAYS:
            for path in (reports := Path(environ["ORGRECON_OUTPUT_DIR"])).glob("*.md"):
                path.unlink()
            with instance_of(place, stored=stored) as instance:
                clock, processor = time.perf_counter(), time.process_time()
                assert way(definitions, range_of_days[0], range_of_days[-1], instance)
                seconds = time.perf_counter() - clock
            found[f"{name}, events in {'SQLite' if stored else 'memory'}"] = (
                seconds, time.process_time() - processor, len(list(reports.glob("*.md"))))
    return found


def instance_of(place: str, *, stored: bool) -> dg.DagsterInstance:
    """One that forgets, or one that keeps what happens."""
    return dg.DagsterInstance.local_temp(tempfile.mkdtemp(dir=place)) if stored else dg.DagsterInstance.ephemeral()


def main() -> None:
    """Print one table."""
    days = int(os.environ.get("BENCH_DAYS", "365"))
    print(f"\n{days} days of {TENANTS} tenants each, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before\n")
    print("| one run of | reports | seconds | of the processor |\n| --- | ---: | ---: | ---: |")
    for name, (seconds, processor, written) in measure(days).items():
        print(f"| {name} | {written} | {seconds:.1f} | {processor:.1f} |", flush=True)
    print(f"\nload {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
