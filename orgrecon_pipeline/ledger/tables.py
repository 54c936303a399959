"""Tables of the ledger, which may hold the evidence of several identities.

Triggers, which the migrations create, make all of them append-only, except that a redaction changes columns that are
:data:`PERSONAL`; see :mod:`orgrecon_pipeline.ledger.chain.redaction`. Table names carry a prefix because a ledger may
share its database with other applications. JSON is stored as text: JSONB rewrites numbers, and a record must keep its
bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, Literal

import sqlalchemy as sa

from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.evidence import FIGURES

#: What a person acknowledges: lost coverage, a changed source database, or another ledger in Dagster.
AcknowledgementKind = Literal["coverage", "source", "ledger"]

#: The revision that this version reads and writes; a test compares it with the migrations.
REVISION = "0001"

#: Not Alembic's default name, which Dagster's storage uses; both may share a database.
VERSION_TABLE = "orgrecon_ledger_version"

#: The largest figure. Every JSON parser reads it exactly, and sums of it do not overflow.
MAX_FIGURE = 2**53 - 1


class Instant(sa.TypeDecorator[datetime]):
    """A UTC timestamp, exact to the microsecond; in SQLite, text that sorts by time."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        return dialect.type_descriptor(sa.Text() if dialect.name == "sqlite" else sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the datetime has no time zone")
        value = value.astimezone(timezone.utc)
        return value.isoformat(timespec="microseconds") if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.astimezone(timezone.utc)


class Bytes(sa.TypeDecorator[bytes]):
    """Bytes. SQLite would also return text or a number that another program wrote into the column."""

    impl = sa.LargeBinary
    cache_ok = True

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], bytes]:
        return lambda value: bytes(value) if isinstance(value, (bytes, memoryview)) else str(value).encode()


# Text sorted by bytes on both databases: SQLite's default, and the collation "C" of Postgres.
_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite numbers only INTEGER keys

metadata = sa.MetaData(naming_convention={
    "ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s", "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
})


#: The ``info`` of a column that can hold the name of a tenant, or a key or value of its rows.
PERSONAL: dict[Any, Any] = {"personal": True}


def _figures(*, nullable: bool) -> list[Any]:
    return [part for name in FIGURES for part in (
        sa.Column(name, sa.BigInteger, nullable=nullable),
        sa.CheckConstraint(f"{name} BETWEEN 0 AND {MAX_FIGURE}", name=name),
    )]


def _identity() -> list[Any]:
    return [sa.Column("migration", _NAME, nullable=False), sa.Column("environment", _NAME, nullable=False)]


#: The ledger itself: one row, with the id that the ledger drew when its tables were created.
ledger = sa.Table(
    "orgrecon_ledger", metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("id", _NAME, nullable=False),
    sa.CheckConstraint("number = 1", name="number"),
)

#: Observations. ``ledger`` is the id of the ledger that stored the observation first; ``reason_parameters`` and
#: ``compared`` are JSON.
observation = sa.Table(
    "orgrecon_observation", metadata,
    sa.Column("number", _KEY, sa.Identity(), primary_key=True),
    *_identity(),
    sa.Column("id", _NAME, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("ledger", _NAME),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("provenance", _NAME, nullable=False),
    sa.Column("verdict", _NAME, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, info=PERSONAL),
    sa.Column("reason_code", _NAME, nullable=False),
    sa.Column("reason_parameters", sa.Text, nullable=False, info=PERSONAL),
    sa.Column("observed_at", Instant),
    sa.Column("mapping_digest", sa.Text, nullable=False),
    sa.Column("orgrecon_version", sa.Text, nullable=False),
    sa.Column("tenants_scanned", sa.BigInteger),
    sa.Column("tenants_with_drift", sa.BigInteger),
    sa.Column("compared", sa.Text, nullable=False, info=PERSONAL),
    sa.UniqueConstraint("migration", "environment", "id"),
    sa.Index(None, "migration", "environment", "day"),
    sa.CheckConstraint("provenance IN ('live', 'baseline', 'restored', 'simulated')", name="provenance"),
    sa.CheckConstraint("verdict IN ('PASS', 'FAIL', 'INCONCLUSIVE')", name="verdict"),
    sa.CheckConstraint(f"tenants_scanned BETWEEN 0 AND {MAX_FIGURE}", name="tenants_scanned"),
    sa.CheckConstraint(f"tenants_with_drift BETWEEN 0 AND {MAX_FIGURE}", name="tenants_with_drift"),
)

#: Entities of an observation, ordered by ``ordinal``. An unknown figure is NULL. ``kept_keys`` is the number of its
#: drifting keys that this ledger has.
entity = sa.Table(
    "orgrecon_entity", metadata,
    sa.Column("observation", sa.BigInteger, sa.ForeignKey(observation.c.number), primary_key=True),
    sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", _NAME, nullable=False),
    *_figures(nullable=True),
    sa.Column("kept_keys", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("observation", "name"),
    sqlite_with_rowid=False,
)

#: One row per tenant and entity (its ordinal) of an observation. ``drift`` is the sum of all kinds of drift, and
#: ``first_seen`` the first day of its oldest drift.
tenant_row = sa.Table(
    "orgrecon_tenant_row", metadata,
    sa.Column("observation", sa.BigInteger, primary_key=True),
    sa.Column("tenant", _NAME, primary_key=True, info=PERSONAL),
    sa.Column("entity", sa.Integer, primary_key=True, autoincrement=False),
    *_figures(nullable=False),
    sa.Column("drift", sa.BigInteger, nullable=False),
    sa.Column("first_seen", sa.Date),
    sa.CheckConstraint(f"drift = {' + '.join(kind.value for kind in DriftKind)}", name="drift"),
    sa.ForeignKeyConstraint(["observation", "entity"], [entity.c.observation, entity.c.ordinal]),
    sqlite_with_rowid=False,
)

#: Sample keys of an observation, in the order in which reports show them. The columns after ``kind`` are JSON.
sample = sa.Table(
    "orgrecon_sample", metadata,
    sa.Column("observation", sa.BigInteger, sa.ForeignKey(observation.c.number), primary_key=True),
    sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("tenant", _NAME, nullable=False, info=PERSONAL),
    sa.Column("entity", _NAME, nullable=False),
    sa.Column("kind", _NAME, nullable=False),
    sa.Column("key", sa.Text, nullable=False, info=PERSONAL),
    sa.Column("differing_columns", sa.Text, nullable=False),
    sa.Column("column_values", sa.Text, info=PERSONAL),
    sa.Column("context", sa.Text, info=PERSONAL),
    sa.Column("first_seen", sa.Date),
    sqlite_with_rowid=False,
)

#: Drifting keys of an observation, one row per kind; ``entity`` is the ordinal. ``key`` and ``differing_columns`` are
#: JSON. A million rows must be small and quick to append, so there are no keys and only one small index.
key = sa.Table(
    "orgrecon_key", metadata,
    sa.Column("observation", sa.BigInteger, nullable=False, index=True),
    sa.Column("entity", sa.Integer, nullable=False),
    sa.Column("first_seen", sa.Date),
    sa.Column("tenant", _NAME, nullable=False, info=PERSONAL),
    sa.Column("key", _NAME, nullable=False, info=PERSONAL),
    sa.Column("kind", _NAME, nullable=False),
    sa.Column("differing_columns", sa.Text),
)

#: Change of the drift since the previous decided day, as JSON, of decided comparisons.
change = sa.Table(
    "orgrecon_change", metadata,
    sa.Column("observation", sa.BigInteger, sa.ForeignKey(observation.c.number), primary_key=True, autoincrement=False),
    sa.Column("change", sa.Text, nullable=False, info=PERSONAL),
)

#: Tenant gates as of the day of an observation, as JSON, by the digest of the evidence that they were computed from.
ready_tenants = sa.Table(
    "orgrecon_ready_tenants", metadata,
    sa.Column("observation", sa.BigInteger, sa.ForeignKey(observation.c.number), primary_key=True),
    sa.Column("evidence", _NAME, primary_key=True),
    sa.Column("figures", sa.Text, nullable=False, info=PERSONAL),
    sqlite_with_rowid=False,
)

#: Coverage events of an observation; see :mod:`orgrecon_pipeline.domain.coverage`.
coverage = sa.Table(
    "orgrecon_coverage", metadata,
    sa.Column("observation", sa.BigInteger, sa.ForeignKey(observation.c.number), primary_key=True),
    sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("subject", _NAME, nullable=False),
    sa.Column("name", _NAME, nullable=False, info=PERSONAL),
    sa.Column("change", _NAME, nullable=False),
    sa.CheckConstraint("subject IN ('tenant', 'entity', 'column')", name="subject"),
    sa.CheckConstraint("change IN ('appeared', 'departed', 'lost')", name="change"),
    sa.Index(None, "subject", "name"),
    sqlite_with_rowid=False,
)

#: Accepted losses of coverage and changes of the source database, with a reason. ``details`` is JSON.
acknowledgement = sa.Table(
    "orgrecon_acknowledgement", metadata,
    sa.Column("number", _KEY, sa.Identity(), primary_key=True),
    *_identity(),
    sa.Column("kind", _NAME, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, info=PERSONAL),
    sa.Column("observation_id", _NAME),
    sa.Column("details", sa.Text, nullable=False, info=PERSONAL),
    sa.Column("recorded_at", Instant, nullable=False),
    sa.ForeignKeyConstraint(
        ["migration", "environment", "observation_id"],
        [observation.c.migration, observation.c.environment, observation.c.id],
        name="fk_orgrecon_acknowledgement_observation"),
    sa.CheckConstraint("kind IN ('coverage', 'source', 'ledger')", name="kind"),
)

#: States that notification channels know; the last row of a topic counts. ``channel`` is a hash of its address.
notification = sa.Table(
    "orgrecon_notification", metadata,
    sa.Column("number", _KEY, sa.Identity(), primary_key=True),
    *_identity(),
    sa.Column("channel", _NAME, nullable=False),
    sa.Column("topic", _NAME, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("recorded_at", Instant, nullable=False),
    sa.Index(None, "migration", "environment", "channel", "topic"),
)

#: Results of the shards that succeeded in an incomplete attempt, for the next attempt of the day. ``result`` is JSON.
shard_result = sa.Table(
    "orgrecon_shard_result", metadata,
    sa.Column("observation", sa.BigInteger, sa.ForeignKey(observation.c.number), primary_key=True),
    sa.Column("shard", _NAME, primary_key=True),
    sa.Column("exact", sa.Integer, nullable=False),
    sa.Column("result", sa.Text, nullable=False, info=PERSONAL),
    sa.CheckConstraint("exact IN (0, 1)", name="exact"),
    sqlite_with_rowid=False,
)

#: Fingerprints of an observation by shard, in pieces: see
#: :mod:`orgrecon_pipeline.domain.integrity.snapshot_fingerprints`. ``tenants`` is the digest of their tenants.
fingerprint = sa.Table(
    "orgrecon_fingerprint", metadata,
    sa.Column("observation", sa.BigInteger, sa.ForeignKey(observation.c.number), primary_key=True),
    sa.Column("shard", _NAME, primary_key=True),
    sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("tenants", _NAME, nullable=False),
    sa.Column("piece", Bytes, nullable=False),
    sqlite_with_rowid=False,
)

#: The tenants of fingerprints by their digest, in compressed pieces. Many observations have the same tenants.
tenant_set = sa.Table(
    "orgrecon_tenant_set", metadata,
    *_identity(),
    sa.Column("digest", _NAME, nullable=False),
    sa.Column("ordinal", sa.Integer, nullable=False),
    sa.Column("piece", Bytes, nullable=False, info=PERSONAL),
    sa.PrimaryKeyConstraint("migration", "environment", "digest", "ordinal"),
)

#: The hash chain of an identity; see :mod:`orgrecon_pipeline.domain.integrity.chain`. ``subject`` is the number of the
#: observation, acknowledgement or redaction; ``detail`` names the shard, or the evidence of tenant gates.
link = sa.Table(
    "orgrecon_link", metadata,
    sa.Column("migration", _NAME, primary_key=True),
    sa.Column("environment", _NAME, primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", _NAME, nullable=False),
    sa.Column("subject", sa.BigInteger, nullable=False),
    sa.Column("detail", _NAME),
    sa.Column("hash", _NAME, nullable=False),
    sa.Column("entry", sa.Text, nullable=False),
    sa.CheckConstraint(
        "kind IN ('observation', 'ready_tenants', 'acknowledgement', 'shard_result', 'redaction')", name="kind"),
    sa.Index(None, "kind", "subject"),
    sqlite_with_rowid=False,
)

#: Redactions of a tenant; ``name_hash`` is the slow hash of its name. ``position`` is that of the link. The link is
#: stored last, and its absence permits the transaction to change the columns that are :data:`PERSONAL`.
redaction = sa.Table(
    "orgrecon_redaction", metadata,
    sa.Column("number", _KEY, sa.Identity(), primary_key=True),
    *_identity(),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("pseudonym", _NAME, nullable=False),
    sa.Column("name_hash", _NAME, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, info=PERSONAL),
    sa.Column("recorded_at", Instant, nullable=False),
    sa.UniqueConstraint("migration", "environment", "position"),
    sa.ForeignKeyConstraint(
        ["migration", "environment", "position"], [link.c.migration, link.c.environment, link.c.position],
        name="fk_orgrecon_redaction_link", deferrable=True, initially="DEFERRED"),
)

#: What a redaction changed: parts of earlier links, by their position, with the digest before and after.
redacted_part = sa.Table(
    "orgrecon_redacted_part", metadata,
    sa.Column("redaction", sa.BigInteger, sa.ForeignKey(redaction.c.number), primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("part", _NAME, primary_key=True),
    sa.Column("before", _NAME, nullable=False),
    sa.Column("after", _NAME, nullable=False),
    sqlite_with_rowid=False,
)
