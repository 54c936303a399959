"""A long range of past days, rendered again in one run: a year takes seconds, where a run a day takes half an hour.

No ``from __future__ import annotations`` here: Dagster finds config and resources by the annotations themselves.
"""

import dagster as dg

from orgrecon_pipeline.defs.assets import metadata as describe
from orgrecon_pipeline.defs.errors import user_facing_errors
from orgrecon_pipeline.defs.gate_check import tell_check
from orgrecon_pipeline.defs.resources import (
    AuditDirectory,
    ClockResource,
    LedgerResource,
    SourceResource,
    open_context,
)
from orgrecon_pipeline.domain.days import days_between, parse_day
from orgrecon_pipeline.domain.errors import DayRefused, UsageError
from orgrecon_pipeline.operations.trail.importer import import_trail
from orgrecon_pipeline.operations.trail.publish import publish

RENDER_JOB_NAME = "render_days"
_NAMED = 20
_EVERY = 50


class RangeConfig(dg.Config):
    """The first and the last day, as YYYY-MM-DD; both are rendered."""

    first: str
    last: str


@dg.op(description="Writes the reports of a range again, and records each as a materialisation of its own day.")
def render_reports(
    context: dg.OpExecutionContext, config: RangeConfig, source: SourceResource, ledger: LedgerResource,
    audit_directory: AuditDirectory, clock: ClockResource,
) -> None:
    """Render every day that has evidence; days without any are named when all others are done."""
    with user_facing_errors():
        work = open_context(source, ledger, audit_directory, clock, say=context.log.warning)
        imported = import_trail(work.ledger, work.output_dir, only_unknown=True, clock=work.clock)
        for refused in imported.refused:
            context.log.warning(f"not imported: {refused}")
        if imported.days:
            tell_check(context.instance, work)
        first, last = parse_day(config.first), parse_day(config.last)
        if last < first:
            raise UsageError(f"{last} is before {first}: write the earlier day first.")
        days = days_between(first, last)
        known = set(work.ledger.days())
        for number, day in enumerate((day for day in days if day in known), start=1):
            published = publish(work, day)
            context.log_event(dg.AssetMaterialization(
                asset_key="markdown_report", partition=day.isoformat(),
                metadata=dict(describe.report(published, with_text=False)),
            ))
            if number % _EVERY == 0:
                context.log.info(f"{number} reports written, {day} was the last")
        tell_check(context.instance, work)  # a report may have known what the ledger did not
        holes = [day.isoformat() for day in days if day not in known]
        if holes:
            named = ", ".join(holes[:_NAMED]) + (f" and {len(holes) - _NAMED} more" if len(holes) > _NAMED else "")
            raise DayRefused(
                f"{len(days) - len(holes)} of {len(days)} days are rendered; the others have no evidence, and stay "
                f"MISSING: {named}."
            )


@dg.job(
    name=RENDER_JOB_NAME, executor_def=dg.in_process_executor, tags={"dagster/max_runtime": "3600"},
    description="Render a range of past days again from the ledger, in one run. It observes nothing.",
)
def render_days() -> None:
    """One op."""
    render_reports()
