"""The mapping: which relations are compared, by which keys and columns, and under which rules.

This module validates only the shape. :mod:`orgrecon_pipeline.config.mapping_file` reads the file and names the line of
an error, and :mod:`orgrecon_pipeline.compare.preflight` validates the mapping against a live database.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from orgrecon_pipeline.domain.canonical import sha256_of
from orgrecon_pipeline.domain.identity import DEFAULT_MIGRATION, Identity
from orgrecon_pipeline.domain.mapping.fields import (
    IDENTIFIER_PATTERN,
    AsFloat,
    AsTuple,
    EnvironmentVariable,
    FileVersion,
    Identifier,
    MigrationName,
    PositiveSeconds,
    Seconds,
    Sql,
    Title,
    not_empty,
    text_schema,
    without_repetition,
)

#: Increase this with every change of the comparison that can change a verdict. It is part of the epoch.
COMPARISON_VERSION = 4

#: The logical column that every relation maps besides the key: the tenant that owns the row.
TENANT_COLUMN = "tenant_id"

#: Key and compared columns of an entity. A SELECT of PostgreSQL returns at most 1,664 columns, and the statements of a
#: comparison add a few.
MAX_COLUMNS = 1_600

#: The legacy side and the v2.3 side.
SIDES = ("source", "target")

#: Title of the default migration.
DEFAULT_TITLE = "Org Model v2.3"

class _Strict(BaseModel):
    # Validators are built on first use. The validator of a model includes its fields, so most classes never build one.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _fields_are_known(cls, value: Any) -> Any:
        # pydantic would only say that the field is not permitted, not which name was probably meant.
        if isinstance(value, dict):
            known = [field.alias or name for name, field in cls.model_fields.items()]
            for name in value:
                if name not in known:
                    guess = get_close_matches(str(name), known, n=1)
                    fix = f"did you mean {guess[0]}?" if guess else f"the fields here are {', '.join(known)}"
                    raise PydanticCustomError("unknown_field", "is an unknown field: {fix}", {"at": [name], "fix": fix})
        return value


class Relation(_Strict):
    """One table, view or join, with the logical names of its columns."""

    from_: Sql = Field(alias="from", description="SQL after FROM: a table with its schema, a view or a join.")
    columns: dict[Identifier, Sql] = Field(
        json_schema_extra={"required": [TENANT_COLUMN]}, description=(
            "SQL expression of each logical column: tenant_id, the key, the compared and the context columns."))
    where: Sql | None = Field(None, description="SQL condition that restricts the rows.")


class Tenants(_Strict):
    """The declared universe: every tenant that should exist."""

    from_: Sql = Field(alias="from", description="SQL after FROM: the table with one row for each tenant.")
    tenant: Sql = Field(description="SQL expression of the tenant, of the same type as tenant_id of the entities.")
    where: Sql | None = Field(None, description="SQL condition that restricts the rows.")


# Only for the JSON Schema: the messages about the tenant and repeated names come from validators.
_Column = Annotated[Identifier, text_schema(f"^{IDENTIFIER_PATTERN}$", **{"not": {"const": TENANT_COLUMN}})]
_UNIQUE = Field(json_schema_extra={"uniqueItems": True})
_Columns = Annotated[tuple[_Column, ...], AsTuple, AfterValidator(without_repetition), _UNIQUE]
_KeyColumns = Annotated[_Columns, AfterValidator(not_empty), Field(json_schema_extra={"minItems": 1})]
Relations = Annotated[tuple[Relation, ...], AfterValidator(not_empty), BeforeValidator(
    lambda value: tuple(value) if isinstance(value, (list, tuple)) else (value,),
    json_schema_input_type=Relation | Annotated[tuple[Relation, ...], Field(min_length=1)])]


class Entity(_Strict):
    """One kind of row that is compared: its key within a tenant, its compared columns, and its two sides.

    The context columns of ``show`` are never compared. A relation that does not map one has NULL in it.
    """

    key: _KeyColumns = Field(description="Columns that are unique within a tenant and never NULL. Without tenant_id.")
    compare: _Columns = Field((), description="Columns whose values are compared. Without any, only presence is.")
    show: _Columns = Field((), description="Context columns: shown with drifting keys, never compared.")
    source: Relations = Field(description="The legacy side: one relation, or a list that is read as UNION ALL.")
    target: Relations = Field(description="The new side: one relation, or a list that is read as UNION ALL.")

    @model_validator(mode="after")
    def _columns_are_mapped(self) -> Entity:
        for field, names in (("key", self.key), ("compare", self.compare)):
            if TENANT_COLUMN in names:
                raise ValueError(f"{field}: {TENANT_COLUMN} is part of every key: remove it from {field}")
        if (number := len(self.key) + len(self.compare)) > MAX_COLUMNS:
            raise ValueError(f"has {number:,} key and compared columns, but PostgreSQL can compare at most "
                             f"{MAX_COLUMNS:,} at once: split it into two entities with the same key")
        if shared := sorted(set(self.key) & set(self.compare)):
            raise ValueError(f"compare: {', '.join(shared)} is already in the key: remove it from compare")
        if shared := sorted({TENANT_COLUMN, *self.key, *self.compare} & set(self.show)):
            raise ValueError(f"show: {', '.join(shared)} is already compared: remove it from show")
        mapped = {column for side in SIDES for relation in getattr(self, side) for column in relation.columns}
        if unmapped := sorted(set(self.show) - mapped):
            raise ValueError(f"show: no relation maps {', '.join(unmapped)}: map it on a side that has it")
        needed = {TENANT_COLUMN, *self.key, *self.compare}
        for side in SIDES:
            for relation in getattr(self, side):
                if missing := sorted(needed - relation.columns.keys()):
                    raise ValueError(f"{side}: columns lacks {', '.join(missing)}: map it to a column or an expression")
        return self


    def relations(self, name: str, side: str) -> list[tuple[str, Relation]]:
        """Return the relations of one side, each with its name in messages; ``name`` is that of the entity."""
        relations: tuple[Relation, ...] = getattr(self, side)
        if len(relations) == 1:
            return [(f"{name}.{side}", relations[0])]
        return [(f"{name}.{side}.{number}", relation) for number, relation in enumerate(relations)]


class GatePolicy(_Strict):
    """The conditions under which the gate opens.

    It needs ``window_days`` consecutive clean days, and on at least ``min_live_days`` of them a live database must have
    been compared. ``same_day`` says which of several observations decides a day.
    """

    window_days: int = Field(7, ge=1, le=366, description="Number of consecutive clean days that open the gate.")
    same_day: Literal["latest", "worst"] = Field(
        "latest", description="Which of several observations decides a day: latest or worst.")
    min_live_days: int = Field(0, ge=0, le=366, description="Number of counted days that must be live.")

    @model_validator(mode="after")
    def _reachable(self) -> GatePolicy:
        if self.min_live_days > self.window_days:
            raise ValueError("min_live_days is greater than window_days: the gate could never open")
        return self


class GateSettings(GatePolicy):
    """The gate policy, and one condition of an observation.

    If more than ``max_departures`` of the known tenants leave at once, together with their entries in the declared
    universe, the observation is INCONCLUSIVE until that is acknowledged. A single departure never is.
    """

    max_departures: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), AsFloat] = Field(0.2, description=(
        "Share of the known tenants (0 to 1) that may leave both sides and the declared universe in one day without "
        "orgrecon acknowledge; a single departure never needs one."))

    @property
    def policy(self) -> GatePolicy:
        """The conditions under which the gate opens."""
        return GatePolicy.model_construct(**{name: getattr(self, name) for name in GatePolicy.model_fields})


class Heartbeat(_Strict):
    """A table that a job updates every few seconds."""

    from_: Sql = Field(alias="from", description="SQL after FROM: the table with the heartbeat.")
    at: Sql = Field(description="SQL expression of its time, a timestamptz. The latest of several rows counts.")
    where: Sql | None = Field(None, description="SQL condition that restricts the rows.")


class ScanSettings(_Strict):
    """How the databases are read. Times are in seconds. Without ``yield_seconds``, a comparison never gives way.

    The lag of a standby is measured by its ``heartbeat`` alone if there is one, else by what it has replayed.
    """

    settle_seconds: Seconds = Field(5.0, description=(
        "Time between two reads of drifting keys. Use 0 if both writes are in one transaction."))
    rechecks: int = Field(3, ge=0, le=100, description=(
        "Number of times that drifting keys are read again. Use 0 if both writes are in one transaction."))
    statement_timeout_seconds: PositiveSeconds = Field(900.0, description="Timeout of one statement.")
    lock_timeout_seconds: PositiveSeconds = Field(5.0, description=(
        "Timeout for the ACCESS SHARE locks, unless the comparison has given way before."))
    yield_seconds: PositiveSeconds | None = Field(2.0, description=(
        "How long a statement of another session may wait before the comparison gives way; null if it never gives "
        "way."))
    deadline_seconds: PositiveSeconds = Field(3600.0, description=(
        "Time limit of the whole observation; with shards, of each shard. Also how long a run waits for a ledger that "
        "does not answer."))
    workers: int = Field(2, ge=1, le=32, description=(
        "Maximum number of connections that read one database. They share one snapshot. On Citus, only one connection "
        "reads. Another connection reads the lock queue."))
    shards_at_once: int = Field(
        16, ge=1, le=256, description="Number of shards that are compared at the same time.")
    max_replica_lag_seconds: PositiveSeconds = Field(60.0, description=(
        "Maximum age of the data on a standby. An older standby is INCONCLUSIVE."))
    heartbeat: Heartbeat | None = Field(None, description="How to determine the age of a copy (see Standbys).")


class ReportSettings(_Strict):
    """How much a report shows, and how many drifting keys the ledger keeps."""

    breakdown_limit: int = Field(
        200, ge=1, le=2_000, description="Number of tenants in the per-tenant breakdown.")
    sample_keys: int = Field(10, ge=0, le=100, description="Number of sample keys per entity and drift kind.")
    keep_keys: int = Field(1_000_000, ge=0, le=100_000_000, description=(
        "Largest number of drifting keys of one observation that the ledger keeps, over all entities; 0 for none. "
        "Entities with few keys come first. The number of keys that were left out is stored and shown."))
    sample_values: bool = Field(False, description=(
        "Whether samples show the values of differing columns. Reports are committed: consider privacy."))


class EvidenceSettings(_Strict):
    """What the ledger keeps of each comparison."""

    portable: bool = Field(False, description=(
        "Whether fingerprints that every server computes equally are kept too, for a backup that is restored to a "
        "server with another encoding or architecture. Each side is read once more, with a slower hash."))


class Shard(_Strict):
    """One of several databases."""

    name: Identifier = Field(description="Name of the shard, under which its databases are pinned.")
    source_env: EnvironmentVariable = Field(description="Environment variable with the URL of the source.")
    target_env: EnvironmentVariable = Field(description="Environment variable with the URL of the target.")


def _unique_shard_names(shards: tuple[Shard, ...]) -> tuple[Shard, ...]:
    names = [shard.name for shard in shards]
    for position, name in enumerate(names):
        if name in names[:position]:
            raise PydanticCustomError("repeated_shard", "{name} is also the name of another shard: rename one of them",
                                      {"at": [position, "name"], "name": name})
    return shards


class Migration(_Strict):
    """What is compared and gated: a name, which is part of the identity of all evidence, and a title for people.

    The title of a migration that has none is its name.
    """

    name: MigrationName = Field(DEFAULT_MIGRATION, description="Name of the migration, part of its identity.")
    title: Title = Field(
        DEFAULT_TITLE, description="Title that heads reports and messages. By default the name, if there is one.")

    @model_validator(mode="before")
    @classmethod
    def _title_defaults_to_name(cls, value: Any) -> Any:
        if isinstance(value, dict) and "name" in value and "title" not in value:
            return {**value, "title": str(value["name"])}
        return value


class MappingConfig(_Strict):
    """The whole mapping file.

    A file without ``migration`` is about the packaged default's migration.
    """

    version: FileVersion = Field(description="Version of the format of this file.")
    migration: Migration = Field(
        Migration.model_construct(), description="What is compared and gated. Not part of the epoch.")
    tenants: Tenants | None = Field(None, description=(
        "The declared universe: every tenant that should exist. Without it, the tenants of both sides are compared."))
    entities: Annotated[dict[Identifier, Entity], Field(min_length=1)] = Field(description=(
        "The kinds of rows that are compared, by name."))
    gate: GateSettings = Field(GateSettings.model_construct(), description="When the gate opens.")
    scan: ScanSettings = Field(
        ScanSettings.model_construct(), description="How the databases are read. Times are in seconds.")
    report: ReportSettings = Field(
        ReportSettings.model_construct(), description="What reports show and the ledger keeps.")
    evidence: EvidenceSettings = Field(
        EvidenceSettings.model_construct(), description="What the ledger keeps of each comparison.")
    shards: Annotated[tuple[Shard, ...], AsTuple, AfterValidator(_unique_shard_names)] = Field((), description=(
        "Databases that hold the tenants together. Without any, DATABASE_URL is the only database."))

    @property
    def names_migration(self) -> bool:
        """Whether the file names its migration, instead of leaving it to the default."""
        return "name" in self.migration.model_fields_set

    def identity(self, environment: str) -> Identity:
        """Return the identity of evidence that is observed with this mapping in an environment."""
        return Identity(self.migration.name, environment)

    @property
    def shown(self) -> dict[str, list[str]]:
        """The context columns of each entity that has some."""
        return {name: list(entity.show) for name, entity in self.entities.items() if entity.show}

    @property
    def digest(self) -> str:
        """The epoch: SHA-256 of what is compared and of the version of the comparison.

        The order of keys, of columns and of a side's relations does not change it, because it cannot change a result.
        Nor do the migration's name, context columns and the settings of gate, scan, report and evidence: they change
        how evidence is gathered, shown and counted, but not what it is evidence of.
        """
        return sha256_of({"comparison": COMPARISON_VERSION, "version": self.version, **self.normalised})

    @property
    def normalised(self) -> dict[str, Any]:
        """What is compared, as JSON values that are equal if the comparison is the same."""
        return {
            "tenants": self.tenants.model_dump(by_alias=True) if self.tenants else None,
            "entities": {name: _normalised(entity) for name, entity in self.entities.items()},
            "shards": sorted(shard.name for shard in self.shards),
        }


def _normalised(entity: Entity) -> dict[str, Any]:
    used = {TENANT_COLUMN, *entity.key, *entity.compare}

    def side(relations: tuple[Relation, ...]) -> list[Any]:
        shapes = ({"from": relation.from_, "where": relation.where,
                   "columns": {name: sql for name, sql in relation.columns.items() if name in used}}
                  for relation in relations)
        return sorted(shapes, key=sha256_of)

    return {"key": sorted(entity.key), "compare": sorted(entity.compare),
            "source": side(entity.source), "target": side(entity.target)}
