"""Consistency of reports with one another: each window with the other reports, each gate with the whole trail.

A report that contradicts the others is outdated if evidence of earlier days arrived after it was rendered, and unsound
if no earlier evidence explains it.

A trail can begin on any day. For days before its first report, and for unreadable reports, only the windows of later
reports say anything. These rows stand in for the evidence of such days.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from orgrecon_pipeline.domain.days import days_ending
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.gate.day_decision import gate_policy_of, strictest
from orgrecon_pipeline.domain.gate.decision import SHOWN_DAYS, DayEvidence, GateDecision, WindowRow, decide_gate
from orgrecon_pipeline.domain.gate.state import GateState
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.report.checks.earlier_evidence import earlier_evidence, figures
from orgrecon_pipeline.report.file_names import file_name, shown
from orgrecon_pipeline.report.outline import ReportOutline, without_window

_RESTORE = "restore it from version control, or render it again from its ledger"
_RENDER = "evidence of an earlier day arrived later; run orgrecon render, or wait for the next orgrecon report"


@dataclass(frozen=True)
class Disagreement:
    """A contradiction between reports: the day whose report is wrong, and the predicate of a sentence about it.

    ``outdated`` if the report was right when it was rendered, and evidence of an earlier day arrived later.
    """

    day: date
    predicate: str
    outdated: bool = False

    def line(self, directory: Path) -> str:
        """Return the sentence about the report of a directory."""
        return f"{shown(directory / file_name(self.day))} {self.predicate}."


def disagreements(reports: Mapping[date, ReportOutline], files: Collection[date]) -> Iterator[Disagreement]:
    """Yield every disagreement between the sound reports, at least one for each report that is outdated or unsound.

    ``files`` are the days that have a report, sound or not.
    """
    if not reports:
        return
    yield from _removed_reports(reports, files)
    checker = _Checker(reports)
    for day in sorted(reports):
        try:
            yield from checker.check(reports[day])
        except OverflowError:
            yield Disagreement(day, "is for a day so early that the calendar has no window for it")


def _removed_reports(reports: Mapping[date, ReportOutline], files: Collection[date]) -> Iterator[Disagreement]:
    removed: dict[date, tuple[date, Verdict]] = {}
    for day in sorted(reports):
        for row in reports[day].gate.window:
            if row.day not in files and row.day > min(files) and row.verdict is not Verdict.MISSING:
                removed.setdefault(row.day, (day, row.verdict))
    for day, (later, verdict) in sorted(removed.items()):
        yield Disagreement(day, f"is not there, but the report of {later} shows that day as {verdict.value}: "
                                "restore it from version control")


class _Checker:
    """Checks one report after another against all reports of a trail."""

    def __init__(self, reports: Mapping[date, ReportOutline]) -> None:
        self._reports = reports
        self._horizon = min(row.day for report in reports.values() for row in report.gate.window)
        self._evidence = {day: report.evidence for day, report in reports.items()}
        # Rows for days without a readable report; the latest report that shows a day is the best source.
        self._claims = {
            row.day: row for day in sorted(reports) for row in reports[day].gate.window
            if row.day not in reports and row.verdict is not Verdict.MISSING
        }

    def check(self, report: ReportOutline) -> Iterator[Disagreement]:
        """Yield what is wrong with one report, given all of them."""
        if problem := _wrong_form(report):
            yield Disagreement(report.day, problem)
        elif differences := list(self._differences(report, self._evidence)):
            if self._is_outdated(report):
                yield Disagreement(report.day, f"{differences[0]}: {_RENDER}", outdated=True)
            else:
                yield from (Disagreement(report.day, f"{difference}: {_RESTORE}") for difference in differences)
        if self._opens_without_earlier_reports(report):
            yield Disagreement(report.day, "shows GATE CLOSED, but the reports of this trail alone would open it: add "
                                           "the earlier reports")

    def _is_outdated(self, report: ReportOutline) -> bool:
        """Return whether the report follows exactly from evidence that may have been known when it was rendered."""
        try:
            return any(not any(self._differences(report, known))
                       for known in earlier_evidence(report, self._reports))
        except OverflowError:  # a forged streak
            return False

    def _differences(self, report: ReportOutline, known: Mapping[date, DayEvidence]) -> Iterator[str]:
        """Yield how the report differs from what the known evidence gives."""
        shown = {row.day: row for row in report.gate.window if row.day in self._evidence}
        days = {day: known[day].under(report.gate.policy) if day in known else None for day in shown}
        wrong = [day for day in shown if figures(shown[day]) != figures(days[day])]
        for day in wrong:
            yield f"shows {day} as {_describe(shown[day])}, but the report of that day shows {_describe(days[day])}"
        if not wrong:
            yield from self._decision_differences(report, known)

    def _decision_differences(self, report: ReportOutline, known: Mapping[date, DayEvidence]) -> Iterator[str]:
        decision = decide_gate(report.day, {**known, **self._stand_ins(report, known)}, report.gate.policy)
        if decision.policy != report.gate.policy:
            yield "decides the gate under a looser policy than the days before it were observed under"
            return
        for row, expected in zip(report.gate.window, decision.window, strict=True):
            if row.day in self._evidence and not self._same_eligibility(row, expected):
                yield (f"says that {row.day} {_counts(row.eligible, row.reason.code)}, but by the reports of this "
                       f"trail it {_counts(expected.eligible, expected.reason.code)}")
                return
        yield from self._gate_differences(report, decision)

    def _opens_without_earlier_reports(self, report: ReportOutline) -> bool:
        """Return whether leaving out the reports before this trail opens the gate."""
        stand_ins, policy = self._stand_ins(report, self._evidence), report.gate.policy
        if not stand_ins or report.gate.state is GateState.OPEN:
            return False
        with_all = decide_gate(report.day, {**self._evidence, **stand_ins}, policy)
        return with_all.state is GateState.CLOSED and (
            decide_gate(report.day, self._evidence, policy).state is GateState.OPEN)

    def _stand_ins(self, report: ReportOutline, known: Mapping[date, DayEvidence]) -> dict[date, DayEvidence]:
        """Return evidence for days without a report that counts or not as the windows say."""
        claims = {day: row for day, row in self._claims.items() if day < report.day}
        if not claims:
            return {}
        claims |= {row.day: row for row in report.gate.window if row.day in claims}
        compared = [day for day, evidence in known.items() if day <= report.day and evidence.provenance.compared]
        epoch = known[max(compared)].mapping_digest if compared else ""
        return {
            row.day: DayEvidence(
                day=row.day, verdict=Verdict.PASS if row.eligible else Verdict.FAIL,
                provenance=row.provenance, mapping_digest=epoch, saw_a_tenant=False, databases=None)
            for row in claims.values() if row.provenance}

    def _same_eligibility(self, row: WindowRow, expected: WindowRow) -> bool:
        if row.eligible != expected.eligible or row.reason.code is not expected.reason.code:
            return False
        # The first tenant may have been seen before the first report of this trail.
        since = row.reason.parameters.get("first_tenant_day")
        return row.reason == expected.reason or (
            row.reason.code is ReasonCode.BASELINE_AFTER_TENANT and since is not None
            and since < min(self._evidence).isoformat())

    def _gate_differences(self, report: ReportOutline, decision: GateDecision) -> Iterator[str]:
        gate = report.gate
        streak, expected = gate.streak_days, decision.streak_days
        # Days before the horizon are in no window, so the streak can be longer than this trail shows.
        if streak < expected or (streak > expected and report.day - timedelta(days=expected) >= self._horizon):
            yield f"shows a streak of {streak}, but the reports give {expected}"
        elif gate.live_days != decision.live_days:
            yield f"shows {gate.live_days} live days, but the reports give {decision.live_days}"
        elif gate.state is not decision.state:
            yield f"shows GATE {gate.state.value}, but the reports give {decision.state.value}"
        elif gate.earliest_open_day != decision.earliest_open_day:
            yield (f"shows {gate.earliest_open_day} as the earliest opening day, but the reports give "
                   f"{decision.earliest_open_day}")
        elif gate.reason != without_window(decision.reason):  # a stand-in does not know its day's verdict
            yield "gives another reason for the gate than the reports"


def _wrong_form(report: ReportOutline) -> str:
    """Return what is wrong with the policy or the length of the window, independent of other reports; else empty."""
    own = gate_policy_of(report.compared)
    # Earlier days may have asked for more than the day itself; some of them may be in no report of this trail.
    policy = report.gate.policy
    if policy != strictest([policy, *filter(None, [own])]):
        return "decides the gate under a looser policy than the day was observed under"
    if tuple(row.day for row in report.gate.window) != days_ending(report.day, max(SHOWN_DAYS, policy.window_days)):
        return "has a window of another length than its gate policy asks for"
    return ""


def _counts(eligible: bool, code: ReasonCode) -> str:
    return "counts" if eligible else f"does not count ({code.value})"


def _describe(day: WindowRow | DayEvidence | None) -> str:
    if day is None or day.provenance is None:
        return Verdict.MISSING.value
    counts = "/".join("?" if keys is None else str(keys) for keys in day.counts.values())
    return f"{day.verdict.value} ({day.provenance.value}, {counts})"
