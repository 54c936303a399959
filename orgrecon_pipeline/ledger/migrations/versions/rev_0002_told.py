"""What each notification channel was told last, append-only like the rest."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATES = ("PASS", "FAIL", "INCONCLUSIVE", "MISSING", "OPEN", "CLOSED")


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    name: sa.Text = sa.Text() if sqlite else sa.Text(collation="C")
    instant: sa.types.TypeEngine[Any] = sa.Text() if sqlite else sa.DateTime(timezone=True)
    number: sa.types.TypeEngine[Any] = sa.Integer() if sqlite else sa.BigInteger()
    listed = ", ".join(f"'{state}'" for state in _STATES)
    op.create_table(
        "orgrecon_told",
        sa.Column("number", number, sa.Identity(), nullable=False),
        sa.Column("channel", name, nullable=False),
        sa.Column("topic", name, nullable=False),
        sa.Column("state", name, nullable=False),
        sa.Column("recorded_at", instant, nullable=False),
        sa.CheckConstraint(f"state IN ({listed})", name=op.f("ck_orgrecon_told_state")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_orgrecon_told")),
    )
    op.create_index(op.f("ix_orgrecon_told_channel_topic"), "orgrecon_told", ["channel", "topic"])
    for statement in _SQLITE_TRIGGERS if sqlite else _POSTGRES_TRIGGERS:
        op.execute(statement)


# As in the first revision, whose function the triggers of Postgres call.
_POSTGRES_TRIGGERS = (
    "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON orgrecon_told "
    "FOR EACH STATEMENT EXECUTE FUNCTION orgrecon_append_only()",
    "ALTER TABLE orgrecon_told ENABLE ALWAYS TRIGGER append_only",
)

_SQLITE_TRIGGERS = (
    "CREATE TRIGGER orgrecon_told_no_update BEFORE UPDATE ON orgrecon_told "
    "BEGIN SELECT RAISE(ABORT, 'orgrecon: orgrecon_told is append-only'); END",
    "CREATE TRIGGER orgrecon_told_no_delete BEFORE DELETE ON orgrecon_told "
    "BEGIN SELECT RAISE(ABORT, 'orgrecon: orgrecon_told is append-only'); END",
    "CREATE TRIGGER orgrecon_told_no_replace BEFORE INSERT ON orgrecon_told "
    "WHEN EXISTS (SELECT 1 FROM orgrecon_told WHERE number = NEW.number) "
    "BEGIN SELECT RAISE(ABORT, 'orgrecon: orgrecon_told is append-only'); END",
)
