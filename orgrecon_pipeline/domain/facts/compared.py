"""The facts about a comparison in ``compared``.

Each fact is added where it arises. A test fails if one is not described here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import NotRequired, TypedDict

from orgrecon_pipeline.domain.facts.described import Count, Described, Sha256, facts
from orgrecon_pipeline.domain.facts.reason_parameters import Pin
from orgrecon_pipeline.domain.mapping.model import GatePolicy


@facts
class Standby(TypedDict, total=False):
    """State of a standby at the snapshot."""

    replayed_at: Annotated[str | None, Field(description="Commit time of the last replayed transaction.")]
    replay_lsn: Annotated[str | None, Field(description="How far the WAL was replayed.")]
    receive_lsn: Annotated[str | None, Field(description="How far the WAL was received.")]
    replayed_age_seconds: Annotated[float | None, Field(description="Age of the last replayed transaction.")]
    caught_up_seconds: Annotated[float | None, Field(description=(
        "How long ago the primary last confirmed that everything is replayed."))]


@facts
class Heartbeat(TypedDict, total=False):
    """The heartbeat in the snapshot."""

    age_seconds: Annotated[float | None, Field(description="Age of the latest heartbeat; null if there is none.")]


@facts
class Database(TypedDict, total=False):
    """A compared database at its snapshot."""

    database: Annotated[str, Field(description="Name of the database.")]
    system_identifier: Annotated[str, Field(description="System identifier of the PostgreSQL cluster.")]
    snapshot: Annotated[str, Field(description="Exported snapshot that all connections read.")]
    server_version: Annotated[str, Field(description="Version of the server.")]
    in_recovery: Annotated[bool, Field(description="Whether the server is a standby.")]
    citus: Annotated[str, Field(description="Version of the extension Citus.")]
    lsn: Annotated[str, Field(description="How far the WAL was flushed, or replayed on a standby.")]
    timeline: Annotated[int, Field(description="Timeline of a primary.")]
    standby: Annotated[Standby, Field(description="State of a standby.")]
    heartbeat: Annotated[Heartbeat, Field(description="The heartbeat, if the mapping names one.")]


@facts
class Fingerprints(TypedDict, total=False):
    """Which rows a comparison read."""

    root: Annotated[Sha256, Field(description="SHA-256 over all fingerprints of the snapshot.")]
    methods: Annotated[list[str], Field(description="native, portable, or both.")]
    seed: Annotated[str, Field(description="Seed of the row hashes, as text.")]
    probe: Annotated[str | None, Field(description=(
        "Native hash of a fixed row, and the encoding of the database; null without native hashes."))]
    tenants: Annotated[Count, Field(description="Number of tenants with a row on either side.")]


@facts
class Shard(TypedDict, total=False):
    """The databases of a shard."""

    source: Annotated[Database, Field(description="Database of the source.")]
    target: Annotated[Database, Field(description="Database of the target.")]
    fingerprints: Annotated[Fingerprints, Field(description="Which rows the comparison of the shard read.")]
    seconds: Annotated[float, Field(description="Duration of the shard's comparison.")]
    tenants: Annotated[Count, Field(description="Number of tenants with a row.")]
    reused_from: Annotated[str, Field(description="Id of the observation whose result was reused.")]


@facts
class Coverage(TypedDict, total=False):
    """What had rows before, or should have. Lists name the first few."""

    lost: Annotated[list[str], Field(description="Tenants, entities and columns whose rows or values are gone.")]
    lost_count: Annotated[Count, Field(description=(
        "Number of all tenants, entities and columns whose rows or values are gone."))]
    never_seen: Annotated[list[str], Field(description="Entities and columns that never had a row or value.")]
    never_seen_count: Annotated[Count, Field(description=(
        "Number of all entities and columns that never had a row or value."))]
    left: Annotated[list[str], Field(description="Tenants that left both sides and the declared universe.")]
    left_count: Annotated[Count, Field(description="Number of all tenants that left.")]
    left_too_many: Annotated[bool, Field(description="Whether more left than gate.max_departures permits.")]
    acknowledged: Annotated[list[str], Field(description="What is gone or never had a row, and was acknowledged.")]
    renamed: Annotated[list[Annotated[list[str], Field(min_length=2, max_length=2)]], Field(description=(
        "Names that are gone, each with a new name that differs only in case or white space."))]


@facts
class Keys(TypedDict):
    """Drifting keys of an entity."""

    drifting: Annotated[int, Field(ge=1, description="Number of drifting keys, each counted once.")]
    left_out: Annotated[Count, Field(description="Those that the ledger does not have (report.keep_keys).")]


@facts
class WarningFacts(TypedDict):
    """Something that can hide rows or differences, but was compared."""

    code: Annotated[str, Field(description="Code of the warning (see Warnings).")]
    text: Annotated[str, Field(description="Sentence that people read.")]
    names: NotRequired[Annotated[list[str], Field(description="What the warning is about, by its code.")]]
    subject: NotRequired[Annotated[str, Field(description="Part of the mapping, view or function.")]]
    databases: NotRequired[Annotated[list[str], Field(description=(
        "Shards or sides that it is about; without it, all."))]]


@facts
class ComparedRelation(TypedDict):
    """A relation of the mapping."""

    from_: Annotated[str, Field(alias="from", description="SQL after FROM.")]
    columns: Annotated[dict[str, str], Field(description="SQL expression of each logical column.")]
    where: Annotated[str | None, Field(description="SQL condition; null without one.")]


@facts
class ComparedEntity(TypedDict):
    """An entity of the mapping."""

    key: Annotated[list[str], Field(description="Columns of the key.")]
    compare: Annotated[list[str], Field(description="Compared columns.")]
    source: Annotated[list[ComparedRelation], Field(description="Relations of the source.")]
    target: Annotated[list[ComparedRelation], Field(description="Relations of the target.")]


@facts
class ComparedTenants(TypedDict):
    """The declared universe of the mapping."""

    from_: Annotated[str, Field(alias="from", description="SQL after FROM.")]
    tenant: Annotated[str, Field(description="SQL expression of the tenant.")]
    where: Annotated[str | None, Field(description="SQL condition; null without one.")]


@facts
class ComparedMapping(TypedDict):
    """The normalised mapping."""

    tenants: Annotated[ComparedTenants | None, Field(description="The declared universe; null without one.")]
    entities: Annotated[dict[str, ComparedEntity], Field(description="What was compared, by entity.")]
    shards: Annotated[list[str], Field(description="Names of the shards.")]


@facts
class Compared(TypedDict, total=False):
    """How a comparison was made."""

    comparison_version: Annotated[int, Field(description="Version of the comparison, part of the epoch.")]
    gate: Annotated[GatePolicy, Field(description="Settings of the gate.")]
    report: Annotated[dict[str, Any], Field(description="Settings of the report.")]
    scan: Annotated[dict[str, Any], Field(description="Settings of the scan.")]
    evidence: Annotated[dict[str, Any], Field(description="Settings of the evidence.")]
    fingerprints: Annotated[Fingerprints, Field(description="Which rows the comparison read, without shards.")]
    show: Annotated[dict[str, list[str]], Field(description="Context columns by entity.")]
    mapping: Annotated[ComparedMapping | None, Field(description=(
        "The normalised mapping; null if it is larger than 200,000 characters."))]
    source: Annotated[Database, Field(description="Database of the source, without shards.")]
    target: Annotated[Database, Field(description="Database of the target, without shards.")]
    shards: Annotated[dict[str, Shard], Field(description="Databases by shard.")]
    moved_from: Annotated[dict[str, Pin], Field(description=(
        "Databases that were replaced on this day with a person's acceptance, by label."))]
    first_observation: Annotated[Literal[True], Field(description=(
        "The ledger knew of no complete live comparison of an earlier day."))]
    digest_method: Annotated[str, Field(description="How rows were hashed: native or portable.")]
    exact: Annotated[bool, Field(description="Whether every tenant was compared by key.")]
    self_test: Annotated[str, Field(description="Result of the self-test.")]
    rechecks_done: Annotated[Count, Field(description="Number of times that drifting keys were read again.")]
    seconds: Annotated[float, Field(description="Duration of the comparison.")]
    gave_way: Annotated[int, Field(ge=1, description="Number of times that the comparison gave way.")]
    warnings: Annotated[list[WarningFacts], Field(description="What can hide rows or differences, but was compared.")]
    coverage: Annotated[Coverage, Field(description="What is gone, or never had a row.")]
    keys: Annotated[dict[str, Keys], Field(description="Drifting keys by entity with drift.")]
    mismatched_columns: Annotated[dict[str, dict[str, Count]], Field(description=(
        "Number of mismatched keys by entity and differing column."))]
    keys_in_flux: Annotated[Count, Field(description=(
        "Keys that differed at every read while both sides changed."))]
    tenants_declared: Annotated[int | None, Field(description=(
        "Number of declared tenants; null if the mapping declares none."))]
    values: Annotated[dict[str, dict[str, Count]], Field(description=(
        "Rows of both sides in which a compared column is not NULL, by entity and column."))]


#: The facts about a comparison, of the described types.
ComparedFacts = Annotated[dict[str, Any], Described(Compared)]
