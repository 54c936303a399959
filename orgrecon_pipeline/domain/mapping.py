"""The mapping: which relations are compared, by which keys and columns, and under which rules.

This module validates only the shape. :mod:`orgrecon_pipeline.config.mapping_file` reads the file and names the line of
an error, and :mod:`orgrecon_pipeline.compare.preflight` validates the mapping against a live database.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from orgrecon_pipeline.domain.canonical import sha256_of
from orgrecon_pipeline.domain.identity import DEFAULT_MIGRATION, Identity, validate_name

#: Increase this with every change of the comparison that can change a verdict. It is part of the epoch.
COMPARISON_VERSION = 3

#: The logical column that every relation maps besides the key: the tenant that owns the row.
TENANT_COLUMN = "tenant_id"

#: Key and compared columns of an entity. A SELECT of PostgreSQL returns at most 1,664 columns, and the statements of a
#: comparison add a few.
MAX_COLUMNS = 1_600

#: The legacy side and the v2.3 side.
SIDES = ("source", "target")

#: Title of the default migration.
DEFAULT_TITLE = "Org Model v2.3"

_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_ENVIRONMENT_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _identifier(text: str) -> str:
    if not _IDENTIFIER.fullmatch(text):
        raise ValueError(f"{text[:80]!a} is not an identifier: use at most 63 lower-case letters, digits and _")
    return text


def _sql(text: str) -> str:
    if not (text := text.strip()):
        raise ValueError("is empty: write an SQL expression")
    if "\x00" in text:
        raise ValueError("contains a NUL character: remove it")
    return text


def _environment_variable(text: str) -> str:
    # A DSN written here would end up in the digest, in logs and in version control.
    if not _ENVIRONMENT_VARIABLE.fullmatch(text):
        raise ValueError("is not the name of an environment variable: write its name, and put the DSN into it")
    return text


def _unique(names: tuple[str, ...]) -> tuple[str, ...]:
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"names {', '.join(repeated)} twice: remove one")
    return names


Identifier = Annotated[str, AfterValidator(_identifier)]
Sql = Annotated[str, AfterValidator(_sql)]
Names = Annotated[tuple[Identifier, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v),
                  AfterValidator(_unique)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

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

    from_: Sql = Field(alias="from")
    columns: dict[Identifier, Sql]
    where: Sql | None = None


class Tenants(_Strict):
    """The declared universe: every tenant that should exist."""

    from_: Sql = Field(alias="from")
    tenant: Sql
    where: Sql | None = None


Relations = Annotated[tuple[Relation, ...], BeforeValidator(
    lambda value: tuple(value) if isinstance(value, (list, tuple)) else (value,)), Field(min_length=1)]


class Entity(_Strict):
    """One kind of row that is compared: its key within a tenant, its compared columns, and its two sides.

    The context columns of ``show`` are never compared. A relation that does not map one has NULL in it.
    """

    key: Annotated[Names, Field(min_length=1)]
    compare: Names = ()
    show: Names = ()
    source: Relations
    target: Relations

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

    window_days: Annotated[int, Field(ge=1, le=366)] = 7
    same_day: Literal["latest", "worst"] = "latest"
    min_live_days: Annotated[int, Field(ge=0, le=366)] = 0

    @model_validator(mode="after")
    def _reachable(self) -> GatePolicy:
        if self.min_live_days > self.window_days:
            raise ValueError("min_live_days is greater than window_days: the gate could never open")
        return self


def _float(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


class GateSettings(GatePolicy):
    """The gate policy, and one condition of an observation.

    If more than ``max_departures`` of the known tenants leave at once, together with their entries in the declared
    universe, the observation is INCONCLUSIVE until that is acknowledged. A single departure never is.
    """

    max_departures: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), BeforeValidator(_float)] = 0.2

    @property
    def policy(self) -> GatePolicy:
        """The conditions under which the gate opens."""
        return GatePolicy.model_construct(**{name: getattr(self, name) for name in GatePolicy.model_fields})


Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False), BeforeValidator(_float)]
PositiveSeconds = Annotated[Seconds, Field(gt=0)]


class Heartbeat(_Strict):
    """A table that a job updates every few seconds. ``at`` is a ``timestamptz``; the latest of several rows counts."""

    from_: Sql = Field(alias="from")
    at: Sql
    where: Sql | None = None


class ScanSettings(_Strict):
    """How the databases are read. Times are in seconds. Without ``yield_seconds``, a comparison never gives way.

    The lag of a standby is measured by its ``heartbeat`` alone if there is one, else by what it has replayed.
    """

    settle_seconds: Seconds = 5.0
    rechecks: Annotated[int, Field(ge=0, le=100)] = 3
    statement_timeout_seconds: PositiveSeconds = 900.0
    lock_timeout_seconds: PositiveSeconds = 5.0
    yield_seconds: PositiveSeconds | None = 2.0
    deadline_seconds: PositiveSeconds = 3600.0
    workers: Annotated[int, Field(ge=1, le=32)] = 2
    shards_at_once: Annotated[int, Field(ge=1, le=256)] = 16
    max_replica_lag_seconds: PositiveSeconds = 60.0
    heartbeat: Heartbeat | None = None


class ReportSettings(_Strict):
    """How much a report shows: tenants in the breakdown, sample keys per entity and kind, and values of samples.

    ``keep_keys`` is the largest number of drifting keys of an observation that the ledger keeps.
    """

    breakdown_limit: Annotated[int, Field(ge=1, le=2_000)] = 200
    sample_keys: Annotated[int, Field(ge=0, le=100)] = 10
    keep_keys: Annotated[int, Field(ge=0, le=100_000_000)] = 1_000_000
    sample_values: bool = False


class Shard(_Strict):
    """One of several databases. The two fields name environment variables that hold the DSNs."""

    name: Identifier
    source_env: Annotated[str, AfterValidator(_environment_variable)]
    target_env: Annotated[str, AfterValidator(_environment_variable)]


def _unique_shard_names(shards: tuple[Shard, ...]) -> tuple[Shard, ...]:
    names = [shard.name for shard in shards]
    for position, name in enumerate(names):
        if name in names[:position]:
            raise PydanticCustomError("repeated_shard", "{name} is also the name of another shard: rename one of them",
                                      {"at": [position, "name"], "name": name})
    return shards


def _title(text: str) -> str:
    if not (text := text.strip()) or len(text) > 100 or not text.isprintable():
        raise ValueError("is not a title: write one line of at most 100 printable characters")
    return text


class Migration(_Strict):
    """What is compared and gated: a name, which is part of the identity of all evidence, and a title for people.

    The title of a migration that has none is its name.
    """

    name: Annotated[str, AfterValidator(validate_name)] = DEFAULT_MIGRATION
    title: Annotated[str, AfterValidator(_title)] = DEFAULT_TITLE

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

    version: Literal[1]
    migration: Migration = Migration()
    tenants: Tenants | None = None
    entities: Annotated[dict[Identifier, Entity], Field(min_length=1)]
    gate: GateSettings = GateSettings()
    scan: ScanSettings = ScanSettings()
    report: ReportSettings = ReportSettings()
    shards: Annotated[tuple[Shard, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v),
                      AfterValidator(_unique_shard_names)] = ()

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
        Nor do the migration's name, context columns and the settings of gate, scan and report: they change how
        evidence is gathered, shown and counted, but not what it is evidence of.
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
