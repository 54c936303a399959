"""Consistency of a record with itself. A digest proves nothing here, because an editor can compute it again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import get_args

from orgrecon_pipeline.domain.days import utc_day
from orgrecon_pipeline.domain.drift.kinds import Counts
from orgrecon_pipeline.domain.evidence import EntityTotals, Provenance, SameDay, Verdict, sum_counts
from orgrecon_pipeline.domain.gate.day_decision import conditions_of, deciding_observation
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.domain.record import Record, WindowDay, parse_instant
from orgrecon_pipeline.report.checks.keys import key_contradictions
from orgrecon_pipeline.report.checks.ready_tenants import ready_contradictions

# Fields that a record repeats from the observation that decides the day.
_REPEATED = ("title", "ledger", "verdict", "provenance", "reason", "reason_code", "reason_parameters",
             "tenants_scanned", "tenants_with_drift", "entities", "mapping_digest", "orgrecon_version", "change",
             "chain")

_ELIGIBLE = (ReasonCode.ELIGIBLE, ReasonCode.ELIGIBLE_BEFORE_STREAK)


def contradiction(record: Record) -> str | None:
    """Return the first contradiction within a record, as the predicate of a sentence about it; None if it has none."""
    return next(_contradictions(record), None)


def _contradictions(record: Record) -> Iterator[str]:
    yield from _in_observations(record)
    if record.verdict is Verdict.PASS and not _is_clean(record.entities, record.tenants_with_drift):
        yield "is a PASS with drift or with unknown figures"
    if record.verdict is Verdict.PASS and any(row.drift for row in record.tenants):
        yield "is a PASS with a drifting tenant"
    yield from _in_window(record)
    if record.gate.reason_code is ReasonCode.STREAK_TOO_SHORT:
        rows = [{"day": row.day.isoformat(), "verdict": row.verdict.value, **row.why.as_parameters()}
                for row in record.window]
        repeated = ("day", "verdict", "reason_code", "reason_parameters")
        if {name: record.gate.reason_parameters.get(name) for name in repeated} not in rows:
            yield "has a reason for the gate that contradicts its window"
    yield from key_contradictions(record)
    yield from ready_contradictions(record)


def _in_observations(record: Record) -> Iterator[str]:
    for row in record.observations:
        try:
            moment = parse_instant(row.observed_at)
        except ValueError:
            yield "has an observation whose time is not a UTC time"
            return
        if (row.ledger is not None) is not row.provenance.compared:
            yield "has a baseline with a ledger, or a comparison without one"
        if row.chain is not None and row.ledger is None:
            yield "has a baseline with a link of a ledger"
        if (moment is not None) is not row.provenance.compared:
            yield "has a baseline with a time, or a comparison without one"
        # The time of a restored database is the moment to which it was restored.
        elif moment is not None and utc_day(moment) != record.day:
            yield "has an observation of another day"
        if row.verdict is Verdict.MISSING:
            yield "has an observation without a verdict"
        if row.verdict is Verdict.PASS and not _is_clean(row.entities, row.tenants_with_drift):
            yield "has an observation that is a PASS with drift or with unknown figures"
    deciding = [row for row in record.observations if row.decides]
    if len(deciding) != 1:
        yield f"has {len(deciding)} observations that decide the day, not 1"
        return
    for name in _REPEATED:
        if getattr(record, name) != getattr(deciding[0], name):
            yield f"has another {name} than the observation that decides the day"
    if deciding[0].compared != conditions_of(record.compared):
        yield "has other conditions than the observation that decides the day"
    if len({row.id for row in record.observations}) != len(record.observations):
        yield "lists an observation twice"
    observations = record.to_observations()
    by_rules = {o.id for rule in get_args(SameDay) if (o := deciding_observation(observations, rule))}
    if deciding[0].id not in by_rules:
        yield "is decided by an observation that no rule for several observations of a day selects"


def _in_window(record: Record) -> Iterator[str]:
    window = record.window
    if not window or window[-1].day != record.day:
        yield "has a window that does not end with its day"
        return
    if any(later.day - earlier.day != timedelta(days=1) for earlier, later in pairwise(window)):
        yield "has a window with days out of order"
    if len(window) < record.window_days:
        yield "has a window that is too short"
    last = window[-1]
    if (last.verdict, last.provenance, last.counts) != (record.verdict, record.provenance, sum_counts(record.entities)):
        yield "has a window with other figures for its day"
    if record.verdict is not Verdict.PASS and last.why != record.why:
        yield "has a window with another reason for its day"
    if record.live_days != record.counted[Provenance.LIVE]:
        yield "has another number of live days than its window shows"
    for row in window:
        yield from _in_row(row)


def _in_row(row: WindowDay) -> Iterator[str]:
    missing = row.verdict is Verdict.MISSING
    if missing != (row.provenance is None) or (missing and row.counts != Counts.unknown()):
        yield f"has a window in which {row.day} is only partly MISSING"
    if row.eligible and row.verdict is not Verdict.PASS:
        yield f"counts {row.day} as clean, although it is {row.verdict.value}"
    if row.verdict is Verdict.PASS and any(row.counts.values()):
        yield f"has a window in which {row.day} is a PASS with drift"
    if row.eligible != (row.reason_code in _ELIGIBLE) or missing != (row.reason_code is ReasonCode.NO_REPORT):
        yield f"has a window with an impossible reason for {row.day}: {row.reason_code.value}"


def _is_clean(entities: dict[str, EntityTotals], tenants_with_drift: int | None) -> bool:
    return tenants_with_drift == 0 and sum_counts(entities) == Counts.zero()
