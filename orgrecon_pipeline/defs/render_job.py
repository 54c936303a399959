"""The job ``render_days``, which renders a range of past days in one run: much faster than one run per day.

No ``from __future__ import annotations`` here: Dagster reads the types of context and config from the annotations.
"""

import dagster as dg

from orgrecon_pipeline.defs.assets import metadata as describe
from orgrecon_pipeline.defs.assets.partitions import list_days
from orgrecon_pipeline.defs.errors import user_facing_errors
from orgrecon_pipeline.defs.gate_check import refresh_gate_check
from orgrecon_pipeline.defs.jobs import MAX_RUNTIME_TAG
from orgrecon_pipeline.defs.names import ComponentNames
from orgrecon_pipeline.defs.resources import resource_of
from orgrecon_pipeline.domain.days import days_between, parse_day
from orgrecon_pipeline.domain.errors import DayRefused, UsageError
from orgrecon_pipeline.operations.day_run import import_unknown_reports
from orgrecon_pipeline.operations.trail.publish import publish

RENDER_JOB_NAME = "render_days"
_PROGRESS_EVERY = 50  # reports


class RangeConfig(dg.Config):
    """The first and the last day to render, as YYYY-MM-DD."""

    first: str
    last: str


def render_job(names: ComponentNames) -> dg.JobDefinition:
    """Return the job that renders a range of days."""

    @dg.op(
        name=names.name("render_reports"), required_resource_keys={names.resource},
        description="Renders the reports of a range of days, and records a materialisation for each day.",
    )
    def render_reports(context: dg.OpExecutionContext, config: RangeConfig) -> None:
        """Render each day that has evidence; then fail with the list of days without evidence, if there are any."""
        with user_facing_errors():
            resource = resource_of(context, names)
            operation, keys = resource.open_in_run(context.log), names.keys(context)
            if import_unknown_reports(operation, context.log.warning):
                refresh_gate_check(context.instance, operation, keys["drift_gate"])
            first, last = parse_day(config.first), parse_day(config.last)
            if last < first:
                raise UsageError(f"the last day {last} is before the first day {first}: swap them.")
            days = days_between(first, last)
            known = set(operation.ledger.days())
            for number, day in enumerate((day for day in days if day in known), start=1):
                published = publish(operation, day)
                context.log_event(dg.AssetMaterialization(
                    asset_key=keys["markdown_report"], partition=day.isoformat(),
                    metadata=dict(describe.report(published, with_text=False)),
                ))
                if number % _PROGRESS_EVERY == 0:
                    context.log.info(f"{number} reports written, the last one for {day}")
            # Publishing imports evidence that only the existing reports list.
            refresh_gate_check(context.instance, operation, keys["drift_gate"])
            missing = [day for day in days if day not in known]
            if missing:
                raise DayRefused(
                    f"{len(days) - len(missing)} of {len(days)} days were rendered; the others have no evidence and "
                    f"stay MISSING: {list_days(missing)}.")

    @dg.job(
        name=names.name(RENDER_JOB_NAME), executor_def=dg.in_process_executor,
        tags={**names.tags, MAX_RUNTIME_TAG: "3600"},
        description="Renders a range of past days again from the ledger, in one run. Compares no database.",
    )
    def render_days() -> None:
        render_reports()

    return render_days
