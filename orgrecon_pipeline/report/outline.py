"""The outline of a report: what the other reports of a trail and the gates need of it.

A trail can have thousands of reports, so of each only the outline stays in memory: two to three KB, however large the
report is. The gates of tenants need more, which is kept on request.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, NamedTuple, TypeVar, cast

from orgrecon_pipeline.domain.canonical import canonical_json
from orgrecon_pipeline.domain.drift.key import KeyState
from orgrecon_pipeline.domain.drift.kinds import Counts
from orgrecon_pipeline.domain.evidence import Change, Provenance, Verdict, sum_counts
from orgrecon_pipeline.domain.gate.decision import DayEvidence, GateDecision
from orgrecon_pipeline.domain.gate.tenants import TenantObservation
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode
from orgrecon_pipeline.domain.record import ObservedRow, Record, parse_instant

# Facts about the deciding comparison, besides its conditions, that the gates of tenants need.
_FACTS_FOR_TENANTS = ("coverage", "keys_in_flux")

# Parameters of a gate's reason that say what a row of its window says.
_IN_WINDOW = ("verdict", "reason_code", "reason_parameters")

Part = TypeVar("Part")


class ChangeOutline(NamedTuple):
    """The change of the drift over all entities and kinds; see :class:`Change`."""

    new: int | None
    persistent: int | None
    healed: int | None
    first_seen: date | None

    @classmethod
    def of(cls, change: Change) -> ChangeOutline:
        """Return the totals of a change."""
        return cls(**{state.value: change.total(state) for state in KeyState}, first_seen=change.first_seen)

    def total(self, state: KeyState) -> int | None:
        """Return the number of keys in a state; None if it is unknown."""
        keys: int | None = getattr(self, state.value)
        return keys


@dataclass(frozen=True, slots=True)
class ObservationOutline:
    """An observation as the gate needs it.

    For the ``conditions`` of the comparison see :func:`conditions_of`. As JSON text, they need a quarter of the memory.
    """

    id: str
    ledger: str | None
    provenance: Provenance
    verdict: Verdict
    observed_at: datetime | None
    mapping_digest: str
    why: Reason
    counts: Counts[int | None]
    saw_a_tenant: bool
    change: ChangeOutline | None
    conditions: dict[str, Any] | str

    @classmethod
    def of(cls, row: ObservedRow) -> ObservationOutline:
        """Return the outline of an observation in a record; raise ValueError for an impossible time."""
        return cls(
            id=row.id, ledger=row.ledger and sys.intern(row.ledger), provenance=row.provenance, verdict=row.verdict,
            observed_at=parse_instant(row.observed_at), mapping_digest=sys.intern(row.mapping_digest), why=row.why,
            counts=sum_counts(row.entities), saw_a_tenant=row.provenance.real and bool(row.tenants_scanned),
            change=ChangeOutline.of(row.change) if row.change else None, conditions=row.compared)

    @property
    def reason_code(self) -> ReasonCode:
        """The code of the reason."""
        return self.why.code

    @property
    def compared(self) -> dict[str, Any]:
        """The conditions of the comparison."""
        parsed: dict[str, Any] = json.loads(self.conditions) if isinstance(self.conditions, str) else self.conditions
        return parsed


@dataclass(frozen=True, slots=True)
class ListedTenants:
    """What a report says about the tenants in its breakdown.

    Attributes:
        with_rows: the tenants that have rows.
        drifting: the drifting keys by kind of each tenant that has some.
        tenants_with_drift: the number of all tenants with drift, listed or not.
        facts: facts about the deciding comparison.
    """

    with_rows: tuple[str, ...]
    drifting: Mapping[str, Counts[int]]
    tenants_with_drift: int | None
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, record: Record) -> ListedTenants:
        """Return the listed tenants of a record."""
        drifting: dict[str, list[Counts[int]]] = {}
        for row in record.tenants:
            if row.drift:
                drifting.setdefault(sys.intern(row.tenant), []).append(row.counts)
        with_rows = dict.fromkeys([row.tenant for row in record.tenants if row.source_rows or row.target_rows])
        return cls(
            with_rows=tuple(map(sys.intern, with_rows)),  # most tenants are in every report
            drifting={tenant: Counts.sum(of_tenant) for tenant, of_tenant in drifting.items()},
            tenants_with_drift=record.tenants_with_drift,
            facts={name: record.compared[name] for name in _FACTS_FOR_TENANTS if name in record.compared})


@dataclass(frozen=True, slots=True)
class ReportOutline:
    """A record without its rows, samples and most facts about the comparison.

    Attributes:
        ledger: the ledger that stored the deciding observation first.
        gate: the gate as of the day as the report shows it, with its window. For its reason see :func:`without_window`.
        evidence: the evidence of the day.
        observations: the observations of the day, in the order of the ledger.
        deciding: the position of the observation that decides the day.
        lists_every_tenant: whether no tenant is left out of the breakdown.
        tenants: the tenants in the breakdown, if they are needed.
    """

    ledger: str | None
    gate: GateDecision
    evidence: DayEvidence
    observations: tuple[ObservationOutline, ...]
    deciding: int
    lists_every_tenant: bool
    tenants: ListedTenants | None = None

    @classmethod
    def of(cls, record: Record, *, with_tenants: bool = False) -> ReportOutline:
        """Return the outline of a record that does not contradict itself."""
        observations, gate = tuple(map(ObservationOutline.of, record.observations)), record.to_decision()
        return cls(
            ledger=record.ledger and sys.intern(record.ledger),
            gate=replace(gate, reason=without_window(gate.reason)),
            evidence=DayEvidence.of(record.day, observations),
            observations=tuple(replace(row, conditions=canonical_json(row.conditions)) for row in observations),
            deciding=next(at for at, row in enumerate(record.observations) if row.decides),
            lists_every_tenant=len({row.tenant for row in record.tenants}) >= (record.tenants_scanned or 0),
            tenants=ListedTenants.of(record) if with_tenants else None)

    def sharing(self, known: dict[Hashable, Any]) -> ReportOutline:
        """Return the same outline with each part that equals a part of an earlier report replaced by that part.

        ``known`` holds the latest parts by name. Windows overlap, and little else changes from day to day. Equal
        reasons can have different sentences, so the observations keep theirs.
        """

        def shared(name: Hashable, part: Part) -> Part:
            if known.get(name) != part:
                known[name] = part
            return cast("Part", known.get(name))

        gate, evidence, tenants = self.gate, self.evidence, self.tenants
        *earlier, last = gate.window
        # Later windows repeat the row of the report's own day, without the oldest drift.
        own = replace(last, reason=evidence.reason if last.reason == evidence.reason else last.reason, oldest=None)
        return replace(
            self,
            gate=replace(
                gate, reason=shared("reason", gate.reason), policy=shared("policy", gate.policy),
                counted=shared("counted", gate.counted), epoch=sys.intern(gate.epoch),
                window=tuple(shared(row.day, row) for row in (*earlier, own))),
            evidence=replace(
                evidence, databases=shared("databases", evidence.databases),
                moved_from=shared("moved from", evidence.moved_from), policy=shared("own policy", evidence.policy)),
            observations=tuple(
                replace(row, conditions=shared(("conditions", at), row.conditions))
                for at, row in enumerate(self.observations)),
            tenants=tenants and replace(
                tenants, with_rows=shared("with rows", tenants.with_rows), facts=shared("facts", tenants.facts),
                drifting=shared("drifting", tenants.drifting)))

    @property
    def day(self) -> date:
        """The day of the report."""
        return self.gate.day

    @property
    def verdict(self) -> Verdict:
        """The verdict of the day."""
        return self.observations[self.deciding].verdict

    @property
    def compared(self) -> Mapping[str, Any]:
        """The conditions of the deciding comparison."""
        return self.observations[self.deciding].compared

    def about_tenants(self) -> list[TenantObservation]:
        """Return the observations with their drifting tenants, which a report lists only for the deciding one."""
        listed = self.tenants
        assert listed is not None  # noqa: S101 - the caller asked for the tenants when the report was read
        parsed = [replace(row, conditions=row.compared) for row in self.observations]  # they are needed for each tenant
        return [
            TenantObservation.of_rows(
                replace(row, conditions={**row.compared, **listed.facts}), listed.drifting, listed.tenants_with_drift)
            if at == self.deciding else TenantObservation(row, complete=False)
            for at, row in enumerate(parsed)]


def without_window(reason: Reason) -> Reason:
    """Return a gate's reason without its sentence, and without what it repeats from the window."""
    parameters = {name: value for name, value in reason.parameters.items() if name not in _IN_WINDOW}
    return replace(reason, parameters=parameters, sentence="")
