"""Queries that read a ledger, except the coverage history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, and_, case, cast, func, select

from orgrecon_pipeline.domain.drift.key import state_of
from orgrecon_pipeline.domain.drift.kinds import Counts, DriftKind
from orgrecon_pipeline.domain.evidence import (
    FIGURES,
    Change,
    EntityTotals,
    Observation,
    Provenance,
    SameDay,
    Sample,
    TenantRow,
    Verdict,
)
from orgrecon_pipeline.domain.gate.day_decision import deciding_observation
from orgrecon_pipeline.domain.gate.decision import DayEvidence
from orgrecon_pipeline.domain.gate.ready_tenants import ReadyTenants
from orgrecon_pipeline.domain.gate.tenants import TenantObservation
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.integrity.snapshot_fingerprints import SnapshotFingerprints
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode
from orgrecon_pipeline.ledger import tables
from orgrecon_pipeline.ledger.chain.links import is_as_linked
from orgrecon_pipeline.ledger.connection.engine import Store
from orgrecon_pipeline.ledger.connection.retry import retried
from orgrecon_pipeline.ledger.statements.fingerprints import read_fingerprints
from orgrecon_pipeline.ledger.statements.stored_facts import DETAILS, facts_of, parse_figures, sample_facts_of
from orgrecon_pipeline.ledger.tables import (
    AcknowledgementKind,
    change,
    entity,
    ready_tenants,
    sample,
    shard_result,
    tenant_row,
)

if TYPE_CHECKING:
    import pandas as pd

# Every column that the gate needs.
_EVIDENCE = ("number", "id", "day", "provenance", "verdict", "observed_at", "mapping_digest", "reason", "reason_code",
             "reason_parameters", "tenants_scanned", "tenants_with_drift", "ledger", "compared")

# SUM ignores NULL, but a sum with an unknown figure is unknown. Postgres sums BIGINT to NUMERIC, hence the cast.
_DRIFT = (
    select(entity.c.observation.label("of"), *(
        case((func.count(entity.c[kind]) == func.count(), cast(func.sum(entity.c[kind]), BigInteger))).label(kind)
        for kind in (kind.value for kind in DriftKind)
    )).group_by(entity.c.observation).subquery())


@dataclass(frozen=True)
class Acknowledgement:
    """A person's statement that lost coverage, a changed source database or another ledger in Dagster is intended.

    ``observation_id`` is the observation that reported the loss or change; ``details`` (JSON values) identifies it.
    """

    kind: AcknowledgementKind
    reason: str
    observation_id: str | None
    details: dict[str, Any]
    recorded_at: datetime


class LedgerReader(Store):
    """The reading methods of a ledger. Each raises an error of :meth:`Store.reading`."""

    def observations(self, day: date) -> list[Observation]:
        """Return all observations of a day in the order in which they were appended, ignoring their timestamps."""
        return self._load(self.own.observation.c.day == day)

    def deciding(self, day: date, same_day: SameDay) -> Observation | None:
        """Return the deciding observation of a day, or None if the day has no observation."""
        return deciding_observation(self.observations(day), same_day)

    def observation(self, observation_id: str | None) -> Observation | None:
        """Return the observation with this id, or None."""
        return next(iter(self._load(self.own.observation.c.id == observation_id)), None)

    @retried
    def identities(self) -> list[Identity]:
        """Return every identity of which the ledger has observations, not only the one that it was opened for."""
        table = tables.observation
        with self.reading() as connection:
            rows = connection.execute(select(table.c.migration, table.c.environment).distinct())
            return sorted(Identity(*row) for row in rows)

    @retried
    def days(self) -> list[date]:
        """Return the days that have an observation, earliest first."""
        day = self.own.observation.c.day
        with self.reading() as connection:
            return list(connection.execute(select(day).distinct().order_by(day)).scalars())

    @retried
    def position(self) -> int:
        """Return the number of the last observation that was appended, 0 if there is none."""
        with self.reading() as connection:
            return connection.execute(select(func.max(self.own.observation.c.number))).scalar() or 0

    def latest(
        self, provenances: Collection[Provenance], *, decided_only: bool = False, completed_only: bool = False,
        until: datetime | None = None,
    ) -> Observation | None:
        """Return the most recent observation that matches, or None.

        ``decided_only`` accepts only PASS and FAIL; ``completed_only`` only comparisons that ran to the end, so that
        their figures are known; ``until`` only observations made up to this moment.
        """
        observation = self.own.observation
        conditions = [observation.c.observed_at <= until] if until is not None else []
        if completed_only:
            conditions.append(observation.c.tenants_scanned.is_not(None))
        return self._extreme(provenances, conditions, decided_only=decided_only, last=True)

    def first(self, provenances: Collection[Provenance], *, decided_only: bool = False) -> Observation | None:
        """Return the earliest observation that matches, or None; see :meth:`latest`."""
        return self._extreme(provenances, [], decided_only=decided_only, last=False)

    @retried
    def verdict_counts(self) -> dict[Verdict, int]:
        """Return the number of observations by verdict; verdicts without observations are absent."""
        stored = self.own.observation.c.verdict
        with self.reading() as connection:
            rows = connection.execute(select(stored, func.count()).group_by(stored))
            return {Verdict(verdict): count for verdict, count in rows}

    @retried
    def evidence(self, until: date) -> dict[date, DayEvidence]:
        """Return the evidence of each day up to and including ``until``, earliest day first."""
        with self.reading() as connection:
            return {day: DayEvidence.of(day, observations)
                    for day, observations in self._observed_by_day(connection, until).items()}

    @retried
    def tenant_observations(
        self, since: date = date.min, until: date = date.max
    ) -> dict[date, list[TenantObservation]]:
        """Return all observations of each day up to ``until``, with the tenants in which each found drift.

        The drifting tenants of days before ``since`` are left out. All others are held in memory. Earliest day first.
        """
        names = [kind.value for kind in DriftKind]
        kinds = [func.sum(tenant_row.c[name]).label(name) for name in names]
        own = self.own.observation
        statement = select(tenant_row.c.observation, tenant_row.c.tenant, *kinds).join(
            own, own.c.number == tenant_row.c.observation
        ).where(tenant_row.c.drift > 0, own.c.day >= since, own.c.day <= until).group_by(
            tenant_row.c.observation, tenant_row.c.tenant)
        drifting: dict[int, dict[str, Counts[int]]] = defaultdict(dict)
        with self.reading() as connection:
            by_day = self._observed_by_day(connection, until)
            for number, tenant, *counts in connection.execute(statement):
                # A sum of BIGINT is NUMERIC on Postgres.
                drifting[number][tenant] = Counts.of(dict(zip(names, map(int, counts), strict=True)))
        return {
            day: [TenantObservation.of_rows(
                o, drifting.get(o.number, {}), o.tenants_with_drift, own=o.ledger == self.id) for o in observed]
            for day, observed in by_day.items()}

    @retried
    def observation_ids(self, until: date, since: date = date.min) -> dict[date, list[str]]:
        """Return the ids of all observations of each day from ``since`` to ``until``, in the order of the ledger."""
        own = self.own.observation
        ids: dict[date, list[str]] = defaultdict(list)
        with self.reading() as connection:
            for row in connection.execute(
                select(own.c.day, own.c.id).where(own.c.day >= since, own.c.day <= until)
                .order_by(own.c.day, own.c.number)
            ):
                ids[row.day].append(row.id)
        return ids

    @retried
    def ready_tenants(self, observation_id: str, evidence: str) -> ReadyTenants | None:
        """Return the tenant gates that are stored with an observation for this evidence, None if none are."""
        own = self.own.observation
        statement = select(own.c.day, ready_tenants.c.figures).join(
            own, own.c.number == ready_tenants.c.observation
        ).where(own.c.id == observation_id, ready_tenants.c.evidence == evidence)
        with self.reading() as connection:
            row = connection.execute(statement).one_or_none()
            return None if row is None else parse_figures(*row)

    @retried
    def breakdown(self, observation_id: str, limit: int) -> list[TenantRow]:
        """Return the rows of at most ``limit`` tenants: most drift first, then by name.

        Rows of one tenant are adjacent, in the order of the observation's entities.
        """
        drift, observation = func.sum(tenant_row.c.drift), self.own.observation
        listed = (
            select(tenant_row.c.tenant, drift.label("drift"))
            .join(observation, observation.c.number == tenant_row.c.observation)
            .where(observation.c.id == observation_id)
            .group_by(tenant_row.c.tenant).order_by(drift.desc(), tenant_row.c.tenant).limit(max(limit, 0)).subquery())
        statement = self._tenant_rows(observation_id).join(listed, listed.c.tenant == tenant_row.c.tenant).order_by(
            listed.c.drift.desc(), tenant_row.c.tenant, tenant_row.c.entity)
        with self.reading() as connection:
            return [TenantRow(**row) for row in connection.execute(statement).mappings()]

    @retried
    def tenant_drift(self, observation_id: str) -> pd.DataFrame:
        """Return every row stored for an observation, one per tenant and entity, ordered by both.

        Columns: ``tenant`` and ``entity`` (text), ``source_rows`` and ``target_rows`` (rows), one column per kind of
        drift and ``transient`` (keys), and ``first_seen`` (the first day of the oldest drift, or None).
        The figures are int64.
        """
        import pandas as pd

        statement = self._tenant_rows(observation_id).order_by(tenant_row.c.tenant, tenant_row.c.entity)
        with self.reading() as connection:
            rows = [tuple(row) for row in connection.execute(statement)]
        types: dict[str, Any] = {
            "tenant": "object", "entity": "object", **dict.fromkeys(FIGURES, "int64"), "first_seen": "object"}
        frame: pd.DataFrame = pd.DataFrame.from_records(rows, columns=list(types)).astype(types)
        return frame

    @retried
    def samples(self, observation_id: str) -> list[Sample]:
        """Return the sample keys of an observation, in the order in which they were appended."""
        observation = self.own.observation
        statement = select(sample, observation.c.day).join(
            observation, observation.c.number == sample.c.observation,
        ).where(observation.c.id == observation_id).order_by(sample.c.ordinal)
        with self.reading() as connection:
            return [Sample(
                tenant=row.tenant, entity=row.entity, kind=row.kind, **sample_facts_of(row._mapping),
                first_seen=row.first_seen, state=state_of(row.first_seen, row.day),
            ) for row in connection.execute(statement)]

    @retried
    def acknowledgements(self, kind: AcknowledgementKind) -> list[Acknowledgement]:
        """Return all acknowledgements of a kind, in the order in which they were recorded."""
        table = self.own.acknowledgement
        with self.reading() as connection:
            rows = connection.execute(select(table).where(table.c.kind == kind).order_by(table.c.number))
            return [Acknowledgement(
                kind, row.reason, row.observation_id, DETAILS[kind](f"acknowledgement {row.number}", row.details),
                row.recorded_at) for row in rows]

    @retried
    def shard_results(self, observation_id: str, exact: bool) -> dict[str, str]:
        """Return the JSON text of the stored results of the shards that an incomplete attempt decided, by shard.

        A result that was changed after it was stored is left out.
        """
        observation, link = self.own.observation, self.own.link
        statement = select(shard_result.c.result, link.c.subject, link.c.detail, link.c.hash, link.c.entry).join(
            observation, observation.c.number == shard_result.c.observation
        ).join(
            link, and_(link.c.kind == "shard_result", link.c.subject == observation.c.number,
                       link.c.detail == shard_result.c.shard)
        ).where(observation.c.id == observation_id, shard_result.c.exact == int(exact)).order_by(shard_result.c.shard)
        with self.reading() as connection:
            return {row.detail: row.result for row in connection.execute(statement).all()
                    if is_as_linked(connection, row)}

    @retried
    def fingerprints(self, observation_id: str) -> dict[str, SnapshotFingerprints]:
        """Return the fingerprints of an observation by shard; empty if the ledger has none."""
        own = self.own.observation
        with self.reading() as connection:
            number = connection.execute(select(own.c.number).where(own.c.id == observation_id)).scalar()
            return {} if number is None else read_fingerprints(connection, self.identity, number)

    @retried
    def last_notified(self) -> dict[tuple[str, str], str]:
        """Return the last state that each notification channel knows, by channel and topic."""
        table = self.own.notification
        latest = select(func.max(table.c.number)).group_by(table.c.channel, table.c.topic)
        with self.reading() as connection:
            rows = connection.execute(select(table).where(table.c.number.in_(latest)))
            return {(row.channel, row.topic): row.state for row in rows}

    @retried
    def _extreme(
        self, provenances: Collection[Provenance], conditions: list[ColumnElement[bool]], *, decided_only: bool,
        last: bool,
    ) -> Observation | None:
        verdicts = [verdict.value for verdict in Verdict if verdict.decided or not decided_only]
        observation = self.own.observation
        # SQLite and Postgres sort NULL differently. A baseline has no timestamp and comes before everything else.
        order: list[ColumnElement[Any]] = [
            observation.c.observed_at.is_not(None), observation.c.observed_at, observation.c.id]
        number = select(observation.c.number).where(
            observation.c.provenance.in_([provenance.value for provenance in provenances]),
            observation.c.verdict.in_(verdicts), *conditions,
        ).order_by(*(column.desc() if last else column for column in order)).limit(1)
        return next(iter(self._load(observation.c.number == number.scalar_subquery())), None)

    @retried
    def _load(self, condition: ColumnElement[bool]) -> list[Observation]:
        observation = self.own.observation
        totals: dict[int, dict[str, EntityTotals]] = defaultdict(dict)
        with self.reading() as connection:
            for row in connection.execute(
                select(entity).join(observation, observation.c.number == entity.c.observation).where(condition)
                .order_by(entity.c.observation, entity.c.ordinal)
            ).mappings():
                totals[row["observation"]][row["name"]] = EntityTotals(**{figure: row[figure] for figure in FIGURES})
            rows = connection.execute(
                select(observation, change.c.change).outerjoin(change, change.c.observation == observation.c.number)
                .where(condition).order_by(observation.c.number)).mappings()
            return [Observation(**{
                **{name: row[name] for name in Observation.model_fields if name != "entities"},
                "entities": totals[row["number"]],
                **facts_of(row),
            }) for row in rows]

    def _observed_by_day(self, connection: Connection, until: date) -> dict[date, list[_Observed]]:
        observation = self.own.observation
        statement = select(*(observation.c[name] for name in _EVIDENCE), change.c.change, _DRIFT).outerjoin_from(
            observation, _DRIFT, _DRIFT.c.of == observation.c.number
        ).outerjoin(change, change.c.observation == observation.c.number).where(
            observation.c.day <= until).order_by(observation.c.day, observation.c.number)
        by_day: dict[date, list[_Observed]] = defaultdict(list)
        for row in connection.execute(statement):
            by_day[row.day].append(_observed(row))
        return by_day

    def _tenant_rows(self, observation_id: str) -> Select[Any]:
        observation = self.own.observation
        return (
            select(tenant_row.c.tenant, entity.c.name.label("entity"), *(tenant_row.c[figure] for figure in FIGURES),
                   tenant_row.c.first_seen)
            .join(observation, observation.c.number == tenant_row.c.observation)
            .join(entity,
                  (entity.c.observation == tenant_row.c.observation) & (entity.c.ordinal == tenant_row.c.entity))
            .where(observation.c.id == observation_id))


class _Observed(NamedTuple):
    """An observation as the gate needs it."""

    number: int
    id: str
    provenance: Provenance
    verdict: Verdict
    observed_at: datetime | None
    mapping_digest: str
    reason_code: ReasonCode
    compared: dict[str, Any]
    counts: Counts[int | None]
    why: Reason
    saw_a_tenant: bool
    tenants_with_drift: int | None
    change: Change | None
    ledger: str | None


def _observed(row: Any) -> _Observed:
    facts = facts_of(row._mapping)
    reason = Reason.stored(row.reason_code, facts["reason_parameters"], row.reason)
    provenance = Provenance(row.provenance)
    return _Observed(
        number=row.number, id=row.id, provenance=provenance, verdict=Verdict(row.verdict), observed_at=row.observed_at,
        mapping_digest=row.mapping_digest, reason_code=reason.code, compared=facts["compared"],
        # An observation without entities has no drift.
        counts=Counts.zero() if row.of is None else Counts(row._mapping), why=reason,
        saw_a_tenant=provenance.real and bool(row.tenants_scanned), tenants_with_drift=row.tenants_with_drift,
        change=facts["change"], ledger=row.ledger,
    )
