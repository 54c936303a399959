"""Forecast: what a CLOSED gate still needs before it opens.

Reports contain its sentence, so a change of the wording needs a new template, like one in a report.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import takewhile
from typing import Any

from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.gate.decision import GateDecision, WindowRow, days_until_open
from orgrecon_pipeline.domain.gate.state import GateState
from orgrecon_pipeline.domain.reasons import COVERAGE_CODES, counted


@dataclass(frozen=True)
class LatestDrift:
    """Drift on the latest day that was decided by a comparison. What is not known is None.

    ``oldest`` is the first day on which the oldest drifting key drifted.
    """

    day: date
    drifting_keys: int | None
    tenants_with_drift: int | None
    oldest: date | None


@dataclass(frozen=True)
class Forecast:
    """What a CLOSED gate still needs before it opens.

    Attributes:
        day: the day of the decision.
        clean_days: number of live days without drift that are needed after it.
        after_rerun: that number after a clean live run on ``day`` itself; None if a comparison has decided ``day``.
        drift: the drift that must heal, None if there is none.
        obstacles: everything else that must be resolved, as clauses of a sentence.
        simulated: whether all days are simulated, and so no live day is needed.
    """

    day: date
    clean_days: int
    after_rerun: int | None
    drift: LatestDrift | None
    obstacles: tuple[str, ...]
    simulated: bool = False

    @property
    def earliest_open_day(self) -> date:
        """The last of the clean days that are needed."""
        return self.day + timedelta(days=self.clean_days)

    @property
    def sentence(self) -> str:
        """The whole forecast, as clauses without a full stop."""
        return "; ".join([*self._days(), *(_drift(self.drift, self.day) if self.drift else ()), *self.obstacles])

    def as_json_value(self) -> dict[str, Any]:
        """Return the forecast under its public field names."""
        drift = self.drift
        return {
            "clean_days": self.clean_days, "earliest_open_day": self.earliest_open_day.isoformat(),
            "clean_days_after_rerun": self.after_rerun,
            "drift": drift and {
                "day": drift.day.isoformat(), "drifting_keys": drift.drifting_keys,
                "tenants_with_drift": drift.tenants_with_drift,
                "oldest_first_seen": drift.oldest.isoformat() if drift.oldest else None},
            "obstacles": list(self.obstacles), "text": self.sentence}

    def _days(self) -> Iterator[str]:
        if self.clean_days:
            kind = "more clean day" if self.simulated else "more clean live day"
            first, last = self.day + timedelta(days=1), self.earliest_open_day
            yield f"{counted(self.clean_days, kind)} ({first if first == last else f'{first} to {last}'})"
        if self.after_rerun == 0:
            yield f"a clean run on {self.day} is enough"
        elif self.after_rerun is not None:
            yield f"only {self.after_rerun} after a clean run on {self.day}"


def forecast_of(decision: GateDecision, mapping_digest: str | None = None) -> Forecast | None:
    """Return what a gate still needs before it opens, None if it is OPEN.

    ``mapping_digest`` is the digest of the mapping at hand, with which the next days will be compared; None if it is
    not known.
    """
    if decision.state is GateState.OPEN:
        return None
    days, last = decision.window, decision.window[-1]
    obstacles = list(_obstacles(last))
    if mapping_digest and decision.epoch and mapping_digest != decision.epoch:
        obstacles.append("days that were compared under another mapping do not count")
        baselines = takewhile(lambda row: row.eligible and row.provenance is Provenance.BASELINE, reversed(days))
        clean_days, after_rerun = days_until_open([False for _ in baselines], decision.policy), None
    else:
        clean_days = (decision.earliest_open_day - decision.day).days
        after_rerun = _after_rerun(decision) if _may_improve(last) else None
    if not clean_days:
        obstacles.append("no more clean days are needed, but the problem in the reason must be resolved")
    return Forecast(
        decision.day, clean_days, after_rerun, _latest_drift(decision), tuple(obstacles),
        simulated={row.provenance for row in days if row.provenance} == {Provenance.SIMULATED})


def _may_improve(row: WindowRow) -> bool:
    """Whether the day is not decided by a comparison, so that a clean run on the same day would decide it."""
    return not row.eligible and (not row.verdict.decided or row.provenance is Provenance.BASELINE)


def _after_rerun(decision: GateDecision) -> int:
    before = takewhile(lambda row: row.eligible, reversed(decision.window[:-1]))
    live = [row.provenance is Provenance.LIVE for row in before]
    return days_until_open([*reversed(live), True], decision.policy)


def _latest_drift(decision: GateDecision) -> LatestDrift | None:
    compared = [row for row in decision.window if row.verdict.decided and row.provenance and row.provenance.compared]
    if not compared or compared[-1].verdict is not Verdict.FAIL:
        return None
    row, parameters = compared[-1], compared[-1].reason.parameters
    return LatestDrift(row.day, parameters.get("drifting_keys", row.counts.total),
                       parameters.get("tenants_with_drift"), row.oldest)


def _drift(drift: LatestDrift, as_of: date) -> Iterator[str]:
    keys = "an unknown number of keys" if drift.drifting_keys is None else counted(drift.drifting_keys, "key")
    tenants = "" if drift.tenants_with_drift is None else f" in {counted(drift.tenants_with_drift, 'tenant')}"
    if drift.day == as_of:
        drifted = f"still {'drifts' if drift.drifting_keys == 1 else 'drift'}"
    else:
        drifted = f"drifted on {drift.day}, the latest day that was compared"
    yield f"{keys}{tenants} {drifted}" + (f", the oldest since {drift.oldest}" if drift.oldest else "")


def _obstacles(row: WindowRow) -> Iterator[str]:
    codes = {row.reason.code.value, row.reason.parameters.get("also", {}).get("reason_code")}
    if row.verdict is Verdict.MISSING:
        yield f"{row.day} has no report"
    elif codes & {code.value for code in COVERAGE_CODES}:
        yield "missing coverage must be restored, or acknowledged with orgrecon acknowledge"
    elif row.verdict is Verdict.INCONCLUSIVE:
        yield "a comparison must complete"
    elif row.provenance is Provenance.BASELINE and not row.eligible:
        yield "baselines no longer count, so a database must be compared"
