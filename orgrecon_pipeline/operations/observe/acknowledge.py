"""Recording, with a reason and for ever, that lost coverage or a moved database is intended."""

from __future__ import annotations

from datetime import date

from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.evidence import Observation, Provenance
from orgrecon_pipeline.operations.clock import refuse_future
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.pinned_databases import Pins, pinned_databases, pins_of

_MIN_REASON = 5


def acknowledge_coverage(context: Context, reason: str, day: date | None = None) -> list[str]:
    """Accept what the latest complete comparison found lost; returns it. The next observation counts without it.

    With a ``day`` it is the one of the database that was restored to that day.

    Raises:
        UsageError: when no reason is given, no comparison is complete, or nothing is lost.
        DayRefused: when the day is in the future.
    """
    reason = _reason(reason)
    if day is not None:
        refuse_future(day, context.clock.today())
    found = _complete(context) if day is None else _restored(context, day)
    of_day, options = ("", "") if day is None else (f" of a database restored to {day}", f" --restored --date {day}")
    if not found:
        raise UsageError(f"there is no complete comparison{of_day} yet: run orgrecon report{options} first.")
    lost = {seen.id: events for seen in found if (events := context.ledger.lost(seen.id))}
    if not lost:
        raise UsageError(f"nothing is lost: the latest complete comparison{of_day} covers all that was seen before.")
    names: dict[str, list[str]] = {
        seen: [f"{event.subject.value} {event.name}" for event in events] for seen, events in lost.items()}
    for seen, named in names.items():
        context.ledger.acknowledge("coverage", reason, seen, {"lost": named[:1000]}, context.clock.now())
    return list(dict.fromkeys(name for named in names.values() for name in named))


def accept_source(context: Context, reason: str) -> Pins:
    """Accept the databases that the latest observation was refused for; returns those that are new.

    Raises:
        UsageError: when no reason is given, or the latest observation read the known databases, or none.
    """
    reason = _reason(reason)
    latest = _latest(context, completed_only=False)
    read = pins_of(latest.compared) if latest else {}
    if not latest or not read:
        raise UsageError("no observation has read a database yet: run orgrecon report first.")
    known = pinned_databases(context)
    moved = {label: pin for label, pin in read.items() if known.get(label) != pin}
    if not moved:
        raise UsageError("the latest observation read the known database: there is nothing to accept.")
    # Of shards that did not answer the old ones stay.
    details = {"databases": {**known, **read}}
    context.ledger.acknowledge("source", reason, latest.id, details, context.clock.now())
    return moved


def _latest(context: Context, *, completed_only: bool) -> Observation | None:
    return context.ledger.latest((Provenance.LIVE, Provenance.SIMULATED), completed_only=completed_only)


def _complete(context: Context) -> list[Observation]:
    latest = _latest(context, completed_only=True)
    return [latest] if latest else []


def _restored(context: Context, day: date) -> list[Observation]:
    """The complete comparisons of the latest moment of that day to which a database was restored."""
    complete = [seen for seen in context.ledger.observations(day)
                if seen.provenance is Provenance.RESTORED and seen.tenants_scanned is not None]
    return [seen for seen in complete if seen.observed_at == complete[-1].observed_at]


def _reason(text: str) -> str:
    text = " ".join(text.split())
    if len(text) < _MIN_REASON:
        raise UsageError("--reason is too short: say in a sentence why this is intended; it is kept for ever.")
    return text
