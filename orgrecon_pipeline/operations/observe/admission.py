"""Validation that a snapshot is evidence for the requested day, before anything is compared."""

from __future__ import annotations

import threading
from datetime import date, datetime
from functools import cached_property
from typing import Any

from orgrecon_pipeline.compare.result import SnapshotPair
from orgrecon_pipeline.domain.databases import Pins, by_shard, describe_pin, pins_of
from orgrecon_pipeline.domain.days import utc_day
from orgrecon_pipeline.domain.errors import CannotDecide, DayRefused
from orgrecon_pipeline.domain.evidence import Provenance
from orgrecon_pipeline.domain.mapping.model import SIDES, MappingConfig
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.domain.record import instant_text
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.pinned_databases import KnownPositions, pinned_databases
from orgrecon_pipeline.postgres.identity import DatabaseIdentity


class Admission:
    """Validates the snapshot of each shard, inside it, and determines the provenance and time of the observation."""

    #: The time whose known coverage and pinned databases apply; None for the latest.
    as_of: datetime | None = None

    def __init__(self, context: Context, day: date, asked_at: datetime) -> None:
        self.context, self.day, self.asked_at = context, day, asked_at
        self._snapshots: dict[str, SnapshotPair] = {}
        self._lock = threading.RLock()

    def admit(self, shard: str, snapshot: SnapshotPair) -> None:
        """Validate the snapshot of a shard.

        Raises:
            DayRefused: if a database shows another day; nothing must be written.
            CannotDecide: if a database is not the pinned one, was restored from a backup, or lags too far behind.
        """
        with self._lock:  # shards are compared concurrently
            self._snapshots[shard] = snapshot
            self._check_snapshot(shard, snapshot)

    def _check_snapshot(self, shard: str, snapshot: SnapshotPair) -> None:
        if snapshot.target is snapshot.source:
            self._check_day(snapshot.source, shard)
        else:
            for side in SIDES:
                self._check_day(getattr(snapshot, side), f"{shard}.{side}".lstrip("."))
        if self.provenance is Provenance.SIMULATED:
            return
        pinned, databases = self._pinned, by_shard({shard: snapshot.as_json_value()})
        for label, pin in pins_of(databases).items():
            if label in pinned and pinned[label] != pin:
                raise CannotDecide(
                    f"{label}: this is database {describe_pin(pin)}, but the evidence so far is from "
                    f"{describe_pin(pinned[label])}: if it was moved on purpose, run orgrecon accept-source",
                    ReasonCode.WRONG_DATABASE)
        regressed = self._positions.regressed(databases) if self.as_of is None else {}
        for label, (now, earlier) in regressed.items():
            raise CannotDecide(
                f"{label}: the WAL of this database is at {now}, behind {earlier} of an earlier observation: it is a "
                "restored backup or an old clone; if it replaces the database on purpose, run orgrecon accept-source",
                ReasonCode.DATABASE_REGRESSED)

    @cached_property
    def _pinned(self) -> Pins:
        return pinned_databases(self.context, self.as_of)

    @cached_property
    def _positions(self) -> KnownPositions:
        return KnownPositions(self.context)

    def databases(self) -> dict[str, Any]:
        """Return the record's description of the databases that were validated so far."""
        return by_shard({shard: snapshot.as_json_value() for shard, snapshot in self._snapshots.items()})

    @property
    def identity(self) -> DatabaseIdentity | None:
        """The source database with the earliest snapshot; None if no database answered."""
        sources = (snapshot.source for snapshot in self._snapshots.values())
        return min(sources, key=lambda identity: identity.observed_at, default=None)

    @property
    def simulated(self) -> bool:
        """Whether a database is marked as simulated."""
        return any(pair.source.simulated or pair.target.simulated for pair in self._snapshots.values())

    @property
    def mapping(self) -> MappingConfig:
        """The mapping of the comparison."""
        return self.context.mapping

    @property
    def provenance(self) -> Provenance:
        """The provenance of the observation."""
        raise NotImplementedError

    @property
    def observed_at(self) -> datetime:
        """The time of the observation."""
        raise NotImplementedError

    def refuse_unproven(self, reason: str) -> None:
        """Raise :class:`DayRefused` if a failed attempt must not be stored as an observation of the day."""

    def _check_day(self, identity: DatabaseIdentity, label: str) -> None:
        """Raise if the snapshot is not of the day; ``label`` names the database if there are several."""
        raise NotImplementedError


class LiveAdmission(Admission):
    """Validates a live database, whose own clock determines the day."""

    @property
    def provenance(self) -> Provenance:
        simulated = self.simulated if self._snapshots else self.context.clock.injected
        return Provenance.SIMULATED if simulated else Provenance.LIVE

    @property
    def observed_at(self) -> datetime:
        """The database's time at the snapshot, or the client's if no database answered or it is simulated."""
        return self._moment(self.identity) if self.identity else self.asked_at

    def _moment(self, identity: DatabaseIdentity) -> datetime:
        return self.asked_at if self.context.clock.injected and identity.simulated else identity.observed_at

    def _check_day(self, identity: DatabaseIdentity, label: str) -> None:
        moment = self._moment(identity)
        if utc_day(moment) != self.day:
            raise DayRefused(
                f"{self.day} was requested, but the database's clock{f' ({label})' if label else ''} shows "
                f"{instant_text(moment)} UTC (this machine's clock: {instant_text(self.context.clock.now())}): nothing "
                "was written. Correct the wrong clock, or request the day that the database shows.")
        if lag := identity.lag(self.mapping.scan.max_replica_lag_seconds):
            side = label.rpartition(".")[2]
            raise CannotDecide(f"{side}: {lag}" if side in SIDES else lag, ReasonCode.REPLICA_LAG)


class RestoredAdmission(Admission):
    """Validates a restored database, whose last replayed transaction determines the day.

    The server must still be in recovery: after a promotion its data may have been changed.
    """

    @property
    def as_of(self) -> datetime | None:  # type: ignore[override]
        """The time to which the database was restored."""
        return self.observed_at

    @property
    def mapping(self) -> MappingConfig:
        """The mapping without rechecks, as nothing changes, and without the heartbeat, which is old by design."""
        mapping = self.context.mapping
        return mapping.model_copy(update={"scan": mapping.scan.model_copy(update={"rechecks": 0, "heartbeat": None})})

    @property
    def provenance(self) -> Provenance:
        return Provenance.SIMULATED if self.simulated else Provenance.RESTORED

    @property
    def observed_at(self) -> datetime:
        """The commit time of the last replayed transaction."""
        standby = self.identity.standby if self.identity else None
        return (standby.replayed_at if standby else None) or self.asked_at

    def refuse_unproven(self, reason: str) -> None:
        """Raise :class:`DayRefused` if no server answered, because nothing proves the day."""
        if self.identity is None:
            raise DayRefused(f"{self.day} was not compared and nothing was written: {reason}.")

    def _check_day(self, identity: DatabaseIdentity, label: str) -> None:
        if identity.standby is None:
            raise DayRefused(
                "--restored needs a server in recovery, but this one is open for writing, so its data may have changed "
                f"since {self.day}: restore with recovery_target_time on that day and recovery_target_action = 'pause'."
            )
        if not identity.standby.paused:
            raise DayRefused(
                "--restored needs a server whose recovery is paused, but this one still replays WAL: restore with "
                f"recovery_target_time on {self.day} and recovery_target_action = 'pause', or run SELECT "
                "pg_wal_replay_pause().")
        replayed_at = identity.standby.replayed_at
        if replayed_at is None:
            raise DayRefused(
                f"the server has replayed no transaction, so nothing proves that it was restored to {self.day}: "
                "restore from an earlier backup.")
        if utc_day(replayed_at) != self.day:
            raise DayRefused(
                f"the server was restored to {instant_text(replayed_at)} UTC (pg_last_xact_replay_timestamp), which is "
                f"not on {self.day}: nothing was written. Set --date to the day of the restored data.")
