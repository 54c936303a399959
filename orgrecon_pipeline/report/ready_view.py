"""The section of a page about the tenants that are ready for the cutover."""

from __future__ import annotations

from typing import Any

from orgrecon_pipeline.domain.reasons import counted
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.report.cells import table
from orgrecon_pipeline.report.markdown import code


def ready_view(record: Record) -> dict[str, Any] | None:
    """Return how many tenant gates are OPEN, and the tables of the nearest and of the drifting tenants."""
    ready, window = record.ready_tenants, record.window_days
    if ready is None:
        return None
    nearest = table(("Nearest to opening", "Streak", "Earliest opening day"), "lll", [
        (code(tenant.tenant), f"{tenant.streak_days} of {window}", tenant.earliest_open_day.isoformat())
        for tenant in ready.nearest])
    drifting = table(("Drifting", "Drifting keys", "Streak", "Earliest opening day"), "lrll", [
        (code(tenant.tenant), str(tenant.drifting_keys), f"0 of {window}", tenant.earliest_open_day.isoformat())
        for tenant in ready.most_drift])
    not_nearest = "without drift" if nearest else "without drift, but this day is not clean for"
    return {
        "state": f"{ready.ready} of {counted(ready.tenants, 'tenant')} {_are(ready.tenants)} OPEN",
        "company": f"Whatever this section says, the company's gate stays as it is: {record.gate.state.value}.",
        "lists": [
            {"table": nearest, "more": _more(ready.waiting - len(ready.nearest), not_nearest)},
            {"table": drifting, "more": _more(ready.drifting - len(ready.most_drift), "with drift")},
        ],
    }


def _more(tenants: int, which: str) -> str:
    """Return the line about the CLOSED tenants that a table leaves out, empty if there are none."""
    return f"and {counted(tenants, 'more tenant')} {which}" if tenants else ""


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
