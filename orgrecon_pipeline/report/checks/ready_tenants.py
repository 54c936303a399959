"""Consistency of the tenant gates in a record.

A record does not list all tenants, so the figures cannot be computed again from it. The checks find impossible figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.gate.ready_tenants import ReadyTenants
from orgrecon_pipeline.domain.record import Record


def ready_contradictions(record: Record) -> Iterator[str]:
    """Yield the contradictions, as predicates of a sentence about the record."""
    ready, window = record.ready_tenants, record.window_days
    if ready is None:
        return
    if not record.provenance.compared:
        yield "has tenant gates, although no tenant was compared"
    yield from _in_numbers(ready)
    # A day that is not decided is clean for no tenant.
    decided = sum(1 for _ in takewhile(
        lambda row: row.verdict.decided and row.provenance and row.provenance.compared, reversed(record.window)))
    if ready.ready and decided < window:
        yield "has an OPEN tenant gate, although a day of its window is not decided"
    if any(not 0 < tenant.streak_days <= min(window, decided) for tenant in ready.nearest):
        yield "has a tenant with an impossible streak"
    yield from _in_names(ready)
    completed = [row for row in record.observations if row.verdict.decided]
    # After another observation of the day, tenants that drifted may have left.
    if completed and completed[-1].decides:
        yield from _in_breakdown(record, ready)


def _in_numbers(ready: ReadyTenants) -> Iterator[str]:
    if ready.waiting < len(ready.nearest) or ready.drifting < len(ready.most_drift):
        yield "has more tenant gates than tenants"


def _in_names(ready: ReadyTenants) -> Iterator[str]:
    names = [tenant.tenant for tenant in ready.nearest] + [tenant.tenant for tenant in ready.most_drift]
    if len(set(names)) != len(names):
        yield "lists a tenant gate twice"


def _in_breakdown(record: Record, ready: ReadyTenants) -> Iterator[str]:
    """Yield contradictions to the drift of the deciding observation, the last one of the day that was decided."""
    if ready.ready and record.verdict is Verdict.FAIL and (
            ready.ready + (record.tenants_with_drift or 0) > ready.tenants):
        yield "has more tenants that are OPEN or drift than tenants"
    named = {tenant.tenant for tenant in ready.nearest} | {tenant.tenant for tenant in ready.most_drift}
    drift: dict[str, int] = {}
    for row in record.tenants:
        if row.tenant in named:
            drift[row.tenant] = drift.get(row.tenant, 0) + row.drift
    if any(drift.get(tenant.tenant) for tenant in ready.nearest):
        yield "has a tenant without drift that drifts in the breakdown"
    if any(drift.get(tenant.tenant, tenant.drifting_keys) != tenant.drifting_keys for tenant in ready.most_drift):
        yield "has a tenant with other drift than in the breakdown"
