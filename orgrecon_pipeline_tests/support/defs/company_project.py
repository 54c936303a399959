"""The Dagster project of a company that knows nothing of orgrecon, with names that orgrecon uses, too."""

from __future__ import annotations

import dagster as dg

DAILY = dg.DailyPartitionsDefinition(start_date="2026-01-01")


@dg.asset(key=["ingest", "teams"], partitions_def=dg.MonthlyPartitionsDefinition(start_date="2026-02-01"))
def teams() -> None:
    """A table that orgrecon compares."""


@dg.asset(partitions_def=DAILY)
def daily_summary() -> None:
    """Always fails."""
    raise ValueError("a bug of the company")


@dg.schedule(job_name="reconcile_day", cron_schedule="0 0 * * *")
def every_utc_day() -> None:
    """Request nothing."""


@dg.sensor(job_name="reconcile_day")
def owed_days() -> None:
    """Request nothing."""


def company() -> dg.Definitions:
    """Return the definitions of the company."""
    return dg.Definitions(
        assets=[teams, daily_summary], schedules=[every_utc_day], sensors=[owed_days],
        jobs=[dg.define_asset_job("reconcile_day", selection=["daily_summary"], executor_def=dg.in_process_executor)],
        resources={"ledger": 1, "clock": 2, "source": 3}, executor=dg.multiprocess_executor)
