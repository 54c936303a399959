"""Initial revision: all tables of the ledger, append-only."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_MAX_FIGURE = 9007199254740991
_KINDS = ("missing", "unexpected", "mismatched", "duplicate")
_FIGURES = ("source_rows", "target_rows", *_KINDS, "transient")


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    # A migration never changes, so this file repeats tables.py instead of importing it.
    name: sa.Text = sa.Text() if sqlite else sa.Text(collation="C")
    instant: sa.types.TypeEngine[Any] = sa.Text() if sqlite else sa.DateTime(timezone=True)
    number: sa.types.TypeEngine[Any] = sa.Integer() if sqlite else sa.BigInteger()

    def figures(table: str, *, nullable: bool) -> list[Any]:
        return [part for figure in _FIGURES for part in (
            sa.Column(figure, sa.BigInteger(), nullable=nullable), in_range(table, figure),
        )]

    def in_range(table: str, figure: str) -> sa.CheckConstraint:
        return sa.CheckConstraint(f"{figure} BETWEEN 0 AND {_MAX_FIGURE}", name=op.f(f"ck_{table}_{figure}"))

    def one_of(table: str, column: str, *values: str) -> sa.CheckConstraint:
        listed = ", ".join(f"'{value}'" for value in values)
        return sa.CheckConstraint(f"{column} IN ({listed})", name=op.f(f"ck_{table}_{column}"))

    def observation_key(table: str) -> sa.ForeignKeyConstraint:
        return sa.ForeignKeyConstraint(
            ["observation"], ["orgrecon_observation.number"], name=op.f(f"fk_{table}_observation"))

    op.create_table(
        "orgrecon_observation",
        sa.Column("number", number, sa.Identity(), nullable=False),
        sa.Column("id", name, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("provenance", name, nullable=False),
        sa.Column("verdict", name, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reason_code", name, nullable=False),
        sa.Column("reason_parameters", sa.Text(), nullable=False),
        sa.Column("observed_at", instant, nullable=True),
        sa.Column("mapping_digest", sa.Text(), nullable=False),
        sa.Column("orgrecon_version", sa.Text(), nullable=False),
        sa.Column("tenants_scanned", sa.BigInteger(), nullable=True),
        sa.Column("tenants_with_drift", sa.BigInteger(), nullable=True),
        sa.Column("compared", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_orgrecon_observation")),
        sa.UniqueConstraint("id", name=op.f("uq_orgrecon_observation_id")),
        one_of("orgrecon_observation", "provenance", "live", "baseline", "restored", "simulated"),
        one_of("orgrecon_observation", "verdict", "PASS", "FAIL", "INCONCLUSIVE"),
        in_range("orgrecon_observation", "tenants_scanned"),
        in_range("orgrecon_observation", "tenants_with_drift"),
    )
    op.create_index(op.f("ix_orgrecon_observation_day"), "orgrecon_observation", ["day"])
    op.create_table(
        "orgrecon_entity",
        sa.Column("observation", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", name, nullable=False),
        *figures("orgrecon_entity", nullable=True),
        observation_key("orgrecon_entity"),
        sa.PrimaryKeyConstraint("observation", "ordinal", name=op.f("pk_orgrecon_entity")),
        sa.UniqueConstraint("observation", "name", name=op.f("uq_orgrecon_entity_observation_name")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "orgrecon_tenant_row",
        sa.Column("observation", sa.BigInteger(), nullable=False),
        sa.Column("tenant", name, nullable=False),
        sa.Column("entity", sa.Integer(), autoincrement=False, nullable=False),
        *figures("orgrecon_tenant_row", nullable=False),
        sa.Column("drift", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(f"drift = {' + '.join(_KINDS)}", name=op.f("ck_orgrecon_tenant_row_drift")),
        sa.ForeignKeyConstraint(
            ["observation", "entity"], ["orgrecon_entity.observation", "orgrecon_entity.ordinal"],
            name=op.f("fk_orgrecon_tenant_row_observation_entity")),
        sa.PrimaryKeyConstraint("observation", "tenant", "entity", name=op.f("pk_orgrecon_tenant_row")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "orgrecon_sample",
        sa.Column("observation", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tenant", name, nullable=False),
        sa.Column("entity", name, nullable=False),
        sa.Column("kind", name, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("differing_columns", sa.Text(), nullable=False),
        sa.Column("column_values", sa.Text(), nullable=True),
        observation_key("orgrecon_sample"),
        sa.PrimaryKeyConstraint("observation", "ordinal", name=op.f("pk_orgrecon_sample")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "orgrecon_coverage",
        sa.Column("observation", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("subject", name, nullable=False),
        sa.Column("name", name, nullable=False),
        sa.Column("change", name, nullable=False),
        one_of("orgrecon_coverage", "subject", "tenant", "entity", "column"),
        one_of("orgrecon_coverage", "change", "appeared", "departed", "lost"),
        observation_key("orgrecon_coverage"),
        sa.PrimaryKeyConstraint("observation", "ordinal", name=op.f("pk_orgrecon_coverage")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_orgrecon_coverage_subject_name"), "orgrecon_coverage", ["subject", "name"])
    op.create_table(
        "orgrecon_acknowledgement",
        sa.Column("number", number, sa.Identity(), nullable=False),
        sa.Column("kind", name, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("observation_id", name, nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("recorded_at", instant, nullable=False),
        one_of("orgrecon_acknowledgement", "kind", "coverage", "source"),
        sa.ForeignKeyConstraint(
            ["observation_id"], ["orgrecon_observation.id"], name=op.f("fk_orgrecon_acknowledgement_observation_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_orgrecon_acknowledgement")),
    )
    op.create_table(
        "orgrecon_notification",
        sa.Column("number", number, sa.Identity(), nullable=False),
        sa.Column("channel", name, nullable=False),
        sa.Column("topic", name, nullable=False),
        sa.Column("state", name, nullable=False),
        sa.Column("recorded_at", instant, nullable=False),
        one_of("orgrecon_notification", "state", "PASS", "FAIL", "INCONCLUSIVE", "MISSING", "OPEN", "CLOSED"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_orgrecon_notification")),
    )
    op.create_index(op.f("ix_orgrecon_notification_channel_topic"), "orgrecon_notification", ["channel", "topic"])
    op.create_table(
        "orgrecon_shard_result",
        sa.Column("observation_id", name, nullable=False),
        sa.Column("shard", name, nullable=False),
        sa.Column("exact", sa.Integer(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.CheckConstraint("exact IN (0, 1)", name=op.f("ck_orgrecon_shard_result_exact")),
        sa.ForeignKeyConstraint(
            ["observation_id"], ["orgrecon_observation.id"], name=op.f("fk_orgrecon_shard_result_observation_id")),
        sa.PrimaryKeyConstraint("observation_id", "shard", name=op.f("pk_orgrecon_shard_result")),
        sqlite_with_rowid=False,
    )
    if not sqlite:
        op.execute(_POSTGRES_FUNCTION)
    for table, key in _KEYS.items():
        for statement in _SQLITE_TRIGGERS if sqlite else _POSTGRES_TRIGGERS:
            op.execute(statement.format(table=table, same=key))


# Conditions under which a new row would replace an existing row.
_KEYS = {
    "orgrecon_observation": "number = NEW.number OR id = NEW.id",
    "orgrecon_entity": "observation = NEW.observation AND (ordinal = NEW.ordinal OR name = NEW.name)",
    "orgrecon_tenant_row": "observation = NEW.observation AND tenant = NEW.tenant AND entity = NEW.entity",
    "orgrecon_sample": "observation = NEW.observation AND ordinal = NEW.ordinal",
    "orgrecon_coverage": "observation = NEW.observation AND ordinal = NEW.ordinal",
    "orgrecon_acknowledgement": "number = NEW.number",
    "orgrecon_notification": "number = NEW.number",
    "orgrecon_shard_result": "observation_id = NEW.observation_id AND shard = NEW.shard",
}

_POSTGRES_FUNCTION = """
CREATE FUNCTION orgrecon_append_only() RETURNS trigger LANGUAGE plpgsql AS $refuse$
BEGIN
    RAISE EXCEPTION 'orgrecon: % is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$refuse$
"""

# ALWAYS, so that the triggers also fire in a session with session_replication_role = replica.
_POSTGRES_TRIGGERS = (
    "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
    "FOR EACH STATEMENT EXECUTE FUNCTION orgrecon_append_only()",
    "ALTER TABLE {table} ENABLE ALWAYS TRIGGER append_only",
)

# The third stops INSERT OR REPLACE, which deletes rows without firing the DELETE trigger.
_SQLITE_TRIGGERS = (
    "CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'orgrecon: {table} is append-only'); END",
    "CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'orgrecon: {table} is append-only'); END",
    "CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) "
    "BEGIN SELECT RAISE(ABORT, 'orgrecon: {table} is append-only'); END",
)
