"""Results of the commands as text for people."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orgrecon_pipeline.cli.output import terminal
from orgrecon_pipeline.cli.output.screen import Screen, Text
from orgrecon_pipeline.cli.output.terminal import printable, show_lines
from orgrecon_pipeline.domain.drift.kinds import DriftKind

if TYPE_CHECKING:
    from orgrecon_pipeline.domain.evidence import EntityTotals, Sample, Verdict
    from orgrecon_pipeline.domain.gate.decision import WindowRow
    from orgrecon_pipeline.domain.gate.forecast import Forecast
    from orgrecon_pipeline.domain.identity import Identity
    from orgrecon_pipeline.domain.record import Record, WindowDay
    from orgrecon_pipeline.operations.diff import Diff
    from orgrecon_pipeline.operations.doctor import Diagnosis
    from orgrecon_pipeline.operations.gate.current import GateAnswer
    from orgrecon_pipeline.operations.trail.importer import ImportResult
    from orgrecon_pipeline.operations.trail.ledger_chain import LedgerVerification
    from orgrecon_pipeline.report.verify import Trail

_COLOURS = {
    "PASS": "green", "FAIL": "red", "INCONCLUSIVE": "yellow", "MISSING": "dim", "OPEN": "green", "CLOSED": "yellow",
    "ok": "green", "warning": "yellow", "problem": "red",
}
_MAX_TENANTS = 10
_KINDS = [kind.value for kind in DriftKind]


def show_report(record: Record, path: Path, attempt: Verdict | None = None, *, today: date | None = None,
                mapping: Path | None = None, program: str = "orgrecon") -> None:
    """Print the result of a day.

    ``attempt`` is the verdict of this attempt, which may be INCONCLUSIVE although an earlier one decided the day.
    The command that is proposed after a FAIL names the day if it is not ``today``, and ``mapping`` if there is one. It
    begins with ``program``, as a shell reads it.
    """
    from orgrecon_pipeline.domain.gate.forecast import forecast_of

    screen = terminal.stdout()
    title = f"{record.identity}: {record.day}  {record.verdict.value}  ({record.provenance.value})"
    screen.print_box(Text(record.reason), _COLOURS[record.verdict.value], title)
    if attempt and not attempt.decided and record.verdict.decided:
        # The exit code follows this attempt, although the headline shows the day's verdict.
        screen.print(Text(f"this attempt: {attempt.value}; the day stays {record.verdict.value}, as decided before",
                           style=_COLOURS[attempt.value]))
    title = f"{_counted(record.tenants_scanned, 'tenant')} scanned, {_figure(record.tenants_with_drift)} with drift"
    _print_entities(screen, title, record.entities)
    if record.tenants_with_drift:
        _print_drifting_tenants(screen, record)
    _print_window(screen, record.window)
    _print_banner(screen, record.identity, record.gate.state.value, record.streak_days, record.window_days,
                  record.gate.reason, record.gate.earliest_open_day, forecast_of(record.to_decision()))
    screen.print(Text(f"report: {path}"))
    if record.verdict.value == "FAIL":
        command = _next_command(record, today, mapping, program)
        screen.print(Text(f"next: {command}"), soft_wrap=True)  # to be copied


def _next_command(record: Record, today: date | None, mapping: Path | None, program: str) -> str:
    """Return the command that lists the drifting keys of the tenant with most drift."""
    options = []
    tenant = next((row.tenant for row in record.tenants if row.drift), "")
    if tenant and tenant.isprintable():
        options.append(shlex.join([f"--tenant={tenant}"] if tenant.startswith("-") else ["--tenant", tenant]))
    if today and record.day != today:
        options.append(f"--date {record.day}")
    if mapping:
        options.append(shlex.join(["--mapping", str(mapping)]))
    return " ".join([program, "drift", *options])


def show_diff(diff: Diff) -> None:
    """Print the result of an ad-hoc comparison, with the drifting keys."""
    screen = terminal.stdout()
    colour = {"equal": "green", "different": "red"}.get(diff.result.value, "yellow")
    text = Text(printable(diff.reason))
    text.append("\nThis is not evidence: nothing was stored, and neither the day nor the gate has changed.", "dim")
    title = f"{diff.result.value.replace('_', ' ').upper()}  tenant {printable(diff.request.tenant)}  ({diff.identity})"
    screen.print_box(text, colour, title)
    if diff.comparison is None:
        return
    if diff.shards:
        screen.print(Text(f"shard: {', '.join(diff.shards)}"))
    _print_entities(screen, "Entities", diff.comparison.totals)
    for entity, columns in diff.mismatched_columns.items():
        counts = ", ".join(f"{column} {keys}" for column, keys in sorted(columns.items(), key=lambda item: -item[1]))
        screen.print(Text(f"{entity}: mismatched keys by column: {counts}"))
    if samples := diff.comparison.samples:
        _print_samples(screen, samples)
    if diff.not_listed:
        screen.print(Text(f"and {_counted(diff.not_listed, 'more key')}: raise --limit to list them"))


def _print_samples(screen: Screen, samples: Sequence[Sample]) -> None:
    with_values, with_context = any(s.values for s in samples), any(s.show for s in samples)
    headers = ("key", "entity", "kind", "columns", *(["source → target"] if with_values else []),
               *(["context"] if with_context else []))

    def row(sample: Sample) -> list[Text]:
        cells = [_pairs(sample.key), sample.entity, sample.kind.value, ", ".join(sample.columns)]
        if with_values:
            cells.append(_pairs({column: f"{_value(source)} → {_value(target)}"
                                 for column, (source, target) in (sample.values or {}).items()}))
        if with_context:
            cells.append(_pairs(sample.show or {}))
        return [Text(printable(cell)) for cell in cells]

    screen.print_table("Drifting keys", headers, [row(sample) for sample in samples])


def _pairs(values: Mapping[str, str | None]) -> str:
    return ", ".join(f"{column}={_value(text)}" for column, text in values.items())


def _value(text: str | None) -> str:
    return "NULL" if text is None else text


def show_gate(answer: GateAnswer, today: date) -> None:
    """Print the gate's decision and its window, and whether ``today`` (UTC) is still without evidence."""
    screen = terminal.stdout()
    decision = answer.decision
    _print_window(screen, decision.window)
    _print_banner(screen, answer.identity, decision.state.value, decision.streak_days, decision.window_days,
                  decision.reason.sentence, decision.earliest_open_day, answer.forecast)
    screen.print(Text(f"as of {answer.as_of}, valid until {answer.valid_until:%Y-%m-%d %H:%M} UTC"))
    if answer.as_of < today:
        screen.print(Text(f"{today} is not in this answer: the latest evidence that it rests on is of {answer.as_of}"))


def show_verification(verification: Trail[Any]) -> None:
    """Print the findings in a trail, its outdated reports and missing days, and whether it is sound."""
    show_lines(verification.findings)
    show_lines(f"outdated: {line}" for line in verification.outdated.values())
    show_lines(f"missing: {day} has no report" for day in verification.holes)
    state, counted = ("sound", "report") if verification.sound else ("NOT SOUND", "sound report")
    figures = f"{_counted(verification.reports, counted)}, {_counted(len(verification.findings), 'finding')}"
    outdated = f", {len(verification.outdated)} outdated" if verification.outdated else ""
    show_lines([f"{state}: {figures}{outdated}"])


def show_ledger_verification(verification: LedgerVerification) -> None:
    """Print what is wrong with a ledger, and the head of its chain."""
    show_lines(verification.findings)
    show_lines(
        f"link {redaction.position}: {redaction.pseudonym} was redacted on {redaction.recorded_at:%Y-%m-%d}, in "
        f"{_counted(redaction.links, 'link')}: {redaction.reason}" for redaction in verification.redactions)
    state = "sound" if verification.sound else "NOT SOUND"
    figures = (f"{_counted(verification.links, 'link')}, {_counted(verification.reports, 'report')} compared, "
               f"{_counted(len(verification.findings), 'finding')}")
    show_lines([f"{state}: ledger {verification.ledger}, {figures}"])
    if verification.head:
        show_lines([f"head: link {verification.head.position}, {verification.head.hash}"])


def show_import(imported: ImportResult) -> None:
    """Print how much was imported into the ledger."""
    show_lines([f"{_counted(imported.observations, 'observation')} of {_counted(len(imported.days), 'day')} imported"])


def show_diagnosis(diagnosis: Diagnosis, ready: str = "ready") -> None:
    """Print the findings of the preflight checks, and ``ready`` if there is no problem."""
    screen = terminal.stdout()
    screen.print_table("", (), [
        (Text(finding.level, _COLOURS[finding.level]), finding.topic, printable(finding.text))
        for finding in diagnosis.findings])
    screen.print(Text(ready if diagnosis.ready else "NOT READY"))


def _print_window(screen: Screen, days: Iterable[WindowDay | WindowRow]) -> None:
    screen.print_table("Rolling window", ("day", "status", *_KINDS, "provenance", "counts"), [
        (str(day.day), Text(day.verdict.value, style=_COLOURS[day.verdict.value]),
         *("–" if count is None else str(count) for count in day.counts.values()),
         day.provenance.value if day.provenance else "–", "yes" if day.eligible else "no")
        for day in days])


def _print_entities(screen: Screen, title: str, entities: Mapping[str, EntityTotals]) -> None:
    from orgrecon_pipeline.domain.evidence import FIGURES

    screen.print_table(title, ("entity", *(name.replace("_", " ") for name in FIGURES)), [
        (name, *(_figure(getattr(totals, figure)) for figure in FIGURES))
        for name, totals in entities.items()])


def _print_drifting_tenants(screen: Screen, record: Record) -> None:
    tenants = list(dict.fromkeys(row.tenant for row in record.tenants if row.drift))[:_MAX_TENANTS]
    screen.print_table("Tenants with most drift", ("tenant", "entity", *_KINDS), [
        (Text(printable(row.tenant)), row.entity, *map(str, row.counts.values()))
        for row in record.tenants if row.drift and row.tenant in tenants])


def _print_banner(
    screen: Screen, identity: Identity, state: str, streak: int, window: int, reason: str, earliest: date,
    forecast: Forecast | None,
) -> None:
    text = Text(f"GATE {state}", style=f"bold {_COLOURS[state]}")
    text.append(f"  streak {streak} of {window}  ({identity})\n{reason}\nearliest opening day: {earliest}",
                style="default")
    if forecast:
        text.append(f"\nstill needed: {forecast.sentence}", style="default")
    screen.print_box(text, _COLOURS[state])


def _figure(value: int | None) -> str:
    return "unknown" if value is None else str(value)


def _counted(count: int | None, noun: str) -> str:
    return f"{_figure(count)} {noun}{'' if count == 1 else 's'}"
