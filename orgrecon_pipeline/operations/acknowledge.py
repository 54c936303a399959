"""Recording, with a reason and for ever, that lost coverage or a moved database is intended."""

from __future__ import annotations

from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.evidence import Observation, Provenance
from orgrecon_pipeline.operations.admission import pinned_source
from orgrecon_pipeline.operations.context import Context

_MIN_REASON = 5


def acknowledge_coverage(context: Context, reason: str) -> list[str]:
    """Accept what the latest complete comparison found lost; returns it. The next observation counts without it.

    Raises:
        UsageError: when nothing is lost, or no reason is given.
    """
    latest = _latest(context, completed_only=True)
    lost = context.ledger.lost(latest.id) if latest else []
    if latest is None or not lost:
        raise UsageError("nothing is lost: the latest complete comparison covers all that was seen before.")
    names = [f"{event.subject.value} {event.name}" for event in lost]
    context.ledger.acknowledge("coverage", _reason(reason), latest.id, {"lost": names[:1000]}, context.clock.now())
    return names


def accept_source(context: Context, reason: str) -> dict[str, str]:
    """Accept the database that the latest observation was refused for; returns its identity.

    Raises:
        UsageError: when the latest observation read the known database, or no reason is given.
    """
    latest = _latest(context, completed_only=False)
    source = latest.compared.get("source") if latest else None
    if not latest or not source:
        raise UsageError("no observation has read a database yet: run orgrecon report first.")
    identity = {key: str(source[key]) for key in ("system_identifier", "database")}
    if identity == pinned_source(context):
        raise UsageError("the latest observation read the known database: there is nothing to accept.")
    context.ledger.acknowledge("source", _reason(reason), latest.id, identity, context.clock.now())
    return identity


def _latest(context: Context, *, completed_only: bool) -> Observation | None:
    return context.ledger.latest((Provenance.LIVE, Provenance.SIMULATED), completed_only=completed_only)


def _reason(text: str) -> str:
    text = " ".join(text.split())
    if len(text) < _MIN_REASON:
        raise UsageError("--reason is too short: say in a sentence why this is intended; it is kept for ever.")
    return text
