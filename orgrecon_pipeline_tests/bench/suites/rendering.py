"""Cost of rendering a year of reports in one run.

Every day has 200 tenants, a tenth of them with drift, and sample keys. The days are rendered by the job ``render_days``
and by ``reconcile_day`` with a range of partitions. Most of the time is spent on storing
Dagster's events: one per day for the former, eight for the latter. The latter with SQLite takes minutes and is left
out.
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
from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.evidence import Sample, TenantRow, Verdict
from orgrecon_pipeline_tests.bench.results import Table, table
from orgrecon_pipeline_tests.bench.settings import DAYS
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.report.cases import ENTITIES, observation, totals

TENANTS = 200
DRIFTING = TENANTS // 10
ROWS = 5_000
SAMPLES = 10
_UNCHANGED_DAYS = 5
LAST = date(2025, 12, 31)  # always in the past
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_CONFIGURATION = ("ORGRECON_", "DATABASE_URL", "DAGSTER_")


def fill(ledger_url: str, days: list[date]) -> None:
    """Append one FAIL per day, as large as the packaged default shows it."""
    ledger = open_ledger(ledger_url)
    samples = [
        Sample(tenant=f"tenant-{number % DRIFTING:05}", entity=entity, kind="missing",
               key={"unit_id": str(number), "user_id": f"00000000-0000-0000-0000-{number:012}"})
        for entity in ENTITIES for number in range(SAMPLES)
    ]
    entity_totals = totals(ROWS * TENANTS, missing=3 * DRIFTING)
    for day in days:
        failed = observation(
            day, Verdict.FAIL, tenants=TENANTS, drifting=DRIFTING, entities=dict.fromkeys(ENTITIES, entity_totals))
        ledger.append(failed, _rows(day), samples, ())


def _rows(day: date) -> list[TenantRow]:
    """Return the breakdown of a day. A fifth of the tenants have other figures than on the day before."""
    return [
        TenantRow(tenant=f"tenant-{number:05}", entity=entity, source_rows=rows, target_rows=rows - drift,
                  missing=drift, unexpected=0, mismatched=0, duplicate=0, transient=0)
        for number in range(TENANTS) for drift in [3 if number < DRIFTING else 0]
        for rows in [ROWS + (day.toordinal() + number) // _UNCHANGED_DAYS] for entity in ENTITIES]


def render_days(definitions: dg.Definitions, first: date, last: date, instance: dg.DagsterInstance) -> bool:
    """Run the job ``render_days``."""
    config = {"ops": {"render_reports": {"config": {"first": str(first), "last": str(last)}}}, **_QUIET}
    return definitions.resolve_job_def(RENDER_JOB_NAME).execute_in_process(run_config=config, instance=instance).success


def range_of_partitions(definitions: dg.Definitions, first: date, last: date, instance: dg.DagsterInstance) -> bool:
    """Run the day job for a range of partitions, as a single-run backfill does."""
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
    """Set the environment for a new ledger and output directory, without the caller's configuration."""
    variables = {"ORGRECON_LEDGER_URL": f"sqlite:///{directory / 'ledger.db'}",
            "ORGRECON_OUTPUT_DIR": str(directory / "reports"), "ORGRECON_START_DATE": "2020-01-01"}
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(_CONFIGURATION)]:
        del os.environ[name]
    os.environ.update(variables)  # Dagster resolves its variables from the process
    try:
        yield variables
    finally:
        os.environ.clear()
        os.environ.update(before)


def measure(days: int) -> dict[str, tuple[float, float, int]]:
    """Return elapsed seconds, processor seconds and number of reports for each way."""
    result = {}
    range_of_days = [LAST - timedelta(days=back) for back in reversed(range(days))]
    with tempfile.TemporaryDirectory(prefix="orgrecon-bench-") as directory, environment(Path(directory)) as environ:
        fill(environ["ORGRECON_LEDGER_URL"], range_of_days)
        definitions = build_definitions(environ)
        # The first run is not shown: it also stores the tenant gates of each day, which the others read.
        for name, way, stored in (WAYS[0], *WAYS):
            for path in (reports := Path(environ["ORGRECON_OUTPUT_DIR"])).glob("*.md"):
                path.unlink()
            with temporary_instance(directory, stored=stored) as instance:
                elapsed, processor = time.perf_counter(), time.process_time()
                assert way(definitions, range_of_days[0], range_of_days[-1], instance)
                seconds = time.perf_counter() - elapsed
            result[f"{name}, events in {'SQLite' if stored else 'memory'}"] = (
                seconds, time.process_time() - processor, len(list(reports.glob("*.md"))))
    return result


def temporary_instance(directory: str, *, stored: bool) -> dg.DagsterInstance:
    """Return an instance on SQLite, or one that stores nothing."""
    return dg.DagsterInstance.local_temp(tempfile.mkdtemp(dir=directory)) if stored else dg.DagsterInstance.ephemeral()


def tables(server: EmbeddedServer) -> Iterator[Table]:
    """Yield one table. The ledgers are SQLite files, so the server is not used."""
    yield table(
        "rendering", f"{DAYS} past days with {TENANTS} tenants each, rendered again in one run",
        ("run", "reports", "elapsed s", "CPU s"),
        [[name, str(written), f"{seconds:.1f}", f"{processor:.1f}"]
         for name, (seconds, processor, written) in measure(DAYS).items()])
