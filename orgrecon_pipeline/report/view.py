"""What a report shows of a record: every string here is finished Markdown, in the order of the page.

Nothing depends on the order of a mapping's keys: a record that was read back from its file has them sorted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from orgrecon_pipeline.domain.drift_kinds import DriftKind, add_figures
from orgrecon_pipeline.domain.evidence import FIGURES, EntityTotals, Provenance, Sample, Verdict, sum_counts
from orgrecon_pipeline.domain.gate import GateState
from orgrecon_pipeline.domain.record import ObservedRow, Record, WindowDay, parse_instant
from orgrecon_pipeline.report.comparison_facts import fact_rows
from orgrecon_pipeline.report.markdown import code, prose

UNKNOWN = "unknown"
NOTHING = "–"

# The packaged entities come in the order of the mission; others after them, by name.
_FIRST_ENTITIES = ("org_units", "org_unit_memberships")
_COUNTS = (*(kind.value for kind in DriftKind), "transient")

_TITLES = {Provenance.LIVE: "", Provenance.BASELINE: " (baseline)", Provenance.RESTORED: " (restored)",
           Provenance.SIMULATED: " (SIMULATED)"}
_NOTES = {
    Provenance.LIVE: "",
    Provenance.BASELINE: "A baseline: no database was compared; it stamps the day of an empty cluster.",
    Provenance.RESTORED: "Compared on a database that was restored to this day.",
    Provenance.SIMULATED: "SIMULATED: a real comparison of a demo database under an injected clock. "
                          "It is no evidence about a real company.",
}

_ALERTS = {Verdict.PASS: "", Verdict.FAIL: "CAUTION", Verdict.INCONCLUSIVE: "WARNING", Verdict.MISSING: "WARNING"}

# More would not be legible; the table above the picture shows every day.
_MOST_DAYS_DRAWN = 31


@dataclass(frozen=True)
class Banner:
    """The gate. ``kind`` is GitHub's name of the alert."""

    kind: str
    state: str
    meaning: str
    streak: str
    counted: str
    reason: str
    earliest_open_day: str


@dataclass(frozen=True)
class Status:
    """The day's verdict. ``kind`` is GitHub's name of the alert, empty where there is nothing to be alarmed about."""

    kind: str
    status: str
    reason: str


@dataclass(frozen=True)
class Table:
    """A table. ``align`` is the row under the heading."""

    heading: str
    align: str
    rows: tuple[str, ...]


@dataclass(frozen=True)
class Noted:
    """A table and the sentence under it."""

    table: Table
    note: str


@dataclass(frozen=True)
class Trend:
    """Drifting keys per day, for the days of which they are known."""

    days: str
    keys: str
    highest: int
    note: str


@dataclass(frozen=True)
class View:
    """A page."""

    day: str
    title: str
    banner: Banner
    note: str
    summary: Table
    verdict: Status
    tenants: Noted | None
    samples: Noted
    window: Table
    trend: Trend
    observations: Noted
    compared: Table
    record: str


def view_of(record: Record) -> View:
    """Everything that the page of a record shows."""
    return View(
        day=record.day.isoformat(),
        title=f"Org Model v2.3 reconciliation report: {record.day.isoformat()}{_TITLES[record.provenance]}",
        banner=_banner(record),
        note=_NOTES[record.provenance],
        summary=_table(("Figure", "Value"), "lr", _summary(record)),
        verdict=Status(_ALERTS[record.verdict], record.verdict.value, prose(record.reason)),
        tenants=_tenants(record),
        samples=_samples(record),
        window=_window(record),
        trend=_trend(record.window),
        observations=_observations(record.observations),
        compared=_table(("What", "Value"), "ll", [
            ("Mapping digest", code(record.mapping_digest)), ("orgrecon version", code(record.orgrecon_version)),
            *fact_rows(record.compared),
        ]),
        record=record.line(),
    )


def _table(heading: Sequence[str], align: str, rows: Iterable[Sequence[str]]) -> Table:
    marks = {"l": ":---", "r": "---:"}
    return Table(_row(heading), _row([marks[mark] for mark in align]), tuple(map(_row, rows)))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _figure(value: int | None) -> str:
    return UNKNOWN if value is None else str(value)


def _total(figures: Iterable[int | None]) -> int | None:
    total = 0
    for value in figures:
        if value is None:
            return None
        total += value
    return total


def _banner(record: Record) -> Banner:
    is_open = record.gate.state is GateState.OPEN
    always = (Provenance.LIVE, Provenance.BASELINE)
    earliest = record.gate.earliest_open_day
    return Banner(
        kind="IMPORTANT" if is_open else _ALERTS[record.verdict] or "WARNING",
        state=record.gate.state.value,
        meaning=_meaning(record) if is_open else "The Phase 2 read cutover is blocked.",
        streak=f"{record.streak_days} of {record.window_days}",
        counted=", ".join(f"{n} {p.value}" for p, n in record.counted.items() if n or p in always),
        reason=prose(record.gate.reason),
        earliest_open_day=earliest.isoformat() + (" (this day)" if earliest == record.day else ""),
    )


def _meaning(record: Record) -> str:
    if record.counted[Provenance.SIMULATED]:
        return "This is a simulation: it unblocks nothing."
    if record.live_days < record.window_days:
        return (f"The Phase 2 read cutover is unblocked, but only {record.live_days} of the {record.window_days} "
                "counted days compared a live database.")
    return "The Phase 2 read cutover is unblocked."


def _entities(record: Record) -> list[tuple[str, EntityTotals]]:
    first = {name: at for at, name in enumerate(_FIRST_ENTITIES)}
    return sorted(record.entities.items(), key=lambda item: (first.get(item[0], len(first)), item[0]))


def _summary(record: Record) -> list[tuple[str, str]]:
    entities = _entities(record)
    rows = [side for _, totals in entities for side in (totals.source_rows, totals.target_rows)]
    return [
        ("Tenants scanned", _figure(record.tenants_scanned)),
        ("Tenants with drift", _figure(record.tenants_with_drift)),
        *(
            (f"{count.capitalize()} {code(name)} rows", _figure(getattr(totals, count)))
            for count in _COUNTS for name, totals in entities
        ),
        ("Rows compared", _figure(_total(rows))),
        ("Gate status", f"**{record.verdict.value}**"),
    ]


def _tenants(record: Record) -> Noted | None:
    listed = {row.tenant for row in record.tenants}
    if not listed and not record.tenants_scanned:
        return None
    heading = ("Tenant", "Entity", "Source rows", "Target rows", *map(str.capitalize, _COUNTS))
    table = _table(heading, "ll" + "r" * (len(heading) - 2), [
        (code(row.tenant), code(row.entity), str(row.source_rows), str(row.target_rows),
         *(str(getattr(row, count)) for count in _COUNTS))
        for row in record.tenants
    ])
    more = (record.tenants_scanned or 0) - len(listed)
    if more <= 0:
        return Noted(table, "Every tenant is shown.")
    drifting = max(0, (record.tenants_with_drift or 0) - len({row.tenant for row in record.tenants if row.drift}))
    return Noted(table, f"{more} more {'tenant is' if more == 1 else 'tenants are'} not shown, "
                        f"{drifting or 'none'} of them with drift.")


def _samples(record: Record) -> Noted:
    with_values = any(sample.values is not None for sample in record.samples)
    heading = ["Tenant", "Entity", "Kind", "Key", "Differing columns", *(["Source → target"] if with_values else [])]
    rows = [_sample_row(sample, with_values) for sample in record.samples]
    if rows:
        note = f"{len(rows)} drifting {'key is' if len(rows) == 1 else 'keys are'} shown; the summary counts them all."
    elif record.tenants_with_drift is None:
        note = "Unknown: the comparison was not completed."
    elif record.tenants_with_drift:
        note = "There is drift, and no sample of it was kept."
    else:
        note = "None: there is no drift."
    return Noted(_table(heading, "l" * len(heading), rows), note)


def _sample_row(sample: Sample, with_values: bool) -> list[str]:
    key = ", ".join(f"{code(column)} = {code(value)}" for column, value in sorted(sample.key.items()))
    columns = ", ".join(map(code, sample.columns))
    row = [code(sample.tenant), code(sample.entity), prose(sample.kind), key or NOTHING, columns or NOTHING]
    if with_values:
        row.append("; ".join(
            f"{code(column)}: {_value(source)} → {_value(target)}"
            for column, (source, target) in sorted((sample.values or {}).items())
        ) or NOTHING)
    return row


def _value(text: str | None) -> str:
    return "NULL" if text is None else code(text)


def _window(record: Record) -> Table:
    heading = ("Date (UTC)", "Gate status", *(kind.heading for kind in DriftKind), "Provenance", "Counts in streak", "Note")
    begins = len(record.window) - record.streak_days
    return _table(heading, "llrrrrlll", [
        (
            row.day.isoformat(),
            row.verdict.value,
            *(NOTHING if row.verdict is Verdict.MISSING else _figure(keys) for keys in row.counts.values()),
            row.provenance.value if row.provenance else NOTHING,
            "yes" if row.eligible and place >= begins else "no",
            prose(row.reason) if row.reason else NOTHING,
        )
        for place, row in enumerate(record.window)
    ])


def _trend(window: Sequence[WindowDay]) -> Trend:
    # A day without figures is left out: a bar of height 0 would say that nothing drifted.
    drawn = [(row.day, row.counts.total) for row in window[-_MOST_DAYS_DRAWN:]]
    known = [(day, keys) for day, keys in drawn if keys is not None]
    unknown = [day.isoformat() for day, keys in drawn if keys is None]
    if not known:
        note = "No trend can be drawn: no day of the window has figures."
    elif unknown:
        note = f"Not drawn, because there are no figures: {', '.join(unknown)}."
    else:
        note = f"Drifting keys of all kinds on the last {len(drawn)} days."
    days = ", ".join(f'"{day.isoformat()[5:]}"' for day, _ in known)
    keys = [keys for _, keys in known]
    return Trend(days, ", ".join(map(str, keys)), max([1, *keys]), note)


def _observations(rows: Sequence[ObservedRow]) -> Noted:
    heading = ("Observed at (UTC)", "Verdict", "Decides", "Provenance", "Tenants scanned", "Tenants with drift",
               "Drifting keys", "Reason", "Id")
    table = _table(heading, "llllrrrll", [
        (
            _moment(seen.observed_at), seen.verdict.value, "**yes**" if seen.decides else "no", seen.provenance.value,
            _figure(seen.tenants_scanned), _figure(seen.tenants_with_drift),
            _figure(sum_counts(seen.entities).total),
            prose(seen.reason), code(seen.id),
        )
        for seen in rows
    ])
    if len(rows) == 1:
        return Noted(table, "The day was observed once.")
    return Noted(table, f"The day was observed {len(rows)} times.")


def _moment(text: str | None) -> str:
    if text is None:
        return NOTHING
    try:
        moment: Any = parse_instant(text)
    except ValueError:
        return code(text)
    # isoformat: strftime pads the year on some platforms only.
    return str(moment.replace(tzinfo=None, microsecond=0).isoformat(sep=" "))
