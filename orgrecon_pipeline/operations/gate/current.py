"""The gate now: whether the Phase 2 read cutover may go ahead, from the ledger or from the committed trail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from orgrecon_pipeline.domain.days import utc_day
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.evidence import KINDS
from orgrecon_pipeline.domain.gate import DayEvidence, GateDecision, GateState, decide_gate, valid_until
from orgrecon_pipeline.domain.mapping import GatePolicy
from orgrecon_pipeline.domain.record import instant_text


@dataclass(frozen=True)
class GateAnswer:
    """The gate's state, the day it is based on, and until when (UTC) that may be relied on."""

    decision: GateDecision
    as_of: date
    valid_until: datetime

    @property
    def open(self) -> bool:
        """Whether the cutover may go ahead."""
        return self.decision.state is GateState.OPEN

    def as_json_value(self) -> dict[str, Any]:
        """The answer under its public field names."""
        decision = self.decision
        return {
            "state": decision.state.value,
            "as_of": self.as_of.isoformat(),
            "valid_until": instant_text(self.valid_until),
            "streak_days": decision.streak_days,
            "window_days": decision.window_days,
            "live_days": decision.live_days,
            "counted": {provenance.value: n for provenance, n in decision.counted.items()},
            "reason": decision.reason,
            "earliest_open_day": decision.earliest_open_day.isoformat(),
            "window": [
                {
                    "day": row.day.isoformat(),
                    "verdict": row.verdict.value,
                    "provenance": row.provenance.value if row.provenance else None,
                    **{kind: row.drift[kind] for kind in KINDS},
                    "eligible": row.eligible,
                }
                for row in decision.window
            ],
        }


def current_gate(
    days: Mapping[date, DayEvidence], policy: GatePolicy, now: datetime, *, day: date | None = None,
    require_live: int = 0, distrust: str = "",
) -> GateAnswer:
    """Decide the gate as of ``day``, by default of today or, where today has no report yet, of yesterday.

    It fails closed: on evidence older than yesterday, on evidence from the future, and on whatever ``distrust``
    says is wrong with where the evidence comes from.

    Args:
        days: the evidence of all days.
        policy: the rules in force.
        now: the current moment.
        day: judge this day instead.
        require_live: how many of the counted days must have compared a live database, if more than the policy asks.
        distrust: why the evidence cannot be trusted; empty when it can.

    Raises:
        UsageError: when ``require_live`` is more than the window has days.
    """
    today = utc_day(now)
    yesterday = today - timedelta(days=1)
    as_of = day or (today if today in days or yesterday not in days else yesterday)
    policy = requiring(policy, require_live)
    decision = decide_gate(as_of, days, policy)
    if decision.state is GateState.OPEN:
        for reason in filter(None, (distrust, _too_old(as_of, yesterday), _from_the_future(days, as_of, today))):
            decision = decision.closed_because(reason)
            break
    elif distrust:
        decision = decision.closed_because(distrust)
    return GateAnswer(decision, as_of, valid_until(as_of))


def requiring(policy: GatePolicy, live_days: int) -> GatePolicy:
    """The same rules, with at least so many live days.

    Raises:
        UsageError: when the window has fewer days.
    """
    window = policy.window_days
    if live_days > window:
        raise UsageError(
            f"--require-live {live_days} is more than the {window} days of the window, and the gate could never open: "
            f"ask for {window} at most, or raise gate.window_days in the mapping.")
    return policy.model_copy(update={"min_live_days": max(policy.min_live_days, live_days)})


def _too_old(as_of: date, yesterday: date) -> str:
    if as_of >= yesterday:
        return ""
    return f"the evidence is of {as_of}, older than yesterday ({yesterday}): it no longer says anything about now"


def _from_the_future(days: Mapping[date, DayEvidence], as_of: date, today: date) -> str:
    latest = max(days, default=as_of)
    if max(latest, as_of) <= today:
        return ""
    return f"there is evidence of {max(latest, as_of)}, but this machine's clock says {today} in UTC: check it"
