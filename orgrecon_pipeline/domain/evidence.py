"""Evidence of one day: verdicts, provenances, counts of drift, and the observation that carries them."""

from __future__ import annotations

from datetime import date, datetime
from enum import Enum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

#: The four kinds of drift, in the order in which every table shows them.
KINDS = ("missing", "unexpected", "mismatched", "duplicate")


class Verdict(str, Enum):
    """What an observation says, and so a day. A day without any observation is MISSING."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    MISSING = "MISSING"

    @property
    def decided(self) -> bool:
        """Whether the comparison was complete: PASS or FAIL."""
        return self in (Verdict.PASS, Verdict.FAIL)


class Provenance(str, Enum):
    """What stands behind an observation."""

    LIVE = "live"
    BASELINE = "baseline"
    RESTORED = "restored"
    SIMULATED = "simulated"

    @property
    def compared(self) -> bool:
        """Whether a database was compared."""
        return self is not Provenance.BASELINE

    @property
    def real(self) -> bool:
        """Whether a database that is in use, or was, was compared: neither a stamp nor a demo."""
        return self in (Provenance.LIVE, Provenance.RESTORED)


class Frozen(BaseModel):
    """A value: immutable, and strict about its fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EntityTotals(Frozen):
    """One entity over all tenants, in rows (of each side) and keys (of each kind of drift).

    Every figure is None when the comparison did not get far enough to know it.
    """

    source_rows: int | None = Field(ge=0)
    target_rows: int | None = Field(ge=0)
    missing: int | None = Field(ge=0)
    unexpected: int | None = Field(ge=0)
    mismatched: int | None = Field(ge=0)
    duplicate: int | None = Field(ge=0)
    transient: int | None = Field(ge=0)

    @classmethod
    def unknown(cls) -> EntityTotals:
        """The totals of a comparison that could not be decided."""
        return cls(source_rows=None, target_rows=None, transient=None, **dict.fromkeys(KINDS))

    @classmethod
    def zero(cls) -> EntityTotals:
        """The totals of an empty cluster."""
        return cls(source_rows=0, target_rows=0, transient=0, **dict.fromkeys(KINDS, 0))


class TenantRow(Frozen):
    """One tenant and entity of the per-tenant breakdown; figures as in :class:`EntityTotals`."""

    tenant: str
    entity: str
    source_rows: int = Field(ge=0)
    target_rows: int = Field(ge=0)
    missing: int = Field(ge=0)
    unexpected: int = Field(ge=0)
    mismatched: int = Field(ge=0)
    duplicate: int = Field(ge=0)
    transient: int = Field(ge=0)

    @property
    def drift(self) -> int:
        """Drifting keys of all kinds."""
        return self.missing + self.unexpected + self.mismatched + self.duplicate


class Sample(Frozen):
    """One drifting key.

    ``columns`` names the differing columns of a mismatched key; ``values`` holds ``[source, target]`` per
    differing column as text, and only when the mapping asks for values.
    """

    tenant: str
    entity: str
    kind: str
    key: dict[str, str]
    columns: tuple[str, ...] = ()
    values: dict[str, tuple[str | None, str | None]] | None = None


class Observation(Frozen):
    """One complete attempt to compare a day, without its per-tenant rows and samples.

    ``observed_at`` is the database's clock at the snapshot, None for a baseline, and the clock of the client
    where no database could be asked. ``compared`` says how the comparison was made (JSON values only).
    """

    id: str
    day: date
    provenance: Provenance
    verdict: Verdict
    reason: str
    observed_at: datetime | None
    mapping_digest: str
    orgrecon_version: str
    tenants_scanned: int | None = Field(ge=0)
    tenants_with_drift: int | None = Field(ge=0)
    entities: dict[str, EntityTotals]
    compared: dict[str, Any]

    @field_validator("entities")
    @classmethod
    def _in_order_of_name(cls, entities: dict[str, EntityTotals]) -> dict[str, EntityTotals]:
        # The order decides that of a report's rows, and a record that was read back has only this one.
        return dict(sorted(entities.items()))

    @property
    def saw_a_tenant(self) -> bool:
        """Whether a compared database is known to have held a tenant; a demo's says nothing of the company's."""
        return self.provenance.real and bool(self.tenants_scanned)

    def drift_by_kind(self) -> dict[str, int | None]:
        """Drifting keys per kind over all entities; None where the comparison could not tell."""
        return {kind: _sum(getattr(totals, kind) for totals in self.entities.values()) for kind in KINDS}

    @property
    def rows_compared(self) -> int | None:
        """Rows of both sides over all entities."""
        return _sum(
            rows for totals in self.entities.values() for rows in (totals.source_rows, totals.target_rows)
        )


def _sum(figures: Any) -> int | None:
    total = 0
    for figure in figures:
        if figure is None:
            return None
        total += figure
    return total
