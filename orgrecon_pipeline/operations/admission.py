"""Whether a database can speak for the day, decided inside the snapshot and before anything is compared."""

from __future__ import annotations

from datetime import date, datetime

from orgrecon_pipeline.domain.days import utc_day
from orgrecon_pipeline.domain.errors import CannotDecide, DayRefused
from orgrecon_pipeline.domain.evidence import Observation, Provenance
from orgrecon_pipeline.domain.mapping import Mapping
from orgrecon_pipeline.domain.record import instant_text
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.source.comparison import Snapshot
from orgrecon_pipeline.source.session import Identity

_PINNED = ("system_identifier", "database")


class Admission:
    """Called once with the identity of the database; refuses by raising."""

    #: What the observation's coverage is held against: None for all that is known by now.
    as_of: datetime | None = None

    def __init__(self, context: Context, day: date, asked_at: datetime) -> None:
        self.context, self.day, self.asked_at = context, day, asked_at
        self.identity: Identity | None = None

    def __call__(self, snapshot: Snapshot) -> None:
        """Admit the database, or not.

        Raises:
            DayRefused: when it shows another day: nothing is to be written.
            CannotDecide: when it is the wrong one, or too far behind.
        """
        self.identity = identity = snapshot.source
        self._check_day(identity)
        pinned = None if self.provenance is Provenance.SIMULATED else pinned_source(self.context, self.as_of)
        if pinned is not None and pinned != _pin(identity):
            raise CannotDecide(
                f"this is database {_named(_pin(identity))}, and the evidence so far is of {_named(pinned)}: "
                "if it was moved on purpose, run orgrecon accept-source"
            )

    @property
    def mapping(self) -> Mapping:
        """The mapping to compare by."""
        return self.context.mapping

    @property
    def provenance(self) -> Provenance:
        """What stands behind the observation."""
        raise NotImplementedError

    @property
    def observed_at(self) -> datetime:
        """The moment that the observation is of."""
        raise NotImplementedError

    def refuse_unproven(self, reason: str) -> None:
        """Raise :class:`DayRefused` when an attempt that failed for that reason is nothing to be kept."""

    def _check_day(self, identity: Identity) -> None:
        raise NotImplementedError


class LiveAdmission(Admission):
    """Of a database that is in use: its own clock says which day it is."""

    @property
    def provenance(self) -> Provenance:
        simulated = self.identity.simulated if self.identity else self.context.clock.injected
        return Provenance.SIMULATED if simulated else Provenance.LIVE

    @property
    def observed_at(self) -> datetime:
        """The database's clock at the snapshot; the client's where no database answered, or for a simulation."""
        if self.identity is None or (self.context.clock.injected and self.identity.simulated):
            return self.asked_at
        return self.identity.observed_at

    def _check_day(self, identity: Identity) -> None:
        if utc_day(self.observed_at) != self.day:
            raise DayRefused(
                f"{self.day} was asked for, but the database's clock shows {instant_text(self.observed_at)} UTC: "
                f"nothing was written (this machine's clock: {instant_text(self.context.clock.now())})."
            )
        if lag := identity.lag(self.mapping.scan.max_replica_lag_seconds):
            raise CannotDecide(lag)


class RestoredAdmission(Admission):
    """Of a database that was restored to a day: the last transaction that its recovery replayed says which.

    Only a server that is still in recovery proves anything: once it has left it, anybody may have written to it.
    """

    @property
    def as_of(self) -> datetime | None:  # type: ignore[override]
        """The moment that it was restored to."""
        return self.observed_at

    @property
    def mapping(self) -> Mapping:
        """Without rechecks, as nothing changes any more, and without a heartbeat, which is meant to be old."""
        mapping = self.context.mapping
        return mapping.model_copy(
            update={"scan": mapping.scan.model_copy(update={"rechecks": 0, "heartbeat": None})})

    @property
    def provenance(self) -> Provenance:
        return Provenance.SIMULATED if self.identity and self.identity.simulated else Provenance.RESTORED

    @property
    def observed_at(self) -> datetime:
        """When the last replayed transaction was committed."""
        standby = self.identity.standby if self.identity else None
        return (standby.replayed_at if standby else None) or self.asked_at

    def refuse_unproven(self, reason: str) -> None:
        """Without an answer of the server there is no proof of the day, and so nothing to keep of it."""
        if self.identity is None:
            raise DayRefused(f"{self.day} was not compared, nothing was written: {reason}.")

    def _check_day(self, identity: Identity) -> None:
        if identity.standby is None:
            raise DayRefused(
                f"--restored needs a server in recovery, and this one is open for writing: it cannot prove that it is "
                f"as it was on {self.day}. Restore with recovery_target_time on that day and recovery_target_action = "
                "'pause'."
            )
        if not identity.standby.paused:
            raise DayRefused(
                f"--restored needs a server that stands still, and this one goes on replaying: restore with "
                f"recovery_target_time on {self.day} and recovery_target_action = 'pause', or pause it "
                "(SELECT pg_wal_replay_pause())."
            )
        replayed_at = identity.standby.replayed_at
        if replayed_at is None:
            raise DayRefused(
                f"the server has replayed no transaction, so that nothing proves that it was restored to {self.day}: "
                "restore from a backup that was begun earlier."
            )
        if utc_day(replayed_at) != self.day:
            raise DayRefused(
                f"the server was restored to {instant_text(replayed_at)} UTC (pg_last_xact_replay_timestamp), which is "
                f"not {self.day}: nothing was written."
            )


def pinned_source(context: Context, as_of: datetime | None = None) -> dict[str, str] | None:
    """The database that live evidence has to come from; None before the first decided live observation.

    With ``as_of`` the one of that moment, where it is known: a day before a move is restored from the old database.

    Each decided observation was held against the pin, so the latest one has it too: a ledger that was rebuilt from
    the trail, which holds no acknowledgements, pins what was accepted last.
    """
    accepted = context.ledger.acknowledgements("source")
    if as_of is not None and accepted and as_of < accepted[-1].recorded_at:
        return _pinned_at(context, as_of)
    if accepted:
        return {key: str(accepted[-1].details[key]) for key in _PINNED}
    latest = context.ledger.latest((Provenance.LIVE,), decided_only=True)
    if latest is None or (pin := _pin_of(latest)):
        return pin if latest else None
    # Of observations that decide no day a trail says not enough: the latest day that does then.
    for day in reversed(context.ledger.days()):
        for seen in reversed(context.ledger.observations(day)):
            if seen.provenance is Provenance.LIVE and seen.verdict.decided and (pin := _pin_of(seen)):
                return pin
    return None


def _pinned_at(context: Context, moment: datetime) -> dict[str, str] | None:
    """The pin as it was before the latest move: accepted by then, or that of the observations around that moment."""
    for earlier in reversed(context.ledger.acknowledgements("source")):
        if earlier.recorded_at <= moment:
            return {key: str(earlier.details[key]) for key in _PINNED}
    around = (context.ledger.latest((Provenance.LIVE,), decided_only=True, until=moment),
              context.ledger.first((Provenance.LIVE,), decided_only=True))
    return next((pin for seen in around if seen and (pin := _pin_of(seen))), None)


def _pin_of(observation: Observation) -> dict[str, str] | None:
    source = observation.compared.get("source")
    if not isinstance(source, dict) or not all(source.get(key) for key in _PINNED):
        return None
    return {key: str(source[key]) for key in _PINNED}


def _pin(identity: Identity) -> dict[str, str]:
    return {"system_identifier": identity.system_identifier, "database": identity.database}


def _named(pin: dict[str, str]) -> str:
    return f"{pin['database']!a} on server {pin['system_identifier']}"
