"""Securing the evidence of a day: compare the database, stamp a baseline, or reuse what the ledger holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any

from orgrecon_pipeline.compare.result import Comparison
from orgrecon_pipeline.domain.canonical import sha256_of
from orgrecon_pipeline.domain.coverage import CoverageEvent
from orgrecon_pipeline.domain.days import utc_day
from orgrecon_pipeline.domain.errors import CannotDecide, ConfigurationError, DayRefused, OrgreconError, UnsoundTrail
from orgrecon_pipeline.domain.evidence import EntityTotals, Observation, Provenance, Sample, TenantRow, Verdict
from orgrecon_pipeline.domain.mapping import COMPARISON_VERSION, MappingConfig
from orgrecon_pipeline.operations.clock import refuse_future
from orgrecon_pipeline.operations.context import UNSHARDED, Context, read_endpoints
from orgrecon_pipeline.operations.observe.admission import Admission, LiveAdmission, RestoredAdmission
from orgrecon_pipeline.operations.observe.coverage import check_coverage
from orgrecon_pipeline.operations.observe.shard_cache import store_decided_shards
from orgrecon_pipeline.operations.observe.shards import ShardsUndecided, compare_endpoints
from orgrecon_pipeline.operations.redact import internal_error
from orgrecon_pipeline.operations.trail.importer import import_report
from orgrecon_pipeline.version import __version__

Progress = Callable[[str], None]


@dataclass(frozen=True)
class ObserveResult:
    """The evidence of a day. ``fresh`` says whether this call added to the ledger; ``note`` tells a person why nothing
    was observed."""

    observation: Observation
    fresh: bool
    note: str = ""


def observe(
    context: Context, day: date, *, exact: bool = False, restored: bool = False,
    progress: Progress = lambda line: None, wait: Callable[[float], None] | None = None,
) -> ObserveResult:
    """Compare the live database for today, or reuse the evidence of a past day.

    With ``restored`` the database is one that was restored to ``day``: a server in recovery, that proves it.

    Raises:
        DayRefused: for the future, a past day without evidence, a database whose clock shows another day, or a restored
            one that does not prove the day.
        AlreadyRunning: when another run holds the day.
        ConfigurationError: when the environment names no usable database, or a tenant is in two shards.
    """
    asked_at = context.clock.now()
    today = utc_day(asked_at)
    refuse_future(day, today)
    added = 0
    with suppress(UnsoundTrail):  # it is written anew from the ledger
        added = import_report(context.ledger, context.output_dir, day)
    if day < today and not restored:
        return _reuse(context, day, fresh=added > 0)
    places = read_endpoints(context.mapping, context.environ)
    if restored and not (places.keys() == {UNSHARDED} and places[UNSHARDED].one_database):
        raise ConfigurationError("--restored compares one database: two, or shards, are not restored to one moment.")
    undecided: dict[str, Comparison] = {}
    with context.ledger.day_lock(day):
        admission = (RestoredAdmission if restored else LiveAdmission)(context, day, asked_at)
        try:
            found = compare_endpoints(context, places, admission, exact=exact, progress=progress, wait=wait)
            concluded = _conclude(context, day, admission, found)
        except CannotDecide as failure:
            concluded = _undecided(context, day, admission, failure.reason)
            undecided = failure.decided if isinstance(failure, ShardsUndecided) else {}
        except OrgreconError:
            raise
        except Exception as error:  # a bug or no memory: the day must not look as if nobody had asked
            concluded = _undecided(
                context, day, admission, f"{internal_error(error)}: nothing was decided, report it")
        context.ledger.append(*concluded)
        store_decided_shards(context, concluded[0], undecided, exact=exact)
        return ObserveResult(concluded[0], fresh=True)


def stamp_baseline(context: Context, day: date) -> ObserveResult:
    """Stamp an empty cluster, unless the day has better evidence already.

    Raises:
        DayRefused: for a day in the future.
        AlreadyRunning: when another run holds the day.
        UnsoundTrail: when the day has a report that cannot be trusted: it may be a live one.
    """
    today = context.clock.today()
    refuse_future(day, today)
    with context.ledger.day_lock(day):
        added = _import_reported(context, day)
        deciding = context.ledger.deciding(day, context.mapping.gate.same_day)
        if deciding is not None:
            if deciding.provenance is Provenance.BASELINE:
                return ObserveResult(deciding, fresh=added > 0)
            return ObserveResult(deciding, fresh=added > 0, note=(
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
        return ObserveResult(observation, fresh=True)


def _import_reported(context: Context, day: date) -> int:
    """Take in what the report of the day knows and the ledger does not: how many observations that were."""
    try:
        return import_report(context.ledger, context.output_dir, day)
    except UnsoundTrail as unsound:
        if context.ledger.observations(day):
            return 0  # it is written anew from the ledger
        raise UnsoundTrail(
            f"{str(unsound).rstrip('.')}; it may be a live report, and a baseline is not written over it: "
            "restore it or move it away."
        ) from None


def _reuse(context: Context, day: date, *, fresh: bool) -> ObserveResult:
    deciding = context.ledger.deciding(day, context.mapping.gate.same_day)
    if deciding is None:
        raise DayRefused(
            f"{day} has no evidence, and today's live database cannot say anything about it: "
            "it stays MISSING (restore a database to that day for --restored, or import its report)."
        )
    return ObserveResult(deciding, fresh=fresh, note=f"{day} is past: its evidence is reused.")


# What the ledger keeps of one attempt.
_Concluded = tuple[Observation, Sequence[TenantRow], Sequence[Sample], Iterable[CoverageEvent]]


def _undecided(context: Context, day: date, admission: Admission, reason: str) -> _Concluded:
    admission.refuse_unproven(reason)
    compared = _settings_compared(admission.mapping)
    compared |= admission.databases()
    observation = _observation(
        day=day, provenance=admission.provenance, verdict=Verdict.INCONCLUSIVE, observed_at=admission.observed_at,
        reason=f"{reason}.", mapping=context.mapping, tenants_scanned=None, tenants_with_drift=None,
        entities={name: EntityTotals.unknown() for name in context.mapping.entities}, compared=compared,
    )
    return observation, (), (), ()


def _conclude(context: Context, day: date, admission: Admission, found: Comparison) -> _Concluded:
    coverage = check_coverage(context.ledger, found, admission.provenance, until=admission.as_of)
    verdict, reason = _verdict(context, day, found, coverage.reason)
    observation = _observation(
        day=day, provenance=admission.provenance, verdict=verdict, observed_at=admission.observed_at,
        reason=f"{reason}.", mapping=context.mapping,
        tenants_scanned=found.tenants_scanned, tenants_with_drift=found.tenants_with_drift, entities=found.totals,
        compared={
            **_settings_compared(admission.mapping),
            **found.databases,
            **found.how,
            "coverage": coverage.facts(),
            "unsettled_keys": found.unsettled_keys,
            "tenants_declared": None if found.declared is None else len(found.declared),
            "values": found.values,
        },
    )
    return observation, found.tenant_rows, found.samples, coverage.events()


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
    if found.tenants_scanned and not rows:
        return Verdict.INCONCLUSIVE, (
            f"Nothing was compared: none of {found.tenants_scanned} declared tenants has a row on either side; check "
            "the tables and the where of the mapping (a cluster without tenants is stamped by --baseline)"
        )
    return Verdict.PASS, f"Zero drift in {found.tenants_scanned} tenants, {rows} rows compared"


def _observation(*, mapping: MappingConfig, compared: dict[str, Any], **fields: Any) -> Observation:
    draft = Observation(
        id="", mapping_digest=mapping.digest, orgrecon_version=__version__, compared=compared, **fields
    )
    return draft.model_copy(update={"id": sha256_of(draft.model_dump(mode="json"))[:16]})


def _settings_compared(mapping: MappingConfig) -> dict[str, Any]:
    return {
        "comparison_version": COMPARISON_VERSION,
        "gate": mapping.gate.model_dump(),
        "report": mapping.report.model_dump(),
        "scan": mapping.scan.model_dump(by_alias=True, exclude_none=True),
    }
