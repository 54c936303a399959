"""Securing the evidence of a day: compare the database, stamp a baseline, or reuse what the ledger holds."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from orgrecon_pipeline.domain.canonical import sha256_of
from orgrecon_pipeline.domain.coverage import CoverageEvent
from orgrecon_pipeline.domain.days import utc_day
from orgrecon_pipeline.domain.errors import CannotDecide, DayRefused, OrgreconError
from orgrecon_pipeline.domain.evidence import EntityTotals, Observation, Provenance, Sample, TenantRow, Verdict
from orgrecon_pipeline.domain.mapping import COMPARISON_VERSION, Mapping
from orgrecon_pipeline.domain.record import instant_text
from orgrecon_pipeline.operations.context import SOURCE_VARIABLE, Context
from orgrecon_pipeline.operations.coverage import check_coverage
from orgrecon_pipeline.source.compare import Comparison, compare
from orgrecon_pipeline.source.session import Identity
from orgrecon_pipeline.version import __version__

Progress = Callable[[str], None]

_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Secured:
    """The evidence of a day. ``fresh`` says whether this call added the observation; ``note`` tells a person why
    nothing was added."""

    observation: Observation
    fresh: bool
    note: str = ""


def observe(
    context: Context, day: date, *, exact: bool = False, progress: Progress = lambda line: None,
    wait: Callable[[float], None] = time.sleep,
) -> Secured:
    """Compare the live database for today, or reuse the evidence of a past day.

    Raises:
        DayRefused: for the future, a past day without evidence, or a database whose clock shows another day.
        AlreadyRunning: when another run holds the day.
        ConfigurationError: when the environment names no usable database.
    """
    today = context.clock.today()
    if day > today:
        raise DayRefused(f"{day} is in the future: it is {today} in UTC by this machine's clock.")
    if day < today:
        return _reuse(context, day)
    dsn = context.dsn()
    with context.ledger.day_lock(day):
        admission = _Admission(context, day)
        try:
            found = compare(
                context.mapping, dsn, SOURCE_VARIABLE, exact=exact, admit=admission, progress=progress, wait=wait
            )
            concluded = _conclude(context, day, admission, found)
        except CannotDecide as undecided:
            concluded = _undecided(context, day, admission, undecided.reason)
        except OrgreconError:
            raise
        except Exception as error:  # a bug or no memory: the day must not look as if nobody had asked
            concluded = _undecided(context, day, admission, _internal(error))
        context.ledger.append(*concluded)
        return Secured(concluded[0], fresh=True)


def stamp_baseline(context: Context, day: date) -> Secured:
    """Stamp an empty cluster, unless the day has better evidence already.

    Raises:
        DayRefused: for a day in the future.
        AlreadyRunning: when another run holds the day.
    """
    today = context.clock.today()
    if day > today:
        raise DayRefused(f"{day} is in the future: it is {today} in UTC by this machine's clock.")
    with context.ledger.day_lock(day):
        deciding = context.ledger.deciding(day, context.mapping.gate.same_day)
        if deciding is not None:
            if deciding.provenance is Provenance.BASELINE:
                return Secured(deciding, fresh=False)
            return Secured(deciding, fresh=False, note=(
                f"{day} has a {deciding.provenance.value} report ({deciding.verdict.value}): "
                "a baseline never replaces it, nothing was changed."
            ))
        observation = _observation(
            day=day, provenance=Provenance.BASELINE, verdict=Verdict.PASS, observed_at=None,
            reason="Empty cluster: no database was compared.", mapping=context.mapping,
            tenants_scanned=0, tenants_with_drift=0,
            entities={name: EntityTotals.zero() for name in context.mapping.entities},
            compared=_settings_compared(context.mapping),
        )
        context.ledger.append(observation, (), (), ())
        return Secured(observation, fresh=True)


def _reuse(context: Context, day: date) -> Secured:
    deciding = context.ledger.deciding(day, context.mapping.gate.same_day)
    if deciding is None:
        raise DayRefused(
            f"{day} has no evidence, and today's live database cannot say anything about it: "
            "it stays MISSING (restore a database to that day for --restored, or import its report)."
        )
    return Secured(deciding, fresh=False, note=f"{day} is past: its evidence is reused.")


class _Admission:
    """Refuses a database that cannot speak for the day, before anything is compared."""

    def __init__(self, context: Context, day: date) -> None:
        self.context, self.day = context, day
        self.identity: Identity | None = None

    def __call__(self, identity: Identity) -> None:
        self.identity = identity
        shown = utc_day(self.observed_at)
        if shown != self.day:
            raise DayRefused(
                f"{self.day} was asked for, but the database's clock shows {instant_text(self.observed_at)} UTC: "
                f"nothing was written (this machine's clock: {instant_text(self.context.clock.now())})."
            )
        pinned = pinned_source(self.context) if self.provenance is Provenance.LIVE else None
        if pinned is not None and pinned != _pin(identity):
            raise CannotDecide(
                f"this is database {_named(_pin(identity))}, and the evidence so far is of {_named(pinned)}: "
                "if it was moved on purpose, run orgrecon accept-source"
            )

    @property
    def provenance(self) -> Provenance:
        simulated = self.identity.simulated if self.identity else self.context.clock.injected
        return Provenance.SIMULATED if simulated else Provenance.LIVE

    @property
    def observed_at(self) -> datetime:
        """The database's clock at the snapshot; the client's where no database answered, or for a simulation."""
        injected = self.context.clock.injected and (self.identity is None or self.identity.simulated)
        return self.context.clock.now() if injected or self.identity is None else self.identity.observed_at


def pinned_source(context: Context) -> dict[str, str] | None:
    """The database that live evidence has to come from; None before the first decided live observation.

    Each decided observation was held against the pin, so the latest one has it too: a ledger that was rebuilt from
    the trail, which holds no acknowledgements, pins what was accepted last.
    """
    accepted = context.ledger.acknowledgements("source")
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


_PINNED = ("system_identifier", "database")


def _pin_of(observation: Observation) -> dict[str, str] | None:
    source = observation.compared.get("source")
    if not isinstance(source, dict) or not all(source.get(key) for key in _PINNED):
        return None
    return {key: str(source[key]) for key in _PINNED}


def _pin(identity: Identity) -> dict[str, str]:
    return {"system_identifier": identity.system_identifier, "database": identity.database}


def _named(pin: dict[str, str]) -> str:
    return f"{pin['database']!a} on server {pin['system_identifier']}"


# What the ledger keeps of one attempt.
_Concluded = tuple[Observation, Sequence[TenantRow], Sequence[Sample], Sequence[CoverageEvent]]


def _internal(error: Exception) -> str:
    """Where an unforeseen error happened. Never its message, which may hold a row or a secret."""
    places = [
        f"{Path(frame.filename).parent.name}/{Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__) if _PACKAGE in Path(frame.filename).parents
    ]
    return f"internal error ({type(error).__name__} in {places[-1]}): nothing was decided, report it"


def _undecided(context: Context, day: date, admission: _Admission, reason: str) -> _Concluded:
    compared = _settings_compared(context.mapping)
    if admission.identity is not None:
        compared |= _identity_compared(admission.identity)
    observation = _observation(
        day=day, provenance=admission.provenance, verdict=Verdict.INCONCLUSIVE, observed_at=admission.observed_at,
        reason=f"{reason}.", mapping=context.mapping, tenants_scanned=None, tenants_with_drift=None,
        entities={name: EntityTotals.unknown() for name in context.mapping.entities}, compared=compared,
    )
    return observation, (), (), ()


def _conclude(context: Context, day: date, admission: _Admission, found: Comparison) -> _Concluded:
    coverage = check_coverage(context.ledger, found, admission.provenance)
    verdict, reason = _verdict(context, day, found, coverage.reason)
    observation = _observation(
        day=day, provenance=admission.provenance, verdict=verdict, observed_at=admission.observed_at,
        reason=f"{reason}.", mapping=context.mapping,
        tenants_scanned=found.tenants_scanned, tenants_with_drift=found.tenants_with_drift, entities=found.totals,
        compared={
            **_settings_compared(context.mapping),
            **_identity_compared(found.identity),
            **found.how,
            "coverage": coverage.facts(),
            "unsettled_keys": found.unsettled_keys,
            "tenants_declared": None if found.declared is None else len(found.declared),
            "values": found.values,
        },
    )
    return observation, found.tenant_rows, found.samples, coverage.events


def _verdict(context: Context, day: date, found: Comparison, coverage_lost: str) -> tuple[Verdict, str]:
    drift = sum(row.drift for row in found.tenant_rows)
    if drift:
        counted = f"{drift} drifting keys in {found.tenants_with_drift} of {found.tenants_scanned} tenants"
        return Verdict.FAIL, "; ".join(filter(None, (counted, coverage_lost)))
    if coverage_lost:
        return Verdict.INCONCLUSIVE, coverage_lost
    if found.unsettled_keys:
        return Verdict.INCONCLUSIVE, (
            f"{found.unsettled_keys} keys differed at every read while both sides were being written: that is a lag or "
            "a loss, run it again or raise scan.rechecks"
        )
    if not found.tenants_scanned:
        evidence = context.ledger.evidence(day, context.mapping.gate.same_day)
        seen = [d for d, known in evidence.items() if known.saw_a_tenant]
        if seen:
            return Verdict.INCONCLUSIVE, f"No tenant was found, though one was seen on {max(seen)}"
    rows = sum((totals.source_rows or 0) + (totals.target_rows or 0) for totals in found.totals.values())
    return Verdict.PASS, f"Zero drift in {found.tenants_scanned} tenants, {rows} rows compared"


def _observation(*, mapping: Mapping, compared: dict[str, Any], **fields: Any) -> Observation:
    draft = Observation(
        id="", mapping_digest=mapping.digest, orgrecon_version=__version__, compared=compared, **fields
    )
    return draft.model_copy(update={"id": sha256_of(draft.model_dump(mode="json"))[:16]})


def _settings_compared(mapping: Mapping) -> dict[str, Any]:
    return {
        "comparison_version": COMPARISON_VERSION,
        "gate": mapping.gate.model_dump(),
        "report": mapping.report.model_dump(),
        "scan": mapping.scan.model_dump(),
    }


def _identity_compared(identity: Identity) -> dict[str, Any]:
    side = {
        "database": identity.database,
        "system_identifier": identity.system_identifier,
        "server_version": identity.server_version,
        "in_recovery": identity.in_recovery,
        "snapshot": identity.snapshot,
    }
    return {"source": side, "target": side}
