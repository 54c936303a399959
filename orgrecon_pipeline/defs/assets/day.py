"""The assets of a day. Each reads its partition, calls one function, and describes the result.

A run has one day, or a range of days (the tags ``dagster/asset_partition_range_start`` and ``…_end``).

No ``from __future__ import annotations`` here: Dagster finds config and resources by the annotations themselves.
"""

import logging
from collections.abc import Sequence
from typing import Any

import dagster as dg

from orgrecon_pipeline.defs.assets import metadata as describe
from orgrecon_pipeline.defs.assets.partition_results import Done, days_of, finished, refuse_holes
from orgrecon_pipeline.defs.errors import user_facing_errors
from orgrecon_pipeline.defs.gate_check import tell_check
from orgrecon_pipeline.defs.resources import (
    AuditDirectory,
    ClockResource,
    LedgerResource,
    SourceResource,
    open_context,
)
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.operations.daily_summary import summarise
from orgrecon_pipeline.operations.observe.observe import observe, stamp_baseline
from orgrecon_pipeline.operations.trail.importer import import_trail
from orgrecon_pipeline.operations.trail.publish import judge_day, publish
from orgrecon_pipeline.report.read import read_report

GROUP = "org_v23_reconciliation"
OWNERS = ["team:platform"]
_WORST = 20  # tenants that are shown on a page of Dagster; the report has more
progress_log = logging.getLogger("orgrecon.progress")


class DayConfig(dg.Config):
    """How a day's evidence is secured: ``baseline`` stamps an empty cluster, ``exact`` compares every tenant by key,
    ``restored`` a database that was restored to that day."""

    baseline: bool = False
    exact: bool = False
    restored: bool = False


def day_assets(partitions: dg.PartitionsDefinition[str]) -> Sequence[dg.AssetsDefinition]:
    """The four assets over the given partitions."""
    daily: dict[str, Any] = {"group_name": GROUP, "owners": OWNERS, "partitions_def": partitions}

    @dg.asset(
        **daily, kinds={"postgres", "python"}, pool="observation",
        check_specs=[dg.AssetCheckSpec("observation_complete", asset="tenant_drift",
                                       description="The day's comparison was completed: it is PASS or FAIL.")],
    )
    def tenant_drift(
        context: dg.AssetExecutionContext, config: DayConfig, source: SourceResource, ledger: LedgerResource,
        audit_directory: AuditDirectory, clock: ClockResource,
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Evidence of the day: both models compared in one snapshot, per tenant and entity, kept in the ledger.

        Today observes the live database. A past day reuses the evidence that the ledger holds, or fails.
        """

        def progress(line: str) -> None:
            context.log.info(line)
            progress_log.info(line)

        done = []
        with user_facing_errors():
            work = open_context(source, ledger, audit_directory, clock, say=context.log.warning)
            imported = import_trail(work.ledger, work.output_dir, only_unknown=True, clock=work.clock)
            for refused in imported.refused:
                progress(f"not imported: {refused}")
            if imported.days:
                tell_check(context.instance, work)
            days = days_of(context)
            if not config.baseline and not config.restored:
                refuse_holes(work, days)
            for day in days:
                if config.baseline:
                    secured = stamp_baseline(work, day)
                else:
                    secured = observe(
                        work, day, exact=config.exact, restored=config.restored, progress=progress)
                if secured.fresh:
                    tell_check(context.instance, work)
                if secured.note:
                    progress(secured.note)
                seen = secured.observation
                worst = work.ledger.breakdown(seen.id, _WORST)
                done.append(Done(
                    day, describe.observation(seen, worst, secured.note), seen.id, seen.verdict.decided,
                    {"verdict": seen.verdict.value, "reason": seen.reason},
                ))
        return finished(context, "observation_complete", done)

    @dg.asset(
        **daily, deps=[tenant_drift], kinds={"pandas"},
        check_specs=[dg.AssetCheckSpec("zero_drift", asset="daily_summary",
                                       description="The day's verdict is PASS: no key drifts in any tenant.")],
    )
    def daily_summary(
        context: dg.AssetExecutionContext, source: SourceResource, ledger: LedgerResource,
        audit_directory: AuditDirectory, clock: ClockResource,
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """The day in figures: drift by entity and kind, and the tenants that drift most."""
        done = []
        with user_facing_errors():
            work = open_context(source, ledger, audit_directory, clock)
            for day in days_of(context):
                seen = describe.decided(work, day)
                summary = summarise(seen, work.ledger.tenant_drift(seen.id))
                done.append(Done(
                    day, describe.summary(seen, summary), seen.id, seen.verdict is Verdict.PASS,
                    {"verdict": seen.verdict.value, "reason": seen.reason, **summary.drift},
                ))
        return finished(context, "zero_drift", done)

    @dg.asset(**daily, deps=[daily_summary], kinds={"python"})
    def rolling_window(
        context: dg.AssetExecutionContext, source: SourceResource, ledger: LedgerResource,
        audit_directory: AuditDirectory, clock: ClockResource,
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """The last seven days as of this day: verdicts, drift, streak. Days without evidence are MISSING."""
        with user_facing_errors():
            work = open_context(source, ledger, audit_directory, clock)
            done = [Done(day, describe.judgement(judge_day(work.ledger, day))) for day in days_of(context)]
        return finished(context, None, done)

    @dg.asset(
        **daily, deps=[rolling_window], kinds={"markdown", "jinja"},
        check_specs=[dg.AssetCheckSpec("report_sound", asset="markdown_report",
                                       description="The file, read back, is what its record renders to.")],
    )
    def markdown_report(
        context: dg.AssetExecutionContext, source: SourceResource, ledger: LedgerResource,
        audit_directory: AuditDirectory, clock: ClockResource,
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """The day's report in the audit directory, one markdown file a day, overwritten by a rerun."""
        done = []
        with user_facing_errors():
            work = open_context(source, ledger, audit_directory, clock)
            days = days_of(context)
            for day in days:
                published = publish(work, day)
                read_back = read_report(published.path)
                done.append(Done(
                    day, describe.report(published, with_text=len(days) == 1), published.record.digest,
                    read_back.digest == published.record.digest, {"digest": read_back.digest},
                ))
            tell_check(context.instance, work)  # a report may have known what the ledger did not
        return finished(context, "report_sound", done)

    return [tenant_drift, daily_summary, rolling_window, markdown_report]
