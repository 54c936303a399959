"""Which databases the evidence is of, so that another one is never compared by mistake."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from orgrecon_pipeline.domain.evidence import Observation, Provenance
from orgrecon_pipeline.operations.context import ONLY, Context

#: What tells a database from every other one, by where it stands: ``source``, ``target``, or ``eu1.source``.
Pins = dict[str, dict[str, str]]

_PINNED = ("system_identifier", "database")


def by_shard(databases: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What the record says of the databases of all shards; of the only one without another level."""
    if databases.keys() <= {ONLY}:
        return databases.get(ONLY, {})
    return {"shards": dict(sorted(databases.items()))}


def pins_of(compared: dict[str, Any]) -> Pins:
    """The databases that stand in a record, or in :func:`by_shard`."""
    shards = compared.get("shards")
    placed = {"": compared} if not isinstance(shards, dict) else {f"{name}.": both for name, both in shards.items()}
    return {
        f"{prefix}{side}": {key: str(found[key]) for key in _PINNED}
        for prefix, both in placed.items() if isinstance(both, dict)
        for side in ("source", "target")
        if isinstance(found := both.get(side), dict) and all(found.get(key) for key in _PINNED)
    }


def named(pin: dict[str, str]) -> str:
    """A database, for people."""
    return f"{pin['database']!a} on server {pin['system_identifier']}"


def pinned_databases(context: Context, as_of: datetime | None = None) -> Pins:
    """The databases that live evidence has to come from; empty before the first decided live observation.

    With ``as_of`` those of that moment, where they are known: a day before a move is restored from the old database.

    Each decided observation was held against the pins, so the latest one has them too: a ledger that was rebuilt from
    the trail, which holds no acknowledgements, pins what was accepted last.
    """
    accepted = context.ledger.acknowledgements("source")
    if as_of is not None and accepted and as_of < accepted[-1].recorded_at:
        return _pinned_at(context, as_of)
    if accepted:
        return _accepted(accepted[-1].details)
    latest = context.ledger.latest((Provenance.LIVE,), decided_only=True)
    if latest is None or (pins := _pins_of(latest)):
        return pins if latest else {}
    # Of observations that decide no day a trail says not enough: the latest day that does then.
    for day in reversed(context.ledger.days()):
        for seen in reversed(context.ledger.observations(day)):
            if seen.provenance is Provenance.LIVE and seen.verdict.decided and (pins := _pins_of(seen)):
                return pins
    return {}


def _pinned_at(context: Context, moment: datetime) -> Pins:
    """The pins as they were before the latest move: accepted by then, or those of the observations around it."""
    for earlier in reversed(context.ledger.acknowledgements("source")):
        if earlier.recorded_at <= moment:
            return _accepted(earlier.details)
    around = (context.ledger.latest((Provenance.LIVE,), decided_only=True, until=moment),
              context.ledger.first((Provenance.LIVE,), decided_only=True))
    return next((pins for seen in around if seen and (pins := _pins_of(seen))), {})


def _pins_of(observation: Observation) -> Pins:
    return pins_of(observation.compared)


def _accepted(details: dict[str, Any]) -> Pins:
    return {label: {key: str(pin[key]) for key in _PINNED} for label, pin in details["databases"].items()}
