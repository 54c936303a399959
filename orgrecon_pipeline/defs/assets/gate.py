"""The asset ``drift_gate``, without partitions: a check on a partitioned asset shows the day that ran last.

No ``from __future__ import annotations`` here: Dagster reads the type of the context from the annotation.
"""

from datetime import timedelta

import dagster as dg

from orgrecon_pipeline.defs.assets import metadata as describe
from orgrecon_pipeline.defs.assets.day import GROUP, OWNERS
from orgrecon_pipeline.defs.errors import user_facing_errors
from orgrecon_pipeline.defs.gate_check import GATE_ASSET, GATE_CHECK, gate_now
from orgrecon_pipeline.defs.resources import CONTEXT_RESOURCES, open_context


@dg.asset(
    name=GATE_ASSET, group_name=GROUP, owners=OWNERS, kinds={"python"}, deps=["markdown_report"],
    required_resource_keys=CONTEXT_RESOURCES,
    # A check that passed stays passed in the UI. The policy makes the UI show that no run followed on the next day.
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=40), warn_window=timedelta(hours=26)),
    check_specs=[dg.AssetCheckSpec(
        GATE_CHECK, asset=GATE_ASSET,
        description="The signal of the gate: it passes if and only if the Phase 2 read cutover may go ahead. "
                    "Ignore it after valid_until.",
    )],
)
def drift_gate(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """The 7-day zero-delta gate as of now, independent of the day that the run materialises."""
    with user_facing_errors():
        answer = gate_now(open_context(context.resources))
    metadata = describe.gate(answer)
    return dg.MaterializeResult(
        metadata=metadata,
        check_results=[dg.AssetCheckResult(
            check_name=GATE_CHECK, passed=answer.open, severity=dg.AssetCheckSeverity.ERROR, metadata=metadata,
        )],
    )
