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
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord

from orgrecon_pipeline.config.mapping_file import load_mapping
from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.operations.gate.current import GateAnswer
from orgrecon_pipeline.operations.gate.dagster_client import Question, decide_from_data
from orgrecon_pipeline.operations.gate.dagster_evaluations import EXECUTIONS
from orgrecon_pipeline_tests.support.defs.world import CHECK, World, wrapped


def displayed_gate(instance: dg.DagsterInstance, world: World) -> GateAnswer:
    """Return the answer of ``orgrecon gate --dagster-url`` for the check of this instance."""
    response = asyncio.run(_response(instance))
    settings = read_settings(world.environ)
    mapping = load_mapping(settings.mapping_file, {})
    question = Question(mapping.identity(settings.environment), mapping.gate)
    return decide_from_data(response["data"], question, datetime.fromisoformat((world.directory / "now").read_text()))


async def _response(instance: dg.DagsterInstance) -> dict[str, Any]:
    records = instance.event_log_storage.get_asset_check_execution_history(CHECK, EXECUTIONS)
    loading = LoadingContextForTest(instance)
    executions = [await _execution(record, loading) for record in records]
    displayed = bool(records) and await records[0].targets_latest_materialization(loading)
    return wrapped(executions[0] if displayed else None, assetCheckExecutions=executions)


async def _execution(record: AssetCheckExecutionRecord, loading: LoadingContextForTest) -> dict[str, Any]:
    evaluation = None
    if record.evaluation is not None and record.event is not None and \
            record.event.dagster_event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        data = record.evaluation
        evaluation = {"success": data.passed, "timestamp": record.event.timestamp, "metadataEntries": [
            {"label": label, "jsonString": json.dumps(value.value)}
            for label, value in data.metadata.items() if isinstance(value, dg.JsonMetadataValue)
        ]}
    return {"status": (await record.resolve_status(loading)).value, "evaluation": evaluation}
