"""Which of several observations decides a day, and under which gate policy they were made.

Observations are given in the order of the ledger, which is also the order in which a record lists them. Clocks can be
set back, so the order of the timestamps alone decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from orgrecon_pipeline.domain.databases import identities_of, pins_of, positions_of
from orgrecon_pipeline.domain.evidence import Provenance, SameDay, Verdict
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.domain.reasons import COVERAGE_CODES, ReasonCode


class Rankable(Protocol):
    """The part of an observation that decides between several."""

    @property
    def id(self) -> str: ...
    @property
    def provenance(self) -> Provenance: ...
    @property
    def verdict(self) -> Verdict: ...
    @property
    def observed_at(self) -> datetime | None: ...
    @property
    def mapping_digest(self) -> str: ...
    @property
    def reason_code(self) -> ReasonCode: ...
    @property
    def compared(self) -> dict[str, Any]: ...


AnyObservation = TypeVar("AnyObservation", bound=Rankable)

_BEFORE_EVERYTHING = datetime.min.replace(tzinfo=timezone.utc)

# A comparison outranks a stamp, and a real company outranks the demo, regardless of their times.
_RANK = {Provenance.BASELINE: 0, Provenance.SIMULATED: 1, Provenance.RESTORED: 2, Provenance.LIVE: 2}
_SEVERITY = {Verdict.PASS: 0, Verdict.INCONCLUSIVE: 1, Verdict.FAIL: 2}


def in_order(observations: Iterable[AnyObservation]) -> list[AnyObservation]:
    """Return the observations by timestamp, oldest first, in the same order for every ledger they come from.

    Of two with the same timestamp the FAIL comes last, because their order is unknown and the later one counts.
    """
    return sorted(observations, key=lambda observation: (
        observation.observed_at or _BEFORE_EVERYTHING, observation.verdict is Verdict.FAIL, observation.id))


def deciding_observation(observations: Sequence[AnyObservation], same_day: SameDay) -> AnyObservation | None:
    """Return the observation that decides a day, None for a day without any.

    A decided observation outranks an INCONCLUSIVE one, so that a failed rerun hides nothing. Among the decided ones
    the latest counts, or the worst if ``same_day`` asks for it. These rules keep a rerun from improving the day:

    - A PASS displaces no FAIL of another mapping or another database, and none before an acknowledgement.
    - Coverage that is lost after a PASS displaces it, until a PASS of the same mapping and database shows the rows
      again or relies on an acknowledgement.
    - If the order of the ledger and the timestamps lead to different observations, the worse of the two counts.

    ``observations`` are all those of the day.
    """
    if not observations:
        return None
    rank = max(_RANK[observation.provenance] for observation in observations)
    candidates = [observation for observation in observations if _RANK[observation.provenance] == rank]
    by_time = in_order(candidates)
    fails = [observation for observation in by_time if observation.verdict is Verdict.FAIL]
    if fails and same_day == "worst":
        return fails[-1]
    outcomes = [outcome for ordered in (candidates, by_time) if (outcome := _last_to_count(ordered))]
    return max(outcomes, key=lambda outcome: _SEVERITY[outcome.verdict], default=by_time[-1])


def decided_by_own_policy(observations: Sequence[AnyObservation]) -> AnyObservation:
    """Return the observation that decides a day under the policy of its own observations (at least one).

    So a day is decided in the same way for ever, whatever today's mapping says.
    """
    policies = [policy for observation in observations if (policy := gate_policy_of(observation.compared))]
    deciding = deciding_observation(observations, strictest(policies).same_day)
    assert deciding is not None  # noqa: S101 - there is at least one observation
    return deciding


def strictest(policies: Iterable[GatePolicy]) -> GatePolicy:
    """Return the policy that asks for the most of each that any of the policies asks for, at least the default."""
    policies = list(policies) or [GatePolicy()]
    return GatePolicy.model_construct(
        window_days=max(policy.window_days for policy in policies),
        same_day="worst" if any(policy.same_day == "worst" for policy in policies) else "latest",
        min_live_days=max(policy.min_live_days for policy in policies))


def gate_policy_of(compared: Mapping[str, Any]) -> GatePolicy | None:
    """Return the gate policy under which an observation was made, None if it does not say."""
    try:
        return GatePolicy.model_validate(compared.get("gate"))
    except ValidationError:
        return None


def has_regressed(later: Mapping[str, Any], earlier: Mapping[str, Any]) -> bool:
    """Return whether a later comparison read a database at an earlier state, as after the restore of a backup."""
    known, pins = positions_of(earlier), pins_of(earlier)
    return any(label in known and pins[label] == pins_of(later)[label] and position.behind(known[label])
               for label, position in positions_of(later).items())


def conditions_of(compared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of ``compared`` that the gates need of every observation, not only of the deciding one."""
    kept = ("gate", "report", "moved_from", "first_observation")
    settings = {name: compared[name] for name in kept if name in compared}
    facts = compared.get("coverage", {})
    # Names are kept only of tenants that departed. After a loss, the universe may have been emptied with the tables.
    departed = () if facts.get("lost_count") or facts.get("left_too_many") else ("left",)
    coverage = {name: value for name in ("acknowledged", "left_count", *departed) if (value := facts.get(name))}
    return {**settings, **identities_of(compared), **({"coverage": coverage} if coverage else {})}


def _last_to_count(observations: Iterable[AnyObservation]) -> AnyObservation | None:
    """Return the observation that counts after all of them, in this order; None if none is decided.

    A FAIL or a loss stays open until a later PASS improves it. After an acknowledgement nothing improves a FAIL any
    more, because a rerun no longer shows what was acknowledged.
    """
    current: AnyObservation | None = None
    still_open: list[tuple[AnyObservation, bool]] = []  # each with whether nothing can improve it any more
    for observation in observations:
        if _acknowledged(observation.compared):
            still_open = [(worse, worse.verdict is Verdict.FAIL) for worse, _ in still_open]
        lost = observation.reason_code in COVERAGE_CODES and observation.verdict is Verdict.INCONCLUSIVE
        if observation.verdict is Verdict.FAIL or (lost and current is not None):
            still_open.append((observation, False))
        elif observation.verdict is Verdict.PASS:
            still_open = [(worse, final) for worse, final in still_open
                          if final or not _may_improve(worse, observation)]
        else:
            continue
        current = max((worse for worse, _ in reversed(still_open)), default=observation,
                      key=lambda worse: _SEVERITY[worse.verdict])
    return current


def _may_improve(worse: Rankable, later: Rankable) -> bool:
    """Whether a later PASS takes the place of a FAIL or a loss: it must show the same thing to be good now."""
    return (
        later.mapping_digest == worse.mapping_digest and pins_of(later.compared) == pins_of(worse.compared)
        and not has_regressed(later.compared, worse.compared)
        # An acknowledgement excuses departures, but a higher limit in the mapping does not.
        and (worse.reason_code is not ReasonCode.TOO_MANY_DEPARTURES or bool(_acknowledged(later.compared))
             or not later.compared.get("coverage", {}).get("left_count"))
    )


def _acknowledged(compared: Mapping[str, Any]) -> Sequence[str]:
    """Return the losses of coverage that an observation accepts because a person acknowledged them."""
    acknowledged: Sequence[str] = compared.get("coverage", {}).get("acknowledged", ())
    return acknowledged
