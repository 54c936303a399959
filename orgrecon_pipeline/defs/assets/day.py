"""The assets of a component: evidence, summary, rolling window and report of a day, and the gate.

A run materialises one day, or a range of days (tags ``dagster/asset_partition_range_start`` and ``…_end``).

No ``from __future__ import annotations`` here: Dagster reads the types of context and config from the annotations.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import dagster as dg
from pydantic import Field

from orgrecon_pipeline.defs.assets import column_schemas
from orgrecon_pipeline.defs.assets import metadata as describe
from orgrecon_pipeline.defs.assets.partitions import DayResult, asset_result, partition_days, require_evidence
from orgrecon_pipeline.defs.errors import user_facing_errors
from orgrecon_pipeline.defs.gate_check import refresh_gate_check, result_now
from orgrecon_pipeline.defs.names import ComponentNames
from orgrecon_pipeline.defs.resources import resource_of
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.operations.daily_summary import summarise
from orgrecon_pipeline.operations.day_run import DayRequest, import_unknown_reports, obtain_evidence
from orgrecon_pipeline.operations.gate.dagster_evaluations import GATE_CHECK
from orgrecon_pipeline.operations.trail.publish import gate_as_of, publish
from orgrecon_pipeline.report.read import read_report

_WORST_TENANTS = 20  # shown in the Dagster UI; the report lists more
progress_log = logging.getLogger("orgrecon.progress")


class DayConfig(dg.Config):
    """How the evidence of a day is obtained."""

    baseline: bool = Field(default=False, description="Stamp an empty-cluster PASS without a database.")
    exact: bool = Field(default=False, description="Compare every tenant by key, even if its fingerprints are equal.")
    restored: bool = Field(default=False, description="Compare a database that was restored to the day.")


@dataclass(frozen=True)
class Labels:
    """Group, owners, and additional tags and kinds of the assets."""

    group: str
    owners: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    kinds: frozenset[str] = frozenset()


def day_assets(
    names: ComponentNames, labels: Labels, partitions: dg.PartitionsDefinition[str], upstream: Sequence[dg.AssetKey]
) -> Sequence[dg.AssetsDefinition]:
    """Return the four assets of a day, the first one downstream of the ``upstream`` tables."""

    def daily(asset: str, *kinds: str) -> dict[str, Any]:
        return {**_attributes(names, labels, asset, kinds), "partitions_def": partitions}

    @dg.asset(
        **daily("tenant_drift", "postgres", "python"), pool=names.pool, metadata=column_schemas.TENANT_DRIFT,
        # A comparison reads whole tables. Any other mapping could demand partitions that these do not have.
        deps=[dg.AssetDep(key, partition_mapping=dg.AllPartitionMapping()) for key in upstream],
        check_specs=[dg.AssetCheckSpec("observation_complete", asset=names.key("tenant_drift"),
                                       description="The comparison of the day is complete: it is PASS or FAIL.")],
    )
    def tenant_drift(context: dg.AssetExecutionContext, config: DayConfig) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Evidence of the day in the ledger: both models, compared in one snapshot, per tenant and entity.

        Today compares the live database. A past day reuses the evidence in the ledger, or fails if there is none.
        """

        def report_progress(line: str) -> None:
            context.log.info(line)
            progress_log.info(line)

        results = []
        with user_facing_errors():
            operation = resource_of(context, names).open_in_run(context.log)
            gate = names.keys(context)["drift_gate"]
            if import_unknown_reports(operation, report_progress):
                refresh_gate_check(context.instance, operation, gate)
            days = partition_days(context)
            if not config.baseline and not config.restored:
                require_evidence(operation, days)
            request = DayRequest(config.baseline, config.exact, config.restored)
            for day in days:
                observed = obtain_evidence(operation, day, request, report_progress)
                if observed.fresh:
                    refresh_gate_check(context.instance, operation, gate)
                observation = observed.observation
                worst = operation.ledger.breakdown(observation.id, _WORST_TENANTS)
                results.append(DayResult(
                    day, describe.observation(
                        observation, worst, operation.ledger.samples(observation.id), observed.note), observation.id,
                    observation.verdict.decided,
                    {"verdict": observation.verdict.value, "reason": observation.reason},
                ))
        return asset_result(context, "observation_complete", results)

    @dg.asset(
        **daily("daily_summary", "pandas"), deps=[tenant_drift], metadata=column_schemas.DAILY_SUMMARY,
        check_specs=[dg.AssetCheckSpec("zero_drift", asset=names.key("daily_summary"),
                                       description="The verdict of the day is PASS: no key drifts in any tenant.")],
    )
    def daily_summary(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Drift of the day by entity and kind, and the tenants with the most drift."""
        results = []
        with user_facing_errors():
            operation = resource_of(context, names).open_in_run(context.log)
            for day in partition_days(context):
                deciding = describe.deciding_observation(operation, day)
                summary = summarise(deciding, operation.ledger.tenant_drift)
                results.append(DayResult(
                    day, describe.summary(deciding, summary), deciding.id, deciding.verdict is Verdict.PASS,
                    {"verdict": deciding.verdict.value, "reason": deciding.reason, **summary.drift},
                ))
        return asset_result(context, "zero_drift", results)

    @dg.asset(**daily("rolling_window", "python"), deps=[daily_summary])
    def rolling_window(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Verdicts, drift and streak of the seven days that end with this day. Days without evidence are MISSING."""
        with user_facing_errors():
            operation = resource_of(context, names).open_in_run(context.log)
            results = [DayResult(day, describe.gate_decision(gate_as_of(operation.ledger, day)))
                       for day in partition_days(context)]
        return asset_result(context, None, results)

    @dg.asset(
        **daily("markdown_report", "markdown", "jinja"), deps=[rolling_window],
        check_specs=[dg.AssetCheckSpec("report_sound", asset=names.key("markdown_report"),
                                       description="The file, read back, equals what its record renders to.")],
    )
    def markdown_report(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Report of the day in the output directory: one markdown file per day, overwritten by a rerun."""
        results = []
        with user_facing_errors():
            operation = resource_of(context, names).open_in_run(context.log)
            days = partition_days(context)
            for day in days:
                published = publish(operation, day)
                digest = published.record.digest
                read_back = read_report(published.path, published.record.identity).digest
                results.append(DayResult(
                    day, describe.report(published, with_text=len(days) == 1), digest, read_back == digest,
                    {"digest": read_back},
                ))
            # Publishing imports evidence that only the existing report lists.
            refresh_gate_check(context.instance, operation, names.keys(context)["drift_gate"])
        return asset_result(context, "report_sound", results)

    return [tenant_drift, daily_summary, rolling_window, markdown_report]


def gate_asset(names: ComponentNames, labels: Labels) -> dg.AssetsDefinition:
    """Return the asset of the gate."""
    # Without partitions, because a check on a partitioned asset shows the day that ran last.

    @dg.asset(
        **_attributes(names, labels, "drift_gate", ("python",)), deps=[names.key("markdown_report")],
        # A check that passed stays passed in the UI. The policy makes the UI show that no run followed on the next day.
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=timedelta(hours=40), warn_window=timedelta(hours=26)),
        check_specs=[dg.AssetCheckSpec(
            GATE_CHECK, asset=names.key("drift_gate"),
            description="The signal of the gate: it passes if and only if the Phase 2 read cutover may go ahead. "
                        "Ignore it after valid_until.",
        )],
    )
    def drift_gate(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """The 7-day zero-delta gate as of now, independent of the day that the run materialises."""
        with user_facing_errors():
            operation = resource_of(context, names).open_in_run(context.log)
            result = result_now(context.instance, operation, context.asset_key)
            metadata = result.asset_metadata
        return dg.MaterializeResult(
            metadata=metadata,
            check_results=[dg.AssetCheckResult(
                check_name=GATE_CHECK, passed=result.answer.open, severity=dg.AssetCheckSeverity.ERROR,
                metadata=result.metadata,
            )],
        )

    return cast("dg.AssetsDefinition", drift_gate)


def _attributes(names: ComponentNames, labels: Labels, asset: str, kinds: Collection[str]) -> dict[str, Any]:
    return {
        "key": names.key(asset), "group_name": labels.group, "owners": labels.owners,
        "tags": {**labels.tags, **names.asset_tags(asset)}, "kinds": {*kinds, *labels.kinds},
        "required_resource_keys": {names.resource},
    }
