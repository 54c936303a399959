"""The sections of a page about the change of the drift, and about the columns in which keys differ."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from orgrecon_pipeline.domain.drift.key import KeyState
from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.evidence import Change, SkippedDay, Verdict
from orgrecon_pipeline.domain.reasons import counted
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.report.page.cells import UNKNOWN, figure, table
from orgrecon_pipeline.report.page.markdown import code

_STATES = [state.value for state in KeyState]
_MAX_SKIPPED = 10
_MAX_COLUMNS = 50


def change_view(record: Record) -> dict[str, Any] | None:
    """Return the heading, the table and the notes about the change since the previous decided day."""
    change = record.change
    if change is None:
        return None
    rows = [
        (code(name), kind.value, *(figure(getattr(kinds[kind.value], state)) for state in _STATES))
        for name, kinds in sorted(change.entities.items()) for kind in DriftKind
        if any(count != 0 for count in kinds[kind.value].model_dump().values())]
    return {
        "heading": f"Change since {change.since}" if change.since else "Change",
        "table": table(("Entity", "Kind", *map(str.capitalize, _STATES)), "ll" + "r" * len(_STATES), rows),
        "notes": list(_notes(record, change, bool(rows))),
    }


def mismatches_by_column(record: Record) -> dict[str, str] | None:
    """Return the table of the columns in which mismatched keys differ, most keys first in each entity."""
    by_entity = record.compared.get("mismatched_columns")
    if not by_entity:
        return None
    rows = [(name, column, keys) for name, columns in sorted(by_entity.items())
            for column, keys in sorted(columns.items(), key=lambda item: (-item[1], item[0]))]
    more = len(rows) - _MAX_COLUMNS
    return {
        "table": table(("Entity", "Column", "Mismatched keys"), "llr", [
            (code(name), code(column), str(keys)) for name, column, keys in rows[:_MAX_COLUMNS]]),
        "note": f"{counted(more, 'more column')} {'is' if more == 1 else 'are'} not shown." if more > 0 else
                "A key that differs in several columns is counted in each of them.",
    }


def first_seen(day: date | None, state: KeyState | None) -> str:
    """Return the text for the first day of a key's drift."""
    return f"{day} ({state.value})" if day and state else UNKNOWN


def _notes(record: Record, change: Change, changed: bool) -> Iterator[str]:
    if change.since is None:
        yield "No earlier day was decided under this mapping, so every drifting key is new."
    elif not changed:
        yield f"No key drifts, and none drifted on {change.since}."
    if change.skipped:
        yield f"Skipped, because they do not tell which keys drifted: {_listed(change.skipped)}."
    for name, left_out in sorted(record.keys_left_out().items()):
        yield (f"{counted(left_out, 'drifting key')} of {code(name)} {'is' if left_out == 1 else 'are'} not in the "
               "ledger, because there are more than `report.keep_keys`.")
    if None in (change.total(state) for state in KeyState):
        yield ("Unknown figures: the ledger does not have all keys of both days, or keys were being written during the "
               "comparison.")
    for name, oldest in sorted(change.oldest.items()):
        since = f"since {oldest.first_seen}, tenant {code(oldest.tenant)}" if oldest else UNKNOWN
        yield f"Oldest drift of {code(name)}: {since}."


def _listed(skipped: tuple[SkippedDay, ...]) -> str:
    shown = [f"{skipped_day.day} ({_why(skipped_day.verdict)})" for skipped_day in skipped[-_MAX_SKIPPED:]]
    more = len(skipped) - len(shown)
    return ", ".join([*([f"{counted(more, 'earlier day')}"] if more else []), *shown])


def _why(verdict: Verdict) -> str:
    return f"{verdict.value}, not comparable" if verdict.decided else verdict.value
