"""The command line: reads options, calls one operation, prints, and turns verdicts into exit codes.

Dagster, pandas and the ledger's migrations are imported by the commands that need them, so that ``gate``, ``verify``
and ``--help`` answer at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from orgrecon_pipeline.cli import terminal
from orgrecon_pipeline.cli.invoke import exit_code
from orgrecon_pipeline.config.settings import Settings, read_settings
from orgrecon_pipeline.domain.days import days_between, parse_day
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.version import __version__

if TYPE_CHECKING:
    from orgrecon_pipeline.defs.in_process import DayRun
    from orgrecon_pipeline.domain.record import Record
    from orgrecon_pipeline.operations.context import Context

_EXIT = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}

app = typer.Typer(
    name="orgrecon", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Proof, day by day, that Org Model v2.3 holds exactly what the legacy organisation model holds.",
    epilog="Exit codes: 0 as asked · 1 FAIL, CLOSED or unsound · 2 usage, mapping or configuration · "
           "3 INCONCLUSIVE · 4 already running.",
)


class Format(str, Enum):
    """How a result is printed."""

    TEXT = "text"
    JSON = "json"


DateOption = Annotated[Optional[str], typer.Option("--date", metavar="YYYY-MM-DD", help="The UTC day.")]  # noqa: UP045
OutputDir = Annotated[Optional[Path], typer.Option(help="The audit directory, one report a day.")]  # noqa: UP045
MappingFile = Annotated[Optional[Path], typer.Option("--mapping", help="The mapping file.")]  # noqa: UP045
FormatOption = Annotated[Format, typer.Option("--format", help="text, or one JSON document on standard output.")]
Reason = Annotated[str, typer.Option(help="Why this is intended; kept for ever.")]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code; every error is one line on standard error.

    Raises:
        KeyboardInterrupt: when it is interrupted.
        BrokenPipeError: when nobody reads what is printed.
    """
    sys.exit(exit_code(app, sys.argv[1:] if argv is None else argv))


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)  # noqa: T201
        raise typer.Exit


@app.callback(help=app.info.help)
def _common(
    version: Annotated[bool, typer.Option(
        "--version", is_eager=True, callback=_print_version, help="Print the version and exit."
    )] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks. Allowed anywhere.")] = False,
) -> None:
    """Options that belong to every command; each is acted on where it is read."""


@app.command()
def report(
    date: DateOption = None,
    baseline: Annotated[bool, typer.Option(help="Stamp an empty cluster; needs no database.")] = False,
    exact: Annotated[bool, typer.Option(help="Compare every tenant by key: slower, and surer.")] = False,
    restored: Annotated[bool, typer.Option(help="The database was restored to --date, and proves it.")] = False,
    output_dir: OutputDir = None,
    mapping: MappingFile = None,
    format: FormatOption = Format.TEXT,
) -> int:
    """Compare a UTC day, keep the evidence, write its report. Exits 0 PASS, 1 FAIL, 3 INCONCLUSIVE."""
    settings = _settings(mapping, output_dir)
    day = parse_day(date) if date is not None else None
    # A broken request is told before anything heavy is loaded.
    from orgrecon_pipeline.operations.report_request import check_request

    day = check_request(settings, day, baseline=baseline, restored=restored)
    from orgrecon_pipeline.defs.in_process import run_day
    from orgrecon_pipeline.notify.run_changes import told
    from orgrecon_pipeline.operations.interrupts import report_kept_evidence

    with report_kept_evidence(settings, day):
        with told(settings, day, terminal.say), terminal.progress():
            run = run_day(settings.as_environ(), day, baseline=baseline, exact=exact, restored=restored)
        record = _show_day(run, format)
    if baseline:  # stamped, or nothing was done because there is better: either way as asked
        return 0
    # A rerun that could not decide leaves the day as it was, but must not look like a success.
    return max(_EXIT[run.verdict], _EXIT[record.verdict])


def _show_day(run: DayRun, format: Format) -> Record:
    if run.note:
        terminal.say(run.note)
    if run.verdict is Verdict.INCONCLUSIVE:
        terminal.say(run.reason)
    from orgrecon_pipeline.report.read import read_report
    from orgrecon_pipeline.report.verify import read_trail

    for finding in read_trail(run.path.parent).findings:
        terminal.say(finding)
    record = read_report(run.path)
    if format is Format.JSON:
        terminal.print_json(record.as_json_value())
    else:
        terminal.show_report(record, run.path, run.verdict)
    return record


@app.command()
def gate(
    date: DateOption = None,
    output_dir: Annotated[Optional[Path], typer.Option(help="Judge the reports of this directory instead of the ledger.")] = None,  # noqa: E501, UP045
    require_live: Annotated[int, typer.Option(min=0, help="Days of the window that must have compared a live database.")] = 0,  # noqa: E501
    dagster_url: Annotated[Optional[str], typer.Option(metavar="URL", help="Ask a Dagster deployment's check instead of the ledger.")] = None,  # noqa: E501, UP045
    mapping: MappingFile = None,
    format: FormatOption = Format.TEXT,
) -> int:
    """Say whether the Phase 2 read cutover may go ahead. Exits 0 OPEN, 1 CLOSED."""
    settings = _settings(mapping, output_dir)
    if dagster_url is not None:
        from orgrecon_pipeline.operations.gate.sources import ask_deployment

        if date is not None or output_dir is not None:
            raise UsageError("--dagster-url asks for the gate now: leave --date and --output-dir out.")
        answer = ask_deployment(settings, dagster_url, require_live=require_live)
    else:
        from orgrecon_pipeline.operations.gate.sources import answer_gate

        day = parse_day(date) if date is not None else None
        answer = answer_gate(settings, trail=output_dir, day=day, require_live=require_live)
    if format is Format.JSON:
        terminal.print_json(answer.as_json_value())
    else:
        terminal.show_gate(answer)
    return 0 if answer.open else 1


@app.command()
def verify(directory: Annotated[Path, typer.Argument(metavar="DIR")], format: FormatOption = Format.TEXT) -> int:
    """Check every report of a directory: digest, bytes, name, windows, holes. Exits 0 when all is sound, else 1."""
    from orgrecon_pipeline.report.verify import verify_trail

    verification = verify_trail(directory)
    if format is Format.JSON:
        terminal.print_json(verification.as_json_value())
    else:
        terminal.show_verification(verification)
    return 0 if verification.sound else 1


@app.command()
def sync(
    source: Annotated[Path, typer.Argument(metavar="SRC")],
    target: Annotated[Path, typer.Argument(metavar="DST")],
    format: FormatOption = Format.TEXT,
) -> int:
    """Take the sound reports of SRC (the cluster's volume) over into DST (the repository). Exits 1 on a conflict."""
    from orgrecon_pipeline.operations.clock import SIMULATED_NOW_VARIABLE, Clock, clock_of
    from orgrecon_pipeline.operations.trail.sync import sync_trail

    simulated_today = clock_of(os.environ.get(SIMULATED_NOW_VARIABLE)).today()
    synced = sync_trail(source, target, Clock().today(), simulated_today)
    if format is Format.JSON:
        terminal.print_json(synced.as_json_value())
    else:
        terminal.show_lines(synced.lines())
    for line in (*synced.conflicts, *synced.disagreements):
        terminal.say(line)
    return 1 if synced.conflicts else 0


@app.command("import")
def import_(directory: Annotated[Path, typer.Argument(metavar="DIR")], format: FormatOption = Format.TEXT) -> int:
    """Rebuild the ledger from the reports of a directory. Exits 1 when a report is not sound."""
    from orgrecon_pipeline.ledger.open import open_ledger
    from orgrecon_pipeline.operations.clock import SIMULATED_NOW_VARIABLE, clock_of
    from orgrecon_pipeline.operations.trail.importer import import_trail

    if not directory.is_dir():
        raise UsageError(f"{directory} is not a directory: name the one that holds the reports.")
    imported = import_trail(
        open_ledger(_settings().ledger_url), directory, clock=clock_of(os.environ.get(SIMULATED_NOW_VARIABLE)))
    if imported.days and os.environ.get("DAGSTER_HOME"):
        from orgrecon_pipeline.defs.in_process import tell_gate

        if untold := tell_gate(os.environ):
            terminal.say(untold)
    if format is Format.JSON:
        terminal.print_json(imported.as_json_value())
    else:
        terminal.show_imported(imported)
    for refused in imported.refused:
        terminal.say(refused)
    return 1 if imported.refused else 0


@app.command()
def render(
    first: Annotated[str, typer.Argument(metavar="D")],
    last: Annotated[Optional[str], typer.Argument(metavar="[D2]")] = None,  # noqa: UP045
    output_dir: OutputDir = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Write the reports of one day, or of D to D2, again from the ledger. MISSING days stay missing."""
    from orgrecon_pipeline.operations.trail.publish import publish
    from orgrecon_pipeline.report.write import check_writable

    begin = parse_day(first)
    end = parse_day(last) if last else begin
    if end < begin:
        raise UsageError(f"{end} is before {begin}: write the earlier day first.")
    work = _context(output_dir=output_dir)
    known = set(work.ledger.days())
    wanted = [day for day in days_between(begin, end) if day in known]
    if not wanted:
        raise UsageError(f"the ledger holds no evidence from {begin} to {end}: there is nothing to render.")
    check_writable(work.output_dir)
    paths = [str(publish(work, day).path) for day in wanted]
    if format is Format.JSON:
        terminal.print_json({"written": paths})
    else:
        terminal.show_lines(paths)


@app.command()
def acknowledge(reason: Reason, date: DateOption = None, format: FormatOption = Format.TEXT) -> None:
    """Accept lost coverage: what the latest comparison (of --date, a restored day) found gone is meant to be gone."""
    from orgrecon_pipeline.operations.observe.acknowledge import acknowledge_coverage

    accepted = acknowledge_coverage(_context(), reason, parse_day(date) if date is not None else None)
    if format is Format.JSON:
        terminal.print_json({"acknowledged": accepted})
    else:
        terminal.show_lines([f"acknowledged: {name}" for name in accepted])


@app.command("accept-source")
def accept_source_(reason: Reason, format: FormatOption = Format.TEXT) -> None:
    """Accept that the database was moved: the one that the latest observation was refused for is the right one."""
    from orgrecon_pipeline.operations.observe.acknowledge import accept_source

    moved = accept_source(_context(), reason)
    if format is Format.JSON:
        terminal.print_json({"accepted": next(iter(moved.values())), "databases": moved})
    else:
        terminal.show_lines([
            f"accepted: {label} is database {pin['database']} on server {pin['system_identifier']}"
            for label, pin in moved.items()
        ])


@app.command()
def doctor(mapping: MappingFile = None, format: FormatOption = Format.TEXT) -> int:
    """Check connection, identity, role, row-level security, tables, types, keys and indexes. Exits 0 ready, else 1."""
    from orgrecon_pipeline.notify.notifier import Notifier
    from orgrecon_pipeline.operations.doctor import examine_source

    unknown = Notifier.from_environ(os.environ).unknown()
    findings = examine_source(_context(mapping=mapping)).warned("notifications", unknown)
    if format is Format.JSON:
        terminal.print_json(findings.as_json_value())
    else:
        terminal.show_findings(findings)
    return 0 if findings.ready else 1


@app.command("repair-sql")
def repair_sql_(date: DateOption = None, mapping: MappingFile = None, format: FormatOption = Format.TEXT) -> None:
    """Print guarded SQL that would heal the drift that a day's report found, by default today's. It runs nothing."""
    from orgrecon_pipeline.operations.repair import repair_sql

    healing = repair_sql(_settings(mapping), parse_day(date) if date is not None else None)
    if format is Format.JSON:
        terminal.print_json(healing.as_json_value())
        return
    sys.stdout.write(healing.repair.sql)
    for name, why in healing.repair.unsupported.items():
        terminal.say(f"{name}: no repair can be derived from the mapping, because {why}; a SELECT lists what drifts.")
    for note in healing.notes:
        terminal.say(note)


@app.command()
def exporter(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 9464,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "0.0.0.0",  # noqa: S104 - scraped from outside the pod
    mapping: MappingFile = None,
) -> None:
    """Serve the evidence as Prometheus metrics (/metrics, /healthz), read from the ledger at every scrape."""
    from orgrecon_pipeline.metrics.exporter import make_exporter, serve
    from orgrecon_pipeline.metrics.read_ledger import open_collector

    server = make_exporter(open_collector(_settings(mapping)), host=host, port=port)
    terminal.say(f"metrics at http://{host}:{server.server_port}/metrics")
    serve(server)


@app.command()
def metrics(
    textfile: Annotated[Path, typer.Option(metavar="F", help="The file, such as orgrecon.prom.")],
    mapping: MappingFile = None,
) -> None:
    """Write the metrics of this moment to a file, whole or not at all."""
    from orgrecon_pipeline.metrics.read_ledger import open_collector
    from orgrecon_pipeline.metrics.textfile import write_textfile

    write_textfile(textfile, open_collector(_settings(mapping)))


@app.command()
def demo(
    clean: Annotated[bool, typer.Option(help="Inject no drift: watch the gate open.")] = False,
    ui: Annotated[bool, typer.Option(help="Serve the Dagster UI on it afterwards.")] = False,
    directory: Annotated[Optional[Path], typer.Option(help="Where to put it, by default ./.orgrecon/demo; emptied at each run.")] = None,  # noqa: E501, UP045
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the UI.")] = 3000,
    metrics_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the application's metrics; 0 takes a free one.")] = 0,  # noqa: E501
) -> None:
    """An embedded Postgres, a company in use, six simulated days, today's run, the report on screen."""
    from orgrecon_pipeline.config.mapping_file import default_mapping
    from orgrecon_pipeline.defs.in_process import run_day
    from orgrecon_pipeline.demo.server import EmbeddedServer
    from orgrecon_pipeline.demo.story import company_in_use, play, serve_ui, set_stage
    from orgrecon_pipeline.metrics.metered_writes import metered_writes
    from orgrecon_pipeline.report.read import read_report

    stage = set_stage(directory, with_ui=ui)
    textfile = stage.directory / "dualwrite.prom"
    with (
        EmbeddedServer(stage.directory / "postgres") as server,
        metered_writes(list(default_mapping().entities), port=metrics_port, textfile=textfile) as (observer, address),
        company_in_use(stage, server, terminal.say, observer) as company,
    ):
        terminal.say(f"its metrics are at {address}, and in {textfile} afterwards")
        today = play(stage, company, run_day, terminal.say, clean=clean)
        run = run_day(stage.environ, today)
        terminal.show_report(read_report(run.path), run.path)
        terminal.show_lines([
            f"all reports: {stage.reports}", f"ledger: {stage.directory / 'ledger.db'}",
            f"mapping: {stage.directory / 'orgrecon.yaml'}",
        ])
        if ui:
            serve_ui(stage, port, terminal.say)


def _settings(mapping: Path | None = None, output_dir: Path | None = None) -> Settings:
    return read_settings(
        os.environ, mapping_file=str(mapping) if mapping else None, output_dir=str(output_dir) if output_dir else None
    )


def _context(mapping: Path | None = None, output_dir: Path | None = None) -> Context:
    from orgrecon_pipeline.operations.open_context import open_work

    return open_work(_settings(mapping, output_dir))
