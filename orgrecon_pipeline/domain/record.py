"""The record of a day, schema 1: the content of a report, in a form that programs read.

A report is a pure function of its record, and a record is a pure function of the evidence up to its day. A change to a
field, or to a byte that is rendered from one, needs a new schema.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timezone
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from orgrecon_pipeline.domain.canonical import canonical_json, sha256_of_text
from orgrecon_pipeline.domain.evidence import (
    Change,
    KindFields,
    NullableKindFields,
    Observation,
    Outcome,
    Provenance,
    Reasoned,
    Sample,
    TenantRow,
    Verdict,
)
from orgrecon_pipeline.domain.facts.compared import ComparedFacts
from orgrecon_pipeline.domain.gate.day_decision import conditions_of
from orgrecon_pipeline.domain.gate.decision import DayEvidence, GateDecision, WindowRow
from orgrecon_pipeline.domain.gate.ready_tenants import ReadyTenants
from orgrecon_pipeline.domain.gate.state import GateState
from orgrecon_pipeline.domain.identity import Identity, validate_environment, validate_name
from orgrecon_pipeline.domain.integrity.chain import ChainHead
from orgrecon_pipeline.domain.mapping.change import MappingChange, mapping_changes
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.domain.tenant_row_json import canonical_rows, rows_of, split_rows

SCHEMA = 1

_INSTANT = "%Y-%m-%dT%H:%M:%S.%fZ"


class ObservedRow(Outcome):
    """One observation of the day: enough of it to list it, and to restore it in a ledger.

    ``compared`` holds only what the gates need; see :func:`conditions_of`.
    """

    id: str = Field(description="Id of the observation.")
    chain: ChainHead | None = Field(description="Its link in the ledger that made it; null for a baseline.")
    observed_at: str | None = Field(description=(
        "Time of the snapshot by the database's clock, or by the client's if none answered; null for a baseline."))
    decides: bool = Field(description="Whether this observation decides the day.")
    change: Change | None = Field(description="How the drift changed since the previous decided day.")
    compared: ComparedFacts = Field(description="What the gate needs of every observation.")


class WindowDay(NullableKindFields, KindFields, Reasoned):  # type: ignore[misc]
    """One day of the rolling window. A MISSING day has no provenance and no counts."""

    day: date = Field(description="UTC day.")
    new: int | None = Field(ge=0, description="New keys; null if they are unknown.")
    healed: int | None = Field(ge=0, description="Healed keys; null if they are unknown.")
    verdict: Verdict = Field(description="Verdict of the day; MISSING without an observation.")
    provenance: Provenance | None = Field(description="Kind of its evidence; null if it is MISSING.")
    eligible: bool = Field(description="Whether the day counts in a streak.")

    @classmethod
    def from_row(cls, row: WindowRow) -> WindowDay:
        """Return a row of a gate decision's window."""
        return cls(day=row.day, verdict=row.verdict, provenance=row.provenance, eligible=row.eligible,
                   new=row.new, healed=row.healed, **row.counts, **row.reason.as_fields())

    def to_row(self) -> WindowRow:
        """Return the row of a gate decision's window."""
        return WindowRow(
            self.day, self.verdict, self.provenance, self.counts, self.eligible, self.why, self.new, self.healed)


class GateRecord(Reasoned):
    """The gate as of the day, under the strictest policy of the days that it counted."""

    state: GateState = Field(description="OPEN or CLOSED.")
    earliest_open_day: date = Field(description="First day on which the gate can open, if each later day is clean.")
    policy: GatePolicy = Field(description=(
        "The strictest of the policies under which the days of the window were observed."))


class Record(Outcome):
    """The record of a day of one identity. ``chain`` pins all evidence up to the deciding observation."""

    schema_: Literal[1] = Field(alias="schema", description="Schema of the record: 1.")
    migration: Annotated[str, AfterValidator(validate_name)] = Field(description="Name of the migration.")
    environment: Annotated[str, AfterValidator(validate_environment)] = Field(description=(
        "Name of the environment, empty without one. With migration it is the identity of the evidence."))
    day: date = Field(description="UTC day.")
    chain: ChainHead | None = Field(description=(
        "Position and hash of the deciding observation's link in the hash chain of the ledger that stored it first; "
        "null for a baseline."))
    tenants: tuple[TenantRow, ...] = Field(description="Rows of the per-tenant breakdown.")
    samples: tuple[Sample, ...] = Field(description="Sample keys.")
    observations: tuple[ObservedRow, ...] = Field(description=(
        "All observations of the day, in the order of the ledger."))
    window: tuple[WindowDay, ...] = Field(description="The last seven days or more.")
    streak_days: int = Field(ge=0, description="Length of the streak as of the day.")
    live_days: int = Field(ge=0, description="Number of live days among the counted days.")
    gate: GateRecord = Field(description="The gate as of the day.")
    change: Change | None = Field(description=(
        "How the drift changed since the previous decided day; null if the day is not decided or a baseline."))
    mapping_change: MappingChange | None = Field(description=(
        "How the mapping differs from that of the latest decided day in the window with another one."))
    ready_tenants: ReadyTenants | None = Field(description=(
        "The tenant gates as of the day; null without tenants, and for a baseline."))
    digest: str = Field(description="SHA-256 of the canonical record without digest.")

    @property
    def identity(self) -> Identity:
        """The identity of the evidence."""
        return Identity(self.migration, self.environment)

    @property
    def window_days(self) -> int:
        """Clean days that the gate needs."""
        return self.gate.policy.window_days

    @property
    def counted(self) -> dict[Provenance, int]:
        """Number of counted days (the last ``window_days`` of the streak) per provenance."""
        length = min(self.streak_days, self.window_days, len(self.window))
        rows = self.window[len(self.window) - length:]
        return dict.fromkeys(Provenance, 0) | Counter(row.provenance for row in rows if row.provenance)

    def to_decision(self) -> GateDecision:
        """Return the gate as of the day."""
        *earlier, last = (row.to_row() for row in self.window)
        own = replace(last, oldest=self.change.first_seen if self.change else None)
        compared = self.provenance.compared
        return GateDecision(
            day=self.day, state=self.gate.state, reason=self.gate.why, streak_days=self.streak_days,
            policy=self.gate.policy, epoch=self.mapping_digest if compared else "", counted=self.counted,
            earliest_open_day=self.gate.earliest_open_day, window=(*earlier, own))

    def keys_left_out(self) -> dict[str, int]:
        """Return how many drifting keys were left out of the ledger, by entity that has some."""
        return {name: keys["left_out"] for name, keys in self.compared.get("keys", {}).items() if keys["left_out"]}

    def matches(self, other: Record) -> bool:
        """Return whether the records differ at most in the sentences of their reasons, which depend on the version."""
        return self._without_sentences() == other._without_sentences()

    def _without_sentences(self) -> dict[str, Any]:
        value = self.as_json_value()
        del value["digest"]
        for reasoned in (value, value["gate"], *value["observations"], *value["window"]):
            del reasoned["reason"]
        for change in (value["mapping_change"] or {}).get("changes", ()):
            del change["text"]
        return value

    def to_observations(self) -> list[Observation]:
        """Return the observations as a ledger holds them, as far as known; raise ValueError for an impossible time."""
        return [
            Observation(id=row.id, day=self.day, observed_at=parse_instant(row.observed_at),
                        **row.outcome() | {"compared": self.compared if row.decides else row.compared},
                        change=row.change)
            for row in self.observations
        ]

    def to_evidence(self) -> DayEvidence:
        """Return the evidence of the day for the gate."""
        return DayEvidence.of(self.day, self.to_observations())

    def as_json_value(self) -> dict[str, Any]:
        """Return the record as plain JSON values, under its public field names."""
        return self.model_dump(mode="json", by_alias=True)

    def line(self) -> str:
        """Return the record as one line of canonical JSON."""
        return self.line_and_expected_digest()[0]

    def expected_digest(self) -> str:
        """Return the SHA-256 of the canonical record without ``digest``, which ``digest`` must equal."""
        return self.line_and_expected_digest()[1]

    @classmethod
    def from_canonical_line(cls, line: str) -> Record:
        """Return the record whose :meth:`line` is ``line``, with the right digest; raise ValueError if there is none.

        Rows that the record read before has too are not parsed again.
        """
        without_rows, rows = split_rows(line)
        draft = cls.model_validate_json(without_rows, strict=True)
        record = draft.model_copy(update={"tenants": rows_of(rows)}) if rows else draft
        if record.line_and_expected_digest(f"[{','.join(rows)}]" if rows else None) != (line, record.digest):
            raise ValueError("not canonical")
        return record

    def line_and_expected_digest(self, rows: str | None = None) -> tuple[str, str]:
        """Return :meth:`line` and :meth:`expected_digest`; both together cost little more than one of them.

        ``rows`` is the canonical JSON of ``tenants``, if the caller has it.
        """
        value = self.model_dump(mode="json", by_alias=True, exclude={"digest", "tenants"})
        # The fields are sorted, and there are some before, between and after these two.
        before, between, after = (
            canonical_json({name: field for name, field in value.items() if low < name < high})[1:-1]
            for low, high in (("", "digest"), ("digest", "tenants"), ("tenants", "~")))
        rest = f'{between},"tenants":{rows or canonical_rows(self.tenants)},{after}}}'
        return f'{{{before},"digest":{canonical_json(self.digest)},{rest}', sha256_of_text(f"{{{before},{rest}")


def build_record(
    identity: Identity,
    deciding: Observation,
    observations: Sequence[Observation],
    tenants: Sequence[TenantRow],
    samples: Sequence[Sample],
    gate: GateDecision,
    mapping_change: MappingChange | None = None,
    ready_tenants: ReadyTenants | None = None,
    chain: Mapping[str, ChainHead] = {},
) -> Record:
    """Return the record of a day; for ``mapping_change`` see :func:`changed_since`.

    ``observations`` are all those of the day in the order of the ledger, ``deciding`` among them. The rows of the
    breakdown and the sample keys of the deciding observation are in the order in which they are shown. ``chain`` holds
    the links of the observations, by id.
    """
    value: dict[str, Any] = {
        "schema": SCHEMA,
        **identity.as_json_value(),
        "day": deciding.day,
        "chain": chain.get(deciding.id),
        **deciding.outcome(),
        "tenants": tuple(tenants),
        "samples": tuple(samples),
        "observations": tuple(
            ObservedRow(id=observation.id, observed_at=instant_text(observation.observed_at),
                        decides=observation.id == deciding.id, change=observation.change,
                        chain=chain.get(observation.id),
                        **observation.outcome() | {"compared": conditions_of(observation.compared)})
            for observation in observations
        ),
        "window": tuple(WindowDay.from_row(row) for row in gate.window),
        "streak_days": gate.streak_days,
        "live_days": gate.live_days,
        "gate": GateRecord(
            state=gate.state, earliest_open_day=gate.earliest_open_day, policy=gate.policy, **gate.reason.as_fields()),
        "change": deciding.change,
        "mapping_change": mapping_change,
        "ready_tenants": ready_tenants,
        "digest": "",
    }
    draft = Record.model_validate(value)
    return draft.model_copy(update={"digest": draft.expected_digest()})


def changed_since(deciding: Observation, earlier: Observation) -> MappingChange:
    """Return how the mapping of the deciding observation differs from that of the deciding one of an earlier day."""
    changes = mapping_changes(earlier.compared.get("mapping"), deciding.compared.get("mapping"))
    return MappingChange(since=earlier.day, changes=tuple(changes))


def instant_text(moment: datetime | None) -> str | None:
    """Return a moment as ``2026-01-31T08:00:00.000000Z``; None stays None."""
    return None if moment is None else moment.astimezone(timezone.utc).strftime(_INSTANT)


@lru_cache(maxsize=64)  # several checks of a report read its times
def parse_instant(text: str | None) -> datetime | None:
    """Return the moment that :func:`instant_text` wrote; raise ValueError for any other form."""
    return None if text is None else datetime.strptime(text, _INSTANT).replace(tzinfo=timezone.utc)
