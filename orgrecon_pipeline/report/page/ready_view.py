"""The section of a page about the tenants that are ready for the cutover."""

from __future__ import annotations

from typing import Any

from orgrecon_pipeline.domain.reasons import counted
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.report.page.cells import table
from orgrecon_pipeline.report.page.markdown import code


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
    waiting, drift = ready.waiting - len(ready.nearest), ready.drifting - len(ready.most_drift)
    if nearest:
        not_listed = _more(waiting, "without drift")
    else:  # as on an INCONCLUSIVE day
        have = "has" if waiting == 1 else "have"
        not_listed = f"{counted(waiting, 'tenant')} {have} neither drift nor a clean day." if waiting else ""
    return {
        "state": f"The gates of {ready.ready} of {counted(ready.tenants, 'tenant')} with rows are OPEN",
        "company": f"This section does not affect the company's gate, which is {record.gate.state.value}.",
        "lists": [{"table": nearest, "more": not_listed}, {"table": drifting, "more": _more(drift, "with drift")}],
    }


def _more(tenants: int, which: str) -> str:
    """Return the line about the tenants that a table leaves out, empty if there are none."""
    return f"and {counted(tenants, 'more tenant')} {which}" if tenants else ""
