"""Evidence of a day: compare the databases, stamp a baseline, or reuse the observations in the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from orgrecon_pipeline.domain import reasons
from orgrecon_pipeline.domain.canonical import sha256_of
from orgrecon_pipeline.domain.coverage import CoverageEvent
from orgrecon_pipeline.domain.databases import UNSHARDED, pins_of
from orgrecon_pipeline.domain.days import midnight, utc_day
from orgrecon_pipeline.domain.errors import CannotDecide, ConfigurationError, DayRefused, OrgreconError, UnsoundTrail
from orgrecon_pipeline.domain.evidence import EntityTotals, Observation, Provenance, Sample, TenantRow, Verdict
from orgrecon_pipeline.domain.mapping.change import stored_mapping
from orgrecon_pipeline.domain.mapping.model import COMPARISON_VERSION, MappingConfig
from orgrecon_pipeline.domain.reasons import Reason
from orgrecon_pipeline.operations.clock import refuse_future
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.history import new_drift
from orgrecon_pipeline.operations.observe.pinned_databases import moved_from
from orgrecon_pipeline.operations.redact import internal_error
from orgrecon_pipeline.operations.trail.importer import import_report
from orgrecon_pipeline.operations.trail.signing import own_signers
from orgrecon_pipeline.version import __version__

if TYPE_CHECKING:
    from orgrecon_pipeline.compare.result import Comparison
    from orgrecon_pipeline.operations.observe.admission import Admission
    from orgrecon_pipeline.operations.observe.shard_runner import Progress
    from orgrecon_pipeline.operations.observe.shards import Wait


@dataclass(frozen=True)
class ObserveResult:
    """Evidence of a day. ``fresh``: whether this call added to the ledger; ``note``: why it observed nothing."""

    observation: Observation
    fresh: bool
    note: str = ""


def observe(
    context: Context, day: date, *, exact: bool = False, restored: bool = False,
    progress: Progress = lambda line: None, wait: Wait = None,
) -> ObserveResult:
    """Compare the live databases if ``day`` is today, or reuse the evidence of a past day.

    Args:
        context: the context of the operation.
        day: the UTC day to observe.
        exact: compare every tenant by key, not only those whose fingerprints differ.
        restored: compare a database that was restored to ``day`` and is still in recovery.
        progress: receives progress lines.
        wait: sleeps the given number of seconds between two reads; by default until the deadline is stopped.

    Raises:
        DayRefused: if the day is in the future, is past and has no evidence, or is not the day of the database.
        AlreadyRunning: if another comparison of the identity or another run of the day is in progress.
        OtherIdentity: if the output directory holds a report of another identity.
        ConfigurationError: if the environment names no usable database, or a tenant is in two shards.
    """
    asked_at = context.clock.now()
    today = utc_day(asked_at)
    refuse_future(day, today)
    added = 0
    with suppress(UnsoundTrail):  # the report will be written again from the ledger
        added = import_report(context.ledger, context.output_dir, day, own_signers(context.environ))
    if day < today and not restored:
        return _reuse(context, day, fresh=added > 0)
    # Slow to import, and a day without a comparison needs none of them.
    from orgrecon_pipeline.operations.observe.admission import LiveAdmission, RestoredAdmission
    from orgrecon_pipeline.operations.observe.shard_runner import ShardsUndecided
    from orgrecon_pipeline.operations.observe.shards import compare_endpoints

    endpoints = context.endpoints()
    if restored and not (endpoints.keys() == {UNSHARDED} and endpoints[UNSHARDED].one_database):
        raise ConfigurationError("--restored needs both sides in one database: several databases cannot be restored to "
                                 "exactly the same time.")
    decided_shards: dict[str, Comparison] = {}
    comparison: Comparison | None = None
    with context.ledger.day_lock(day), context.ledger.observation_lock():
        admission = (RestoredAdmission if restored else LiveAdmission)(context, day, asked_at)
        try:
            comparison = compare_endpoints(context, endpoints, admission, exact=exact, progress=progress, wait=wait)
            attempt = _conclude(context, day, admission, comparison)
        except CannotDecide as failure:
            attempt = _undecided(context, day, admission, failure.reason)
            decided_shards = failure.decided if isinstance(failure, ShardsUndecided) else {}
        except OrgreconError:
            raise
        except Exception as error:  # a bug or no memory: store the attempt, so that the day is not MISSING
            attempt = _undecided(context, day, admission, reasons.internal_error(internal_error(error)))
        drift = None
        if comparison is not None and attempt[0].verdict.decided:
            drift = new_drift(context.ledger, attempt[0], comparison.keys)
        context.ledger.append(
            *attempt, drift, fingerprints=comparison.fingerprints_by_shard if comparison else {})
        for name, decided in sorted(decided_shards.items()):
            context.ledger.append_shard_result(attempt[0].id, name, exact, decided.as_json_value())
        # As it was stored, with the change since the previous decided day.
        return ObserveResult(context.ledger.observation(attempt[0].id) or attempt[0], fresh=True)


def stamp_baseline(context: Context, day: date) -> ObserveResult:
    """Stamp the zero-drift PASS of an empty cluster, unless the day has better evidence already.

    Raises:
        DayRefused: if the day is in the future.
        AlreadyRunning: if another run of the day is in progress.
        UnsoundTrail: if only an unsound report knows of the day: it may be a live report.
    """
    today = context.clock.today()
    refuse_future(day, today)
    with context.ledger.day_lock(day):
        added = _import_reported(context, day)
        deciding = context.ledger.deciding(day, context.mapping.gate.same_day)
        if deciding is not None:
            note = "" if deciding.provenance is Provenance.BASELINE else (
                f"{day} already has a {deciding.provenance.value} report ({deciding.verdict.value}): a baseline never "
                "replaces it, so nothing was changed.")
            return ObserveResult(deciding, fresh=added > 0, note=note)
        observation = _observation(
            context, reasons.baseline(), _settings_compared(context.mapping), day=day, provenance=Provenance.BASELINE,
            verdict=Verdict.PASS, observed_at=None, tenants_scanned=0, tenants_with_drift=0,
            entities={name: EntityTotals.zero() for name in context.mapping.entities})
        context.ledger.append(observation, (), (), ())
        return ObserveResult(observation, fresh=True)


def _import_reported(context: Context, day: date) -> int:
    """Import the observations that only the day's report has, and return their number."""
    try:
        return import_report(context.ledger, context.output_dir, day, own_signers(context.environ))
    except UnsoundTrail as unsound:
        if context.ledger.observations(day):
            return 0  # the report will be written again from the ledger
        raise UnsoundTrail(
            f"{str(unsound).rstrip('.')}; a baseline does not replace it, because it may be a live report: restore it "
            "or move it away."
        ) from None


def _reuse(context: Context, day: date, *, fresh: bool) -> ObserveResult:
    deciding = context.ledger.deciding(day, context.mapping.gate.same_day)
    if deciding is None:
        raise DayRefused(
            f"{day} has no evidence and stays MISSING, because a live database only shows today: restore a database to "
            "that day and use --restored, or import its report.")
    return ObserveResult(deciding, fresh=fresh, note=f"{day} is a past day: its stored evidence is reused.")


# What the ledger stores of one attempt.
_Attempt = tuple[Observation, Sequence[TenantRow], Sequence[Sample], Iterable[CoverageEvent]]


def _undecided(context: Context, day: date, admission: Admission, reason: Reason) -> _Attempt:
    admission.refuse_unproven(reason.sentence)
    compared = {**_settings_compared(admission.mapping), "mapping": stored_mapping(context.mapping)}
    compared |= _databases_compared(context, admission.databases())
    observation = _observation(
        context, reason.with_full_stop(), compared, day=day, provenance=admission.provenance,
        verdict=Verdict.INCONCLUSIVE, observed_at=admission.observed_at, tenants_scanned=None, tenants_with_drift=None,
        entities={name: EntityTotals.unknown() for name in context.mapping.entities})
    return observation, (), (), ()


def _conclude(context: Context, day: date, admission: Admission, comparison: Comparison) -> _Attempt:
    from orgrecon_pipeline.operations.observe.coverage import check_coverage

    coverage = check_coverage(
        context.ledger, comparison, admission.provenance, day, until=admission.as_of,
        max_departures=context.mapping.gate.max_departures)
    verdict, reason = _verdict(context, day, comparison, coverage.reason)
    compared = {
        **_settings_compared(admission.mapping),
        "mapping": stored_mapping(context.mapping),
        **_databases_compared(
            context, comparison.databases if comparison.shards else comparison.described),
        **comparison.how,
        **({"first_observation": True} if _is_first(context, day, admission.provenance) else {}),
        "coverage": coverage.facts(),
        **comparison.keys.facts(),
        "keys_in_flux": comparison.keys_in_flux,
        "tenants_declared": None if comparison.declared is None else len(comparison.declared),
        "values": comparison.values,
    }
    observation = _observation(
        context, reason, compared, day=day, provenance=admission.provenance, verdict=verdict,
        observed_at=admission.observed_at, tenants_scanned=comparison.tenants_scanned,
        tenants_with_drift=comparison.tenants_with_drift, entities=comparison.totals)
    return observation, comparison.tenant_rows, comparison.samples, coverage


def _is_first(context: Context, day: date, provenance: Provenance) -> bool:
    """Return whether no complete live comparison of an earlier day is known, which says what must not vanish."""
    until = midnight(day) - timedelta(microseconds=1)
    return provenance is Provenance.LIVE and context.ledger.latest(
        (Provenance.LIVE,), completed_only=True, until=until) is None


def _verdict(context: Context, day: date, comparison: Comparison, lost: Reason | None) -> tuple[Verdict, Reason]:
    keys = sum(row.drift for row in comparison.tenant_rows)
    if keys:
        return Verdict.FAIL, reasons.drift(keys, comparison.tenants_with_drift, comparison.tenants_scanned, lost)
    if lost:
        return Verdict.INCONCLUSIVE, lost
    if comparison.keys_in_flux:
        return Verdict.INCONCLUSIVE, reasons.keys_in_flux(comparison.keys_in_flux)
    if not comparison.tenants_scanned:
        tenant_days = [d for d, known in context.ledger.evidence(day).items() if known.saw_a_tenant]
        if tenant_days:
            return Verdict.INCONCLUSIVE, reasons.no_tenant_found(max(tenant_days))
    rows = sum(totals.rows or 0 for totals in comparison.totals.values())
    if comparison.tenants_scanned and not rows:
        return Verdict.INCONCLUSIVE, reasons.nothing_compared(comparison.tenants_scanned)
    return Verdict.PASS, reasons.zero_drift(comparison.tenants_scanned, rows)


def _observation(context: Context, reason: Reason, compared: dict[str, Any], **fields: Any) -> Observation:
    draft = Observation(
        id="", title=context.mapping.migration.title,
        # A baseline must be the same in every ledger.
        ledger=context.ledger.id if fields["provenance"].compared else None, mapping_digest=context.mapping.digest,
        orgrecon_version=__version__, compared=compared, **reason.as_fields(), **fields)
    identified = {**context.ledger.identity.as_json_value(), **draft.model_dump(mode="json")}
    return draft.model_copy(update={"id": sha256_of(identified)[:16]})


def _databases_compared(context: Context, databases: dict[str, Any]) -> dict[str, Any]:
    moved = moved_from(context, pins_of(databases))
    return {**databases, "moved_from": moved} if moved else databases


def _settings_compared(mapping: MappingConfig) -> dict[str, Any]:
    return {
        "comparison_version": COMPARISON_VERSION,
        "gate": mapping.gate.policy.model_dump(),
        "report": mapping.report.model_dump(),
        "evidence": mapping.evidence.model_dump(),
        "scan": mapping.scan.model_dump(by_alias=True, exclude_none=True),
        **({"show": mapping.shown} if mapping.shown else {}),
    }
