"""Whether reports agree: every window with the reports of its days, every gate with the rules over the whole trail.

A trail may begin on any day. Of the days before its first report, and of reports that cannot be read, only the windows
of later reports are known; they stand in for them, so that what follows can still be judged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date, timedelta

from pydantic import ValidationError

from orgrecon_pipeline.domain.days import days_ending
from orgrecon_pipeline.domain.evidence import Provenance, SameDay, Verdict, deciding_observation
from orgrecon_pipeline.domain.gate import SHOWN_DAYS, DayEvidence, GateDecision, GateState, decide_gate
from orgrecon_pipeline.domain.mapping import GatePolicy
from orgrecon_pipeline.domain.record import Record, WindowDay
from orgrecon_pipeline.report.consistency import observations_of

_RENDER_AGAIN = "render this day again if an earlier report came later, else restore it from version control"


def evidence_of(record: Record, same_day: SameDay | None = None) -> DayEvidence:
    """What a record says of its day, for the gate.

    Args:
        record: of the day.
        same_day: decide the day by this rule instead of the one that it was decided by.
    """
    seen = observations_of(record)
    decides = deciding_observation(seen, same_day) if same_day else None
    if decides is None:
        decides = next(one for one, row in zip(seen, record.observations, strict=True) if row.decides)
    return DayEvidence(
        day=record.day, verdict=decides.verdict, provenance=decides.provenance, mapping_digest=decides.mapping_digest,
        saw_a_tenant=any(one.saw_a_tenant for one in seen), reason=decides.why, counts=decides.counts,
    )


def disagreements(records: Mapping[date, Record], files: Collection[date]) -> Iterator[tuple[date, str]]:
    """Every disagreement, as a day and the rest of a sentence about its report.

    Args:
        records: the sound reports.
        files: the days that have a report, sound or not.
    """
    if not records:
        return
    yield from _gone(records, files)
    agreement = _Agreement(records)
    for day in sorted(records):
        try:
            for wrong in agreement.of(records[day]):
                yield day, wrong
        except OverflowError:
            yield day, "is of a day whose window the calendar does not have"


def _gone(records: Mapping[date, Record], files: Collection[date]) -> Iterator[tuple[date, str]]:
    shown: dict[date, tuple[date, WindowDay]] = {}
    for day in sorted(records):
        for row in records[day].window:
            if row.day not in files and row.day > min(files) and row.verdict is not Verdict.MISSING:
                shown.setdefault(row.day, (day, row))
    for day, (by, row) in sorted(shown.items()):
        yield day, f"is gone: the report of {by} shows that day as {row.verdict.value}; restore it from version control"


class _Agreement:
    def __init__(self, records: Mapping[date, Record]) -> None:
        self.records = records
        self.horizon = min(row.day for record in records.values() for row in record.window)
        self.evidence: dict[SameDay, dict[date, DayEvidence]] = {}
        # The latest report that shows a day says most recently what it was.
        self.claims = {
            row.day: row for day in sorted(records) for row in records[day].window
            if row.day not in records and row.verdict is not Verdict.MISSING
        }

    def of(self, record: Record) -> Iterator[str]:
        """What is wrong with one report, as seen from all of them."""
        try:
            policy = GatePolicy.model_validate(record.compared.get("gate", {}))
        except ValidationError:
            yield "holds no valid gate policy in compared.gate"
            return
        if tuple(row.day for row in record.window) != days_ending(record.day, max(SHOWN_DAYS, policy.window_days)):
            yield "has a window of another length than its settings ask for"
            return
        known = self._evidence(policy.same_day)
        wrong = [row for row in record.window if row.day in known and not _same(row, known[row.day])]
        for row in wrong:
            yield (f"shows {row.day} as {_words(row.verdict, row.provenance, row)}, and the report of that day says "
                   f"{_words(known[row.day].verdict, known[row.day].provenance, known[row.day])}: {_RENDER_AGAIN}")
        if not wrong:
            yield from self._judged(record, known, policy)

    def _evidence(self, same_day: SameDay) -> dict[date, DayEvidence]:
        if same_day not in self.evidence:
            self.evidence[same_day] = {day: evidence_of(record, same_day) for day, record in self.records.items()}
        return self.evidence[same_day]

    def _judged(self, record: Record, known: dict[date, DayEvidence], policy: GatePolicy) -> Iterator[str]:
        claims = {day: row for day, row in self.claims.items() if day < record.day}
        claims |= {row.day: row for row in record.window if row.day in claims}
        stand_ins = _stand_ins(record.day, claims, known)
        judged = decide_gate(record.day, {**known, **stand_ins}, policy)
        for row, ours in zip(record.window, judged.window, strict=True):
            if row.day in known and row.eligible != ours.eligible:
                yield (f"says that {row.day} {'counts' if row.eligible else 'does not count'}, and by the reports that "
                       f"are here it {'counts' if ours.eligible else 'does not'}: {_RENDER_AGAIN}")
                return
        yield from self._gate(record, judged, claims)
        # The gate is judged from the trail too: it must not open for want of reports that were left out.
        alone = decide_gate(record.day, known, policy)
        if stand_ins and alone.state is GateState.OPEN and record.gate.state is GateState.CLOSED:
            yield "says that the gate is CLOSED, and the reports that are here would open it: bring the earlier ones"

    def _gate(self, record: Record, judged: GateDecision, claims: Mapping[date, WindowDay]) -> Iterator[str]:
        broken = record.day - timedelta(days=judged.streak_days)
        longer = broken < self.horizon and record.streak_days > judged.streak_days
        if record.streak_days != judged.streak_days and not longer:
            yield f"says a streak of {record.streak_days}, and the reports give {judged.streak_days}: {_RENDER_AGAIN}"
            return
        if record.live_days != judged.live_days:
            yield f"says {record.live_days} live days, and the reports give {judged.live_days}: {_RENDER_AGAIN}"
        elif record.gate.state is not judged.state:
            yield f"says GATE {record.gate.state.value}, and the reports give {judged.state.value}: {_RENDER_AGAIN}"
        elif record.gate.earliest_open_day != judged.earliest_open_day:
            yield (f"gives {record.gate.earliest_open_day} as the earliest opening day, and the reports "
                   f"{judged.earliest_open_day}: {_RENDER_AGAIN}")
        # Why a day that has no report here did not count, only that report could tell.
        elif record.gate.why != judged.reason and not (judged.streak_days < judged.window_days and broken in claims):
            yield f"gives another reason for the gate than the reports do: {_RENDER_AGAIN}"


def _stand_ins(
    day: date, claims: Mapping[date, WindowDay], known: Mapping[date, DayEvidence]
) -> dict[date, DayEvidence]:
    """Evidence for days without a report, which counts or not as the windows say."""
    compared = [d for d, evidence in known.items() if d <= day and evidence.provenance.compared]
    epoch = known[max(compared)].mapping_digest if compared else ""
    return {
        row.day: DayEvidence(
            day=row.day, verdict=Verdict.PASS if row.eligible else Verdict.FAIL,
            provenance=row.provenance or Provenance.BASELINE, mapping_digest=epoch, saw_a_tenant=False,
        )
        for row in claims.values()
    }


def _same(row: WindowDay, evidence: DayEvidence) -> bool:
    return (row.verdict, row.provenance, row.counts) == (evidence.verdict, evidence.provenance, evidence.counts)


def _words(verdict: Verdict, provenance: Provenance | None, day: WindowDay | DayEvidence) -> str:
    if provenance is None:
        return verdict.value
    figures = "/".join("?" if keys is None else str(keys) for keys in day.counts.values())
    return f"{verdict.value} ({provenance.value}, {figures})"
