"""The content of a report's page, derived from a record: every string is finished Markdown.

The order of a mapping's keys never matters here, because a record that was read back has them sorted. A change to any
text in this module changes the pages of existing records, and so needs a new schema and template. Sentences of reasons
are stored in the record and may change at any time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orgrecon_pipeline.domain.drift.key import KeyState
from orgrecon_pipeline.domain.drift.kinds import DriftKind, add_figures
from orgrecon_pipeline.domain.evidence import Provenance, Sample, Verdict, sum_counts
from orgrecon_pipeline.domain.gate.forecast import forecast_of
from orgrecon_pipeline.domain.gate.state import GateState
from orgrecon_pipeline.domain.mapping.change import MappingChange
from orgrecon_pipeline.domain.reasons import counted
from orgrecon_pipeline.domain.record import Record, WindowDay, parse_instant
from orgrecon_pipeline.report.page.cells import NOTHING, figure, table
from orgrecon_pipeline.report.page.change_view import change_view, first_seen, mismatches_by_column
from orgrecon_pipeline.report.page.comparison_facts import fact_rows
from orgrecon_pipeline.report.page.markdown import code, prose
from orgrecon_pipeline.report.page.ready_view import ready_view
from orgrecon_pipeline.report.page.tenants_view import tenants_view

# The entities of the packaged mapping come in this order, others after them by name.
_FIRST_ENTITIES = ("org_units", "org_unit_memberships")
_KEY_FIGURES = (*(kind.value for kind in DriftKind), "transient")
_LEGEND = " ".join(f"*{kind.heading}*: {kind.meaning}." for kind in DriftKind)

_TITLES = {Provenance.LIVE: "", Provenance.BASELINE: " (baseline)", Provenance.RESTORED: " (restored)",
           Provenance.SIMULATED: " (SIMULATED)"}
_NOTES = {
    Provenance.LIVE: "",
    Provenance.BASELINE: "This is a baseline: no database was compared. It records the day of an empty cluster.",
    Provenance.RESTORED: "The compared database was restored to this day.",
    Provenance.SIMULATED: "SIMULATED: a real comparison of a demo database under an injected clock. "
                          "It is no evidence about a real company.",
}

_FIRST_OBSERVATION = "First observation in this ledger: no earlier observation says which tenants existed."

# Parts of ``compared`` that are not in the table of facts. The mapping and the numbers of keys are in the record only.
_SHOWN_ELSEWHERE = ("first_observation", "keys", "mapping", "mismatched_columns", "warnings")

_ALERTS = {Verdict.PASS: "", Verdict.FAIL: "CAUTION", Verdict.INCONCLUSIVE: "WARNING", Verdict.MISSING: "WARNING"}

# More bars would not be legible. The table above the chart shows every day.
_MAX_BARS = 31


def view_of(record: Record) -> dict[str, Any]:
    """Return everything that the page of a record shows, by the names that the template uses.

    A table is one string, empty if it has no rows. ``kind`` is GitHub's name for the style of an alert, empty for none.
    """
    first_observation = _FIRST_OBSERVATION if record.compared.get("first_observation") is True else ""
    return {
        "day": record.day.isoformat(),
        "title": f"{_subject(record)} reconciliation report: {record.day.isoformat()}{_TITLES[record.provenance]}",
        "identity": _identity(record),
        "banner": _banner(record),
        "notes": [note for note in (_NOTES[record.provenance], first_observation) if note],
        "summary": table(("Figure", "Value"), "lr", _summary(record)),
        "verdict": {"kind": _ALERTS[record.verdict], "status": record.verdict.value, "reason": prose(record.reason)},
        "legend": _LEGEND,
        "tenants": tenants_view(record),
        "ready": ready_view(record),
        "samples": _samples(record),
        "change": change_view(record),
        "by_column": mismatches_by_column(record),
        "window": _window(record),
        "trend": _trend(record.window),
        "mapping_change": _mapping_change(record.mapping_change),
        "observations": _observations(record),
        "warnings": list(_warnings(record.compared)),
        "compared": table(("What", "Value"), "ll", [
            ("Mapping digest", code(record.mapping_digest)), ("orgrecon version", code(record.orgrecon_version)),
            *_chain(record),
            *fact_rows({name: value for name, value in record.compared.items() if name not in _SHOWN_ELSEWHERE}),
        ]),
    }


def _chain(record: Record) -> list[tuple[str, str]]:
    if record.chain is None:
        return []
    return [("Ledger", code(record.ledger or "")),
            ("Hash chain", f"link {record.chain.position}, {code(record.chain.hash)}")]


def _subject(record: Record) -> str:
    return prose(record.title) + (f" ({prose(record.environment)})" if record.environment else "")


def _identity(record: Record) -> str:
    environment = f" in environment {code(record.environment)}" if record.environment else ""
    return f"migration {code(record.migration)}{environment}"


def _warnings(compared: Mapping[str, Any]) -> Iterator[str]:
    """Yield the warnings of a comparison."""
    for warning in compared.get("warnings", ()):
        yield prose(warning["text"])
    for old, new in compared.get("coverage", {}).get("renamed", ()):
        yield (f"Tenant {code(old)} is gone and {code(new)} is new: they differ only in case or white space, so the "
               "tenant was probably renamed.")


def _mapping_change(change: MappingChange | None) -> dict[str, str] | None:
    if change is None:
        return None
    return {"since": change.since.isoformat(), "table": table(("Change", "Before", "After"), "lll", [
        (prose(item.text) + (" (**narrower**)" if item.narrows else ""),
         *(NOTHING if sql is None else code(sql) for sql in (item.before, item.after)))
        for item in change.changes
    ])}


def _banner(record: Record) -> dict[str, str]:
    is_open = record.gate.state is GateState.OPEN
    always_shown = (Provenance.LIVE, Provenance.BASELINE)
    earliest = record.gate.earliest_open_day
    forecast = forecast_of(record.to_decision()) if record.window else None
    return {
        "kind": "IMPORTANT" if is_open else _ALERTS[record.verdict] or "WARNING",
        "state": record.gate.state.value,
        "meaning": _meaning(record) if is_open else "The Phase 2 read cutover is blocked.",
        "streak": f"{record.streak_days} of {record.window_days}",
        "counted": ", ".join(f"{n} {p.value}" for p, n in record.counted.items() if n or p in always_shown),
        "reason": prose(record.gate.reason),
        "earliest_open_day": earliest.isoformat() + (" (this day)" if earliest == record.day else ""),
        "forecast": forecast.sentence if forecast else "",
    }


def _meaning(record: Record) -> str:
    if record.counted[Provenance.SIMULATED]:
        return "This is a simulation: it unblocks nothing."
    if record.live_days < record.window_days:
        return (f"The Phase 2 read cutover is unblocked, but only {record.live_days} of the {record.window_days} "
                "counted days compared a live database.")
    return "The Phase 2 read cutover is unblocked."


def _summary(record: Record) -> list[tuple[str, str]]:
    first = {name: at for at, name in enumerate(_FIRST_ENTITIES)}
    entities = sorted(record.entities.items(), key=lambda item: (first.get(item[0], len(first)), item[0]))
    return [
        ("Tenants scanned", figure(record.tenants_scanned)),
        ("Tenants with drift", figure(record.tenants_with_drift)),
        *((f"{kind.capitalize()} {code(name)} rows", figure(getattr(totals, kind)))
          for kind in _KEY_FIGURES for name, totals in entities),
        *((f"{state.value.capitalize()} keys", figure(record.change.total(state)))
          for state in KeyState if record.change),
        ("Rows compared", figure(add_figures(totals.rows for _, totals in entities))),
        ("Gate status", f"**{record.verdict.value}**"),
    ]


def _samples(record: Record) -> dict[str, str]:
    with_values = any(sample.values is not None for sample in record.samples)
    with_context = any(sample.show is not None for sample in record.samples)
    heading = ["Tenant", "Entity", "Kind", "Key", "Differing columns", *(["Source → target"] if with_values else []),
               *(["Context"] if with_context else []), "First seen"]
    rows = [_sample_row(sample, with_values, with_context) for sample in record.samples]
    if rows:
        verb = "is" if len(rows) == 1 else "are"
        note = f"{counted(len(rows), 'drifting key')} {verb} shown; the summary counts all of them."
    elif record.tenants_with_drift is None:
        note = "Unknown: the comparison was not completed."
    elif record.tenants_with_drift:
        note = "There is drift, but no sample of it was stored."
    else:
        note = "None: there is no drift."
    return {"table": table(heading, "l" * len(heading), rows), "note": note}


def _sample_row(sample: Sample, with_values: bool, with_context: bool) -> list[str]:
    key = ", ".join(f"{code(column)} = {code(value)}" for column, value in sorted(sample.key.items()))
    columns = ", ".join(map(code, sample.columns))
    row = [code(sample.tenant), code(sample.entity), sample.kind.value, key or NOTHING, columns or NOTHING]
    if with_values:
        pairs = ((column, ["NULL" if text is None else code(text) for text in pair])
                 for column, pair in sorted((sample.values or {}).items()))
        row.append("; ".join(f"{code(column)}: {source} → {target}" for column, (source, target) in pairs) or NOTHING)
    if with_context:
        row.append("; ".join(f"{code(column)}: {'NULL' if text is None else code(text)}"
                             for column, text in sorted((sample.show or {}).items())) or NOTHING)
    return [*row, first_seen(sample.first_seen, sample.state)]


def _window(record: Record) -> str:
    kinds = [kind.heading for kind in DriftKind]
    heading = ("Date (UTC)", "Gate status", *kinds, "New", "Healed", "Provenance", "Counts in streak", "Note")
    streak_start = len(record.window) - record.streak_days
    return table(heading, "ll" + "r" * (len(kinds) + 2) + "lll", [
        (row.day.isoformat(), row.verdict.value,
         *(NOTHING if row.verdict is Verdict.MISSING else figure(keys) for keys in row.counts.values()),
         *(figure(keys) if row.provenance and row.provenance.compared else NOTHING for keys in (row.new, row.healed)),
         row.provenance.value if row.provenance else NOTHING,
         "yes" if row.eligible and position >= streak_start else "no", prose(row.reason) if row.reason else NOTHING)
        for position, row in enumerate(record.window)
    ])


def _trend(window: Sequence[WindowDay]) -> dict[str, str]:
    # A bar of height 0 would say that a day has no drift, so days without figures get none.
    days = [(row.day, row.counts.total) for row in window[-_MAX_BARS:]]
    known = [(day, keys) for day, keys in days if keys is not None]
    unknown = [day.isoformat() for day, keys in days if keys is None]
    if not known:
        note = "There is no chart, because no day of the window has figures."
    elif unknown:
        note = f"Not in the chart, because there are no figures: {', '.join(unknown)}."
    else:
        note = f"Drifting keys of all kinds on the last {counted(len(days), 'day')}."
    bars = [keys for _, keys in known]
    labels = ", ".join(f'"{day.isoformat()[5:]}"' for day, _ in known)
    return {"labels": labels, "bars": ", ".join(map(str, bars)), "highest": str(max([1, *bars])), "note": note}


def _observations(record: Record) -> dict[str, str]:
    rows = record.observations
    heading = ("Observed at (UTC)", "Verdict", "Decides", "Provenance", "Tenants scanned", "Tenants with drift",
               "Drifting keys", "Reason", "Id", "Ledger")
    rows_table = table(heading, "llllrrrlll", [
        (_moment(row.observed_at), row.verdict.value, "**yes**" if row.decides else "no", row.provenance.value,
         figure(row.tenants_scanned), figure(row.tenants_with_drift), figure(sum_counts(row.entities).total),
         prose(row.reason), code(row.id), code(row.ledger) if row.ledger else NOTHING)
        for row in rows
    ])
    times = "once" if len(rows) == 1 else f"{len(rows)} times"
    others = sum(row.mapping_digest != record.mapping_digest and row.provenance.compared for row in rows)
    return {"table": rows_table, "note": f"The day was observed {times}."
                                    + (f" {others} of them compared another mapping." if others else "")}


def _moment(text: str | None) -> str:
    try:
        moment = parse_instant(text)
    except ValueError:
        return code(str(text))
    # Unlike strftime, isoformat pads the year to four digits on every platform.
    return moment.replace(tzinfo=None, microsecond=0).isoformat(sep=" ") if moment else NOTHING
