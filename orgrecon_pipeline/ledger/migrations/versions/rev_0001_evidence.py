"""The tables of the first version, append-only from the start."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_MOST = 9007199254740991
_KINDS = ("missing", "unexpected", "mismatched", "duplicate")
_FIGURES = ("source_rows", "target_rows", *_KINDS, "transient")


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    # This file is history: it repeats what tables.py said on its day, and imports nothing that may change.
    name: sa.Text = sa.Text() if sqlite else sa.Text(collation="C")
    instant: sa.types.TypeEngine[Any] = sa.Text() if sqlite else sa.DateTime(timezone=True)
    number: sa.types.TypeEngine[Any] = sa.Integer() if sqlite else sa.BigInteger()

    def figures(table: str, *, nullable: bool) -> list[Any]:
        return [part for figure in _FIGURES for part in (
            sa.Column(figure, sa.BigInteger(), nullable=nullable), at_most(table, figure),
        )]

    def at_most(table: str, figure: str) -> sa.CheckConstraint:
        return sa.CheckConstraint(f"{figure} BETWEEN 0 AND {_MOST}", name=op.f(f"ck_{table}_{figure}"))

    def one_of(table: str, column: str, *values: str) -> sa.CheckConstraint:
        listed = ", ".join(f"'{value}'" for value in values)
        return sa.CheckConstraint(f"{column} IN ({listed})", name=op.f(f"ck_{table}_{column}"))

    def of_an_observation(table: str) -> sa.ForeignKeyConstraint:
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
        at_most("orgrecon_observation", "tenants_scanned"),
        at_most("orgrecon_observation", "tenants_with_drift"),
    )
    op.create_index(op.f("ix_orgrecon_observation_day"), "orgrecon_observation", ["day"])
    op.create_table(
        "orgrecon_entity",
        sa.Column("observation", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", name, nullable=False),
        *figures("orgrecon_entity", nullable=True),
        of_an_observation("orgrecon_entity"),
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
        sa.Column("keys", sa.Text(), nullable=False),
        sa.Column("differing", sa.Text(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=True),
        of_an_observation("orgrecon_sample"),
        sa.PrimaryKeyConstraint("observation", "ordinal", name=op.f("pk_orgrecon_sample")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "orgrecon_coverage",
        sa.Column("observation", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("subject", name, nullable=False),
        sa.Column("name", name, nullable=False),
        sa.Column("happening", name, nullable=False),
        one_of("orgrecon_coverage", "subject", "tenant", "entity", "column"),
        one_of("orgrecon_coverage", "happening", "appeared", "departed", "lost"),
        of_an_observation("orgrecon_coverage"),
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
    if not sqlite:
        op.execute(_POSTGRES_REFUSAL)
    for table, key in _KEYS.items():
        for statement in _SQLITE_TRIGGERS if sqlite else _POSTGRES_TRIGGERS:
            op.execute(statement.format(table=table, same=key))


# When a new row would take the place of an old one.
_KEYS = {
    "orgrecon_observation": "number = NEW.number OR id = NEW.id",
    "orgrecon_entity": "observation = NEW.observation AND (ordinal = NEW.ordinal OR name = NEW.name)",
    "orgrecon_tenant_row": "observation = NEW.observation AND tenant = NEW.tenant AND entity = NEW.entity",
    "orgrecon_sample": "observation = NEW.observation AND ordinal = NEW.ordinal",
    "orgrecon_coverage": "observation = NEW.observation AND ordinal = NEW.ordinal",
    "orgrecon_acknowledgement": "number = NEW.number",
}

_POSTGRES_REFUSAL = """
CREATE FUNCTION orgrecon_append_only() RETURNS trigger LANGUAGE plpgsql AS $refuse$
BEGIN
    RAISE EXCEPTION 'orgrecon: % is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$refuse$
"""

# ALWAYS: not even a session that plays a replica may change evidence.
_POSTGRES_TRIGGERS = (
    "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
    "FOR EACH STATEMENT EXECUTE FUNCTION orgrecon_append_only()",
    "ALTER TABLE {table} ENABLE ALWAYS TRIGGER append_only",
)

# The third is for INSERT OR REPLACE, which deletes without asking the trigger for DELETE.
_SQLITE_TRIGGERS = (
    "CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'orgrecon: {table} is append-only'); END",
    "CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'orgrecon: {table} is append-only'); END",
    "CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) "
    "BEGIN SELECT RAISE(ABORT, 'orgrecon: {table} is append-only'); END",
)
