"""Redaction of a tenant in the ledger and in the reports of the output directory, with a reason and permanently."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from orgrecon_pipeline.domain.canonical import bounded_name
from orgrecon_pipeline.domain.coverage import CoverageChange
from orgrecon_pipeline.domain.errors import UnsoundTrail, UsageError
from orgrecon_pipeline.domain.evidence import COMPARED
from orgrecon_pipeline.domain.integrity.redaction import Redactor, is_pseudonym, name_hash
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.acknowledge import normalised_reason
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline.operations.trail.reported_evidence import shows_unknown_evidence
from orgrecon_pipeline.operations.trail.stale_reports import stale_reports
from orgrecon_pipeline.report.file_names import file_name, shown
from orgrecon_pipeline.report.read import read_report
from orgrecon_pipeline.report.verify import report_files

_ALL_TENANTS = 2**31


@dataclass(frozen=True)
class RedactedTenant:
    """The pseudonym of a tenant, the days whose reports were rendered again, and whether the file was rewritten."""

    pseudonym: str
    reports: tuple[date, ...]
    file_rewritten: bool


def redact_tenant(context: Context, tenant: str, reason: str, *, force: bool = False) -> RedactedTenant:
    """Replace the name of a tenant and the keys of its rows by pseudonyms, and remove the values of its rows.

    If a call ends before all reports are rendered again, the next one continues.

    Args:
        context: the context of the operation.
        tenant: the name of the tenant.
        reason: why it is redacted, stored permanently; the name is replaced in it, too.
        force: redact a tenant that the next comparison expects. It will report the pseudonym as lost.

    Raises:
        UsageError: if the reason is too short, no evidence names the tenant, the next comparison expects it, or a
            report in the output directory has observations that the ledger lacks.
        UnsoundTrail: if the ledger contradicts its hash chain.
        AlreadyRunning: if a comparison is in progress.
        EvidenceNotStored: if the ledger cannot be changed.
    """
    reason, name, ledger = normalised_reason(reason), bounded_name(tenant), context.ledger
    if is_pseudonym(name):
        raise UsageError(f"{name} is a pseudonym: the tenant is redacted already.")
    with ledger.observation_lock():
        _require_complete(ledger, context.clock.today())
        if not force:
            _require_departed(ledger, name)
        _require_imported(ledger, context.output_dir)
        secret, known = secrets.token_bytes(), name_hash(name, ledger.id)
        # A name that comes back keeps its pseudonym.
        again = next((redaction for redaction in ledger.redactions() if redaction.name_hash == known), None)
        redactor = Redactor(name, again.pseudonym, secret) if again else Redactor.of(name, secret)
        try:
            ledger.redact(redactor, redactor.words(reason), context.clock.now())
        except UsageError:
            if not again:
                raise
            # An earlier call ended before it rendered all reports.
    days = [day for day in ledger.days() if (context.output_dir / file_name(day)).exists()]
    stale = [report.day for report in stale_reports(context, days, days)]
    for day in stale:
        publish(context, day)
    return RedactedTenant(redactor.pseudonym, tuple(stale), ledger.vacuum())


def _require_complete(ledger: Ledger, today: date) -> None:
    """Require that no later attempt of today continues with shards that name the tenant."""
    for observation in reversed(ledger.observations(today)):
        if observation.tenants_scanned is not None:
            return
        if any(ledger.shard_results(observation.id, exact) for exact in (False, True)):
            raise UsageError(f"the comparison of {today} is incomplete, and its next attempt continues with the shards "
                             "that it compared: run orgrecon report until it is complete, or redact tomorrow.")


def _require_imported(ledger: Ledger, directory: Path) -> None:
    """Require that every sound report can be rendered from the ledger, because any other one would keep the name."""
    for _, path in report_files(directory):
        with suppress(UnsoundTrail):
            if shows_unknown_evidence(read_report(path, ledger.identity), ledger):
                raise UsageError(
                    f"{shown(path)} has observations that the ledger lacks, and would keep the name: run orgrecon "
                    f"import {shown(directory)}, or move it away.")


def _require_departed(ledger: Ledger, name: str) -> None:
    """Require that no comparison expects the tenant any more, which would store its name again."""
    latest = ledger.latest(COMPARED, completed_only=True)
    listed = latest and any(row.tenant == name for row in ledger.breakdown(latest.id, _ALL_TENANTS))
    expected = any(
        presence.changes and presence.changes[-1][1] is CoverageChange.APPEARED
        for simulated in (False, True) for _, presence in ledger.tenant_presences(simulated=simulated, name=name))
    if expected or listed:
        raise UsageError(
            f"the next comparison expects the tenant {name!a}: remove it from both databases and from the declared "
            "tenants, run orgrecon report (and orgrecon acknowledge if coverage is lost) until it has departed; or use "
            "--force if nothing is compared any more.")
