"""The assets of a day, and the gate. Each reads its partition, calls one function, and describes the result.

No ``from __future__ import annotations`` here: Dagster finds config and resources by the annotations themselves.
"""

import logging
from collections.abc import Sequence
from datetime import date
from typing import Any

import dagster as dg

from orgrecon_pipeline.defs import describe
from orgrecon_pipeline.defs.failures import told_in_one_line
from orgrecon_pipeline.defs.resources import (
    AuditDirectory,
    ClockResource,
    LedgerResource,
    SourceResource,
    open_context,
)
from orgrecon_pipeline.domain.days import parse_day
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.operations.gate import current_gate
from orgrecon_pipeline.operations.observe import observe, stamp_baseline
from orgrecon_pipeline.operations.publish import judge_day, publish
from orgrecon_pipeline.operations.summary import summarise
from orgrecon_pipeline.operations.trail import import_trail
from orgrecon_pipeline.report.read import read_report

GROUP = "org_v23_reconciliation"
OWNERS = ["team:platform"]
progress_log = logging.getLogger("orgrecon.progress")


class DayConfig(dg.Config):
    """How a day's evidence is secured: ``baseline`` stamps an empty cluster, ``exact`` compares every tenant by key."""

    baseline: bool = False
    exact: bool = False


def day_assets(partitions: dg.PartitionsDefinition[str]) -> Sequence[dg.AssetsDefinition]:
    """The five assets over the given partitions."""
    common: dict[str, Any] = {"group_name": GROUP, "owners": OWNERS}
    daily: dict[str, Any] = {**common, "partitions_def": partitions}

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

        with told_in_one_line():
            work = open_context(source, ledger, audit_directory, clock)
            day = parse_day(context.partition_key)
            for refused in import_trail(work.ledger, work.output_dir, only_unknown=True).refused:
                progress(f"not imported: {refused}")
            if config.baseline:
                secured = stamp_baseline(work, day)
            else:
                secured = observe(work, day, exact=config.exact, progress=progress)
            table = work.ledger.tenant_drift(secured.observation.id)
        if secured.note:
            progress(secured.note)
        observation = secured.observation
        return dg.MaterializeResult(
            metadata=describe.observation(observation, table, secured.note),
            data_version=dg.DataVersion(observation.id),
            check_results=[dg.AssetCheckResult(
                check_name="observation_complete", passed=observation.verdict.decided,
                metadata={"verdict": observation.verdict.value, "reason": observation.reason},
            )],
        )

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
        with told_in_one_line():
            work = open_context(source, ledger, audit_directory, clock)
            observation = describe.decided(work, parse_day(context.partition_key))
            summary = summarise(observation, work.ledger.tenant_drift(observation.id))
        return dg.MaterializeResult(
            metadata=describe.summary(observation, summary),
            check_results=[dg.AssetCheckResult(
                check_name="zero_drift", passed=observation.verdict is Verdict.PASS,
                metadata={"verdict": observation.verdict.value, "reason": observation.reason,
                          **summary.drift},
            )],
        )

    @dg.asset(**daily, deps=[dg.AssetDep(daily_summary)], kinds={"python"})
    def rolling_window(
        context: dg.AssetExecutionContext, source: SourceResource, ledger: LedgerResource,
        audit_directory: AuditDirectory, clock: ClockResource,
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """The last seven days as of this day: verdicts, drift, streak. Days without evidence are MISSING."""
        with told_in_one_line():
            work = open_context(source, ledger, audit_directory, clock)
            judgement = judge_day(work.ledger, parse_day(context.partition_key))
        return dg.MaterializeResult(metadata=describe.judgement(judgement))

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
        with told_in_one_line():
            work = open_context(source, ledger, audit_directory, clock)
            published = publish(work, parse_day(context.partition_key))
            read_back = read_report(published.path)
        return dg.MaterializeResult(
            metadata=describe.report(published),
            data_version=dg.DataVersion(published.record.digest),
            check_results=[dg.AssetCheckResult(
                check_name="report_sound", passed=read_back.digest == published.record.digest,
                metadata={"digest": read_back.digest},
            )],
        )

    @dg.asset(
        **common, deps=[markdown_report], kinds={"python"},
        check_specs=[dg.AssetCheckSpec(
            "seven_day_zero_delta", asset="drift_gate",
            description="The signal of the gate: passed exactly when the Phase 2 read cutover may go ahead. "
                        "It says nothing after valid_until.",
        )],
    )
    def drift_gate(
        context: dg.AssetExecutionContext, source: SourceResource, ledger: LedgerResource,
        audit_directory: AuditDirectory, clock: ClockResource,
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """The 7-day zero-delta gate as of now, whatever day was materialised."""
        with told_in_one_line():
            work = open_context(source, ledger, audit_directory, clock)
            policy = work.mapping.gate
            days = work.ledger.evidence(date.max, policy.same_day)
            answer = current_gate(days, policy, work.clock.now())
        metadata = describe.gate(answer)
        return dg.MaterializeResult(
            metadata=metadata,
            check_results=[dg.AssetCheckResult(
                check_name="seven_day_zero_delta", passed=answer.open, severity=dg.AssetCheckSeverity.ERROR,
                metadata=metadata,
            )],
        )

    return [tenant_drift, daily_summary, rolling_window, markdown_report, drift_gate]
