"""What a person wants to see of each asset in the Dagster UI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import pandas as pd

from orgrecon_pipeline.domain.errors import DayRefused
from orgrecon_pipeline.domain.evidence import Observation, TenantRow
from orgrecon_pipeline.domain.gate import GateDecision, WindowRow
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.daily_summary import DailySummary
from orgrecon_pipeline.operations.gate.current import GateAnswer
from orgrecon_pipeline.operations.trail.publish import Published

Metadata = Mapping[str, Any]


def decided(work: Context, day: date) -> Observation:
    """The observation that decides a day.

    Raises:
        DayRefused: for a MISSING day.
    """
    observation = work.ledger.deciding(day, work.mapping.gate.same_day)
    if observation is None:
        raise DayRefused(f"{day} has no evidence in the ledger: materialise tenant_drift of that day first.")
    return observation


def observation(seen: Observation, worst: Sequence[TenantRow], note: str) -> Metadata:
    """Of ``tenant_drift``: the verdict, figures that plot over time, the tenants that drift most, and how it was
    compared. ``worst`` has the most drift first, and may go on with tenants that have none."""
    figures = {
        "tenants_scanned": seen.tenants_scanned,
        "tenants_with_drift": seen.tenants_with_drift,
        "rows_compared": seen.rows_compared,
        "seconds": seen.compared.get("seconds"),
        **seen.drift_by_kind(),
    }
    drifting = [row.model_dump() for row in worst if row.drift]
    return {
        "verdict": seen.verdict.value,
        "provenance": seen.provenance.value,
        "reason": seen.reason,
        **({"note": note} if note else {}),
        **_known(figures),
        **({"worst_tenants": _table(pd.DataFrame(drifting))} if drifting else {}),
        "compared": dg.JsonMetadataValue(seen.compared),
    }


def summary(seen: Observation, figures: DailySummary) -> Metadata:
    """Of ``daily_summary``: the two tables, and drift by kind."""
    return {
        "verdict": seen.verdict.value,
        "by_entity": _table(figures.by_entity),
        "worst_tenants": _table(figures.worst),
        **figures.drift,
        "drift": sum(figures.drift.values()),
    }


def judgement(judged: GateDecision) -> Metadata:
    """Of ``rolling_window``: streak, gate as of the day, and the window as a table."""
    return {
        "streak_days": judged.streak_days,
        "live_days": judged.live_days,
        "gate_as_of_this_day": judged.state.value,
        "reason": judged.reason,
        "earliest_open_day": judged.earliest_open_day.isoformat(),
        "window": _window(judged.window),
    }


def report(published: Published, *, with_text: bool) -> Metadata:
    """Of ``markdown_report``: where it is and, with its text, the report itself, rendered by the UI."""
    return {
        **({"report": dg.MarkdownMetadataValue(published.markdown)} if with_text else {}),
        "path": dg.PathMetadataValue(str(published.path)),
        "digest": published.record.digest,
        "verdict": published.record.verdict.value,
    }


def gate(answer: GateAnswer) -> Metadata:
    """Of ``drift_gate`` and its check: the answer, and until when it holds."""
    judged = answer.judgement
    return {
        "state": judged.state.value,
        "as_of": answer.as_of.isoformat(),
        "valid_until": answer.valid_until.isoformat(),
        "streak_days": judged.streak_days,
        "window_days": judged.window_days,
        "live_days": judged.live_days,
        "reason": judged.reason,
        "earliest_open_day": judged.earliest_open_day.isoformat(),
        "window": _window(judged.window),
        "answer": dg.JsonMetadataValue(answer.as_json_value()),  # what orgrecon gate --dagster-url reads
    }


def _window(rows: tuple[WindowRow, ...]) -> dg.TableMetadataValue:
    return _table(pd.DataFrame([
        {
            "day": row.day.isoformat(),
            "verdict": row.verdict.value,
            "provenance": row.provenance.value if row.provenance else "",
            "drift": None if None in row.drift.values() else sum(map(int, row.drift.values())),  # type: ignore[arg-type]
            # The table is narrow, and the day is in it already.
            "counts": "yes" if row.eligible else row.why_not.removeprefix(f"{row.day} is ").removeprefix(f"{row.day} "),
        }
        for row in rows
    ]))


def _table(frame: pd.DataFrame) -> dg.TableMetadataValue:
    # Dagster refuses numpy's integers and dates: each cell becomes a plain value, a missing one a dash.
    records = [
        dg.TableRecord({str(name): _cell(value) for name, value in row.items()})
        for row in frame.astype(object).to_dict(orient="records")
    ]
    columns = [dg.TableColumn(str(name)) for name in frame.columns]
    return dg.TableMetadataValue(records, dg.TableSchema(columns=columns))


def _cell(value: Any) -> str | int | float | bool:
    if value is None or (isinstance(value, float) and value != value):
        return "–"
    return value if isinstance(value, (str, bool, int, float)) else str(value)


def _known(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if value is not None}
