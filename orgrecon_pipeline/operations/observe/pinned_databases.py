"""The pinned databases and their WAL positions, so that no other or restored database is compared by mistake."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from orgrecon_pipeline.domain.databases import Pins, Position, pins_of, positions_of
from orgrecon_pipeline.domain.evidence import Observation, Provenance
from orgrecon_pipeline.domain.gate.day_decision import in_order
from orgrecon_pipeline.ledger.statements.read import Acknowledgement
from orgrecon_pipeline.operations.context import Context

# Days to go back for a server of the same role, where primary and standbys take turns.
_POSITION_DAYS = 30

# Label of a database, its identity, and whether it is a standby.
_DatabaseRole = tuple[str | bool, ...]


def pinned_databases(context: Context, as_of: datetime | None = None) -> Pins:
    """Return the databases that live evidence must come from; empty before the first decided live observation.

    The pins are those of the latest decided live observation, which was checked against them itself. It also has the
    shards that were added since the last acceptance, and it is in the trail, which has no acknowledgements.
    ``as_of`` asks for the pins at this time instead: a day before a move is restored from the old database.
    """
    accepted = context.ledger.acknowledgements("source")
    if as_of is not None and accepted and as_of < accepted[-1].recorded_at:
        return _pinned_at(context, as_of, [earlier for earlier in accepted if earlier.recorded_at <= as_of])
    return _merged(context, _latest(context), accepted)


def moved_from(context: Context, databases: Pins) -> Pins:
    """Return the databases that ``databases`` replace by a person's acceptance, until a day is decided without them.

    The observations after a move carry them, so that a trail alone shows that the move was accepted.
    """
    accepted = context.ledger.acknowledgements("source")
    latest = _latest(context)
    if not accepted or latest is None:
        return {}
    decided, pins = pins_of(latest.compared), accepted[-1].details["databases"]
    return {label: pin for label, pin in accepted[-1].details.get("replaced", {}).items()
            if decided.get(label) == pin and databases.get(label) == pins.get(label) != pin}


class KnownPositions:
    """WAL positions of live observations, earlier than ``before``, read from the ledger as far as they are needed."""

    def __init__(self, context: Context, before: Observation | None = None) -> None:
        # Another standby may be that much behind the one that was compared last.
        self._standby_until = context.clock.now() - timedelta(seconds=context.mapping.scan.max_replica_lag_seconds)
        self._unread = _witnesses(context, before)
        self._known: dict[_DatabaseRole, Position] = {}

    def regressed(self, databases: dict[str, Any]) -> dict[str, tuple[Position, Position]]:
        """Return the position now and the earlier one, by label, of each database whose WAL is behind.

        It is a restored backup or an old clone. ``databases`` are described as in a record.
        """
        pins = pins_of(databases)
        behind = {}
        for label, now in positions_of(databases).items():
            earlier = self._find(_role(label, pins[label], now))
            if earlier and now.behind(earlier):
                behind[label] = now, earlier
        return behind

    def _find(self, role: _DatabaseRole) -> Position | None:
        while role not in self._known and (observation := next(self._unread, None)):
            pins = pins_of(observation.compared)
            old = observation.observed_at is None or observation.observed_at <= self._standby_until
            for label, position in positions_of(observation.compared).items():
                if old or not position.in_recovery:
                    self._known.setdefault(_role(label, pins[label], position), position)
        return self._known.get(role)


def _role(label: str, pin: dict[str, str], position: Position) -> _DatabaseRole:
    return label, *pin.values(), position.in_recovery


def _witnesses(context: Context, before: Observation | None) -> Iterator[Observation]:
    """Yield the live observations that were decided, or whose databases a person accepted, latest first."""
    accepted = {acceptance.observation_id for acceptance in context.ledger.acknowledgements("source")}
    for day in islice(reversed(context.ledger.days()), _POSITION_DAYS):
        for observation in reversed(context.ledger.observations(day)):
            if before is not None:
                before = None if observation.id == before.id else before
            elif observation.provenance is Provenance.LIVE and (
                observation.verdict.decided or observation.id in accepted
            ):
                yield observation


def _latest(context: Context) -> Observation | None:
    """Return the latest decided live observation that names its databases."""
    latest = context.ledger.latest((Provenance.LIVE,), decided_only=True)
    if latest is None or pins_of(latest.compared):
        return latest
    # An observation that was imported from a trail names its databases only if it decides its day.
    return next((
        observation for day in reversed(context.ledger.days())
        for observation in reversed(context.ledger.observations(day))
        if observation.provenance is Provenance.LIVE and observation.verdict.decided and pins_of(observation.compared)
    ), None)


def _pinned_at(context: Context, moment: datetime, accepted: list[Acknowledgement]) -> Pins:
    """Return the pins before the latest move: those accepted by ``moment`` and those of an observation around it."""
    around = (context.ledger.latest((Provenance.LIVE,), decided_only=True, until=moment),
              None if accepted else context.ledger.first((Provenance.LIVE,), decided_only=True))
    return _merged(context, next((nearby for nearby in around if nearby and pins_of(nearby.compared)), None), accepted)


def _merged(context: Context, observation: Observation | None, accepted: list[Acknowledgement]) -> Pins:
    """Return the pins of an observation and of the last acceptance; the later one wins."""
    observed = pins_of(observation.compared) if observation else {}
    if not accepted:
        return observed
    # The acceptance is dated by another clock: compare with the observation that it accepts.
    pins: Pins = accepted[-1].details["databases"]
    refused = context.ledger.observation(accepted[-1].observation_id)
    if observation and refused and in_order([refused, observation])[-1] is observation:
        return {**pins, **observed}
    return {**observed, **pins}
