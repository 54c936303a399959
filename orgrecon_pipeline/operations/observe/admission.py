"""Whether a database can speak for the day, decided inside the snapshot and before anything is compared."""

from __future__ import annotations

import threading
from datetime import date, datetime
from functools import cached_property
from typing import Any

from orgrecon_pipeline.compare.preflight import SIDES
from orgrecon_pipeline.compare.result import SnapshotPair
from orgrecon_pipeline.domain.days import utc_day
from orgrecon_pipeline.domain.errors import CannotDecide, DayRefused
from orgrecon_pipeline.domain.evidence import Provenance
from orgrecon_pipeline.domain.mapping import MappingConfig
from orgrecon_pipeline.domain.record import instant_text
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.pinned_databases import Pins, by_shard, named, pinned_databases, pins_of
from orgrecon_pipeline.postgres.session import DatabaseIdentity


class Admission:
    """Asked once for every shard, inside its snapshot; refuses by raising."""

    #: What the observation's coverage is held against: None for all that is known by now.
    as_of: datetime | None = None

    def __init__(self, context: Context, day: date, asked_at: datetime) -> None:
        self.context, self.day, self.asked_at = context, day, asked_at
        self._snapshots: dict[str, SnapshotPair] = {}
        self._lock = threading.RLock()

    def admit(self, shard: str, snapshot: SnapshotPair) -> None:
        """Admit the databases of a shard, or not.

        Raises:
            DayRefused: when one shows another day: nothing is to be written.
            CannotDecide: when it is the wrong one, or too far behind.
        """
        with self._lock:  # shards come at the same time
            self._admit(shard, snapshot)

    def _admit(self, shard: str, snapshot: SnapshotPair) -> None:
        self._snapshots[shard] = snapshot
        if snapshot.target is snapshot.source:
            self._check_day(snapshot.source, shard)
        else:
            for side in SIDES:
                self._check_day(getattr(snapshot, side), f"{shard}.{side}".lstrip("."))
        if self.provenance is Provenance.SIMULATED:
            return
        pinned = self._pinned
        for label, pin in pins_of(by_shard({shard: snapshot.as_json_value()})).items():
            if label in pinned and pinned[label] != pin:
                raise CannotDecide(
                    f"{label}: this is database {named(pin)}, and the evidence so far is of {named(pinned[label])}: "
                    "if it was moved on purpose, run orgrecon accept-source"
                )

    @cached_property
    def _pinned(self) -> Pins:
        return pinned_databases(self.context, self.as_of)  # once, and not for each of a thousand shards

    def databases(self) -> dict[str, Any]:
        """What the record says of the databases that were asked so far."""
        return by_shard({shard: snapshot.as_json_value() for shard, snapshot in self._snapshots.items()})

    @property
    def identity(self) -> DatabaseIdentity | None:
        """Whose snapshot was the first; None where no database answered."""
        sources = (snapshot.source for snapshot in self._snapshots.values())
        return min(sources, key=lambda identity: identity.observed_at, default=None)

    @property
    def simulated(self) -> bool:
        """Whether one of the databases is marked as simulated."""
        return any(both.source.simulated or both.target.simulated for both in self._snapshots.values())

    @property
    def mapping(self) -> MappingConfig:
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

    def _check_day(self, identity: DatabaseIdentity, label: str) -> None:
        """``label`` says which database that is, where there are several."""
        raise NotImplementedError


class LiveAdmission(Admission):
    """Of a database that is in use: its own clock says which day it is."""

    @property
    def provenance(self) -> Provenance:
        simulated = self.simulated if self._snapshots else self.context.clock.injected
        return Provenance.SIMULATED if simulated else Provenance.LIVE

    @property
    def observed_at(self) -> datetime:
        """The database's clock at the snapshot; the client's where no database answered, or for a simulation."""
        return self._moment(self.identity) if self.identity else self.asked_at

    def _moment(self, identity: DatabaseIdentity) -> datetime:
        return self.asked_at if self.context.clock.injected and identity.simulated else identity.observed_at

    def _check_day(self, identity: DatabaseIdentity, label: str) -> None:
        moment = self._moment(identity)
        if utc_day(moment) != self.day:
            raise DayRefused(
                f"{self.day} was asked for, but the database's clock{f' ({label})' if label else ''} shows "
                f"{instant_text(moment)} UTC: "
                f"nothing was written (this machine's clock: {instant_text(self.context.clock.now())})."
            )
        if lag := identity.lag(self.mapping.scan.max_replica_lag_seconds):
            side = label.rpartition(".")[2]
            raise CannotDecide(f"{side}: {lag}" if side in SIDES else lag)


class RestoredAdmission(Admission):
    """Of a database that was restored to a day: the last transaction that its recovery replayed says which.

    Only a server that is still in recovery proves anything: once it has left it, anybody may have written to it.
    """

    @property
    def as_of(self) -> datetime | None:  # type: ignore[override]
        """The moment that it was restored to."""
        return self.observed_at

    @property
    def mapping(self) -> MappingConfig:
        """Without rechecks, as nothing changes any more, and without a heartbeat, which is meant to be old."""
        mapping = self.context.mapping
        return mapping.model_copy(
            update={"scan": mapping.scan.model_copy(update={"rechecks": 0, "heartbeat": None})})

    @property
    def provenance(self) -> Provenance:
        return Provenance.SIMULATED if self.simulated else Provenance.RESTORED

    @property
    def observed_at(self) -> datetime:
        """When the last replayed transaction was committed."""
        standby = self.identity.standby if self.identity else None
        return (standby.replayed_at if standby else None) or self.asked_at

    def refuse_unproven(self, reason: str) -> None:
        """Without an answer of the server there is no proof of the day, and so nothing to keep of it."""
        if self.identity is None:
            raise DayRefused(f"{self.day} was not compared, nothing was written: {reason}.")

    def _check_day(self, identity: DatabaseIdentity, label: str) -> None:
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
