"""What ``drift`` and ``diff`` print, for their schema."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from orgrecon_pipeline.domain.drift.key import KeyState
from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.evidence import EntityTotals, Frozen
from orgrecon_pipeline.operations.diff import DiffResult

_Values = dict[str, tuple[str | None, str | None]]


class DriftingKey(Frozen):
    """A drifting key: one line of ``drift --format jsonl``."""

    day: date = Field(description="UTC day.")
    tenant: str = Field(description="Name of the tenant. A long name is shortened and ends with a digest.")
    entity: str = Field(description="Name of the entity.")
    kind: DriftKind = Field(description="Drift kind; for a healed key, its kind on the previous decided day.")
    key: dict[str, str] = Field(description="The key as text, by column.")
    columns: list[str] = Field(description="Differing columns of a mismatched key.")
    state: KeyState | None = Field(description="State of the key; null if it is unknown.")
    first_seen: date | None = Field(description="First day of the current run of drifting days; null if it is unknown.")
    now: list[DriftKind] | SkipJsonSchema[None] = Field(None, description=(
        "With --values: in which ways the key drifts now; empty if it no longer does."))
    values: _Values | None = Field(None, description=(
        "With --values: source and target of each column that differs now."))
    show: dict[str, str | None] | None = Field(None, description="With --values: the context columns now.")


class DriftExport(Frozen):
    """The drifting keys of a day: ``drift --format json``."""

    migration: str = Field(description="Name of the migration.")
    environment: str = Field(description="Name of the environment, empty without one.")
    day: date = Field(description="UTC day.")
    observation: str = Field(description="Id of the observation that decides the day.")
    since: date | None = Field(description="The previous decided day; null if there is none.")
    notes: list[str] = Field(description="What is not listed, as sentences.")
    keys: list[DriftingKey] = Field(description=(
        "The keys, by entity, tenant and key. A key with two kinds is listed twice."))


class DifferingKey(Frozen):
    """A drifting key in the answer of ``diff``."""

    entity: str = Field(description="Name of the entity.")
    kind: DriftKind = Field(description="In which way the key drifts.")
    key: dict[str, str] = Field(description="The key as text, by column.")
    columns: list[str] = Field(description="Differing columns of a mismatched key.")
    values: _Values | None = Field(description="Source and target of each differing column; null unless asked for.")
    show: dict[str, str | None] | None = Field(description="The context columns, if the mapping has some.")


class Diff(Frozen):
    """The ad-hoc comparison of a tenant: ``diff --format json``."""

    migration: str = Field(description="Name of the migration.")
    environment: str = Field(description="Name of the environment, empty without one.")
    evidence: Literal[False] = Field(description="Always false: nothing was stored.")
    tenant: str = Field(description="Name of the tenant, as it was asked for.")
    key: dict[str, str] = Field(description="Values of --key by column.")
    result: DiffResult = Field(description="equal, different or not_decided.")
    reason: str = Field(description="Sentence that people read.")
    observed_at: str | None = Field(description="Time of the snapshot; null if nothing was compared.")
    shards: list[str] = Field(description="Shards with rows of the tenant.")
    entities: dict[str, EntityTotals] = Field(description="Figures by entity, as in a record.")
    keys: list[DifferingKey] = Field(description="Drifting keys, up to --limit.")
    keys_not_listed: int = Field(ge=0, description="Number of further drifting keys.")
    mismatched_columns: dict[str, dict[str, Annotated[int, Field(ge=1)]]] = Field(description=(
        "Number of mismatched keys by entity and differing column."))
    warnings: list[str] = Field(description="What can hide rows or differences, but was compared.")


DriftDocument = DriftExport | DriftingKey | Diff
