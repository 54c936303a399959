"""The record of a day, schema 1: what a report says, in a form that programs read.

A report is a pure function of its record, and the record a pure function of the evidence up to its day.
Changing a field, or a byte of what is rendered from one, is a new schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timezone
from typing import Any, Literal

from pydantic import Field

from orgrecon_pipeline.domain.canonical import canonical_json, sha256_of
from orgrecon_pipeline.domain.evidence import (
    EntityTotals,
    Frozen,
    Observation,
    Provenance,
    Sample,
    TenantRow,
    Verdict,
)
from orgrecon_pipeline.domain.gate import GateDecision, GateState
from orgrecon_pipeline.domain.mapping import GatePolicy

SCHEMA = 1


class ObservedRow(Frozen):
    """One observation of the day: enough of it to list it, and to put it back into a ledger."""

    id: str
    verdict: Verdict
    provenance: Provenance
    observed_at: str | None
    reason: str
    tenants_scanned: int | None
    tenants_with_drift: int | None
    entities: dict[str, EntityTotals]
    mapping_digest: str
    orgrecon_version: str
    decides: bool


class WindowDay(Frozen):
    """One day of the rolling window; a MISSING day has no provenance and no counts."""

    day: date
    verdict: Verdict
    provenance: Provenance | None
    missing: int | None
    unexpected: int | None
    mismatched: int | None
    duplicate: int | None
    eligible: bool


class GateRecord(Frozen):
    """The gate as of the day."""

    state: GateState
    reason: str
    earliest_open_day: date


class Record(Frozen):
    """The record. ``live_days`` are those of the counted days that compared a live database."""

    schema_: Literal[1] = Field(alias="schema")
    day: date
    verdict: Verdict
    provenance: Provenance
    reason: str
    tenants_scanned: int | None
    tenants_with_drift: int | None
    entities: dict[str, EntityTotals]
    tenants: tuple[TenantRow, ...]
    samples: tuple[Sample, ...]
    observations: tuple[ObservedRow, ...]
    window: tuple[WindowDay, ...]
    streak_days: int = Field(ge=0)
    live_days: int = Field(ge=0)
    gate: GateRecord
    mapping_digest: str
    compared: dict[str, Any]
    orgrecon_version: str
    digest: str

    @property
    def window_days(self) -> int:
        """Clean days that the gate asks for: of the policy that the day was observed under, else the default."""
        policy = self.compared.get("gate")
        days = policy.get("window_days") if isinstance(policy, dict) else None
        return days if isinstance(days, int) and days > 0 else GatePolicy().window_days

    @property
    def counted(self) -> dict[Provenance, int]:
        """How many of the counted days (the last ``window_days`` of the streak) have each provenance."""
        counted = dict.fromkeys(Provenance, 0)
        length = min(self.streak_days, self.window_days, len(self.window))
        for row in self.window[len(self.window) - length:]:
            if row.provenance is not None:
                counted[row.provenance] += 1
        return counted

    def as_json_value(self) -> dict[str, Any]:
        """The record as plain JSON values, under its public field names."""
        return self.model_dump(mode="json", by_alias=True)

    def line(self) -> str:
        """The record as one line of canonical JSON."""
        return canonical_json(self.as_json_value())

    def expected_digest(self) -> str:
        """What ``digest`` must be: the SHA-256 of the canonical record without it."""
        value = self.as_json_value()
        del value["digest"]
        return sha256_of(value)


def build_record(
    deciding: Observation,
    observations: Sequence[Observation],
    tenants: Sequence[TenantRow],
    samples: Sequence[Sample],
    judgement: GateDecision,
) -> Record:
    """The record of a day.

    Args:
        deciding: the observation that decides the day.
        observations: all of the day's, oldest first, ``deciding`` among them.
        tenants: the breakdown's rows, in the order in which they are shown.
        samples: the deciding observation's sample keys, in the order in which they are shown.
        judgement: the gate as of the day.
    """
    value: dict[str, Any] = {
        "schema": SCHEMA,
        "day": deciding.day,
        "verdict": deciding.verdict,
        "provenance": deciding.provenance,
        "reason": deciding.reason,
        "tenants_scanned": deciding.tenants_scanned,
        "tenants_with_drift": deciding.tenants_with_drift,
        "entities": deciding.entities,
        "tenants": tuple(tenants),
        "samples": tuple(samples),
        "observations": tuple(
            ObservedRow(
                id=seen.id, verdict=seen.verdict, provenance=seen.provenance,
                observed_at=instant_text(seen.observed_at), reason=seen.reason,
                tenants_scanned=seen.tenants_scanned, tenants_with_drift=seen.tenants_with_drift,
                entities=seen.entities, mapping_digest=seen.mapping_digest,
                orgrecon_version=seen.orgrecon_version, decides=seen.id == deciding.id,
            )
            for seen in observations
        ),
        "window": tuple(
            WindowDay(day=row.day, verdict=row.verdict, provenance=row.provenance, eligible=row.eligible, **row.drift)
            for row in judgement.window
        ),
        "streak_days": judgement.streak_days,
        "live_days": judgement.live_days,
        "gate": GateRecord(
            state=judgement.state, reason=judgement.reason, earliest_open_day=judgement.earliest_open_day
        ),
        "mapping_digest": deciding.mapping_digest,
        "compared": deciding.compared,
        "orgrecon_version": deciding.orgrecon_version,
        "digest": "",
    }
    draft = Record.model_validate(value)
    return draft.model_copy(update={"digest": draft.expected_digest()})


def instant_text(moment: datetime | None) -> str | None:
    """A moment as ``2026-01-31T08:00:00.000000Z``; None stays None."""
    if moment is None:
        return None
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_instant(text: str | None) -> datetime | None:
    """The inverse of :func:`instant_text`.

    Raises:
        ValueError: for any other form.
    """
    if text is None:
        return None
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
