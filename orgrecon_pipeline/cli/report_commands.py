"""The commands that produce and publish evidence: ``report``, ``gate``, ``render``, ``exporter`` and ``metrics``."""

from __future__ import annotations

import gc
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orgrecon_pipeline.cli.options import (
    Day,
    MappingFile,
    OutputDir,
    OutputFormat,
    SignedBy,
    open_context,
    settings_from,
)
from orgrecon_pipeline.cli.output import terminal, text_views
from orgrecon_pipeline.cli.output.tenant_views import GateFormat, TenantSelection, show_tenants
from orgrecon_pipeline.cli.output.terminal import Format
from orgrecon_pipeline.cli.trail_commands import refresh_reports
from orgrecon_pipeline.domain.days import days_between, parse_day
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.gate.state import GateState

if TYPE_CHECKING:
    from orgrecon_pipeline.config.settings import Settings
    from orgrecon_pipeline.operations.day_run import DayRequest, DayRun

_EXIT_CODES = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3}


def report(
    day: Day = None,
    baseline: Annotated[bool, typer.Option(
        "--baseline", help="Stamp an empty cluster as PASS. Needs no database, and never replaces other "
                             "evidence.")] = False,
    exact: Annotated[bool, typer.Option(
        "--exact", help="Compare every tenant by key, not only those whose fingerprints differ (slower).")] = False,
    restored: Annotated[bool, typer.Option(
        "--restored", help="Compare a database that was restored to --date. It must be in recovery and show that day."
    )] = False,
    output_dir: OutputDir = None,
    mapping: MappingFile = None,
    format: OutputFormat = Format.TEXT,
) -> int:
    """Compare one UTC day, store the evidence and write the report. Exit code: 0 PASS, 1 FAIL, 3 INCONCLUSIVE."""
    from orgrecon_pipeline.ledger.connection.retry import RetryBudget, retry_budget
    from orgrecon_pipeline.operations.day_run import DayRequest

    settings = settings_from(mapping, output_dir)
    with retry_budget(RetryBudget(settings.mapping.scan.deadline_seconds, terminal.say)):
        return _report(settings, day, DayRequest(baseline, exact, restored), format)


def _named_mapping(settings: Settings) -> Path | None:
    """Return the mapping file if the next command must name it, too."""
    named = settings.mapping_file
    return Path(named) if named and named != settings.environ.get("ORGRECON_MAPPING") else None


def _report(settings: Settings, day: date | None, request: DayRequest, format: Format) -> int:
    from orgrecon_pipeline.notify.dispatch import notify_of_run
    from orgrecon_pipeline.operations.clock import read_clock
    from orgrecon_pipeline.operations.context import Context
    from orgrecon_pipeline.operations.report_request import (
        advise_on_mapping,
        mention_stored_evidence,
        validate_report_request,
    )
    from orgrecon_pipeline.report.read import read_report
    from orgrecon_pipeline.report.verify import verify_trail

    identity = settings.identity
    day = validate_report_request(settings, day, baseline=request.baseline, restored=request.restored)
    with mention_stored_evidence(settings, day):
        with notify_of_run(settings, day, terminal.say), terminal.progress():
            run = run_day(settings, day, request)
        trail = verify_trail(run.path.parent, identity)
        warnings = [run.note, run.reason if not run.verdict.decided else ""]
        for warning in (*filter(None, warnings), *trail.findings):
            terminal.say(warning)
        if trail.outdated:
            refresh_reports(Context.from_settings(settings), trail)
        record = read_report(run.path, identity)
        if advice := advise_on_mapping(settings.mapping, record):
            terminal.say(advice)
        for warning in record.compared.get("warnings", ()):
            terminal.say(f"warning: {warning['text']}")
        today = read_clock(settings.environ).today()
        terminal.show(record, format, text=lambda record: text_views.show_report(
            record, run.path, run.verdict, today=today, mapping=_named_mapping(settings)))
    if request.baseline:  # Stamped, or left alone because better evidence exists: both are what was asked for.
        return 0
    # An INCONCLUSIVE rerun does not change the day, but must not exit as a success.
    return max(_EXIT_CODES[run.verdict], _EXIT_CODES[record.verdict])


def run_day(settings: Settings, day: date, request: DayRequest) -> DayRun:
    """Obtain the evidence of a day and publish its report: as a Dagster run if ``DAGSTER_HOME`` is set.

    Raises:
        OrgreconError: if the run fails; ``exit_code`` is the exit code of the command.
    """
    if settings.environ.get("DAGSTER_HOME"):
        from orgrecon_pipeline.defs.in_process import materialise_day

        return materialise_day(settings.as_environ(), day, request)
    from orgrecon_pipeline.operations import day_run
    from orgrecon_pipeline.operations.context import Context

    return day_run.run_day(Context.from_settings(settings), day, request, terminal.progress_log.info)


def gate(
    day: Annotated[date | None, typer.Option(
        "--date", parser=parse_day, metavar="YYYY-MM-DD",
        help="Decide as of this UTC day (default: today). The gate must be open now, too.")] = None,
    output_dir: Annotated[Path | None, typer.Option(
        metavar="DIR", help="Decide by the reports in this directory instead of the ledger.")] = None,
    require_live: Annotated[int, typer.Option(
        min=0, metavar="DAYS", help="Days of the window that must have compared a live database.")] = 0,
    require_today: Annotated[bool, typer.Option(
        "--require-today", help="Close the gate unless today (UTC) has been observed.")] = False,
    dagster_url: Annotated[str | None, typer.Option(
        metavar="URL", help="Ask the asset check of a Dagster deployment instead of the ledger. A token is sent from "
                            "$ORGRECON_DAGSTER_TOKEN.")] = None,
    asset_key: Annotated[str | None, typer.Option(
        metavar="KEY", help="Asset in Dagster that has the check, as in prefix/drift_gate (default: drift_gate, below "
                            "$ORGRECON_KEY_PREFIX).",
    )] = None,
    tenant: Annotated[list[str] | None, typer.Option(
        metavar="TENANT", help="Ask for this tenant instead of the whole company. Repeat for others.")] = None,
    cohort: Annotated[str | None, typer.Option(
        metavar="FILE", help="Ask for the tenants in this file, one per line; the file - is standard input.")] = None,
    by_tenant: Annotated[bool, typer.Option(
        "--by-tenant", help="List the gate of every tenant. The exit code tells the gate of the company.")] = False,
    state: Annotated[GateState | None, typer.Option(help="With --by-tenant: only tenants in this state.")] = None,
    min_streak: Annotated[int, typer.Option(
        min=0, metavar="DAYS", help="With --by-tenant: only tenants with such a streak.")] = 0,
    signed_by: SignedBy = None,
    mapping: MappingFile = None,
    format: Annotated[GateFormat, typer.Option(help="How to print the answer; csv lists tenants.")] = GateFormat.TEXT,
) -> int:
    """Decide whether the Phase 2 read cutover may go ahead. Exit code: 0 OPEN, 1 CLOSED.

    With --tenant or --cohort, the exit code is 0 only if the gate of every tenant asked for is OPEN.
    """
    from orgrecon_pipeline.operations.clock import read_clock
    from orgrecon_pipeline.operations.gate.sources import answer_gate, answer_gate_from_dagster, gather_evidence
    from orgrecon_pipeline.operations.trail.signing import read_public_keys

    settings = settings_from(mapping, output_dir)
    if signed_by and output_dir is None:
        raise UsageError("--signed-by checks the signatures of reports: name their directory with --output-dir.")
    keys = read_public_keys(signed_by or ())
    wanted = TenantSelection.of(tenant or (), cohort, by_tenant=by_tenant, state=state, min_streak=min_streak)
    if wanted is not None:
        if dagster_url is not None:
            raise UsageError("the check in Dagster answers for the company only: leave out --dagster-url to ask for "
                             "tenants.")
        evidence = gather_evidence(
            settings, trail=output_dir, day=day, require_live=require_live, require_today=require_today, signed_by=keys)
        return show_tenants(evidence, wanted, format)
    if format is GateFormat.CSV:
        raise UsageError("--format csv lists tenants: add --by-tenant, --tenant or --cohort.")
    if dagster_url is None:
        if asset_key is not None:
            raise UsageError("--asset-key names an asset in Dagster: add --dagster-url.")
        answer = answer_gate(
            settings, trail=output_dir, day=day, require_live=require_live, require_today=require_today, signed_by=keys)
    elif day is not None or output_dir is not None:
        raise UsageError("--dagster-url asks for the gate now: leave out --date and --output-dir.")
    else:
        answer = answer_gate_from_dagster(
            settings, dagster_url, asset_key=asset_key, require_live=require_live, require_today=require_today)
    today = read_clock(settings.environ).today()
    terminal.show(answer, Format(format), text=lambda answer: text_views.show_gate(answer, today))
    return 0 if answer.open else 1


def render(
    first: Annotated[date, typer.Argument(metavar="D", parser=parse_day, help="First UTC day.")],
    last: Annotated[date | None, typer.Argument(metavar="D2", parser=parse_day, help="Last UTC day.")] = None,
    output_dir: OutputDir = None,
    mapping: MappingFile = None,
    format: OutputFormat = Format.TEXT,
) -> None:
    """Write the reports of day D, or of D to D2, again from the ledger. Days without evidence stay MISSING."""
    from orgrecon_pipeline.operations.trail.publish import publish
    from orgrecon_pipeline.report.write import check_writable

    last = last or first
    if last < first:
        raise UsageError(f"{last} is before {first}: give the earlier day first.")
    context = open_context(mapping, output_dir)
    observed = set(context.ledger.days())
    days = [day for day in days_between(first, last) if day in observed]
    if not days:
        raise UsageError(f"the ledger holds no evidence from {first} to {last}: check ORGRECON_LEDGER_URL.")
    check_writable(context.output_dir)
    paths = [str(publish(context, day).path) for day in days]
    terminal.show({"written": paths}, format, text=lambda _: terminal.show_lines(paths))


def exporter(
    port: Annotated[int, typer.Option(
        min=0, max=65535, metavar="PORT", help="Port to listen on; 0 chooses a free one.")] = 9464,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "0.0.0.0",  # noqa: S104 - scraped from outside the pod
    path_prefix: Annotated[str, typer.Option(
        metavar="PATH", help="Prefix of all paths, such as /orgrecon, behind a proxy that keeps it.")] = "",
    mapping: MappingFile = None,
) -> None:
    """Serve Prometheus metrics (/metrics) and the gate (/gate, /gate/tenants/TENANT) from the ledger."""
    from orgrecon_pipeline.metrics.collector import make_registry, open_collector
    from orgrecon_pipeline.metrics.exporter import make_exporter, serve
    from orgrecon_pipeline.metrics.gate_endpoint import open_gate_app

    settings = settings_from(mapping)
    collector = open_collector(settings, wait_seconds=3)  # by default, Prometheus waits 10 s for a scrape
    server = make_exporter(
        make_registry(collector), open_gate_app(settings), host=host, port=port, path_prefix=path_prefix)
    base = f"http://{host}:{server.server_port}{path_prefix.rstrip('/')}"
    gc.set_threshold(10_000)  # unlike other commands (see __main__), it runs for months and must stay small
    terminal.say(f"metrics at {base}/metrics, the gate at {base}/gate")
    serve(server)


def metrics(
    textfile: Annotated[Path, typer.Option(metavar="FILE", help="File to write, such as orgrecon.prom.")],
    mapping: MappingFile = None,
) -> None:
    """Write the current metrics to a file, atomically."""
    from orgrecon_pipeline.metrics.collector import open_collector
    from orgrecon_pipeline.metrics.exporter import write_textfile

    write_textfile(textfile, open_collector(settings_from(mapping)))
