"""The current gate: its decision, held closed if the evidence is too old, from the future or not trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from orgrecon_pipeline.domain.days import utc_day
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.evidence import Provenance
from orgrecon_pipeline.domain.gate.decision import DayEvidence, GateDecision, decide_gate, valid_until
from orgrecon_pipeline.domain.gate.forecast import Forecast, forecast_of
from orgrecon_pipeline.domain.gate.state import GateState
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.integrity.chain import ChainHead
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode, counted
from orgrecon_pipeline.domain.record import WindowDay, instant_text


@dataclass(frozen=True)
class GateAnswer:
    """The gate decision of an identity, the day it is based on, and the UTC time until which it is valid.

    ``ledger`` is the id of the ledger that was asked, and ``chain`` the head of its hash chain; None if reports were.
    ``mapping_digest`` is the digest of the mapping at hand, None if it is not known.
    """

    identity: Identity
    ledger: str | None
    decision: GateDecision
    as_of: date
    valid_until: datetime
    mapping_digest: str | None = None
    chain: ChainHead | None = field(default=None, compare=False)

    @property
    def open(self) -> bool:
        """Whether the gate is OPEN."""
        return self.decision.state is GateState.OPEN

    @property
    def forecast(self) -> Forecast | None:
        """What would have to happen until the gate opens, None if it is OPEN."""
        return forecast_of(self.decision, self.mapping_digest)

    def as_json_value(self) -> dict[str, Any]:
        """Return the answer under its public field names."""
        decision, forecast = self.decision, self.forecast
        return {
            **self.identity.as_json_value(), "ledger": self.ledger,
            "chain": self.chain and self.chain.model_dump(),
            "state": decision.state.value, "as_of": self.as_of.isoformat(),
            "valid_until": instant_text(self.valid_until),
            "streak_days": decision.streak_days, "window_days": decision.window_days,
            "min_live_days": decision.policy.min_live_days, "same_day": decision.policy.same_day,
            "mapping_digest": decision.epoch, "live_days": decision.live_days,
            "counted": {provenance.value: n for provenance, n in decision.counted.items()},
            **decision.reason.as_fields(),
            "earliest_open_day": decision.earliest_open_day.isoformat(),
            "forecast": forecast and forecast.as_json_value(),
            "window": [WindowDay.from_row(row).model_dump(mode="json") for row in decision.window],
        }

    @classmethod
    def from_json(cls, text: str) -> GateAnswer:
        """Return the answer in the JSON text of :meth:`as_json_value`, which may come from an untrusted source.

        Raises:
            ValueError: if a field is missing, has another type, or contradicts another field.
        """
        from orgrecon_pipeline.operations.gate.answer_fields import AnswerFields  # only answers from Dagster need it

        fields = AnswerFields.model_validate_json(text, strict=True)
        if not date(2000, 1, 1) <= fields.as_of <= date(9000, 1, 1):
            raise ValueError("as_of is out of range")
        drift = fields.forecast.drift if fields.forecast else None
        oldest = {drift.day: drift.oldest_first_seen} if drift else {}
        decision = GateDecision(
            day=fields.as_of, state=fields.state, reason=_one_line(fields.why), streak_days=fields.streak_days,
            # The policy is not validated again: a window that no mapping permits is only stricter.
            policy=GatePolicy.model_construct(
                window_days=fields.window_days, same_day=fields.same_day, min_live_days=fields.min_live_days),
            epoch=fields.mapping_digest,
            counted={p: fields.counted.get(p, 0) for p in Provenance},
            earliest_open_day=fields.earliest_open_day,
            window=tuple(replace(row.to_row(), reason=_one_line(row.why), oldest=oldest.get(row.day))
                         for row in fields.window))
        identity = Identity(fields.migration, fields.environment)
        answer = cls(identity, fields.ledger, decision, fields.as_of, valid_until(fields.as_of), chain=fields.chain)
        if fields.live_days != decision.live_days or fields.valid_until != instant_text(answer.valid_until):
            raise ValueError("live_days or valid_until contradicts the other fields")
        return answer


def _one_line(reason: Reason) -> Reason:
    return replace(reason, sentence=" ".join(reason.sentence.split())[:1000])


def current_gate(
    days: Mapping[date, DayEvidence], policy: GatePolicy, now: datetime, *, identity: Identity,
    ledger: str | None = None, chain: ChainHead | None = None, day: date | None = None,
    mapping_digest: str | None = None, distrust: Reason | None = None,
) -> GateAnswer:
    """Decide the gate of an identity as of today, or of yesterday if today has no evidence yet.

    The gate is CLOSED if the evidence is older than yesterday, from the future, of another mapping, or not trusted.
    A ``day`` can only make the answer stricter: the gate must be open as of that day and now.

    Args:
        days: the evidence of all days, all of the identity.
        ledger: the id of the ledger that holds the evidence, None if reports do.
        chain: the head of its hash chain.
        mapping_digest: the digest of the mapping, which must be the one that was compared; None if it is not known.
        distrust: why the evidence is not trusted, None if it is.
    """
    today = utc_day(now)
    yesterday = today - timedelta(days=1)
    latest = today if today in days or yesterday not in days else yesterday
    as_of = day or latest
    decision = decide_gate(as_of, days, policy)
    if decision.state is GateState.OPEN:
        reason = (
            distrust or _too_old(as_of, yesterday) or _from_the_future(days, as_of, today)
            or _not_compared(decision, mapping_digest) or _closed_now(decide_gate(latest, days, policy), as_of))
    else:
        reason = distrust or _not_compared(decision, mapping_digest) or _stricter_policy(decision, days, policy)
    if reason:
        decision = decision.closed_because(reason)
    if forecast := forecast_of(decision, mapping_digest):
        # Under another mapping than the one at hand, the days of the streak do not count, so the gate opens later.
        decision = replace(decision, earliest_open_day=forecast.earliest_open_day)
    return GateAnswer(identity, ledger, decision, as_of, valid_until(as_of), mapping_digest, chain)


def require_live_days(policy: GatePolicy, live_days: int) -> GatePolicy:
    """Return the policy with a minimum of at least ``live_days`` live days.

    Raises:
        UsageError: if the window has fewer days.
    """
    window = policy.window_days
    if live_days > window:
        raise UsageError(
            f"--require-live {live_days} exceeds the window of {counted(window, 'day')}, so the gate could never open: "
            f"use {window} or less, or raise gate.window_days in the mapping.")
    return policy.model_copy(update={"min_live_days": max(policy.min_live_days, live_days)})


def _not_compared(decision: GateDecision, mapping_digest: str | None) -> Reason | None:
    """Return why the mapping at hand has no say about the counted days, None if it is the one that was compared."""
    compared = any(number for provenance, number in decision.counted.items() if provenance.compared)
    if mapping_digest is None or mapping_digest == decision.epoch or not compared:
        return None
    return Reason.word(
        ReasonCode.MAPPING_NOT_COMPARED,
        f"the counted days were compared under another mapping (epoch {decision.epoch[:12]}) than the one at hand "
        f"({mapping_digest[:12]}), so they do not count under it: name the mapping that was compared with --mapping",
        mapping_digest=mapping_digest, compared_mapping_digest=decision.epoch)


def _closed_now(now: GateDecision, as_of: date) -> Reason | None:
    if now.day == as_of or now.state is GateState.OPEN:
        return None
    return Reason.word(
        ReasonCode.CLOSED_NOW, f"the gate was open as of {as_of}, but it is closed as of {now.day}: "
        f"{now.reason.sentence}", day=as_of.isoformat(), latest_day=now.day.isoformat(), **now.reason.as_parameters())


def _stricter_policy(decision: GateDecision, days: Mapping[date, DayEvidence], policy: GatePolicy) -> Reason | None:
    """Return which rule of the counted days keeps the gate closed that the policy at hand would open, None if none."""
    loose = decide_gate(decision.day, {d: replace(e, policy=None) for d, e in days.items()}, policy)
    if loose.state is GateState.CLOSED:
        return None
    setting, asked = next(
        (name, getattr(decision.policy, name)) for name in ("window_days", "min_live_days", "same_day")
        if getattr(decision.policy, name) != getattr(policy, name))
    return Reason.word(
        ReasonCode.OTHER_GATE_POLICY,
        f"the counted days were observed with gate.{setting}: {asked}, but the mapping at hand asks for "
        f"{getattr(policy, setting)}, and the stricter one applies: {decision.reason.sentence}",
        setting=setting, observed=asked, at_hand=getattr(policy, setting), **decision.reason.as_parameters())


def _too_old(as_of: date, yesterday: date) -> Reason | None:
    if as_of >= yesterday:
        return None
    return Reason.word(
        ReasonCode.EVIDENCE_TOO_OLD,
        f"the latest evidence is of {as_of}, older than yesterday ({yesterday}): run orgrecon report for today",
        day=as_of.isoformat(), yesterday=yesterday.isoformat())


def _from_the_future(days: Mapping[date, DayEvidence], as_of: date, today: date) -> Reason | None:
    latest = max(as_of, *days)
    if latest <= today:
        return None
    return Reason.word(
        ReasonCode.EVIDENCE_FROM_FUTURE,
        f"there is evidence of {latest}, but this machine's clock shows {today} (UTC): check the clock",
        day=latest.isoformat(), today=today.isoformat())
