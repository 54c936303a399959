"""The ledger's tables. All are append-only: triggers, made by the migrations, refuse every UPDATE and DELETE.

The names carry a prefix, for a ledger that shares its database with something else. What is a number, a day or a
moment has the database's own type; JSON is kept as text, because JSONB rewrites numbers and a record must come out
with the bytes that went in.
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

from orgrecon_pipeline.domain.evidence import KINDS

#: Figures are rows and keys; the bound is what every JSON reader holds exactly, and no sum of them overflows.
MOST = 2**53 - 1

#: The columns of an entity's or tenant's figures, in the order of the domain's values.
FIGURES = ("source_rows", "target_rows", *KINDS, "transient")


class Instant(TypeDecorator[datetime]):
    """A moment in UTC, exact to the microsecond; in SQLite, text that sorts as time does."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime is no moment")
        value = value.astimezone(timezone.utc)
        return value.isoformat(timespec="microseconds") if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.astimezone(timezone.utc)


# Sorted by bytes on both databases: what SQLite does by itself, Postgres does in the collation "C".
_NAME = Text().with_variant(Text(collation="C"), "postgresql")
_KEY = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER numbers itself in SQLite

metadata = MetaData(naming_convention={
    "ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s", "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
})


def _figures(*, nullable: bool) -> list[Any]:
    return [part for name in FIGURES for part in (
        Column(name, BigInteger, nullable=nullable),
        CheckConstraint(f"{name} BETWEEN 0 AND {MOST}", name=name),
    )]


observation = Table(
    "orgrecon_observation", metadata,
    Column("number", _KEY, Identity(), primary_key=True),
    Column("id", _NAME, nullable=False),
    Column("day", Date, nullable=False, index=True),
    Column("provenance", _NAME, nullable=False),
    Column("verdict", _NAME, nullable=False),
    Column("reason", Text, nullable=False),
    Column("observed_at", Instant),
    Column("mapping_digest", Text, nullable=False),
    Column("orgrecon_version", Text, nullable=False),
    Column("tenants_scanned", BigInteger),
    Column("tenants_with_drift", BigInteger),
    Column("compared", Text, nullable=False),
    UniqueConstraint("id"),
    CheckConstraint("provenance IN ('live', 'baseline', 'restored', 'simulated')", name="provenance"),
    CheckConstraint("verdict IN ('PASS', 'FAIL', 'INCONCLUSIVE')", name="verdict"),
    CheckConstraint(f"tenants_scanned BETWEEN 0 AND {MOST}", name="tenants_scanned"),
    CheckConstraint(f"tenants_with_drift BETWEEN 0 AND {MOST}", name="tenants_with_drift"),
)

#: An observation's entities; ``ordinal`` is their order. A figure is NULL where it is unknown.
entity = Table(
    "orgrecon_entity", metadata,
    Column("observation", BigInteger, ForeignKey(observation.c.number), primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("name", _NAME, nullable=False),
    *_figures(nullable=True),
    UniqueConstraint("observation", "name"),
    sqlite_with_rowid=False,
)

#: An observation's tenants: one row per tenant and entity (its ordinal). ``drift`` is the sum of the four kinds.
tenant_row = Table(
    "orgrecon_tenant_row", metadata,
    Column("observation", BigInteger, primary_key=True),
    Column("tenant", _NAME, primary_key=True),
    Column("entity", Integer, primary_key=True, autoincrement=False),
    *_figures(nullable=False),
    Column("drift", BigInteger, nullable=False),
    CheckConstraint(f"drift = {' + '.join(KINDS)}", name="drift"),
    ForeignKeyConstraint(["observation", "entity"], [entity.c.observation, entity.c.ordinal]),
    sqlite_with_rowid=False,
)

#: An observation's sample keys, in the order in which they are shown. The last three columns are JSON.
sample = Table(
    "orgrecon_sample", metadata,
    Column("observation", BigInteger, ForeignKey(observation.c.number), primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("tenant", _NAME, nullable=False),
    Column("entity", _NAME, nullable=False),
    Column("kind", _NAME, nullable=False),
    Column("keys", Text, nullable=False),
    Column("differing", Text, nullable=False),
    Column("shown", Text),
    sqlite_with_rowid=False,
)

#: What a comparison found out about coverage, see :mod:`orgrecon_pipeline.domain.coverage`.
coverage = Table(
    "orgrecon_coverage", metadata,
    Column("observation", BigInteger, ForeignKey(observation.c.number), primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("subject", _NAME, nullable=False),
    Column("name", _NAME, nullable=False),
    Column("happening", _NAME, nullable=False),
    CheckConstraint("subject IN ('tenant', 'entity', 'column')", name="subject"),
    CheckConstraint("happening IN ('appeared', 'departed', 'lost')", name="happening"),
    Index(None, "subject", "name"),
    sqlite_with_rowid=False,
)

#: What people accepted, with their reason. ``details`` is JSON.
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

#: What notification channels were told; a channel stands as a digest of its address. The last row of a topic counts.
told = Table(
    "orgrecon_told", metadata,
    Column("number", _KEY, Identity(), primary_key=True),
    Column("channel", _NAME, nullable=False),
    Column("topic", _NAME, nullable=False),
    Column("state", _NAME, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    CheckConstraint("state IN ('PASS', 'FAIL', 'INCONCLUSIVE', 'MISSING', 'OPEN', 'CLOSED')", name="state"),
    Index(None, "channel", "topic"),
)

#: What an attempt found in single shards while others failed, for the next attempt of the day. ``found`` is JSON.
shard = Table(
    "orgrecon_shard", metadata,
    Column("observation_id", _NAME, ForeignKey(observation.c.id), primary_key=True),
    Column("shard", _NAME, primary_key=True),
    Column("exact", Integer, nullable=False),
    Column("found", Text, nullable=False),
    CheckConstraint("exact IN (0, 1)", name="exact"),
    sqlite_with_rowid=False,
)
