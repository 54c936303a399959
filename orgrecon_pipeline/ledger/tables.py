"""Tables of the ledger. Triggers, which the migrations create, make all of them append-only.

Table names carry a prefix because a ledger may share its database with other applications. JSON is stored as text:
JSONB rewrites numbers, and a record must keep its bytes.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.types import TypeEngine

from orgrecon_pipeline.domain.drift_kinds import DriftKind
from orgrecon_pipeline.domain.evidence import FIGURES

#: The revision that this version reads and writes; a test compares it with the migrations.
REVISION = "0001"

#: Not Alembic's default name, which Dagster's storage uses; both may share a database.
VERSION_TABLE = "orgrecon_ledger_version"

#: The largest figure. Every JSON parser reads it exactly, and sums of it do not overflow.
MAX_FIGURE = 2**53 - 1


class Instant(TypeDecorator[datetime]):
    """A UTC timestamp, exact to the microsecond; in SQLite, text that sorts by time."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the datetime has no time zone")
        value = value.astimezone(timezone.utc)
        return value.isoformat(timespec="microseconds") if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.astimezone(timezone.utc)


# Text sorted by bytes on both databases: SQLite's default, and the collation "C" of Postgres.
_NAME = Text().with_variant(Text(collation="C"), "postgresql")
_KEY = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers only INTEGER keys

metadata = MetaData(naming_convention={
    "ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s", "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
})


def _figures(*, nullable: bool) -> list[Any]:
    return [part for name in FIGURES for part in (
        Column(name, BigInteger, nullable=nullable),
        CheckConstraint(f"{name} BETWEEN 0 AND {MAX_FIGURE}", name=name),
    )]


#: Observations. ``reason_parameters`` and ``compared`` are JSON.
observation = Table(
    "orgrecon_observation", metadata,
    Column("number", _KEY, Identity(), primary_key=True),
    Column("id", _NAME, nullable=False),
    Column("day", Date, nullable=False, index=True),
    Column("provenance", _NAME, nullable=False),
    Column("verdict", _NAME, nullable=False),
    Column("reason", Text, nullable=False),
    Column("reason_code", _NAME, nullable=False),
    Column("reason_parameters", Text, nullable=False),
    Column("observed_at", Instant),
    Column("mapping_digest", Text, nullable=False),
    Column("orgrecon_version", Text, nullable=False),
    Column("tenants_scanned", BigInteger),
    Column("tenants_with_drift", BigInteger),
    Column("compared", Text, nullable=False),
    UniqueConstraint("id"),
    CheckConstraint("provenance IN ('live', 'baseline', 'restored', 'simulated')", name="provenance"),
    CheckConstraint("verdict IN ('PASS', 'FAIL', 'INCONCLUSIVE')", name="verdict"),
    CheckConstraint(f"tenants_scanned BETWEEN 0 AND {MAX_FIGURE}", name="tenants_scanned"),
    CheckConstraint(f"tenants_with_drift BETWEEN 0 AND {MAX_FIGURE}", name="tenants_with_drift"),
)

#: Entities of an observation, ordered by ``ordinal``. An unknown figure is NULL.
entity = Table(
    "orgrecon_entity", metadata,
    Column("observation", BigInteger, ForeignKey(observation.c.number), primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("name", _NAME, nullable=False),
    *_figures(nullable=True),
    UniqueConstraint("observation", "name"),
    sqlite_with_rowid=False,
)

#: One row per tenant and entity (its ordinal) of an observation. ``drift`` is the sum of all kinds of drift.
tenant_row = Table(
    "orgrecon_tenant_row", metadata,
    Column("observation", BigInteger, primary_key=True),
    Column("tenant", _NAME, primary_key=True),
    Column("entity", Integer, primary_key=True, autoincrement=False),
    *_figures(nullable=False),
    Column("drift", BigInteger, nullable=False),
    CheckConstraint(f"drift = {' + '.join(kind.value for kind in DriftKind)}", name="drift"),
    ForeignKeyConstraint(["observation", "entity"], [entity.c.observation, entity.c.ordinal]),
    sqlite_with_rowid=False,
)

#: Sample keys of an observation, in the order in which reports show them. The last three columns are JSON.
sample = Table(
    "orgrecon_sample", metadata,
    Column("observation", BigInteger, ForeignKey(observation.c.number), primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("tenant", _NAME, nullable=False),
    Column("entity", _NAME, nullable=False),
    Column("kind", _NAME, nullable=False),
    Column("key", Text, nullable=False),
    Column("differing_columns", Text, nullable=False),
    Column("column_values", Text),
    sqlite_with_rowid=False,
)

#: Coverage events of an observation; see :mod:`orgrecon_pipeline.domain.coverage`.
coverage = Table(
    "orgrecon_coverage", metadata,
    Column("observation", BigInteger, ForeignKey(observation.c.number), primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("subject", _NAME, nullable=False),
    Column("name", _NAME, nullable=False),
    Column("change", _NAME, nullable=False),
    CheckConstraint("subject IN ('tenant', 'entity', 'column')", name="subject"),
    CheckConstraint("change IN ('appeared', 'departed', 'lost')", name="change"),
    Index(None, "subject", "name"),
    sqlite_with_rowid=False,
)

#: Accepted losses of coverage and changes of the source database, with a reason. ``details`` is JSON.
acknowledgement = Table(
    "orgrecon_acknowledgement", metadata,
    Column("number", _KEY, Identity(), primary_key=True),
    Column("kind", _NAME, nullable=False),
    Column("reason", Text, nullable=False),
    Column("observation_id", _NAME, ForeignKey(observation.c.id)),
    Column("details", Text, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    CheckConstraint("kind IN ('coverage', 'source')", name="kind"),
)

#: States that notification channels know; the last row of a topic counts. ``channel`` is a hash of its address.
notification = Table(
    "orgrecon_notification", metadata,
    Column("number", _KEY, Identity(), primary_key=True),
    Column("channel", _NAME, nullable=False),
    Column("topic", _NAME, nullable=False),
    Column("state", _NAME, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    CheckConstraint("state IN ('PASS', 'FAIL', 'INCONCLUSIVE', 'MISSING', 'OPEN', 'CLOSED')", name="state"),
    Index(None, "channel", "topic"),
)

#: Results of the shards that succeeded in an incomplete attempt, for the next attempt of the day. ``result`` is JSON.
shard_result = Table(
    "orgrecon_shard_result", metadata,
    Column("observation_id", _NAME, ForeignKey(observation.c.id), primary_key=True),
    Column("shard", _NAME, primary_key=True),
    Column("exact", Integer, nullable=False),
    Column("result", Text, nullable=False),
    CheckConstraint("exact IN (0, 1)", name="exact"),
    sqlite_with_rowid=False,
)
