"""The commands about the compared databases and about what a person accepts.

They are ``doctor``, ``repair-sql``, ``acknowledge``, ``accept-source``, ``accept-ledger`` and ``redact``.
"""

from __future__ import annotations

import os
import sys
from datetime import date
from typing import Annotated

import typer

from orgrecon_pipeline.cli.options import Day, MappingFile, OutputDir, OutputFormat, Reason, open_context, settings_from
from orgrecon_pipeline.cli.output import terminal, text_views
from orgrecon_pipeline.cli.output.terminal import Format
from orgrecon_pipeline.domain.days import parse_day
from orgrecon_pipeline.domain.drift.key import KeyState
from orgrecon_pipeline.domain.drift.kinds import DriftKind


def doctor(mapping: MappingFile = None, format: OutputFormat = Format.TEXT) -> int:
    """Check whether a comparison is possible: connection, role, tables, types, indexes. Exit code: 0 ready, 1 not."""
    from orgrecon_pipeline.config.mapping_file import DEFAULT_MAPPING_ADVICE, default_mapping
    from orgrecon_pipeline.notify.notifier import Notifier
    from orgrecon_pipeline.operations.doctor import diagnose

    problems = Notifier.from_environ(os.environ).problems()
    context = open_context(mapping)
    diagnosis = diagnose(context).warned("notifications", problems)
    if diagnosis.cannot_compare and context.mapping == default_mapping():
        diagnosis = diagnosis.warned("mapping", [DEFAULT_MAPPING_ADVICE])
    terminal.show(diagnosis, format, text=text_views.show_diagnosis)
    return 0 if diagnosis.ready else 1


def repair_sql(
    day: Day = None,
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="Repair only keys of this tenant.")] = None,
    entity: Annotated[str | None, typer.Option(metavar="ENTITY", help="Repair only keys of this entity.")] = None,
    kind: Annotated[DriftKind | None, typer.Option(help="Repair only this kind of drift.")] = None,
    state: Annotated[KeyState | None, typer.Option(help="Repair only keys that are new or persistent.")] = None,
    mapping: MappingFile = None,
    format: OutputFormat = Format.TEXT,
) -> None:
    """Print guarded SQL that repairs the drift of a day's report (default: today's). Nothing is executed."""
    from orgrecon_pipeline.ledger.statements.keys import KeyFilter
    from orgrecon_pipeline.operations.repair import plan_repair

    plan = plan_repair(settings_from(mapping), day, KeyFilter(tenant, entity, kind, state))
    terminal.show(plan, format, text=lambda plan: sys.stdout.write(plan.script.sql))
    if format is Format.JSON:
        return
    for entity, reason in plan.script.unsupported.items():
        terminal.say(f"{entity}: no repair can be derived because {reason}; the SQL lists the drifting rows instead.")
    for note in plan.notes:
        terminal.say(note)


def acknowledge(
    reason: Reason,
    day: Annotated[date | None, typer.Option(
        "--date", parser=parse_day, metavar="YYYY-MM-DD",
        help="UTC day to which the database was restored (default: the latest live comparison).")] = None,
    mapping: MappingFile = None,
    format: OutputFormat = Format.TEXT,
) -> None:
    """Accept lost coverage: what the latest comparison reported as gone was removed on purpose."""
    from orgrecon_pipeline.operations.observe.acknowledge import acknowledge_coverage

    names = acknowledge_coverage(open_context(mapping), reason, day)
    terminal.show({"acknowledged": names}, format,
                  text=lambda _: terminal.show_lines(f"acknowledged: {name}" for name in names))


def accept_source(reason: Reason, mapping: MappingFile = None, format: OutputFormat = Format.TEXT) -> None:
    """Accept a moved database: from now on, compare the database that the latest run refused."""
    from orgrecon_pipeline.operations.observe import acknowledge

    databases = acknowledge.accept_source(open_context(mapping), reason)
    terminal.show(
        {"accepted": next(iter(databases.values())), "databases": databases}, format,
        text=lambda _: terminal.show_lines(
            f"accepted: {label} is database {identity['database']} on server {identity['system_identifier']}"
            for label, identity in databases.items()))


def accept_ledger(
    reason: Reason,
    ledger_id: Annotated[str | None, typer.Argument(
        metavar="LEDGER_ID", help="Ledger to accept, as the reason of the check names it (default: every ledger).",
    )] = None,
    mapping: MappingFile = None,
    format: OutputFormat = Format.TEXT,
) -> None:
    """Accept another ledger that evaluated the gate's check in Dagster: this ledger replaces it from now on."""
    from orgrecon_pipeline.domain.record import instant_text
    from orgrecon_pipeline.operations.gate import accept_ledger

    context, environ = open_context(mapping), settings_from(mapping).as_environ()
    acceptance = accept_ledger.accept_ledger(context, reason, ledger_id)
    if environ.get("DAGSTER_HOME"):
        from orgrecon_pipeline.defs.in_process import update_gate_check

        if warning := update_gate_check(environ):
            terminal.say(warning)
    until = instant_text(acceptance.until)
    terminal.show(
        {"ledger": context.ledger.id, "accepted": acceptance.ledger, "until": until}, format,
        text=lambda _: terminal.show_lines([
            f"accepted: evaluations by {f'ledger {ledger_id}' if ledger_id else 'any other ledger'} up to {until}"]))


def redact(
    tenant: Annotated[str, typer.Option(metavar="TENANT", help="Name of the tenant, as reports show it.")],
    reason: Reason,
    force: Annotated[bool, typer.Option(
        "--force", help="Redact a tenant that the next comparison expects; it will report lost coverage.")] = False,
    output_dir: OutputDir = None,
    mapping: MappingFile = None,
    format: OutputFormat = Format.TEXT,
) -> None:
    """Replace a departed tenant's name and keys in the ledger and its reports, permanently; verdicts stay.

    Exit code: 0 redacted, 1 the ledger is not sound.
    """
    from orgrecon_pipeline.operations.trail.redact_tenant import redact_tenant

    redacted = redact_tenant(open_context(mapping, output_dir), tenant, reason, force=force)
    reports = [day.isoformat() for day in redacted.reports]
    terminal.show({"pseudonym": redacted.pseudonym, "reports": reports}, format, text=lambda _: terminal.show_lines([
        f"redacted: the pseudonym is {redacted.pseudonym}", *(f"{day}: rendered again" for day in reports)]))
    if not redacted.file_rewritten:
        terminal.say("PostgreSQL keeps replaced rows in its files and statistics: run VACUUM (FULL, ANALYZE) in the "
                     "ledger's database, then VACUUM FULL pg_statistic; delete older backups and WAL archives.")
