"""Summary of the tenant gates as of a day, for its record and report: how many are OPEN, and which are nearest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from pydantic import Field

from orgrecon_pipeline.domain.canonical import sha256_of
from orgrecon_pipeline.domain.evidence import Frozen

#: Tenants that each list of a record names. A record must stay small, whatever the number of tenants.
LISTED_TENANTS = 10


class WaitingTenant(Frozen):
    """A tenant whose gate is CLOSED although no key drifts. ``streak_days`` is at most the window."""

    tenant: str = Field(description="Name of the tenant.")
    streak_days: int = Field(ge=0, description="Streak of the tenant, at most the window.")
    earliest_open_day: date = Field(description="First day on which its gate can open.")


class DriftingTenant(Frozen):
    """A tenant whose gate is CLOSED because keys drift."""

    tenant: str = Field(description="Name of the tenant.")
    drifting_keys: int = Field(ge=1, description="Number of its drifting keys.")
    earliest_open_day: date = Field(description="First day on which its gate can open.")


class ReadyTenants(Frozen):
    """The tenants that had rows and had not left by a day, by the state of their gates as of this day."""

    evidence: str = Field(pattern="^[0-9a-f]{64}$", description=(
        "SHA-256 of the ids of all observations up to the day, from which the figures were computed."))
    tenants: int = Field(ge=1, description="Number of tenants that had rows and had not left by the day.")
    ready: int = Field(ge=0, description="Number of tenants whose gate is OPEN.")
    drifting: int = Field(ge=0, description="Number of tenants whose keys drift.")
    nearest: tuple[WaitingTenant, ...] = Field(max_length=LISTED_TENANTS, description=(
        "At most ten tenants whose gate is CLOSED without drift, the longest streak first. Those without a streak are "
        "not listed."))
    most_drift: tuple[DriftingTenant, ...] = Field(max_length=LISTED_TENANTS, description=(
        "At most ten tenants whose keys drift, the most keys first."))

    @property
    def waiting(self) -> int:
        """Tenants whose gate is CLOSED although no key drifts."""
        return self.tenants - self.ready - self.drifting


def evidence_digest(observations: Mapping[date, Sequence[str]]) -> str:
    """Return the digest of the ids of all observations up to a day, in the order of the ledger.

    A report does not list all tenants, so a ledger that is rebuilt from reports cannot compute the figures again. It
    uses those of the report, but only while it has exactly the observations that they were computed from.
    """
    return sha256_of([[day.isoformat(), list(ids)] for day, ids in sorted(observations.items())])
