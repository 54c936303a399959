"""Claims to the gate's check in a Dagster instance: which ledgers have evaluated it, and which of them are accepted.

Asset keys are global in an instance. Two ledgers that evaluate one check would answer for each other, so the check is
CLOSED until a person accepts the other ledger's evaluations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from orgrecon_pipeline.domain.identity import LEDGER_ID, Identity, validate_name
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode
from orgrecon_pipeline.domain.record import instant_text, parse_instant


@dataclass(frozen=True)
class Claimant:
    """A ledger that evaluated the check for an identity; both are None if an evaluation cannot be read.

    ``copy`` marks a copy or another state of the ledger at hand, which has the same id and other evidence.
    """

    identity: Identity | None = None
    ledger: str | None = None
    copy: bool = False

    def __str__(self) -> str:
        """``ledger 00c0ffee00c0ffee of org-v23 in prod``."""
        if self.identity is None:
            return "an unknown ledger"
        return f"{'a copy of ' if self.copy else ''}ledger {self.ledger} of {self.identity}"

    def as_json_value(self) -> dict[str, str | None]:
        """Return the public fields ``migration``, ``environment`` and ``ledger``."""
        identity = self.identity.as_json_value() if self.identity else {"migration": None, "environment": None}
        return {**identity, "ledger": self.ledger}

    @classmethod
    def from_json_value(cls, value: Any) -> Claimant:
        """Return the claimant in an answer or claim, which is not trusted; an unknown one if it names none."""
        fields = value if isinstance(value, dict) else {}
        migration, environment, ledger = (fields.get(name) for name in ("migration", "environment", "ledger"))
        if not (isinstance(migration, str) and isinstance(environment, str) and isinstance(ledger, str)):
            return cls()
        try:
            identity = Identity(validate_name(migration), environment and validate_name(environment))
        except ValueError:
            return cls()
        return cls(identity, ledger) if re.fullmatch(LEDGER_ID, ledger) else cls()


@dataclass(frozen=True)
class Claim:
    """The last evaluation of the check by a claimant; ``accepted`` if a person accepted it afterwards."""

    claimant: Claimant
    at: datetime
    accepted: bool = False

    def as_json_value(self) -> dict[str, Any]:
        """Return the claim under its public field names."""
        return {**self.claimant.as_json_value(), "copy": self.claimant.copy, "at": instant_text(self.at),
                "accepted": self.accepted}


@dataclass(frozen=True)
class Acceptance:
    """A person's statement that evaluations up to ``until`` are intended: those of a ledger, or all without one."""

    ledger: str | None
    until: datetime

    def covers(self, claim: Claim) -> bool:
        """Return whether this accepts the claim."""
        return claim.at <= self.until and self.ledger in (None, claim.claimant.ledger)


def claims_of_evaluation(at: datetime, answer: Any, carried: Any) -> list[Claim]:
    """Return the claims that an evaluation of the check shows, its own first.

    Args:
        at: the time when Dagster stored the evaluation.
        answer: the JSON value of its answer, which names the claimant.
        carried: the JSON value of the claims of others that it knew.
    """
    own = Claim(Claimant.from_json_value(answer), at)
    if not isinstance(carried, list):
        return [own, Claim(Claimant(), at)]
    return [own, *(_claim(fields, at) for fields in carried)]


def other_claims(claims: Iterable[Claim], own: Claimant, acceptances: Iterable[Acceptance]) -> tuple[Claim, ...]:
    """Return the last claim of each claimant other than ``own``, latest first, and whether it is accepted."""
    latest: dict[Claimant, Claim] = {}
    for claim in sorted(claims, key=lambda claim: claim.at):
        latest[claim.claimant] = claim
    latest.pop(own, None)
    known = tuple(acceptances)
    return tuple(Claim(claim.claimant, claim.at, any(acceptance.covers(claim) for acceptance in known))
                 for claim in sorted(latest.values(), key=lambda claim: claim.at, reverse=True))


def first_unaccepted(claims: Iterable[Claim], own: Claimant, known: Iterable[Claim]) -> Claim | None:
    """Return the first claim of another claimant that no accepted claim in ``known`` includes, None without one."""
    accepted = {claim.claimant: claim.at for claim in known if claim.accepted}
    return next((claim for claim in claims if claim.claimant != own
                 and not (claim.claimant in accepted and claim.at <= accepted[claim.claimant])), None)


def other_ledger(claim: Claim) -> Reason:
    """Return the reason that another ledger evaluated the check too."""
    return Reason.word(
        ReasonCode.OTHER_LEDGER,
        f"{claim.claimant} evaluated the same check in Dagster ({claim.at.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} "
        "UTC): give each code location its own asset keys, or run orgrecon accept-ledger if that ledger is out of use",
        **claim.claimant.as_json_value(), at=instant_text(claim.at))


def _claim(fields: Any, latest: datetime) -> Claim:
    """Return a carried claim; an unknown one at ``latest`` if it cannot be read."""
    try:
        at = parse_instant(fields["at"])
    except (KeyError, TypeError, ValueError):
        at = None
    if at is None or not all(isinstance(fields.get(name), bool) for name in ("accepted", "copy")):
        return Claim(Claimant(), latest)
    return Claim(replace(Claimant.from_json_value(fields), copy=fields["copy"]), at, fields["accepted"])
