"""Random histories of a company with four tenants, and an independent oracle for the gate of each tenant.

``acme`` always exists; the others arrive and may depart and return.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.evidence import Provenance, TenantRow, Verdict
from orgrecon_pipeline.domain.reasons import drift, zero_drift
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.report.cases import observation as observation_of

TODAY = datetime.now(timezone.utc).date()
TENANTS = ("acme", "globex", "initech", "umbrella")


@dataclass
class Day:
    """What happened on one day; ``drifting`` is None if nothing was decided. ``rerun`` counts its earlier runs."""

    day: date
    tenants: frozenset[str]
    drifting: frozenset[str] | None
    digest: str = field(default_factory=lambda: default_mapping().digest)
    rerun: int = 0

    @property
    def verdict(self) -> Verdict:
        if self.drifting is None:
            return Verdict.INCONCLUSIVE
        return Verdict.FAIL if self.drifting else Verdict.PASS

    def clean_for(self, tenant: str, epoch: str) -> bool:
        """Return the oracle's rule for one day."""
        return (self.drifting is not None and tenant in self.tenants and tenant not in self.drifting
                and self.digest == epoch)


def days_of(
    days: Sequence[tuple[frozenset[str], frozenset[str] | None]], ends_days_ago: int = 0
) -> list[Day]:
    """Return consecutive days with these tenants, of which those drift; the last one is today, or some days ago."""
    last = TODAY - timedelta(days=ends_days_ago)
    return [Day(last - timedelta(days=back), tenants, drifting)
            for back, (tenants, drifting) in zip(range(len(days) - 1, -1, -1), days, strict=True)]


def random_history(rng: random.Random) -> list[Day]:
    days, present = [], {"acme"}
    for back in range(rng.randint(6, 12), -1, -1):
        day = TODAY - timedelta(days=back)
        for tenant in TENANTS[1:]:
            if rng.random() < (0.5 if tenant not in present else 0.04):
                present ^= {tenant}
        kind = rng.choices(("decided", "undecided", "missing", "other mapping"), (24, 1, 1, 1 if back else 0))[0]
        if kind == "missing":
            continue
        drifting = frozenset(t for t in sorted(present) if rng.random() < (0.06 if t != "umbrella" else 0.4))
        days.append(Day(
            day, frozenset(present), None if kind == "undecided" else drifting,
            digest="other" if kind == "other mapping" else default_mapping().digest))
    return days


def latest_of_oracle(days: list[Day], today: date = TODAY) -> date:
    known, yesterday = {day.day for day in days}, today - timedelta(days=1)
    return yesterday if today not in known and yesterday in known else today


def streak_of_oracle(days: list[Day], tenant: str, as_of: date | None = None) -> int:
    by_day, latest = {day.day: day for day in days}, as_of or latest_of_oracle(days)
    epoch = [day.digest for day in days if day.day <= latest][-1]
    streak = 0
    while (day := by_day.get(latest - timedelta(days=streak))) and day.clean_for(tenant, epoch):
        streak += 1
    return streak


def open_of_oracle(days: list[Day], today: date = TODAY) -> set[str]:
    """Return the tenants whose gate is OPEN on a day."""
    return {tenant for tenant in TENANTS if streak_of_oracle(days, tenant, latest_of_oracle(days, today)) >= 7}


def groups_of_oracle(days: list[Day], as_of: date | None = None) -> tuple[list[str], list[str], list[str]]:
    """Return the tenants that exist: the OPEN ones, the others by streak, and those that drift."""
    decided = [day for day in days if day.day <= (as_of or latest_of_oracle(days)) and day.drifting is not None]
    last = decided[-1] if decided else Day(TODAY, frozenset(), frozenset())
    streak = {tenant: streak_of_oracle(days, tenant, as_of) for tenant in sorted(last.tenants)}
    ready = [tenant for tenant in streak if streak[tenant] >= 7]
    drifting = [tenant for tenant in streak if tenant in (last.drifting or ())]
    waiting = sorted(streak.keys() - {*ready, *drifting}, key=lambda tenant: (-streak[tenant], tenant))
    return ready, waiting, drifting


def store(
    directory: Path, days: list[Day], breakdown_limit: int = 200, *, reports: bool = True,
    provenance: Provenance = Provenance.LIVE,
) -> Context:
    """Store a history in a ledger as the comparisons of its days would, and publish the reports."""
    mapping = default_mapping()
    report = mapping.report.model_copy(update={"breakdown_limit": breakdown_limit})
    context = Context(mapping, open_ledger(f"sqlite:///{directory / 'ledger.db'}"), directory / "reports")
    known = frozenset(
        context.ledger.known_names(CoverageSubject.TENANT, simulated=provenance is Provenance.SIMULATED))
    for day in days:
        rows = [TenantRow(
            tenant=tenant, entity="org_units", source_rows=3, target_rows=3, transient=0, unexpected=0, mismatched=0,
            duplicate=0, missing=int(tenant in (day.drifting or ()))) for tenant in sorted(day.tenants)]
        keys = len(day.drifting or ())
        reason = drift(keys, keys, len(day.tenants)) if keys else zero_drift(len(day.tenants), 6 * len(day.tenants))
        moment = datetime.combine(day.day, time(8, day.rerun), timezone.utc)
        item = observation_of(day.day, day.verdict, mapping_digest=day.digest)
        changes = {**reason.as_fields(), "reason_code": reason.code, "observed_at": moment,
                   "id": f"{item.id}{day.rerun or ''}", "provenance": provenance,
                   "ledger": context.ledger.id}
        if day.drifting is not None:
            entity = item.entities["org_units"].model_copy(update={"missing": keys})
            others = {name: totals.model_copy(update=dict.fromkeys(
                ("missing", "unexpected", "mismatched", "duplicate"), 0)) for name, totals in item.entities.items()}
            entity = entity.model_copy(update=dict.fromkeys(("unexpected", "mismatched", "duplicate"), 0))
            changes |= {"tenants_scanned": len(day.tenants), "tenants_with_drift": keys, "change": None,
                        "entities": {**others, "org_units": entity}}
        item = item.model_copy(update={**changes, "compared": {**item.compared, "report": report.model_dump()}})
        if day.drifting is None:
            context.ledger.append(item, (), (), ())
        else:
            subject, left = CoverageSubject.TENANT, sorted(known - day.tenants)
            events = [CoverageEvent(subject, t, CoverageChange.APPEARED) for t in sorted(day.tenants - known)]
            events += [CoverageEvent(subject, t, CoverageChange.DEPARTED) for t in left]
            known = day.tenants
            coverage = {"left": left, "left_count": len(left)}
            context.ledger.append(
                item.model_copy(update={"compared": {**item.compared, "coverage": coverage}}), rows, (), events)
            if left:  # a rerun decides the day, and no longer reports the departures
                rerun = {"id": f"{item.id}again", "observed_at": moment + timedelta(hours=1)}
                context.ledger.append(item.model_copy(update=rerun), rows, (), ())
        if reports:
            publish(context, day.day)
    return context
