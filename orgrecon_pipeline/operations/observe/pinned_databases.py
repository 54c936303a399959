"""Which databases the evidence is of, so that another one is never compared by mistake."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from orgrecon_pipeline.domain.day_decision import in_order
from orgrecon_pipeline.domain.evidence import Observation, Provenance
from orgrecon_pipeline.ledger.acknowledgements import Acknowledgement
from orgrecon_pipeline.operations.context import UNSHARDED, Context

#: What tells a database from every other one, by where it stands: ``source``, ``target``, or ``eu1.source``.
Pins = dict[str, dict[str, str]]

_PINNED = ("system_identifier", "database")


def by_shard(databases: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What the record says of the databases of all shards; of the only one without another level."""
    if databases.keys() <= {UNSHARDED}:
        return databases.get(UNSHARDED, {})
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

    Each decided observation was held against the pins, so the latest one has them too, and those of shards that were
    added since the last acceptance: a ledger that was rebuilt from the trail, which holds no acknowledgements, pins
    what was accepted last.
    """
    accepted = context.ledger.acknowledgements("source")
    if as_of is not None and accepted and as_of < accepted[-1].recorded_at:
        return _pinned_at(context, as_of, [earlier for earlier in accepted if earlier.recorded_at <= as_of])
    return _merged(context, _latest(context), accepted)


def _latest(context: Context) -> Observation | None:
    """The latest decided live observation of which it is known what it read."""
    latest = context.ledger.latest((Provenance.LIVE,), decided_only=True)
    if latest is None or _pins_of(latest):
        return latest
    # Of observations that decide no day a trail says not enough: the latest day that does then.
    for day in reversed(context.ledger.days()):
        for seen in reversed(context.ledger.observations(day)):
            if seen.provenance is Provenance.LIVE and seen.verdict.decided and _pins_of(seen):
                return seen
    return None


def _pinned_at(context: Context, moment: datetime, accepted: list[Acknowledgement]) -> Pins:
    """The pins as they were before the latest move: accepted by then, and those of the observations around it."""
    around = (context.ledger.latest((Provenance.LIVE,), decided_only=True, until=moment),
              None if accepted else context.ledger.first((Provenance.LIVE,), decided_only=True))
    return _merged(context, next((seen for seen in around if seen and _pins_of(seen)), None), accepted)


def _merged(context: Context, seen: Observation | None, accepted: list[Acknowledgement]) -> Pins:
    """What an observation read and what was accepted last; where they differ, the later one's."""
    observed = _pins_of(seen) if seen else {}
    if not accepted:
        return observed
    # Against the observation that it was accepted for: the time of the acceptance itself is by another clock.
    refused = context.ledger.observation(accepted[-1].observation_id)
    if seen and refused and in_order([refused, seen])[-1] is seen:
        return {**_accepted(accepted[-1].details), **observed}
    return {**observed, **_accepted(accepted[-1].details)}


def _pins_of(observation: Observation) -> Pins:
    return pins_of(observation.compared)


def _accepted(details: dict[str, Any]) -> Pins:
    return {label: {key: str(pin[key]) for key in _PINNED} for label, pin in details["databases"].items()}
