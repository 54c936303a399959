"""The per-tenant breakdown of a page, which is most of it: a report can have ten thousand rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from operator import attrgetter

from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.evidence import FIGURES, TenantRow
from orgrecon_pipeline.domain.reasons import counted
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.report.page.cells import NOTHING, UNKNOWN, line_format, table_of_lines
from orgrecon_pipeline.report.page.markdown import code

_HEADING = ("Tenant", "Entity", *(name.replace("_", " ").capitalize() for name in FIGURES), "First seen")
_ALIGN = "ll" + "r" * len(FIGURES) + "l"
_LINE = line_format(len(_HEADING))
_figures_of = attrgetter(*FIGURES)
_DRIFT = slice(2, 2 + len(DriftKind))

# The rows of the last page by id(), each with its line. In a trail, most rows are the same as on the day before, and
# reading a trail gives the same object for equal rows. As the rows are kept, no other row gets their ids.
_latest: dict[int, tuple[TenantRow, str]] = {}


def tenants_view(record: Record) -> dict[str, str] | None:
    """Return the table of the breakdown and the note below it; None if there are no tenants."""
    listed = len({row.tenant for row in record.tenants})
    if not listed and not record.tenants_scanned:
        return None
    table = table_of_lines(_HEADING, _ALIGN, _lines(record.tenants))
    more = (record.tenants_scanned or 0) - listed
    if more <= 0:
        return {"table": table, "note": "Every tenant is shown."}
    drifting = max(0, (record.tenants_with_drift or 0) - len({row.tenant for row in record.tenants if row.drift}))
    return {"table": table, "note": f"{counted(more, 'more tenant')} {'is' if more == 1 else 'are'} not shown, "
                                    f"{drifting or 'none'} of them with drift."}


def _lines(rows: Sequence[TenantRow]) -> list[str]:
    global _latest
    known, as_code = _latest, cache(code)
    with_lines = [known.get(id(row)) or (row, _line(row, as_code)) for row in rows]
    _latest = {id(row): (row, line) for row, line in with_lines}
    return [line for _, line in with_lines]


def _line(row: TenantRow, as_code: Callable[[str], str]) -> str:
    figures = _figures_of(row)
    first_seen = NOTHING if not any(figures[_DRIFT]) else row.first_seen.isoformat() if row.first_seen else UNKNOWN
    return _LINE % (as_code(row.tenant), as_code(row.entity), *figures, first_seen)
