"""Consistency of reports with one another: each window with the other reports, each gate with the whole trail.

A trail can begin on any day. For days before its first report, and for unreadable reports, only the windows of later
reports say anything. These rows stand in for the evidence of such days.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date, timedelta
from operator import attrgetter
from typing import Any

from orgrecon_pipeline.domain.day_decision import gate_policy_of, strictest
from orgrecon_pipeline.domain.days import days_ending
from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.gate import SHOWN_DAYS, DayEvidence, GateDecision, GateState, WindowRow, decide_gate
from orgrecon_pipeline.domain.mapping import GatePolicy
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode
from orgrecon_pipeline.domain.record import Record, WindowDay

_RENDER_AGAIN = "render this day again if an earlier day got its report later, else restore it from version control"


def disagreements(records: Mapping[date, Record], files: Collection[date]) -> Iterator[tuple[date, str]]:
    """Yield every disagreement between the sound reports, as a day and the predicate of a sentence about its report.

    ``files`` are the days that have a report, sound or not.
    """
    if not records:
        return
    yield from _removed_reports(records, files)
    checker = _Checker(records)
    for day in sorted(records):
        try:
            for finding in checker.check(records[day]):
                yield day, finding
        except OverflowError:
            yield day, "is for a day so early that the calendar has no window for it"


def _removed_reports(records: Mapping[date, Record], files: Collection[date]) -> Iterator[tuple[date, str]]:
    removed: dict[date, tuple[date, Verdict]] = {}
    for day in sorted(records):
        for row in records[day].window:
            if row.day not in files and row.day > min(files) and row.verdict is not Verdict.MISSING:
                removed.setdefault(row.day, (day, row.verdict))
    for day, (later, verdict) in sorted(removed.items()):
        yield day, (f"is not there, but the report of {later} shows that day as {verdict.value}: "
                    "restore it from version control")


class _Checker:
    """Checks one report after another against all reports of a trail."""

    def __init__(self, records: Mapping[date, Record]) -> None:
        self._horizon = min(row.day for record in records.values() for row in record.window)
        self._evidence = {day: record.to_evidence() for day, record in records.items()}
        # Rows for days without a readable report; the latest report that shows a day is the best source.
        self._claims = {
            row.day: row for day in sorted(records) for row in records[day].window
            if row.day not in records and row.verdict is not Verdict.MISSING
        }

    def check(self, record: Record) -> Iterator[str]:
        """Yield what is wrong with one report, given all of them."""
        own = gate_policy_of(record.compared)
        if own is None and "gate" in record.compared:
            yield "has no valid gate policy in compared.gate"
            return
        # Earlier days may have asked for more than the day itself; some of them may be in no report of this trail.
        policy = record.gate.policy
        if policy != strictest([policy, *filter(None, [own])]):
            yield "decides the gate under a looser policy than the day was observed under"
            return
        if tuple(row.day for row in record.window) != days_ending(record.day, max(SHOWN_DAYS, policy.window_days)):
            yield "has a window of another length than its gate policy asks for"
            return
        known = {day: evidence.under(policy) for day, evidence in self._evidence.items()}
        figures = attrgetter("verdict", "provenance", "counts", "new", "healed")
        wrong = [row for row in record.window if row.day in known and figures(row) != figures(known[row.day])]
        for row in wrong:
            yield (f"shows {row.day} as {_describe(row)}, but the report of that day shows "
                   f"{_describe(known[row.day])}: {_RENDER_AGAIN}")
        if not wrong:
            yield from self._check_decision(record, policy)

    def _check_decision(self, record: Record, policy: GatePolicy) -> Iterator[str]:
        known = self._evidence
        claims = {day: row for day, row in self._claims.items() if day < record.day}
        claims |= {row.day: row for row in record.window if row.day in claims}
        stand_ins = _stand_ins(record.day, claims, known)
        decision = decide_gate(record.day, {**known, **stand_ins}, policy)
        if decision.policy != policy:
            yield f"decides the gate under a looser policy than the days before it were observed under: {_RENDER_AGAIN}"
            return
        for row, expected in zip(record.window, decision.window, strict=True):
            if row.day in known and not self._same_eligibility(row, expected):
                yield (f"says that {row.day} {_counts(row.eligible, row.reason_code)}, but by the reports of this "
                       f"trail it {_counts(expected.eligible, expected.reason.code)}: {_RENDER_AGAIN}")
                return
        yield from self._check_gate(record, decision)
        # The reports alone must not open the gate either, or leaving some out would open it.
        alone = decide_gate(record.day, known, policy)
        if stand_ins and alone.state is GateState.OPEN and record.gate.state is GateState.CLOSED:
            yield "shows GATE CLOSED, but the reports of this trail alone would open it: add the earlier reports"

    def _same_eligibility(self, row: WindowDay, expected: WindowRow) -> bool:
        if row.eligible != expected.eligible or row.reason_code is not expected.reason.code:
            return False
        # The first tenant may have been seen before the first report of this trail.
        since = row.reason_parameters.get("first_tenant_day")
        return row.why == expected.reason or (
            row.reason_code is ReasonCode.BASELINE_AFTER_TENANT and isinstance(since, str)
            and since < min(self._evidence).isoformat())

    def _check_gate(self, record: Record, decision: GateDecision) -> Iterator[str]:
        gate = record.gate
        streak, expected = record.streak_days, decision.streak_days
        # Days before the horizon are in no window, so the streak can be longer than this trail shows.
        if streak < expected or (streak > expected and record.day - timedelta(days=expected) >= self._horizon):
            yield f"shows a streak of {streak}, but the reports give {expected}: {_RENDER_AGAIN}"
        elif record.live_days != decision.live_days:
            yield f"shows {record.live_days} live days, but the reports give {decision.live_days}: {_RENDER_AGAIN}"
        elif gate.state is not decision.state:
            yield f"shows GATE {gate.state.value}, but the reports give {decision.state.value}: {_RENDER_AGAIN}"
        elif gate.earliest_open_day != decision.earliest_open_day:
            yield (f"shows {gate.earliest_open_day} as the earliest opening day, but the reports give "
                   f"{decision.earliest_open_day}: {_RENDER_AGAIN}")
        elif _outline(gate.why) != _outline(decision.reason):
            yield f"gives another reason for the gate than the reports: {_RENDER_AGAIN}"


def _outline(reason: Reason) -> tuple[ReasonCode, dict[str, Any]]:
    """Return a gate's reason without what it repeats from the window, which a stand-in does not know."""
    repeated = ("verdict", "reason_code", "reason_parameters")
    return reason.code, {name: value for name, value in reason.parameters.items() if name not in repeated}


def _stand_ins(
    day: date, claims: Mapping[date, WindowDay], known: Mapping[date, DayEvidence]
) -> dict[date, DayEvidence]:
    """Return evidence for days without a report that counts or not as the windows say."""
    compared = [d for d, evidence in known.items() if d <= day and evidence.provenance.compared]
    epoch = known[max(compared)].mapping_digest if compared else ""
    return {
        row.day: DayEvidence(
            day=row.day, verdict=Verdict.PASS if row.eligible else Verdict.FAIL,
            provenance=row.provenance or Provenance.BASELINE, mapping_digest=epoch, saw_a_tenant=False, databases=None)
        for row in claims.values()
    }


def _counts(eligible: bool, code: ReasonCode) -> str:
    return "counts" if eligible else f"does not count ({code.value})"


def _describe(day: WindowDay | DayEvidence) -> str:
    if day.provenance is None:
        return day.verdict.value
    figures = "/".join("?" if keys is None else str(keys) for keys in day.counts.values())
    return f"{day.verdict.value} ({day.provenance.value}, {figures})"
