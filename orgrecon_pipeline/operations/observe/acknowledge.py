"""Permanent acknowledgements, with a reason, that lost coverage or a moved database is intended."""

from __future__ import annotations

from datetime import date

from orgrecon_pipeline.domain.databases import Pins, pins_of
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.evidence import Observation, Provenance
from orgrecon_pipeline.operations.clock import refuse_future
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.pinned_databases import KnownPositions, pinned_databases

_MIN_REASON_LENGTH = 5
_STORED_NAMES = 1000


def acknowledge_coverage(context: Context, reason: str, day: date | None = None) -> list[str]:
    """Acknowledge what the latest complete comparison reported as lost or never seen, so that the next can PASS.

    ``reason`` says why the absence is intended. With ``day``, acknowledge the comparison of a database that was
    restored to that day instead. Return what was acknowledged, such as ``tenant acme``.

    Raises:
        UsageError: if the reason is too short, no comparison is complete, or nothing was lost or never seen.
        DayRefused: if the day is in the future.
    """
    reason = normalised_reason(reason)
    if day is not None:
        refuse_future(day, context.clock.today())
    observations = _latest_complete(context, day)
    of_day, options = ("", "") if day is None else (f" of a database restored to {day}", f" --restored --date {day}")
    if not observations:
        raise UsageError(f"there is no complete comparison{of_day} yet: run orgrecon report{options} first.")
    lost = {observation.id: [f"{event.subject.value} {event.name}" for event in events] for observation in observations
            if (events := context.ledger.lost_coverage(observation.id))}
    if not lost:
        raise UsageError(f"the latest complete comparison{of_day} lost no coverage, and lacks none from the start: "
                         "there is nothing to acknowledge.")
    for observation_id, names in lost.items():
        context.ledger.acknowledge(
            "coverage", reason, observation_id, {"lost": names[:_STORED_NAMES]}, context.clock.now())
    return list(dict.fromkeys(name for names in lost.values() for name in names))


def accept_source(context: Context, reason: str) -> Pins:
    """Accept the databases of the latest observation as the pinned databases from now on.

    Returns:
        The databases that were not pinned before, or that are in an earlier state than before.

    Raises:
        UsageError: if the reason is too short, or the latest observation read no database, or only pinned databases
            in a later state than before.
    """
    reason = normalised_reason(reason)
    latest = _latest(context, completed_only=False)
    read = pins_of(latest.compared) if latest else {}
    if not latest or not read:
        raise UsageError("no observation has read a database yet: run orgrecon report first.")
    pinned = pinned_databases(context)
    moved = {label: pin for label, pin in read.items() if pinned.get(label) != pin}
    restored = {label: read[label] for label in KnownPositions(context, before=latest).regressed(latest.compared)}
    if not moved and not restored:
        raise UsageError("the latest observation read the pinned database: there is nothing to accept.")
    # A shard that did not answer keeps its pinned database.
    replaced = {label: pinned[label] for label in moved if label in pinned}
    details = {"databases": {**pinned, **read}, "replaced": replaced}
    context.ledger.acknowledge("source", reason, latest.id, details, context.clock.now())
    return moved | restored


def _latest(context: Context, *, completed_only: bool) -> Observation | None:
    return context.ledger.latest((Provenance.LIVE, Provenance.SIMULATED), completed_only=completed_only)


def _latest_complete(context: Context, day: date | None) -> list[Observation]:
    """Return the latest complete comparison, or with a ``day`` all at the latest time to which one was restored."""
    if day is None:
        latest = _latest(context, completed_only=True)
        return [latest] if latest else []
    complete = [observation for observation in context.ledger.observations(day)
                if observation.provenance is Provenance.RESTORED and observation.tenants_scanned is not None]
    return [observation for observation in complete if observation.observed_at == complete[-1].observed_at]


def normalised_reason(text: str) -> str:
    """Return the reason in one line; raise UsageError if it is too short."""
    text = " ".join(text.split())
    if len(text) < _MIN_REASON_LENGTH:
        raise UsageError("--reason is too short: explain in a sentence why this is intended. It is stored permanently.")
    return text
