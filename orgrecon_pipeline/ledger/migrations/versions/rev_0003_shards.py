"""What an attempt found in single shards while others failed, append-only like the rest."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    name: sa.Text = sa.Text() if sqlite else sa.Text(collation="C")
    op.create_table(
        "orgrecon_shard",
        sa.Column("observation_id", name, nullable=False),
        sa.Column("shard", name, nullable=False),
        sa.Column("exact", sa.Integer(), nullable=False),
        sa.Column("found", sa.Text(), nullable=False),
        sa.CheckConstraint("exact IN (0, 1)", name=op.f("ck_orgrecon_shard_exact")),
        sa.ForeignKeyConstraint(
            ["observation_id"], ["orgrecon_observation.id"],
            name=op.f("fk_orgrecon_shard_observation_id_orgrecon_observation")),
        sa.PrimaryKeyConstraint("observation_id", "shard", name=op.f("pk_orgrecon_shard")),
        sqlite_with_rowid=False,
    )
    for statement in _SQLITE_TRIGGERS if sqlite else _POSTGRES_TRIGGERS:
        op.execute(statement)


# As in the first revision, whose function the triggers of Postgres call.
_POSTGRES_TRIGGERS = (
    "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON orgrecon_shard "
    "FOR EACH STATEMENT EXECUTE FUNCTION orgrecon_append_only()",
    "ALTER TABLE orgrecon_shard ENABLE ALWAYS TRIGGER append_only",
)

_SQLITE_TRIGGERS = (
    "CREATE TRIGGER orgrecon_shard_no_update BEFORE UPDATE ON orgrecon_shard "
    "BEGIN SELECT RAISE(ABORT, 'orgrecon: orgrecon_shard is append-only'); END",
    "CREATE TRIGGER orgrecon_shard_no_delete BEFORE DELETE ON orgrecon_shard "
    "BEGIN SELECT RAISE(ABORT, 'orgrecon: orgrecon_shard is append-only'); END",
    "CREATE TRIGGER orgrecon_shard_no_replace BEFORE INSERT ON orgrecon_shard "
    "WHEN EXISTS (SELECT 1 FROM orgrecon_shard WHERE observation_id = NEW.observation_id AND shard = NEW.shard) "
    "BEGIN SELECT RAISE(ABORT, 'orgrecon: orgrecon_shard is append-only'); END",
)
