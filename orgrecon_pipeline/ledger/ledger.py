"""The ledger: what was observed, for ever."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal

from orgrecon_pipeline.domain.coverage import CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.evidence import Observation, Provenance, Sample, TenantRow, Verdict
from orgrecon_pipeline.domain.gate import DayEvidence
from orgrecon_pipeline.ledger import acknowledgements as acknowledging
from orgrecon_pipeline.ledger import append as appending
from orgrecon_pipeline.ledger import coverage as covering
from orgrecon_pipeline.ledger import evidence
from orgrecon_pipeline.ledger import notifications as telling
from orgrecon_pipeline.ledger import observations as observing
from orgrecon_pipeline.ledger import shard_results as sharding
from orgrecon_pipeline.ledger import tenant_rows as tenants
from orgrecon_pipeline.ledger.acknowledgements import Acknowledgement
from orgrecon_pipeline.ledger.engine import Store
from orgrecon_pipeline.ledger.locks import day_lock, notification_lock
from orgrecon_pipeline.ledger.notifications import Notified

if TYPE_CHECKING:
    import pandas as pd

SameDay = Literal["latest", "worst"]


class Ledger:
    """Append-only evidence in SQLite or Postgres; made by :mod:`orgrecon_pipeline.ledger.open`.

    Whatever reads raises :class:`ConfigurationError` when the database does not answer, and whatever writes
    :class:`EvidenceNotKept`. Threads and processes may share a ledger. Text is ordered by its UTF-8 bytes.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def __repr__(self) -> str:
        return f"<{self._store.address}>"

    def append(
        self, observation: Observation, tenant_rows: Iterable[TenantRow], samples: Iterable[Sample],
        coverage: Iterable[CoverageEvent],
    ) -> bool:
        """Keep an observation with all that belongs to it, or nothing of it.

        Args:
            observation: its ``id`` decides whether it is known already.
            tenant_rows: at most one per tenant and entity, of the observation's entities; consumed once, as a stream.
            samples: in the order in which they are shown.
            coverage: the events that the observation found out.

        Returns:
            False when the id is there already; then nothing is changed.

        Raises:
            EvidenceNotKept: when the database does not take it, or a name cannot be kept as it is (it holds a NUL or
                half a surrogate pair) or a figure not at all (it is above 2**53 - 1).
        """
        return appending.append(self._store, observation, tenant_rows, samples, coverage)

    def observations(self, day: date) -> list[Observation]:
        """All observations of a day, oldest first."""
        return observing.of_day(self._store, day)

    def as_appended(self, day: date) -> list[Observation]:
        """All observations of a day in the order in which they were appended, whatever the databases' clocks said."""
        return observing.as_appended(self._store, day)

    def deciding(self, day: date, same_day: SameDay) -> Observation | None:
        """The observation that decides a day, None for a day without any."""
        return observing.deciding_of_day(self._store, day, same_day)

    def observation(self, observation_id: str | None) -> Observation | None:
        """The observation of that id, None where there is none."""
        return observing.of_id(self._store, observation_id)

    def days(self) -> list[date]:
        """The days that have an observation, earliest first."""
        return observing.days(self._store)

    def latest(
        self, provenances: Collection[Provenance], *, decided_only: bool = False, completed_only: bool = False,
        before: date | None = None, until: datetime | None = None,
    ) -> Observation | None:
        """The observation that was made last.

        Args:
            provenances: of one of these.
            decided_only: it says PASS or FAIL.
            completed_only: the comparison came to its end, whatever was concluded from it: its figures are known.
            before: of an earlier day than this one.
            until: made up to this moment.
        """
        return observing.extreme(self._store, provenances, last=True, decided_only=decided_only,
                                 completed_only=completed_only, before=before, until=until)

    def first(
        self, provenances: Collection[Provenance], *, decided_only: bool = False, completed_only: bool = False
    ) -> Observation | None:
        """The observation that was made first; see :meth:`latest`."""
        return observing.extreme(self._store, provenances, last=False, decided_only=decided_only,
                                 completed_only=completed_only, before=None)

    def verdict_counts(self) -> dict[Verdict, int]:
        """How many observations there are of each verdict; verdicts without any are left out."""
        return observing.verdict_counts(self._store)

    def evidence(self, until: date, same_day: SameDay) -> dict[date, DayEvidence]:
        """What decides each day up to ``until``, that day included; for the gate."""
        return evidence.of_days(self._store, until, same_day)

    def breakdown(self, observation_id: str, limit: int) -> list[TenantRow]:
        """The rows of at most ``limit`` tenants: most drift first, tenants without any after those, by name.

        Rows of one tenant are adjacent, in the order of the observation's entities.
        """
        return tenants.breakdown(self._store, observation_id, limit)

    def tenant_drift(self, observation_id: str) -> pd.DataFrame:
        """Every row that was kept of an observation, one per tenant and entity, ordered by both.

        Columns: ``tenant`` and ``entity`` (text), ``source_rows`` and ``target_rows`` (rows), ``missing``,
        ``unexpected``, ``mismatched``, ``duplicate`` and ``transient`` (keys); the figures are int64.
        """
        return tenants.tenant_drift(self._store, observation_id)

    def samples(self, observation_id: str) -> list[Sample]:
        """The sample keys of an observation, in the order in which they were appended."""
        return tenants.samples(self._store, observation_id)

    def known(
        self, subject: CoverageSubject, *, simulated: bool = False, until: datetime | None = None
    ) -> Iterator[str]:
        """Names that appeared and have not departed since, in order; never all of them in memory.

        What counts as later is the time of the observation, so that a ledger rebuilt in another order knows the same.

        Args:
            subject: what is asked about.
            simulated: the history of simulated observations, instead of that of all others.
            until: as of this moment, whatever was observed later.
        """
        return covering.known(self._store, subject, simulated=simulated, until=until)

    def lost(self, observation_id: str) -> list[CoverageEvent]:
        """What an observation found lost, in the order in which it was appended."""
        return covering.lost(self._store, observation_id)

    def acknowledge(
        self, kind: Literal["coverage", "source"], reason: str, observation_id: str | None, details: dict[str, Any],
        recorded_at: datetime,
    ) -> None:
        """Record, for ever, that something is intended.

        Args:
            kind: what is accepted: lost coverage, or another source database.
            reason: a person's words.
            observation_id: the observation that found it out.
            details: JSON values that say what exactly is accepted.
            recorded_at: the moment, with a time zone.
        """
        acknowledging.acknowledge(self._store, Acknowledgement(kind, reason, observation_id, details, recorded_at))

    def acknowledgements(self, kind: Literal["coverage", "source"]) -> list[Acknowledgement]:
        """All that was acknowledged, in the order in which it was."""
        return acknowledging.acknowledgements(self._store, kind)

    def day_lock(self, day: date) -> AbstractContextManager[None]:
        """Holds a day for one run. It ends with the process, however that ends.

        Raises:
            AlreadyRunning: at once, on entering, when another thread or process holds the day.
            EvidenceNotKept: when the lock cannot be made.
        """
        return day_lock(self._store, day)

    def last_notified(self) -> dict[tuple[str, str], str]:
        """What each notification channel was told last: states by channel and topic."""
        return telling.last_notified(self._store)

    def record_notified(self, known: Iterable[Notified]) -> None:
        """Record what channels know from now on: all of it, or nothing."""
        telling.record_notified(self._store, known)

    def notification_lock(self) -> AbstractContextManager[None]:
        """Held by whoever tells the channels, from looking at what they know until it is kept what they were told.

        Raises:
            AlreadyRunning: at once, on entering, when another thread or process holds it.
            EvidenceNotKept: when the lock cannot be made.
        """
        return notification_lock(self._store)

    def keep_shard(self, observation_id: str, name: str, exact: bool, found: dict[str, Any]) -> None:
        """Keep what an attempt found in one shard while others failed; ``found`` holds JSON values."""
        sharding.keep_shard(self._store, observation_id, name, exact, found)

    def shards(self, observation_id: str, exact: bool) -> dict[str, dict[str, Any]]:
        """What an attempt found in single shards while others failed, by shard."""
        return sharding.shards(self._store, observation_id, exact)
