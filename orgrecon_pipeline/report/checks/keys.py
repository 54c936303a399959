"""Consistency of what a record says about its drifting keys: their numbers, their columns and their change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from orgrecon_pipeline.domain.days import days_between
from orgrecon_pipeline.domain.drift.key import KeyState, state_of
from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.evidence import Change, StateCounts
from orgrecon_pipeline.domain.record import Record


def key_contradictions(record: Record) -> Iterator[str]:
    """Yield the contradictions, as predicates of a sentence about the record."""
    yield from _in_numbers(record)
    for sample in record.samples:
        if not _is_possible(sample.first_seen, record.day) or sample.state is not state_of(
                sample.first_seen, record.day):
            yield "has a sample whose state contradicts the day on which it was first seen"
    if any(row.first_seen > record.day or not row.drift for row in record.tenants if row.first_seen):
        yield "has a tenant with an impossible day on which its drift was first seen"
    change = record.change
    if change is not None:
        if not (record.verdict.decided and record.provenance.compared):
            yield "has a change of the drift without a decided comparison"
        yield from _in_change(record, change)
    last = record.window[-1] if record.window else None
    totals = [change.total(state) if change else None for state in (KeyState.NEW, KeyState.HEALED)]
    if last and last.day == record.day and [last.new, last.healed] != totals:
        yield "has a window with another change for its day"


def _in_numbers(record: Record) -> Iterator[str]:
    keys, columns = (record.compared.get(name, {}) for name in ("keys", "mismatched_columns"))
    for name, totals in record.entities.items():
        numbers = keys.get(name)
        if numbers and not numbers["left_out"] <= numbers["drifting"] <= (totals.counts.total or 0):
            yield f"has an impossible number of drifting keys of {name}"
        if any(not 0 < differing <= (totals.mismatched or 0) for differing in columns.get(name, {}).values()):
            yield f"has more mismatches by column than mismatched keys of {name}"
    if not record.entities.keys() >= keys.keys() | columns.keys():
        yield "has numbers of keys of an entity that was not compared"


def _in_change(record: Record, change: Change) -> Iterator[str]:
    skipped = tuple(skipped_day.day for skipped_day in change.skipped)
    if change.since is None:
        if change.skipped or change.observation is not None:
            yield "has a change since no day that skips days"
    elif change.since >= record.day or change.observation is None or skipped != tuple(
            days_between(change.since, record.day))[1:-1]:
        yield "has a change whose days are out of order"
    if change.entities.keys() != record.entities.keys():
        yield "has a change of other entities than it compared"
        return
    for name, kinds in change.entities.items():
        for kind, states in kinds.items():
            if not _is_possible_change(states, kind, record.entities[name].counts[kind], change):
                yield f"has an impossible change of {kind} keys of {name}"
        if record.keys_left_out().get(name) and any(states.new is not None for states in kinds.values()):
            yield f"knows the change of {name}, although keys were left out"
    drifting = {name for name, totals in record.entities.items() if totals.counts.total}
    if change.oldest.keys() != drifting or any(
            oldest and not _is_possible(oldest.first_seen, record.day) for oldest in change.oldest.values()):
        yield "has an impossible oldest drift"


def _is_possible_change(states: StateCounts, kind: str, keys: int | None, change: Change) -> bool:
    if states.new is None or states.persistent is None:
        return (states.new, states.persistent, states.healed) == (None, None, None)
    drifting = states.new + states.persistent
    # A key with several surplus copies is one key.
    matches = 0 < drifting <= (keys or 0) if kind == DriftKind.DUPLICATE and keys else drifting == keys
    return matches and (change.since is not None or not (states.persistent or states.healed))


def _is_possible(first_seen: date | None, day: date) -> bool:
    return first_seen is None or first_seen <= day
