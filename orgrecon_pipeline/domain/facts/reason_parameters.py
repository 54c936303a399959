"""The parameters of all reasons."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from orgrecon_pipeline.domain.facts.described import Count, Day, Described, Setting, facts
from orgrecon_pipeline.domain.reasons import ReasonCode


@facts
class Pin(TypedDict):
    """The identity of a database."""

    system_identifier: Annotated[str, Field(description="System identifier of the PostgreSQL cluster.")]
    database: Annotated[str, Field(description="Name of the database.")]


@facts
class NestedReason(TypedDict):
    """Another reason, without its sentence."""

    reason_code: Annotated[ReasonCode, Field(description="Code of the reason (see Reasons).")]
    reason_parameters: Annotated[Parameters, Field(description="Parameters of the reason.")]


@facts
class Parameters(TypedDict, total=False):
    """The parameters of a reason."""

    action: Annotated[str, Field(description="What the failed statement was for.")]
    also: Annotated[NestedReason, Field(description="Reason of the coverage that was also lost.")]
    at: Annotated[str | None, Field(description="Time of the evaluation; null if it cannot be read.")]
    at_hand: Annotated[Setting, Field(description="The setting in the mapping at hand.")]
    compared_mapping_digest: Annotated[str, Field(description="Epoch under which the day was compared.")]
    counted: Annotated[dict[str, Count], Field(description="Number of counted days by provenance.")]
    current_mapping_digest: Annotated[str, Field(description="Epoch that counts.")]
    database: Annotated[Pin | None, Field(description="Database that was compared; null if it is not named.")]
    day: Annotated[Day, Field(description="Day that the reason is about.")]
    days: Annotated[list[Day], Field(description="Days that the reason is about.")]
    departed: Annotated[list[str], Field(description="The first few tenants that left.")]
    departed_count: Annotated[Count, Field(description="Number of tenants that left.")]
    departed_day: Annotated[Day, Field(description="Day on which the tenant left.")]
    detail: Annotated[str, Field(description="The original sentence of the reason.")]
    drifting_keys: Annotated[Count, Field(description="Number of drifting keys.")]
    environment: Annotated[str | None, Field(description="Name of the other environment; null if it is unknown.")]
    failed: Annotated[Count, Field(description="Number of shards that failed.")]
    findings: Annotated[Count, Field(description="Number of findings of orgrecon verify.")]
    first_day: Annotated[Day, Field(description="Day on which the tenant was first seen.")]
    first_tenant_day: Annotated[Day, Field(description="Day on which the first tenant was seen.")]
    function: Annotated[str, Field(description="Name of the volatile function.")]
    keys: Annotated[Count, Field(description="Number of keys in flux.")]
    known_tenants: Annotated[Count, Field(description="Number of tenants that were known.")]
    label: Annotated[str, Field(description="source or target; with shards, such as eu1.source.")]
    last_tenant_day: Annotated[Day, Field(description="Last day on which a tenant was seen.")]
    latest_day: Annotated[Day | None, Field(description="Latest day with evidence; null without evidence.")]
    ledger: Annotated[str | None, Field(description="Id of the other ledger; null if it is unknown.")]
    listed: Annotated[Count, Field(description="Number of drifting tenants that the report lists.")]
    live_days: Annotated[Count, Field(description="Number of live days among the counted days.")]
    lost: Annotated[list[str], Field(description="The first few tenants, entities and columns that are gone.")]
    lost_count: Annotated[Count, Field(description="Number of all tenants, entities and columns that are gone.")]
    mapping_digest: Annotated[str, Field(description="Epoch that the reason is about.")]
    max_departures: Annotated[float, Field(description="Share of the known tenants that may leave at once.")]
    migration: Annotated[str | None, Field(description="Name of the other migration; null if it is unknown.")]
    min_live_days: Annotated[Count, Field(description="Number of counted days that must be live.")]
    mode: Annotated[str | None, Field(description="Lock that was requested.")]
    never_seen: Annotated[list[str], Field(description="The first few entities and columns without rows or values.")]
    never_seen_count: Annotated[Count, Field(description=(
        "Number of all entities and columns without rows or values."))]
    observed: Annotated[Setting, Field(description="The setting under which the counted days were observed.")]
    pinned: Annotated[Pin | None, Field(description=(
        "Database that the later days compared; null if there is none."))]
    reason_code: Annotated[ReasonCode, Field(description="Code of the reason that caused this one (see Reasons).")]
    reason_parameters: Annotated[Parameters, Field(description="Its parameters.")]
    relation: Annotated[str, Field(description="Name of the foreign table.")]
    rows_compared: Annotated[Count, Field(description="Number of rows of both sides.")]
    setting: Annotated[str, Field(description="Name of the setting.")]
    shards: Annotated[dict[str, NestedReason], Field(description="Reasons of the first three shards that failed.")]
    sqlstate: Annotated[str | None, Field(description="SQLSTATE of the failed statement; null without one.")]
    statement: Annotated[str | None, Field(description="First keywords of the statement; null if they are unknown.")]
    streak_days: Annotated[Count, Field(description="Length of the streak.")]
    subject: Annotated[str, Field(description="Part of the mapping, view or function.")]
    table: Annotated[str | None, Field(description="Table whose lock was requested.")]
    tenants_declared: Annotated[Count, Field(description="Number of declared tenants.")]
    tenants_scanned: Annotated[Count, Field(description="Number of tenants that are declared or have a row.")]
    tenants_with_drift: Annotated[Count, Field(description="Number of tenants with drift.")]
    times: Annotated[Count, Field(description="Number of times that the comparison gave way.")]
    today: Annotated[Day, Field(description="Current UTC day.")]
    variable: Annotated[str, Field(description="Environment variable with the DSN.")]
    verdict: Annotated[str, Field(description="Verdict of the day.")]
    window_days: Annotated[Count, Field(description="Number of clean days that the gate needs.")]
    yesterday: Annotated[Day, Field(description="The day before the current UTC day.")]


#: The parameters of a reason, of the described types.
ReasonParameters = Annotated[dict[str, Any], Described(Parameters)]
