"""The tenant gate: the rules of the company's gate, applied to the evidence about one tenant.

For a tenant, a day is clean if its comparison is complete and covered, the tenant existed, and none of its keys
drifted. Everything else (streak, epoch, databases, policies, reruns) is decided as for the whole company.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Literal, Protocol

from orgrecon_pipeline.domain.coverage import CoverageChange, lists_every_departure
from orgrecon_pipeline.domain.drift.kinds import Counts
from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.gate.decision import DayEvidence, GateObservation
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode, counted

#: See :class:`TenantObservation`.
Departures = Literal["all", "named", "cut off"]


@dataclass(frozen=True)
class TenantObservation:
    """An observation with the tenants in which it found drift.

    Attributes:
        observed: the observation of the whole company.
        drifting: drifting keys by kind, by tenant.
        complete: whether ``drifting`` lists every drifting tenant; a report lists only so many.
        departures: which departures are known from it: ``all`` of a comparison whose ledger is asked, those that a
            report ``named``, or not all of them, because the report's list was ``cut off``.
    """

    observed: GateObservation
    drifting: Mapping[str, Counts[int]] = field(default_factory=dict)
    complete: bool = True
    departures: Departures = "named"

    @classmethod
    def of_rows(
        cls, observed: GateObservation, drifting: Mapping[str, Counts[int]], tenants_with_drift: int | None, *,
        own: bool = False,
    ) -> TenantObservation:
        """Return an observation with the drifting tenants that are listed, out of ``tenants_with_drift``.

        ``own`` says that the ledger compared it, and did not import it from a report.
        """
        if own and observed.verdict.decided and observed.provenance.compared:
            departures: Departures = "all"
        else:
            departures = "named" if own or lists_every_departure(observed.compared) else "cut off"
        return cls(observed, drifting, len(drifting) == (tenants_with_drift or 0), departures)

    def of(self, tenant: str) -> GateObservation:
        """Return what the observation says about one tenant."""
        observed = self.observed
        if counts := self.drifting.get(tenant):
            drifts = Reason.word(ReasonCode.TENANT_DRIFTS, "keys of this tenant drift.")
            return _About(observed, Verdict.FAIL, drifts, counts)
        if observed.verdict is not Verdict.FAIL:
            return _About(observed, observed.verdict, observed.why, Counts.zero())
        if not self.complete:
            # Not INCONCLUSIVE, which would let an earlier PASS of the day stand.
            return _About(observed, Verdict.FAIL, _not_listed(len(self.drifting)), Counts.unknown())
        if undecided := _undecided(observed):
            return _About(observed, Verdict.INCONCLUSIVE, undecided, Counts.zero())
        clean = Reason.word(ReasonCode.TENANT_CLEAN, "No key of this tenant drifts.")
        return _About(observed, Verdict.PASS, clean, Counts.zero())


@dataclass(frozen=True)
class _About:
    """What an observation says about one tenant, for the rules of the gate."""

    observed: GateObservation
    verdict: Verdict
    why: Reason
    counts: Counts[Any]

    @property
    def id(self) -> str:
        return self.observed.id

    @property
    def provenance(self) -> Provenance:
        return self.observed.provenance

    @property
    def observed_at(self) -> datetime | None:
        return self.observed.observed_at

    @property
    def mapping_digest(self) -> str:
        return self.observed.mapping_digest

    @property
    def reason_code(self) -> ReasonCode:
        return self.why.code

    @property
    def compared(self) -> dict[str, Any]:
        return self.observed.compared

    @property
    def saw_a_tenant(self) -> bool:
        return self.observed.saw_a_tenant

    @property
    def change(self) -> None:
        """The change of the drift is only known of all tenants together."""


class TenantPresence(Protocol):
    """When a tenant existed; hashable."""

    def why_absent(self, day: date) -> Reason | None:
        """Return why the tenant did not exist on a day, None if it did."""


@dataclass(frozen=True)
class ListedPresence:
    """The days whose reports list the tenant with rows. Where a report leaves it out, nothing is known about it."""

    days: frozenset[date]

    def why_absent(self, day: date) -> Reason | None:
        """Return that the day's report does not list the tenant, None if it does."""
        if not self.days:
            return _unknown("no report lists this tenant")
        if day in self.days:
            return None
        return Reason.word(
            ReasonCode.TENANT_NOT_LISTED,
            f"the report of {day} does not list this tenant: ask the ledger, which knows all of them",
            day=day.isoformat())


@dataclass(frozen=True, eq=False)
class Presence:
    """The days on which a tenant existed: ``changes`` are its arrivals and departures, in order of time.

    A million tenants share few objects, which are therefore compared by identity. On the day of a departure the tenant
    no longer exists; on the day of an arrival it exists, unless it left again.
    """

    changes: tuple[tuple[date, CoverageChange], ...] = ()

    @classmethod
    def of(cls, changes: Iterable[tuple[date, CoverageChange]]) -> Presence:
        """Return the presence after changes in order of time; ``lost`` changes nothing."""
        return cls(tuple(change for change in changes if change[1] is not CoverageChange.LOST))

    def why_absent(self, day: date) -> Reason | None:
        """Return why the tenant did not exist on a day, None if it did."""
        until = [(changed, change) for changed, change in self.changes if changed <= day]
        if not self.changes:
            return _unknown("no observation has a row of this tenant")
        if not until:
            first = self.changes[0][0].isoformat()
            return Reason.word(ReasonCode.TENANT_ABSENT, f"the tenant was first seen on {first}", first_day=first)
        left = [changed for changed, change in until if change is CoverageChange.DEPARTED and changed == day]
        if until[-1][1] is CoverageChange.DEPARTED:
            left.append(until[-1][0])
        if not left:
            return None
        return Reason.word(
            ReasonCode.TENANT_DEPARTED, f"the tenant left on {left[-1]}", departed_day=left[-1].isoformat())


def exists(presence: TenantPresence, day: date) -> bool:
    """Return whether the tenant exists on a day, as far as is known."""
    absent = presence.why_absent(day)
    return absent is None or absent.code not in (ReasonCode.TENANT_ABSENT, ReasonCode.TENANT_DEPARTED)


def evidence_of_tenant(
    tenant: str, presence: TenantPresence, observations: Mapping[date, Sequence[TenantObservation]]
) -> dict[date, DayEvidence]:
    """Return the evidence of each day about one tenant, for :func:`orgrecon_pipeline.domain.gate.decision.decide_gate`.

    ``observations`` are all those of each day, in the order of the ledger.
    """
    days = {}
    cut_off = False
    for day, of_day in sorted(observations.items()):
        evidence = DayEvidence.of(day, [observation.of(tenant) for observation in of_day])
        # After a list of departures was cut off, the tenant may be gone until the ledger compares again.
        known = [observation.departures for observation in of_day if observation.departures != "named"]
        cut_off = "cut off" in known or (cut_off and "all" not in known)
        why_not = (presence.why_absent(day) or _not_compared(evidence) or _not_covered(day, evidence, of_day)
                   or (_may_have_left(day) if cut_off else None))
        if why_not and evidence.verdict is not Verdict.FAIL:
            evidence = replace(evidence, verdict=Verdict.INCONCLUSIVE, reason=why_not, worst=None)
        days[day] = evidence
    return days


def _unknown(what: str) -> Reason:
    return Reason.word(ReasonCode.TENANT_UNKNOWN, f"{what}: check its name")


def _may_have_left(day: date) -> Reason:
    return Reason.word(
        ReasonCode.TENANT_NOT_LISTED, "a report that was imported names only some of the tenants that left by this day",
        day=day.isoformat())


def _not_compared(evidence: DayEvidence) -> Reason | None:
    if evidence.provenance.compared:
        return None
    return Reason.word(ReasonCode.TENANT_NOT_COMPARED, "only a baseline, which compares no tenant")


def _not_covered(day: date, evidence: DayEvidence, of_day: Sequence[TenantObservation]) -> Reason | None:
    """Return why a rerun leaves the day of the whole company INCONCLUSIVE, None if it does not."""
    if evidence.verdict is not Verdict.PASS or len(of_day) == 1:
        return None
    company = DayEvidence.of(day, [observation.observed for observation in of_day])
    return company.reason if company.verdict is Verdict.INCONCLUSIVE else None


def _not_listed(listed: int) -> Reason:
    return Reason.word(
        ReasonCode.TENANT_NOT_LISTED,
        f"the report lists only {counted(listed, 'drifting tenant')}, and this tenant may be among the others: ask the "
        "ledger that compared the day.", listed=listed)


def _undecided(observed: GateObservation) -> Reason | None:
    """Return why a FAIL of other tenants decides nothing about this one, None if it does."""
    parameters = observed.why.parameters
    if also := parameters.get("also"):
        return Reason.word(
            ReasonCode(also["reason_code"]), f"coverage was lost on that day: {observed.why.sentence}",
            **also["reason_parameters"])
    if keys := observed.compared.get("keys_in_flux"):
        return Reason.word(
            ReasonCode.KEYS_IN_FLUX,
            f"{counted(keys, 'key')} differed at every read while both sides were being written, perhaps of this "
            "tenant.", keys=keys)
    return None
