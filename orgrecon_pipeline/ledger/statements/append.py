"""Statements that append to a ledger. Appended rows are never changed or removed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from orgrecon_pipeline.domain.coverage import CoverageEvent
from orgrecon_pipeline.domain.drift.key import DriftingKey
from orgrecon_pipeline.domain.errors import EvidenceNotStored
from orgrecon_pipeline.domain.evidence import FIGURES, Observation, Previous, Sample, TenantRow
from orgrecon_pipeline.domain.gate.ready_tenants import ReadyTenants
from orgrecon_pipeline.domain.integrity.chain import Imported
from orgrecon_pipeline.domain.integrity.snapshot_fingerprints import SnapshotFingerprints
from orgrecon_pipeline.ledger import tables
from orgrecon_pipeline.ledger.chain.links import ChainStore
from orgrecon_pipeline.ledger.connection.retry import retried
from orgrecon_pipeline.ledger.statements.fingerprints import append_fingerprints
from orgrecon_pipeline.ledger.statements.rows import insert_rows, iso_day, json_text, storable
from orgrecon_pipeline.ledger.tables import AcknowledgementKind

if TYPE_CHECKING:
    from orgrecon_pipeline.ledger.statements.append_keys import FirstSeen


@dataclass(frozen=True)
class NewDrift:
    """The drifting keys of a decided comparison, and the observation of the previous decided day."""

    keys: Iterable[DriftingKey]
    previous: Previous
    observation: Observation | None


@dataclass(frozen=True)
class Notified:
    """A state that a notification channel knows.

    ``channel`` is the key of the channel (no address). The ``topic`` is an ISO day with its verdict as the ``state``,
    or one of those of :mod:`orgrecon_pipeline.operations.gate.current_state`.
    """

    channel: str
    topic: str
    state: str
    recorded_at: datetime


class LedgerWriter(ChainStore):
    """The writing methods of a ledger. Each raises an error of :meth:`Store.writing`.

    Evidence gets a link of the hash chain in the transaction that stores it. Only idempotent methods are retried.
    """

    def append(
        self, observation: Observation, tenant_rows: Iterable[TenantRow], samples: Iterable[Sample],
        coverage: Iterable[CoverageEvent], drift: NewDrift | None = None, *, imported: Imported | None = None,
        fingerprints: Mapping[str, SnapshotFingerprints] = {},
    ) -> bool:
        """Append an observation with everything that belongs to it, in one transaction.

        There is at most one tenant row per tenant and entity. Samples are in the order in which reports show them. If
        the rows, coverage and keys can be iterated again, the call is retried while the ledger does not answer.

        Without ``drift``, as when a report is imported, the samples are the only keys, and the observation, its rows
        and samples already say how the drift changed. ``imported`` names that report. ``fingerprints`` has an
        entry for each shard.

        Returns:
            False, without any change, if the ledger already has an observation of this identity with this id.

        Raises:
            EvidenceNotStored: if the write is refused, a text holds a NUL or half a surrogate pair, or a figure is
                above 2**53 - 1.
        """
        samples = list(samples)
        attempts = count()

        def attempt() -> bool:
            # An earlier attempt may have been committed although its confirmation was lost.
            again = next(attempts) > 0
            return self._append(observation, tenant_rows, samples, coverage, drift, imported, fingerprints) or again

        once = any(isinstance(rows, Iterator) for rows in (tenant_rows, coverage, drift.keys if drift else ()))
        return attempt() if once else self.budget.retry(attempt)

    def _append(
        self, observation: Observation, tenant_rows: Iterable[TenantRow], samples: Sequence[Sample],
        coverage: Iterable[CoverageEvent], drift: NewDrift | None, imported: Imported | None,
        fingerprints: Mapping[str, SnapshotFingerprints],
    ) -> bool:
        from orgrecon_pipeline.ledger.statements import append_keys  # slow to import, and most commands only read

        with self.writing() as connection:
            number = self._insert_observation(connection, observation)
            if number is None:
                return False
            if drift is None:
                kept = append_keys.append_samples_as_keys(connection, number, observation, samples)
                change, first_seen = observation.change, None
            else:
                kept = append_keys.stage_keys(connection, list(observation.entities), drift.keys)
                earlier = append_keys.earlier_keys(connection, self.own, drift.previous, drift.observation)
                append_keys.append_staged_keys(connection, number, observation.day, earlier)
                change, first_seen = append_keys.change_of_staged_keys(
                    connection, number, observation, earlier, append_keys.incomplete_entities(observation, kept))
                samples = append_keys.samples_with_first_seen(connection, number, observation, samples)
            if change is not None:
                connection.execute(insert(tables.change).values(
                    observation=number, change=json_text(change.model_dump(mode="json"))))
            insert_rows(connection, tables.entity, (
                (number, ordinal, storable(name), *(getattr(totals, figure) for figure in FIGURES), kept[name])
                for ordinal, (name, totals) in enumerate(observation.entities.items())))
            insert_rows(connection, tables.tenant_row, _tenant_values(number, observation, tenant_rows, first_seen))
            insert_rows(connection, tables.sample, (
                (number, ordinal, storable(sample.tenant), storable(sample.entity), sample.kind.value,
                 json_text(sample.key), json_text(sample.columns),
                 *(None if shown is None else json_text(shown) for shown in (sample.values, sample.show)),
                 iso_day(sample.first_seen))
                for ordinal, sample in enumerate(samples)))
            insert_rows(connection, tables.coverage, (
                (number, ordinal, event.subject.value, storable(event.name), event.change.value)
                for ordinal, event in enumerate(coverage)))
            append_fingerprints(connection, self.identity, number, fingerprints)
            self._append_link(connection, "observation", number, id=observation.id, day=observation.day,
                              imported=imported)
        return True

    @retried
    def append_ready_tenants(self, observation_id: str, ready_tenants: ReadyTenants) -> None:
        """Store tenant gates with an observation of this ledger, unless there are some for the same evidence."""
        table, own = tables.ready_tenants, self.own.observation
        with self.writing() as connection:
            of = connection.execute(select(own.c.number, own.c.day).where(own.c.id == observation_id)).one()
            known = (table.c.observation == of.number) & (table.c.evidence == ready_tenants.evidence)
            if connection.execute(select(table.c.observation).where(known)).first():
                return
            with _unless_known(connection):
                connection.execute(insert(table).values(
                    observation=of.number, evidence=ready_tenants.evidence,
                    figures=json_text(ready_tenants.model_dump(mode="json"))))
                self._append_link(connection, "ready_tenants", of.number, id=observation_id, day=of.day,
                                  detail=ready_tenants.evidence)

    def acknowledge(
        self, kind: AcknowledgementKind, reason: str, observation_id: str | None, details: dict[str, Any],
        recorded_at: datetime,
    ) -> None:
        """Record permanently that lost coverage, a changed source database or another ledger in Dagster is intended.

        ``observation_id`` is the observation that reported it, None for a ledger; ``details`` are JSON values that
        identify it.
        """
        with self.writing() as connection:
            key = connection.execute(insert(tables.acknowledgement).values(
                **self._identity, kind=kind, reason=storable(reason), observation_id=observation_id,
                details=json_text(details), recorded_at=recorded_at)).inserted_primary_key
            self._append_link(connection, "acknowledgement", _number(key), id=observation_id)

    @retried
    def append_shard_result(self, observation_id: str, shard: str, exact: bool, result: dict[str, Any]) -> None:
        """Store the result of one shard of an attempt in which other shards failed; ``result`` holds JSON values."""
        with self.writing() as connection:
            observation = self.own.observation
            of = connection.execute(
                select(observation.c.number, observation.c.day).where(observation.c.id == observation_id)).one()
            stored = tables.shard_result.c
            if not connection.execute(select(stored.shard).where(
                    stored.observation == of.number, stored.shard == storable(shard))).first():
                connection.execute(insert(tables.shard_result).values(
                    observation=of.number, shard=storable(shard), exact=int(exact), result=json_text(result)))
                self._append_link(connection, "shard_result", of.number, id=observation_id, day=of.day, detail=shard)

    def record_notified(self, notified: Iterable[Notified]) -> None:
        """Record states that notification channels know now, in one transaction."""
        rows = [{**self._identity, **asdict(entry), "channel": storable(entry.channel)} for entry in notified]
        if rows:
            with self.writing() as connection:
                connection.execute(insert(tables.notification), rows)

    @property
    def _identity(self) -> dict[str, str]:
        return {"migration": self.identity.migration, "environment": self.identity.environment}

    def _insert_observation(self, connection: Connection, observation: Observation) -> int | None:
        """Insert an observation and return its number, or None if its id is known."""
        id_, own = storable(observation.id), self.own.observation
        if connection.execute(select(own.c.number).where(own.c.id == id_)).first():
            return None
        key = None
        with _unless_known(connection):
            key = connection.execute(insert(tables.observation).values(
                **self._identity,
                id=id_,
                title=storable(observation.title),
                ledger=observation.ledger,
                day=observation.day,
                provenance=observation.provenance.value,
                verdict=observation.verdict.value,
                reason=storable(observation.reason),
                reason_code=observation.reason_code.value,
                reason_parameters=json_text(observation.reason_parameters),
                observed_at=observation.observed_at,
                mapping_digest=storable(observation.mapping_digest),
                orgrecon_version=storable(observation.orgrecon_version),
                tenants_scanned=observation.tenants_scanned,
                tenants_with_drift=observation.tenants_with_drift,
                compared=json_text(observation.compared),
            )).inserted_primary_key
        return None if key is None else int(key[0])


@contextmanager
def _unless_known(connection: Connection) -> Iterator[None]:
    """Roll back, without an error, if another process appended the same row after the check for it."""
    try:
        yield
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) != "23505":  # of Postgres; SQLite has only one writer at a time
            raise
        connection.get_transaction().rollback()  # type: ignore[union-attr]


def _number(key: Sequence[Any] | None) -> int:
    assert key is not None  # noqa: S101 - a single row was inserted
    return int(key[0])


def _tenant_values(
    number: int, observation: Observation, rows: Iterable[TenantRow], first_seen: FirstSeen | None
) -> Iterator[Sequence[Any]]:
    """Yield the values of the rows, with the given first days of drift, or else with their own."""
    ordinals = {name: ordinal for ordinal, name in enumerate(observation.entities)}
    for row in rows:
        ordinal = ordinals.get(row.entity)
        if ordinal is None:
            raise EvidenceNotStored("the evidence was not stored: a tenant row names an entity that the observation "
                                    "does not have.")
        day = row.first_seen if first_seen is None else first_seen.get((ordinal, row.tenant))
        yield (number, storable(row.tenant), ordinal, *(getattr(row, figure) for figure in FIGURES), row.drift,
               iso_day(day))
