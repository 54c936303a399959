"""Metadata that the Dagster UI shows for each asset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from orgrecon_pipeline.domain.drift.key import KeyState
from orgrecon_pipeline.domain.errors import DayRefused
from orgrecon_pipeline.domain.evidence import FIGURES, Observation, Sample, TenantRow
from orgrecon_pipeline.domain.gate.decision import GateDecision, WindowRow
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.daily_summary import TENANT_COLUMNS, DailySummary
from orgrecon_pipeline.operations.gate.current import GateAnswer
from orgrecon_pipeline.operations.gate.tenant_summary import TenantSummary
from orgrecon_pipeline.operations.trail.publish import Published

if TYPE_CHECKING:
    import pandas as pd

Metadata = Mapping[str, Any]


def deciding_observation(context: Context, day: date) -> Observation:
    """Return the deciding observation of a day; raise DayRefused if the day is MISSING."""
    deciding = context.ledger.deciding(day, context.mapping.gate.same_day)
    if deciding is None:
        raise DayRefused(f"{day} has no evidence in the ledger: materialise tenant_drift for {day} first.")
    return deciding


def observation(
    observation: Observation, worst: Sequence[TenantRow], samples: Sequence[Sample], note: str
) -> Metadata:
    """Return the metadata of ``tenant_drift``, with the rows of the ``worst`` tenants that drift, and sample keys.

    ``note`` is why no database was compared, if so.
    """
    figures = {
        "tenants_scanned": observation.tenants_scanned,
        "tenants_with_drift": observation.tenants_with_drift,
        "rows_compared": observation.rows_compared,
        "seconds": observation.compared.get("seconds"),
        "gave_way": observation.compared.get("gave_way"),
        **observation.counts,
    }
    drifting = [row.model_dump() for row in worst if row.drift]
    return {
        "verdict": observation.verdict.value,
        "provenance": observation.provenance.value,
        "reason": observation.reason,
        **({"note": note} if note else {}),
        **{name: figure for name, figure in figures.items() if figure is not None},
        **({"worst_tenants": _table(drifting, list(drifting[0]))} if drifting else {}),
        **_keys(observation, samples),
        "compared": dg.JsonMetadataValue(observation.compared),
    }


def summary(deciding: Observation, summary: DailySummary) -> Metadata:
    """Return the metadata of ``daily_summary``: its tables, and the numbers of drifting keys by kind and by state."""
    change = deciding.change
    states = {state.value: change.total(state) for state in KeyState} if change else {}
    columns = [{"entity": name, "column": column, "mismatched": keys}
               for name, of_entity in deciding.compared.get("mismatched_columns", {}).items()
               for column, keys in sorted(of_entity.items(), key=lambda item: -item[1])]
    return {
        "verdict": deciding.verdict.value,
        "by_entity": _table(summary.by_entity, ("entity", *FIGURES)),
        "worst_tenants": _table([], TENANT_COLUMNS) if summary.worst is None else _frame(summary.worst),
        **summary.drift,
        "drift": sum(summary.drift.values()),
        **{state: keys for state, keys in states.items() if keys is not None},
        **({"mismatched_columns": _table(columns, list(columns[0]))} if columns else {}),
    }


def gate_decision(decision: GateDecision) -> Metadata:
    """Return the metadata of ``rolling_window``: streak, gate as of the day, and the window as a table."""
    return {
        "streak_days": decision.streak_days,
        "live_days": decision.live_days,
        "gate_as_of_this_day": decision.state.value,
        "reason": decision.reason.sentence,
        "earliest_open_day": decision.earliest_open_day.isoformat(),
        "window": _window(decision.window),
    }


def report(published: Published, *, with_text: bool) -> Metadata:
    """Return the metadata of ``markdown_report``; ``with_text`` includes the report itself."""
    return {
        **({"report": dg.MarkdownMetadataValue(published.plain_text)} if with_text else {}),
        "path": dg.PathMetadataValue(str(published.path)),
        "digest": published.record.digest,
        "verdict": published.record.verdict.value,
    }


def gate(answer: GateAnswer) -> Metadata:
    """Return the metadata of ``drift_gate`` and its check about the whole company."""
    decision = answer.decision
    return {
        "state": decision.state.value,
        "as_of": answer.as_of.isoformat(),
        "valid_until": answer.valid_until.isoformat(),
        "streak_days": decision.streak_days,
        "window_days": decision.window_days,
        "live_days": decision.live_days,
        "reason": decision.reason.sentence,
        "earliest_open_day": decision.earliest_open_day.isoformat(),
        "window": _window(decision.window),
        "answer": dg.JsonMetadataValue(answer.as_json_value()),  # read by orgrecon gate --dagster-url
    }


def tenant_gates(summary: TenantSummary) -> Metadata:
    """Return the metadata of ``drift_gate`` about tenants: two numbers to plot, a table, and the command for all rows.

    The table shows the first tenants that drift, then those nearest to opening, then those that are OPEN.
    """
    rows = [{
        "tenant": answer.tenant, "state": answer.decision.state.value, "streak_days": answer.decision.streak_days,
        "drifting_keys": answer.drifting_keys, "reason": answer.decision.reason.sentence,
    } for group in (summary.drifting, summary.waiting, summary.ready) for answer in group]
    return {
        "tenants_ready": summary.ready.count,
        "tenants_total": summary.total,
        **({"tenant_gates": _table(rows, list(rows[0])), "all_tenant_gates": "orgrecon gate --by-tenant"}
           if rows else {}),
    }


def _keys(observation: Observation, samples: Sequence[Sample]) -> Metadata:
    """Return a table of sample keys, and the command that exports all keys."""
    if not samples:
        return {}
    rows = [{
        "tenant": sample.tenant, "entity": sample.entity, "kind": sample.kind.value,
        "key": ", ".join(f"{name} = {text}" for name, text in sorted(sample.key.items())),
        "columns": ", ".join(sample.columns), "state": sample.state.value if sample.state else None,
        "first_seen": sample.first_seen,
    } for sample in samples]
    day = observation.day.isoformat()
    return {
        "drifting_keys": _table(rows, list(rows[0])),
        "all_drifting_keys": f"orgrecon drift --date {day} --format csv --output drift-{day}.csv",
    }


def _window(rows: tuple[WindowRow, ...]) -> dg.TableMetadataValue:
    table = [
        {
            "day": row.day.isoformat(),
            "verdict": row.verdict.value,
            "provenance": row.provenance.value if row.provenance else "",
            "drift": row.counts.total,
            # The table is narrow, and its first column already names the day.
            "counts": "yes" if row.eligible
            else row.reason.sentence.removeprefix(f"{row.day} is ").removeprefix(f"{row.day} "),
        }
        for row in rows]
    return _table(table, list(table[0]))


def _frame(frame: pd.DataFrame) -> dg.TableMetadataValue:
    # As objects, because Dagster refuses the integers of numpy.
    return _table(frame.astype(object).to_dict(orient="records"), list(frame.columns))


def _table(rows: Sequence[Mapping[Any, Any]], columns: Sequence[str]) -> dg.TableMetadataValue:
    # Dagster refuses dates, so each cell becomes a plain value, and a missing value a dash.
    records = [dg.TableRecord({str(name): _cell(value) for name, value in row.items()}) for row in rows]
    return dg.TableMetadataValue(records, dg.TableSchema(columns=[dg.TableColumn(name) for name in columns]))


def _cell(value: Any) -> str | int | float | bool:
    if value is None or (isinstance(value, float) and value != value):
        return "–"
    return value if isinstance(value, (str, bool, int, float)) else str(value)
