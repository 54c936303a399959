"""The gate's check as the Dagster UI displays it, without a web server.

This is the only test module that imports ``dagster._core``: only private functions say what the UI displays.
"""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

import dagster as dg
from dagster._core.loader import LoadingContextForTest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.defs.dagster_internals import latest_check_execution
from orgrecon_pipeline.operations.gate.current import GateAnswer
from orgrecon_pipeline.operations.gate.dagster_client import Question, decide_from_data
from orgrecon_pipeline_tests.support.default_identity import IDENTITY
from orgrecon_pipeline_tests.support.defs.world import CHECK, World, wrapped


def displayed_gate(instance: dg.DagsterInstance, world: World) -> GateAnswer:
    """Return the answer of ``orgrecon gate --dagster-url`` for the check of this instance."""
    record = latest_check_execution(instance, CHECK)
    execution: dict[str, Any] | None = None
    loading = LoadingContextForTest(instance)
    if record is not None and asyncio.run(record.targets_latest_materialization(loading)):
        evaluation = None
        if record.evaluation is not None and record.event is not None and \
                record.event.dagster_event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            data = record.evaluation
            evaluation = {"success": data.passed, "severity": data.severity.value, "metadataEntries": [
                {"label": label, "jsonString": json.dumps(value.value)}
                for label, value in data.metadata.items() if isinstance(value, dg.JsonMetadataValue)
            ]}
        execution = {"status": asyncio.run(record.resolve_status(loading)).value, "evaluation": evaluation}
    now = datetime.fromisoformat((world.directory / "now").read_text())
    return decide_from_data(wrapped(execution)["data"], Question(IDENTITY, default_mapping().gate), now)
